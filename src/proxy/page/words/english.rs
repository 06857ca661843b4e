//! English, for people who have never heard of a proxy.
//!
//! In the order of `Told`.
#![deny(clippy::disallowed_methods)]

use super::{Shared, Tongue, words};

pub(super) static TONGUE: Tongue = Tongue {
    words: [
        words(
            "This request could not be understood",
            "What your browser or program sent is not something this server can take.",
            "Go back and try again. If it happens in a program, its author will want to see the lines below.",
        ),
        words(
            "Your browser sent too much",
            "Your browser keeps more cookies for this site than the server takes.",
            "Delete this site's cookies in your browser's settings, then sign in again.",
        ),
        words(
            "There is nothing at this address",
            "The address is not one that this server knows.",
            "Check the address for typing mistakes, or begin again at the site's first page.",
        ),
        words(
            "This is too large",
            "What was sent is larger than is allowed here.",
            "Send it in smaller parts, or ask for a higher limit.",
        ),
        words(
            "Your connection was too slow",
            "What your browser was sending stopped arriving.",
            "Check your network connection and try again.",
        ),
        words(
            "Very busy right now",
            "More people are using this than it can serve at the moment.",
            "Wait a minute, then try again.",
        ),
        words(
            "Not available right now",
            "The service behind this address does not answer as it should. You did nothing wrong.",
            "Wait a minute, then try again.",
        ),
        words(
            "This took too long",
            "The service behind this address did not finish in time. You did nothing wrong.",
            "Wait a minute, then try again.",
        ),
        words(
            "Back in a moment",
            "The server is being restarted.",
            "Wait a few seconds, then try again.",
        ),
        words(
            "Something went wrong on our side",
            "This server failed to handle your request. You did nothing wrong.",
            "Try again. If it happens again, please report it.",
        ),
        words(
            "Your launch took too long",
            "Your server did not start in time. You did nothing wrong, and your files are safe: often many people are starting at once, or a large environment has to be prepared first.",
            "Wait a minute, then try again; the second time is often faster.",
        ),
        words(
            "Your launch could not begin",
            "Servers cannot be started at the moment. You did nothing wrong, and your files are safe.",
            "Wait a minute, then try again.",
        ),
        words(
            "Your browser has to show a certificate",
            "This site is only for those who have a certificate from it, and none that counts was shown.",
            "Install the certificate you were given, close the browser and open it again, then choose the certificate when you are asked.",
        ),
        words(
            "You may not come in here",
            "This part of the site is only for some, and your address is not one of theirs.",
            "If you should be let in, ask whoever runs this site; perhaps you need another network, such as a VPN.",
        ),
        words(
            "A name and a password are needed",
            "This part of the site is only for those who have a password for it, and none that counts was given.",
            "Load the page again and type your name and password. If you have none, ask whoever runs this site.",
        ),
    ],
    shared: Shared {
        again: "Try again",
        tell: "If it happens again, tell",
        someone: "whoever runs this site",
        id: "Give this number",
        cause: "Cause",
    },
};
