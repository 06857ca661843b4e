//! A way for tests to end the process in the middle of an order, as a power cut would.
//!
//! Only in builds with debug assertions, and only when asked for by `HUBGATE_ACME_STOP_AT=STEP`.

/// Ends the process at once when it is to stop after `step`.
pub(super) fn stop_at(step: &str) {
    #[cfg(debug_assertions)]
    if std::env::var("HUBGATE_ACME_STOP_AT").is_ok_and(|wanted| wanted == step) {
        std::process::abort();
    }
    #[cfg(not(debug_assertions))]
    let _: &str = step;
}
