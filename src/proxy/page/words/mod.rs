//! What people are told, in the languages that hubgate speaks: for each situation what happened, in words without
//! blame or jargon, and what to do now.
//!
//! One file a language, each a table in the order of [`Told`]. Plain text: whoever shows it escapes it.
#![deny(clippy::disallowed_methods)]

mod english;
mod french;
mod german;
mod spanish;

use crate::config::Language;
use crate::observe::cause::Situation;

/// A situation as people are told of it; a launch is told in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Told {
    /// What was sent cannot be taken.
    Request,
    /// Too many cookies.
    Cookies,
    /// Nothing at this address.
    Address,
    /// Too large a file.
    TooLarge,
    /// Too slow a connection.
    Slow,
    /// Too many at once.
    Busy,
    /// Out of order.
    Unavailable,
    /// Took too long.
    Late,
    /// Being restarted.
    Stopping,
    /// Our own fault.
    Broken,
    /// A launch that took too long.
    LaunchLate,
    /// A launch that could not be begun.
    LaunchFailed,
    /// No certificate that counts.
    Certificate,
    /// Not from this address.
    Forbidden,
    /// No password that counts.
    Password,
}

const TOLD: usize = Told::Password as usize + 1;

impl Told {
    /// How to tell of a situation; `launch` when somebody waits for a server to start.
    pub fn of(situation: Situation, launch: bool) -> Self {
        match situation {
            Situation::Late if launch => Self::LaunchLate,
            Situation::Unavailable | Situation::Busy if launch => Self::LaunchFailed,
            Situation::Cookies => Self::Cookies,
            Situation::Address => Self::Address,
            Situation::Certificate => Self::Certificate,
            Situation::Forbidden => Self::Forbidden,
            Situation::Password => Self::Password,
            Situation::TooLarge => Self::TooLarge,
            Situation::Slow => Self::Slow,
            Situation::Busy => Self::Busy,
            Situation::Unavailable => Self::Unavailable,
            Situation::Late => Self::Late,
            Situation::Stopping => Self::Stopping,
            Situation::Broken => Self::Broken,
            Situation::Request | Situation::Unseen => Self::Request,
        }
    }
}

/// One situation in one language.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// In a few words.
    pub title: &'static str,
    /// What happened.
    pub sentence: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// The words that all pages of a language share.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    /// The link that asks for the same address again.
    pub again: &'static str,
    /// Before a contact: whom to tell when it happens again.
    pub tell: &'static str,
    /// In place of a contact.
    pub someone: &'static str,
    /// Before the request's id.
    pub id: &'static str,
    /// Before the cause's code.
    pub cause: &'static str,
}

struct Tongue {
    words: [Words; TOLD],
    shared: Shared,
}

fn tongue(language: Language) -> &'static Tongue {
    match language {
        Language::English => &english::TONGUE,
        Language::German => &german::TONGUE,
        Language::French => &french::TONGUE,
        Language::Spanish => &spanish::TONGUE,
    }
}

const fn words(title: &'static str, sentence: &'static str, advice: &'static str) -> Words {
    Words {
        title,
        sentence,
        advice,
    }
}

/// How a situation is told in a language.
pub fn of(language: Language, told: Told) -> Words {
    tongue(language).words[told as usize]
}

/// The rest of a page in a language.
pub fn shared(language: Language) -> Shared {
    tongue(language).shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_empty_or_the_same_in_two_languages() {
        for at in 0..TOLD {
            let mut seen: Vec<&str> = Vec::new();
            for language in Language::ALL {
                let Words {
                    title,
                    sentence,
                    advice,
                } = tongue(language).words[at];
                for text in [sentence, advice] {
                    assert!(
                        text.ends_with('.') && text.len() > 10,
                        "{language:?} {text}"
                    );
                    assert!(!seen.contains(&text), "{text}");
                    seen.push(text);
                }
                assert!(!title.is_empty() && !title.ends_with('.'));
            }
        }
    }

    #[test]
    fn who_waits_for_a_launch_is_told_so_unless_it_is_about_something_else() {
        let told = |situation| Told::of(situation, true);
        assert_eq!(told(Situation::Late), Told::LaunchLate);
        assert_eq!(told(Situation::Busy), Told::LaunchFailed);
        assert_eq!(told(Situation::Cookies), Told::Cookies);
        assert_eq!(Told::of(Situation::Late, false), Told::Late);
    }
}
