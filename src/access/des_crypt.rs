//! DES crypt, the oldest form of a password's hash: two characters of salt and eleven of the sum (crypt(3)).
//!
//! Pure. Only the first eight characters of a password count, and of each seven bits: whoever still has such hashes is
//! better off with bcrypt. The tables are those of FIPS 46-3.
#![deny(clippy::disallowed_methods)]

/// In the order of their values.
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of a hash.
const LENGTH: usize = 13;
/// How often a block of zeros is encrypted.
const TIMES: usize = 25;

/// Whether a hash has this form.
pub(super) fn is_one(hash: &[u8]) -> bool {
    hash.len() == LENGTH && hash.iter().all(|byte| ALPHABET.contains(byte))
}

/// The hash of a password with the salt that `hash` begins with; `None` when that is none.
pub(super) fn crypt(password: &[u8], hash: &[u8]) -> Option<[u8; LENGTH]> {
    let value = |at: usize| {
        let byte = hash.get(at)?;
        let value = ALPHABET.iter().position(|one| one == byte)?;
        u32::try_from(value).ok()
    };
    let salt = value(0)? | value(1)? << 6;
    let keys = keys(password);
    let mut block = permuted(0, 64, &INITIAL);
    for _ in 0..TIMES {
        let (mut left, mut right) = ((block >> 32) as u32, block as u32);
        for key in &keys {
            (left, right) = (right, left ^ round(right, *key, salt));
        }
        block = u64::from(right) << 32 | u64::from(left);
    }
    let sum = permuted(block, 64, &FINAL);
    let mut out = [0; LENGTH];
    let salt = hash.iter().take(2).copied();
    // Two bits of nothing fill the last character.
    let sum = (0..11).map(|index| {
        let bits = match index {
            10 => sum << 2,
            _ => sum >> (58 - 6 * index),
        };
        ALPHABET[(bits & 63) as usize]
    });
    for (slot, byte) in out.iter_mut().zip(salt.chain(sum)) {
        *slot = byte;
    }
    Some(out)
}

/// The keys of the sixteen rounds.
fn keys(password: &[u8]) -> [u64; 16] {
    let bytes = password.iter().take_while(|byte| **byte != 0);
    let bytes = bytes.copied().chain(std::iter::repeat(0)).take(8);
    let key = bytes.fold(0, |key: u64, byte| key << 8 | u64::from(byte << 1));
    let chosen = permuted(key, 64, &CHOICE_1);
    let (mut c, mut d) = (chosen >> 28, chosen & HALF);
    const HALF: u64 = (1 << 28) - 1;
    ROTATIONS.map(|by| {
        c = (c << by | c >> (28 - by)) & HALF;
        d = (d << by | d >> (28 - by)) & HALF;
        permuted(c << 28 | d, 56, &CHOICE_2)
    })
}

/// The function of a round, whose halves of the expansion the salt swaps bit by bit.
fn round(right: u32, key: u64, salt: u32) -> u32 {
    let expanded = permuted(u64::from(right), 32, &EXPANSION);
    let (mut high, mut low) = ((expanded >> 24) as u32, (expanded & 0xff_ffff) as u32);
    // The salt's first bit is for the first bit of each half, which is the highest.
    let swapped = (high ^ low) & (salt.reverse_bits() >> 8);
    high ^= swapped;
    low ^= swapped;
    let mixed = (u64::from(high) << 24 | u64::from(low)) ^ key;
    let boxed = BOXES
        .iter()
        .enumerate()
        .fold(0, |out: u64, (index, table)| {
            let six = (mixed >> (42 - 6 * index)) as usize & 63;
            let row = six >> 4 & 2 | six & 1;
            let column = six >> 1 & 15;
            out << 4 | u64::from(table[16 * row + column])
        });
    permuted(boxed, 32, &PERMUTATION) as u32
}

/// The bits of a value of `width` bits that `table` names, counted from 1 at the highest.
fn permuted(value: u64, width: u32, table: &[u8]) -> u64 {
    let bit = |at: &u8| value >> (width - u32::from(*at)) & 1;
    table.iter().fold(0, |out, at| out << 1 | bit(at))
}

#[rustfmt::skip]
const INITIAL: [u8; 64] = [
    58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32, 24, 16, 8,
    57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47, 39, 31, 23, 15, 7,
];
#[rustfmt::skip]
const FINAL: [u8; 64] = [
    40, 8, 48, 16, 56, 24, 64, 32, 39, 7, 47, 15, 55, 23, 63, 31, 38, 6, 46, 14, 54, 22, 62, 30, 37, 5, 45, 13, 53, 21, 61, 29,
    36, 4, 44, 12, 52, 20, 60, 28, 35, 3, 43, 11, 51, 19, 59, 27, 34, 2, 42, 10, 50, 18, 58, 26, 33, 1, 41, 9, 49, 17, 57, 25,
];
#[rustfmt::skip]
const EXPANSION: [u8; 48] = [
    32, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17,
    16, 17, 18, 19, 20, 21, 20, 21, 22, 23, 24, 25, 24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32, 1,
];
#[rustfmt::skip]
const PERMUTATION: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25,
];
#[rustfmt::skip]
const CHOICE_1: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
    63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
];
#[rustfmt::skip]
const CHOICE_2: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];
const ROTATIONS: [u32; 16] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];
#[rustfmt::skip]
const BOXES: [[u8; 64]; 8] = [
    [14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8,
     4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13],
    [15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5,
     0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9],
    [10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1,
     13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12],
    [7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9,
     10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14],
    [2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6,
     4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3],
    [12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8,
     9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13],
    [4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6,
     1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12],
    [13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2,
     7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_crypt_3() {
        for (password, hash) in [
            (&b"password"[..], "sa3tHJ3/KuYvI"),
            (b"secret", "abNANd1rDfiNc"),
            (b"", "..X8NBuQ4l6uQ"),
            (b"longer than eight", "zZb64kacvY9KA"),
            (b"p\xe4ss", "/955QDGvl5pag"),
        ] {
            let made = crypt(password, hash.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&made), hash);
            assert!(is_one(hash.as_bytes()));
        }
    }

    #[test]
    fn what_is_none_is_not_taken_for_one() {
        for hash in ["", "sa", "sa3tHJ3/KuYvI!", "sa3tHJ3:KuYvI", "$1$x$abcdefgh"] {
            assert!(!is_one(hash.as_bytes()), "{hash}");
        }
        assert_eq!(crypt(b"x", b"!"), None);
    }
}
