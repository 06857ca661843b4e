//! Moments of the calendar as people and programs read them, in logs, tables and messages.
//!
//! One spelling everywhere: RFC 3339 in UTC, which the access log and `--json` have too.

use time::OffsetDateTime;
use time::UtcOffset;
use time::format_description::well_known::Rfc3339;

/// `2026-11-21T07:06:11.042Z`; as `time` shows it when the year has more than four digits.
#[must_use]
pub fn rfc3339(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_before_ten_has_two_digits_and_utc_is_z() {
        let at = OffsetDateTime::from_unix_timestamp(1_795_219_505).unwrap();
        assert_eq!(rfc3339(at), "2026-11-21T00:05:05Z");
        let east = at.to_offset(UtcOffset::from_hms(9, 0, 0).unwrap());
        assert_eq!(rfc3339(east), "2026-11-21T00:05:05Z");
    }
}
