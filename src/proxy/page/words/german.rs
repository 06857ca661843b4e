//! Deutsch, ohne Anrede mit Vornamen und ohne Fachwörter.
//!
//! In the order of `Told`.
#![deny(clippy::disallowed_methods)]

use super::{Shared, Tongue, words};

pub(super) static TONGUE: Tongue = Tongue {
    words: [
        words(
            "Diese Anfrage ist nicht verständlich",
            "Was Ihr Browser oder Programm gesendet hat, kann dieser Server nicht annehmen.",
            "Gehen Sie zurück und versuchen Sie es noch einmal. Geschieht es in einem Programm, helfen die Zeilen unten dessen Autor.",
        ),
        words(
            "Ihr Browser hat zu viel gesendet",
            "Ihr Browser hat für diese Seite mehr Cookies gespeichert, als der Server annimmt.",
            "Löschen Sie die Cookies dieser Seite in den Einstellungen des Browsers und melden Sie sich neu an.",
        ),
        words(
            "Unter dieser Adresse gibt es nichts",
            "Diese Adresse kennt der Server nicht.",
            "Prüfen Sie die Adresse auf Tippfehler, oder beginnen Sie auf der Startseite.",
        ),
        words(
            "Das ist zu groß",
            "Was gesendet wurde, ist größer als hier erlaubt.",
            "Senden Sie es in kleineren Teilen, oder bitten Sie um eine höhere Grenze.",
        ),
        words(
            "Ihre Verbindung war zu langsam",
            "Was Ihr Browser senden wollte, kam nicht weiter an.",
            "Prüfen Sie Ihre Netzverbindung und versuchen Sie es noch einmal.",
        ),
        words(
            "Gerade ist sehr viel los",
            "Im Augenblick nutzen das mehr Menschen, als bedient werden können.",
            "Warten Sie eine Minute und versuchen Sie es dann noch einmal.",
        ),
        words(
            "Gerade nicht erreichbar",
            "Der Dienst hinter dieser Adresse antwortet nicht, wie er soll. Sie haben nichts falsch gemacht.",
            "Warten Sie bitte eine Minute und versuchen Sie es dann noch einmal.",
        ),
        words(
            "Das hat zu lange gedauert",
            "Der Dienst hinter dieser Adresse ist nicht rechtzeitig fertig geworden. Sie haben nichts falsch gemacht.",
            "Warten Sie bitte eine Minute, bevor Sie es noch einmal versuchen.",
        ),
        words(
            "Gleich wieder da",
            "Der Server wird neu gestartet.",
            "Warten Sie einige Sekunden und versuchen Sie es dann noch einmal.",
        ),
        words(
            "Bei uns ist etwas schiefgegangen",
            "Dieser Server konnte Ihre Anfrage nicht bearbeiten. Sie haben nichts falsch gemacht.",
            "Versuchen Sie es noch einmal. Geschieht es wieder, melden Sie es bitte.",
        ),
        words(
            "Ihr Start hat zu lange gedauert",
            "Ihr Server ist nicht rechtzeitig gestartet. Sie haben nichts falsch gemacht, und Ihre Dateien sind sicher: Oft starten viele zugleich, oder eine große Umgebung muss erst vorbereitet werden.",
            "Warten Sie eine Minute und versuchen Sie es dann noch einmal; beim zweiten Mal geht es oft schneller.",
        ),
        words(
            "Ihr Start konnte nicht beginnen",
            "Im Augenblick können keine Server gestartet werden. Sie haben nichts falsch gemacht, und Ihre Dateien sind sicher.",
            "Versuchen Sie es in einer Minute noch einmal.",
        ),
        words(
            "Ihr Browser muss ein Zertifikat vorzeigen",
            "Diese Seite ist nur für Menschen mit einem Zertifikat, und es wurde keines vorgezeigt, das hier gilt.",
            "Richten Sie das Zertifikat ein, das Sie bekommen haben, schließen und öffnen Sie den Browser, und wählen Sie es aus, wenn er fragt.",
        ),
        words(
            "Hier ist kein Zutritt",
            "Dieser Teil der Seite ist nur für bestimmte Netze, und Ihre Adresse gehört nicht dazu.",
            "Wenn Sie Zutritt haben sollten, fragen Sie den Betreiber; vielleicht brauchen Sie ein anderes Netz, etwa ein VPN.",
        ),
        words(
            "Name und Passwort werden gebraucht",
            "Dieser Teil der Seite ist nur für Menschen mit einem Passwort, und es wurde keines angegeben, das hier gilt.",
            "Laden Sie die Seite neu und geben Sie Namen und Passwort ein. Wenn Sie keines haben, fragen Sie den Betreiber.",
        ),
    ],
    shared: Shared {
        again: "Noch einmal versuchen",
        tell: "Geschieht es wieder, sagen Sie es",
        someone: "den Betreibern dieser Seite",
        id: "Nennen Sie dabei diese Nummer",
        cause: "Ursache",
    },
};
