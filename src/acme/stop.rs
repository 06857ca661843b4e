//! Ways for tests to end the process in the middle of an order, as a power cut would, and to have the wall clock looked at
//! so often that it can be set while hubgate waits.
//!
//! Only in builds with debug assertions, and only when asked for by `HUBGATE_ACME_STOP_AT=STEP` and
//! `HUBGATE_ACME_NAP_MS=N`.

use std::time::Duration;

/// Ends the process at once when it is to stop after `step`.
pub(super) fn stop_at(step: &str) {
    #[cfg(debug_assertions)]
    if std::env::var("HUBGATE_ACME_STOP_AT").is_ok_and(|wanted| wanted == step) {
        std::process::abort();
    }
    #[cfg(not(debug_assertions))]
    let _: &str = step;
}

/// The longest time between two looks at the wall clock: `usual`, or what a test asks for.
pub(super) fn nap(usual: Duration) -> Duration {
    #[cfg(debug_assertions)]
    if let Some(wanted) = std::env::var("HUBGATE_ACME_NAP_MS")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        return Duration::from_millis(wanted);
    }
    usual
}
