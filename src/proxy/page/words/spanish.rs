//! Español, sin tecnicismos.
//!
//! In the order of `Told`.
#![deny(clippy::disallowed_methods)]

use super::{Shared, Tongue, words};

pub(super) static TONGUE: Tongue = Tongue {
    words: [
        words(
            "No se entiende esta petición",
            "Este servidor no puede aceptar lo que envió su navegador o programa.",
            "Vuelva atrás e inténtelo de nuevo. Si ocurre en un programa, las líneas de abajo ayudarán a su autor.",
        ),
        words(
            "Su navegador envió demasiado",
            "Su navegador guarda para este sitio más cookies de las que acepta el servidor.",
            "Borre las cookies de este sitio en los ajustes del navegador y vuelva a iniciar la sesión.",
        ),
        words(
            "No hay nada en esta dirección",
            "El servidor no conoce esta dirección.",
            "Compruebe si la dirección está bien escrita, o empiece por la página de inicio.",
        ),
        words(
            "Es demasiado grande",
            "Lo que se envió es más grande de lo que se permite aquí.",
            "Envíelo en partes más pequeñas, o pida un límite más alto.",
        ),
        words(
            "Su conexión fue demasiado lenta",
            "Lo que enviaba su navegador dejó de llegar.",
            "Compruebe su conexión a la red e inténtelo de nuevo.",
        ),
        words(
            "Hay mucha gente en este momento",
            "Más personas usan este servicio de las que puede atender ahora.",
            "Espere un minuto e inténtelo de nuevo.",
        ),
        words(
            "No disponible en este momento",
            "El servicio que está detrás de esta dirección no responde como debe. Usted no hizo nada mal.",
            "Espere un minuto antes de intentarlo de nuevo.",
        ),
        words(
            "Esto tardó demasiado",
            "El servicio que está detrás de esta dirección no terminó a tiempo. Usted no hizo nada mal.",
            "Inténtelo de nuevo dentro de un minuto.",
        ),
        words(
            "Volvemos en un momento",
            "El servidor se está reiniciando.",
            "Espere unos segundos e inténtelo de nuevo.",
        ),
        words(
            "Algo falló de nuestra parte",
            "Este servidor no pudo atender su petición. Usted no hizo nada mal.",
            "Inténtelo de nuevo. Si vuelve a ocurrir, avísenos.",
        ),
        words(
            "Su inicio tardó demasiado",
            "Su servidor no arrancó a tiempo. Usted no hizo nada mal y sus archivos están a salvo: a menudo muchas personas empiezan a la vez, o primero hay que preparar un entorno grande.",
            "Espere un minuto e inténtelo de nuevo; la segunda vez suele ser más rápida.",
        ),
        words(
            "Su inicio no pudo comenzar",
            "En este momento no se pueden arrancar servidores. Usted no hizo nada mal y sus archivos están a salvo.",
            "Vuelva a intentarlo dentro de un minuto.",
        ),
        words(
            "Su navegador tiene que mostrar un certificado",
            "Este sitio es solo para quienes tienen un certificado, y no se mostró ninguno que valga aquí.",
            "Instale el certificado que recibió, cierre y vuelva a abrir el navegador, y elíjalo cuando se lo pida.",
        ),
        words(
            "No se permite la entrada aquí",
            "Esta parte del sitio es solo para ciertas redes, y su dirección no es una de ellas.",
            "Si debería poder entrar, pregunte a quien gestiona este sitio; quizá necesite otra red, como una VPN.",
        ),
        words(
            "Hace falta un nombre y una contraseña",
            "Esta parte del sitio es solo para quienes tienen una contraseña, y no se ha dado ninguna que valga.",
            "Vuelva a cargar la página y escriba su nombre y su contraseña. Si no los tiene, pregunte a quien gestiona este sitio.",
        ),
    ],
    shared: Shared {
        again: "Intentarlo de nuevo",
        tell: "Si vuelve a ocurrir, avise a",
        someone: "quienes llevan este sitio",
        id: "Dé este número",
        cause: "Causa",
    },
};
