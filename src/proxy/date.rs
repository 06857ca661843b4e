//! The value of `Date` (RFC 9110 section 6.6.1), made once per second and thread.
//!
//! Every response carries one, and formatting it each time would cost as much as a small head.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

const LENGTH: usize = 29;

thread_local! {
    /// The value, and until when it holds.
    static LAST: Cell<(Option<Instant>, [u8; LENGTH])> = const { Cell::new((None, [b' '; LENGTH])) };
}

/// Today, at `now`, which is the time or a moment ago: who knows it need not ask another clock.
pub fn at(now: Instant) -> [u8; LENGTH] {
    let (until, text) = LAST.get();
    if until.is_some_and(|until| now < until) {
        return text;
    }
    let time = SystemTime::now();
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = Duration::from_secs(1) - Duration::from_nanos(since.subsec_nanos().into());
    let made = httpdate::fmt_http_date(time);
    let Ok(text) = <[u8; LENGTH]>::try_from(made.as_bytes()) else {
        // Only a year of five digits is longer.
        return text;
    };
    LAST.set((Some(now + left), text));
    text
}

/// The same as a field's value.
pub fn value_at(now: Instant) -> HeaderValue {
    thread_local! {
        static LAST: RefCell<HeaderValue> = const { RefCell::new(HeaderValue::from_static("")) };
    }
    let text = at(now);
    LAST.with_borrow_mut(|last| {
        if last.as_bytes() != text
            && let Ok(made) = HeaderValue::from_bytes(&text)
        {
            *last = made;
        }
        last.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_one_that_can_be_read_back_as_now() {
        let now = Instant::now();
        let text = at(now);
        let read = httpdate::parse_http_date(std::str::from_utf8(&text).unwrap()).unwrap();
        assert!(read.elapsed().unwrap().as_secs() < 5);
        assert_eq!(value_at(now).as_bytes(), text);
        assert_eq!(value_at(now).as_bytes(), text);
    }
}
