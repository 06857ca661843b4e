//! Writes instants the way log lines want them, and keeps the text of the current second.
//!
//! Times are UTC: a log from a host whose zone or summer time changes still sorts, and the offset says so.
#![deny(clippy::disallowed_methods)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// The texts of one second, made anew when the second changes. One per thread.
#[derive(Debug)]
pub struct Clock {
    second: u64,
    common: [u8; 26],
    iso: [u8; 19],
}

impl Default for Clock {
    /// At the beginning of 1970.
    fn default() -> Self {
        let mut clock = Self {
            second: 0,
            common: *b"00/Jan/1970:00:00:00 +0000",
            iso: *b"1970-00-00T00:00:00",
        };
        clock.render();
        clock
    }
}

impl Clock {
    /// Appends `21/Nov/2026:07:06:11 +0000`.
    pub fn common(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        self.set(time);
        out.extend_from_slice(&self.common);
    }

    /// Appends `2026-11-21T07:06:11+00:00`, as nginx writes it.
    pub fn iso(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        self.set(time);
        out.extend_from_slice(&self.iso);
        out.extend_from_slice(b"+00:00");
    }

    /// Appends `2026-11-21T07:06:11.042Z`.
    pub(super) fn iso_millis(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        let since = self.set(time);
        out.extend_from_slice(&self.iso);
        out.push(b'.');
        digits(u64::from(since.subsec_millis()), 3, out);
        out.push(b'Z');
    }

    /// A time before 1970 counts as 1970, one after 9999 as its last second.
    fn set(&mut self, time: SystemTime) -> Duration {
        const LAST: u64 = 253_402_300_799;
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs().min(LAST);
        if second != self.second {
            self.second = second;
            self.render();
        }
        since
    }

    fn render(&mut self) {
        const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        let date = i64::try_from(self.second)
            .ok()
            .and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let year = u64::from(date.year().unsigned_abs());
        let month = u64::from(u8::from(date.month()));
        let day = u64::from(date.day());
        let clock = [date.hour(), date.minute(), date.second()];
        place(&mut self.common[0..2], day);
        let name = (month as usize - 1) * 3;
        self.common[3..6].copy_from_slice(&MONTHS[name..name + 3]);
        place(&mut self.common[7..11], year);
        place(&mut self.iso[0..4], year);
        place(&mut self.iso[5..7], month);
        place(&mut self.iso[8..10], day);
        for (index, number) in clock.into_iter().enumerate() {
            place(
                &mut self.common[12 + index * 3..14 + index * 3],
                u64::from(number),
            );
            place(
                &mut self.iso[11 + index * 3..13 + index * 3],
                u64::from(number),
            );
        }
    }
}

/// Appends seconds with milliseconds: `0.042`.
pub(super) fn seconds(duration: Duration, out: &mut Vec<u8>) {
    number(duration.as_secs(), out);
    out.push(b'.');
    digits(u64::from(duration.subsec_millis()), 3, out);
}

/// Appends seconds since 1970 with milliseconds.
pub fn epoch(time: SystemTime, out: &mut Vec<u8>) {
    seconds(time.duration_since(UNIX_EPOCH).unwrap_or_default(), out);
}

/// Appends a whole number.
pub(super) fn number(value: u64, out: &mut Vec<u8>) {
    digits(value, value.checked_ilog10().unwrap_or(0) as usize + 1, out);
}

fn digits(value: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + width, b'0');
    place(&mut out[start..], value);
}

/// Writes `value` in decimal into all of `field`, from its right end.
fn place(field: &mut [u8], mut value: u64) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis)
    }

    #[test]
    fn an_instant_reads_as_nginx_writes_it() {
        let mut clock = Clock::default();
        let mut out = Vec::new();
        let time = at(1_795_244_771, 42);
        clock.common(time, &mut out);
        out.push(b' ');
        clock.iso(time, &mut out);
        out.push(b' ');
        clock.iso_millis(time, &mut out);
        out.push(b' ');
        epoch(time, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "21/Nov/2026:07:06:11 +0000 2026-11-21T07:06:11+00:00 2026-11-21T07:06:11.042Z 1795244771.042"
        );
    }

    #[test]
    fn the_next_second_is_not_the_last_one() {
        let mut clock = Clock::default();
        let mut out = Vec::new();
        for second in [1_795_244_771, 1_795_244_772, 0, u64::MAX / 4] {
            clock.iso(at(second, 0), &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "2026-11-21T07:06:11+00:002026-11-21T07:06:12+00:001970-01-01T00:00:00+00:009999-12-31T23:59:59+00:00"
        );
    }

    #[test]
    fn numbers_have_all_their_digits() {
        for value in [0, 1, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            number(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
