//! Amounts as people write them: `64KiB`, `10MB`, `250ms`, `1h 30m`.
//!
//! One spelling for each everywhere in the configuration; printing gives a text that parses to the same amount.

use std::fmt;
use std::time::Duration;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Takes digits with an optional unit: `B`, `kB`/`MB`/`GB`/`TB` (powers of 1000), `KiB`/`MiB`/`GiB`/`TiB` or
    /// nginx's `k`/`m`/`g` (powers of 1024). No unit means bytes.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let text = text.trim();
        let split = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, unit) = (&text[..split], text[split..].trim());
        let number: u64 = digits.parse().map_err(|_| AmountError::size(text))?;
        let factor: u64 = match unit {
            "" | "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "KiB" | "k" | "K" => 1 << 10,
            "MiB" | "m" | "M" => 1 << 20,
            "GiB" | "g" | "G" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err(AmountError::size(text)),
        };
        number
            .checked_mul(factor)
            .map(Self)
            .ok_or_else(|| AmountError::size(text))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (factor, unit) in [
            (1u64 << 40, "TiB"),
            (1 << 30, "GiB"),
            (1 << 20, "MiB"),
            (1 << 10, "KiB"),
        ] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// Takes a length of time: whole numbers with `ms`, `s`, `m`, `h` or `d`, several in a row (`1h 30m`).
///
/// Fails on a number without a unit, so that nobody has to guess whether 60 are seconds or milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, AmountError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(AmountError::duration(text));
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let split = rest
            .find(|c: char| !c.is_ascii_digit())
            .ok_or_else(|| AmountError::duration(text))?;
        let number: u64 = rest[..split]
            .parse()
            .map_err(|_| AmountError::duration(text))?;
        let unit_end = rest[split..]
            .find(|c: char| !c.is_ascii_alphabetic())
            .map_or(rest.len(), |n| split + n);
        let millis: u64 = match &rest[split..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(AmountError::duration(text)),
        };
        total = number
            .checked_mul(millis)
            .and_then(|n| total.checked_add(n))
            .filter(|n| *n <= 3_650 * 86_400_000)
            .ok_or_else(|| AmountError::duration(text))?;
        rest = rest[unit_end..].trim_start();
    }
    Ok(Duration::from_millis(total))
}

/// Prints a length of time in the form [`parse_duration`] takes, in the largest units that lose nothing.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_millis() as u64;
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (millis, unit) in [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
        (1, "ms"),
    ] {
        if rest >= millis {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    text
}

/// Why a text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// No number of bytes.
    #[error("`{found}` is not a size; write a whole number with a unit, as in `64KiB` or `10MB`")]
    Size {
        /// The text, cut to 80 characters.
        found: String,
    },
    /// No length of time.
    #[error(
        "`{found}` is not a duration; write a whole number with a unit, as in `250ms`, `60s`, `10m` or `1h`"
    )]
    Duration {
        /// The text, cut to 80 characters.
        found: String,
    },
}

impl AmountError {
    fn size(text: &str) -> Self {
        Self::Size {
            found: text.chars().take(80).collect(),
        }
    }
    fn duration(text: &str) -> Self {
        Self::Duration {
            found: text.chars().take(80).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_without_a_unit_is_no_duration() {
        assert!(parse_duration("60").is_err());
    }

    #[test]
    fn sizes_tell_powers_of_1000_from_powers_of_1024() {
        assert_eq!(ByteSize::parse("1MB").unwrap().0, 1_000_000);
        assert_eq!(ByteSize::parse("1MiB").unwrap().0, 1_048_576);
    }

    #[test]
    fn an_overflowing_size_is_refused() {
        assert!(ByteSize::parse("99999999999TiB").is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same_amount(millis in 0u64..=3_650 * 86_400_000, bytes: u64) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)).unwrap(), duration);
            prop_assert_eq!(ByteSize::parse(&ByteSize(bytes).to_string()).unwrap(), ByteSize(bytes));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*") {
            drop(parse_duration(&text));
            drop(ByteSize::parse(&text));
        }
    }
}
