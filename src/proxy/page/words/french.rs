//! Français, sans jargon.
//!
//! In the order of `Told`.
#![deny(clippy::disallowed_methods)]

use super::{Shared, Tongue, words};

pub(super) static TONGUE: Tongue = Tongue {
    words: [
        words(
            "Cette demande n’a pas été comprise",
            "Ce que votre navigateur ou votre programme a envoyé ne peut pas être accepté par ce serveur.",
            "Revenez en arrière et réessayez. S’il s’agit d’un programme, les lignes ci-dessous aideront son auteur.",
        ),
        words(
            "Votre navigateur a trop envoyé",
            "Votre navigateur garde pour ce site plus de cookies que le serveur n’en accepte.",
            "Supprimez les cookies de ce site dans les réglages du navigateur, puis reconnectez-vous.",
        ),
        words(
            "Il n’y a rien à cette adresse",
            "Le serveur ne connaît pas cette adresse.",
            "Vérifiez l’adresse, ou recommencez depuis la page d’accueil.",
        ),
        words(
            "C’est trop volumineux",
            "Ce qui a été envoyé dépasse la taille permise ici.",
            "Envoyez-le en plus petites parties, ou demandez une limite plus élevée.",
        ),
        words(
            "Votre connexion était trop lente",
            "Ce que votre navigateur envoyait a cessé d’arriver.",
            "Vérifiez votre connexion au réseau et réessayez.",
        ),
        words(
            "Beaucoup de monde en ce moment",
            "Plus de personnes utilisent ce service qu’il ne peut en servir.",
            "Attendez une minute, puis réessayez.",
        ),
        words(
            "Indisponible pour le moment",
            "Le service derrière cette adresse ne répond pas comme il faut. Vous n’y êtes pour rien.",
            "Attendez une minute avant de réessayer.",
        ),
        words(
            "Cela a pris trop de temps",
            "Le service derrière cette adresse n’a pas terminé à temps. Vous n’y êtes pour rien.",
            "Réessayez dans une minute.",
        ),
        words(
            "De retour dans un instant",
            "Le serveur redémarre.",
            "Attendez quelques secondes, puis réessayez.",
        ),
        words(
            "Une erreur s’est produite de notre côté",
            "Ce serveur n’a pas pu traiter votre demande. Vous n’y êtes pour rien.",
            "Réessayez. Si cela se reproduit, signalez-le.",
        ),
        words(
            "Votre lancement a pris trop de temps",
            "Votre serveur n’a pas démarré à temps. Vous n’y êtes pour rien, et vos fichiers sont en sécurité : souvent, beaucoup de personnes démarrent en même temps, ou un grand environnement doit d’abord être préparé.",
            "Attendez une minute, puis réessayez ; la deuxième fois est souvent plus rapide.",
        ),
        words(
            "Votre lancement n’a pas pu commencer",
            "Aucun serveur ne peut être démarré pour le moment. Vous n’y êtes pour rien, et vos fichiers sont en sécurité.",
            "Réessayez votre lancement dans une minute.",
        ),
        words(
            "Votre navigateur doit présenter un certificat",
            "Ce site est réservé aux personnes qui ont un certificat, et aucun certificat valable ici n’a été présenté.",
            "Installez le certificat que vous avez reçu, fermez puis rouvrez le navigateur, et choisissez-le lorsqu’il le demande.",
        ),
        words(
            "L'entrée n'est pas permise ici",
            "Cette partie du site est réservée à certains réseaux, et votre adresse n'en fait pas partie.",
            "Si vous devriez y avoir accès, demandez à qui gère ce site ; il faut peut-être un autre réseau, un VPN par exemple.",
        ),
        words(
            "Il faut un nom et un mot de passe",
            "Cette partie du site est réservée à ceux qui ont un mot de passe, et aucun qui soit valable n'a été donné.",
            "Rechargez la page et saisissez votre nom et votre mot de passe. Si vous n'en avez pas, demandez à qui gère ce site.",
        ),
    ],
    shared: Shared {
        again: "Réessayer",
        tell: "Si cela se reproduit, prévenez",
        someone: "les responsables de ce site",
        id: "Donnez ce numéro",
        cause: "Cause",
    },
};
