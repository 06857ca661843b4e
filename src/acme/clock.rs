//! The wall clock, which a test may set.
//!
//! Waits are the event loop's; this only says what time it is.

use time::OffsetDateTime;

/// Says what time it is.
pub(super) trait Clock: Send + Sync {
    fn now(&self) -> OffsetDateTime;
}

/// The system's.
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}
