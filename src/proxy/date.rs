//! The value of `Date` (RFC 9110 section 6.6.1), made once per second and thread.
//!
//! Every response carries one, and formatting it each time would cost as much as a small head.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

const LENGTH: usize = 29;

thread_local! {
    static LAST: Cell<(u64, [u8; LENGTH])> = const { Cell::new((0, [b' '; LENGTH])) };
}

/// Today, now.
pub fn now() -> [u8; LENGTH] {
    let time = SystemTime::now();
    let second = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (known, text) = LAST.get();
    if known == second {
        return text;
    }
    let made = httpdate::fmt_http_date(time);
    let Ok(text) = <[u8; LENGTH]>::try_from(made.as_bytes()) else {
        // Only a year of five digits is longer.
        return text;
    };
    LAST.set((second, text));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_one_that_can_be_read_back_as_now() {
        let text = now();
        let read = httpdate::parse_http_date(std::str::from_utf8(&text).unwrap()).unwrap();
        assert!(read.elapsed().unwrap().as_secs() < 3);
        assert_eq!(now().len(), LENGTH);
    }
}
