//! Whether a password belongs to a hash, in the forms that `htpasswd`, `openssl passwd` and `mkpasswd` write.
//!
//! `$apr1$` and `$1$` (MD5 crypt), bcrypt, `$5$` and `$6$` (SHA-2 crypt), {SSHA}, {SHA} and {PLAIN}; the oldest form is
//! `des_crypt`'s. yescrypt is not known here. Compares without telling by its time where two differ.
#![deny(clippy::disallowed_methods)]

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY};
use base64::Engine as _;
use md5::{Digest as _, Md5};
use sha_crypt::{PasswordVerifier as _, ShaCrypt};

use super::des_crypt;
use super::passwords::lenient;

/// What is known of a hash by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Compared at once.
    Quick,
    /// Made so that it takes long.
    Slow,
    /// Nobody gets in by it.
    Unknown,
}

/// What form a hash has.
pub(super) fn form(hash: &str) -> Form {
    let begins = |begins: &[&str]| begins.iter().any(|begin| hash.starts_with(begin));
    if begins(&["{PLAIN}", "{SSHA}", "{SHA}"]) {
        Form::Quick
    } else if des_crypt::is_one(hash.as_bytes())
        || begins(&[
            "$apr1$", "$1$", "$5$", "$6$", "$2y$", "$2b$", "$2a$", "$2x$",
        ])
    {
        Form::Slow
    } else {
        Form::Unknown
    }
}

/// Whether the password is the one.
pub(super) fn matches(hash: &str, password: &[u8]) -> bool {
    if let Some(plain) = hash.strip_prefix("{PLAIN}") {
        return same(plain.as_bytes(), password);
    }
    if let Some(encoded) = hash.strip_prefix("{SHA}") {
        let sum = digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, password);
        let expected = lenient().decode(encoded).unwrap_or_default();
        return same(&expected, sum.as_ref());
    }
    if let Some(encoded) = hash.strip_prefix("{SSHA}") {
        return salted(encoded, password);
    }
    if let Some(rest) = hash.strip_prefix("$apr1$") {
        return md5_crypt("$apr1$", rest, password);
    }
    if let Some(rest) = hash.strip_prefix("$1$") {
        return md5_crypt("$1$", rest, password);
    }
    if hash.starts_with("$2") {
        return bcrypt::verify(password, hash).unwrap_or(false);
    }
    if des_crypt::is_one(hash.as_bytes()) {
        let made = des_crypt::crypt(password, hash.as_bytes());
        return made.is_some_and(|made| same(&made, hash.as_bytes()));
    }
    ShaCrypt::default().verify_password(password, hash).is_ok()
}

fn same(one: &[u8], other: &[u8]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

/// SHA-1 of password and salt; the salt stands behind the sum.
fn salted(encoded: &str, password: &[u8]) -> bool {
    const SUM: usize = 20;
    let decoded = lenient().decode(encoded).unwrap_or_default();
    let Some((expected, salt)) = decoded.split_at_checked(SUM) else {
        return false;
    };
    let mut context = digest::Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(password);
    context.update(salt);
    same(expected, context.finish().as_ref())
}

/// Poul-Henning Kamp's MD5 crypt; `rest` is what follows the magic: salt, `$`, sum.
fn md5_crypt(magic: &str, rest: &str, password: &[u8]) -> bool {
    let Some((salt, expected)) = rest.split_once('$') else {
        return false;
    };
    let salt = salt.as_bytes();
    let salt = salt.get(..8).unwrap_or(salt);
    same(
        expected.as_bytes(),
        &encoded(&md5_rounds(magic.as_bytes(), salt, password)),
    )
}

fn md5_rounds(magic: &[u8], salt: &[u8], password: &[u8]) -> [u8; 16] {
    let sum = |parts: &[&[u8]]| -> [u8; 16] {
        let mut context = Md5::new();
        parts.iter().for_each(|part| context.update(part));
        context.finalize().into()
    };
    let mut inner = Md5::new();
    for part in [password, magic, salt] {
        inner.update(part);
    }
    let twice = sum(&[password, salt, password]);
    for piece in password.chunks(16) {
        inner.update(&twice[..piece.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        match bits & 1 {
            1 => inner.update([0]),
            _ => inner.update(&password[..1]),
        }
        bits >>= 1;
    }
    let mut last: [u8; 16] = inner.finalize().into();
    for round in 0..1000 {
        let odd = round % 2 == 1;
        let (first, second): (&[u8], &[u8]) = match odd {
            true => (password, &last),
            false => (&last, password),
        };
        let salt = if round % 3 == 0 { &[] } else { salt };
        let again = if round % 7 == 0 { &[] } else { password };
        last = sum(&[first, salt, again, second]);
    }
    last
}

/// The sum in crypt's own order and alphabet.
fn encoded(sum: &[u8; 16]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let mut out = Vec::with_capacity(22);
    let mut push = |mut value: u32, characters: usize| {
        for _ in 0..characters {
            out.push(ALPHABET[(value & 63) as usize]);
            value >>= 6;
        }
    };
    for [high, middle, low] in ORDER {
        let value = [high, middle, low].map(|at| u32::from(sum[at]));
        push(value[0] << 16 | value[1] << 8 | value[2], 4);
    }
    push(u32::from(sum[11]), 2);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl passwd`, `htpasswd`, `mkpasswd` and `slappasswd`.
    const HASHES: &[(&str, &str)] = &[
        ("$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/", "secret"),
        (
            "$apr1$abcdefgh$2SrabkU2P4TUXsgT4z3OR0",
            "a longer pass word of 23",
        ),
        ("$1$xyz$Qia9Wq6FxQkYcwNWMk/RM0", "secret"),
        ("$1$xyz$owHbRxgYsm4WKFFnjGP4M.", "a longer pass word of 23"),
        (
            "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA",
            "secret",
        ),
        (
            "$5$saltsalt$.mwz9esolPXZBC..YhUN4df8jHiMkheArvKW8ejLTT.",
            "a longer pass word of 23",
        ),
        (
            "$6$saltstringsaltst$UXuBvBuPfQU4z1.hi3CoNXH4C7ulNXpsepRT322IE4RHFhcT/ge6WV1Wz4Ryq8EGyu0hllpHMecmXcc/Pudmo.",
            "secret",
        ),
        (
            "$6$rounds=1000$abc$MqEcPZUYRGGcOeq7PhMpfjfu/F0HrVEI0OlZBijWvO8mSG77iNUDP5MqFceKpJTBc8iITVtNyLiNTRNCxv6oh0",
            "secret",
        ),
        (
            "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            "secret",
        ),
        (
            "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            "secret",
        ),
        ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "secret"),
        ("{SSHA}Wcm1xEisNjqp921ALcHfuQ7avFdzYWx0MTIzNA==", "secret"),
        ("{PLAIN}secret", "secret"),
    ];

    #[test]
    fn each_form_takes_its_password_and_no_other() {
        for (hash, password) in HASHES {
            assert_ne!(form(hash), Form::Unknown, "{hash}");
            assert!(matches(hash, password.as_bytes()), "{hash}");
            assert!(!matches(hash, format!("{password}x").as_bytes()), "{hash}");
            assert!(!matches(hash, b""), "{hash}");
        }
    }

    #[test]
    fn what_is_no_hash_matches_nothing() {
        for hash in [
            "",
            "$",
            "$apr1$",
            "$apr1$x",
            "$6$",
            "$6$rounds=1$a$b",
            "$2y$",
            "{SSHA}",
            "{SSHA}!!",
            "{SHA}",
            "rqXexS6Zhob:A",
            "$y$j9T$x$y",
        ] {
            assert!(!matches(hash, b"secret"), "{hash}");
        }
        assert_eq!(form("rqXexS6Zhob:A"), Form::Unknown);
        assert_eq!(form("$y$j9T$x$y"), Form::Unknown);
    }
}
