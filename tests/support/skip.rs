//! Tests that can show something on some machines only: elsewhere they say so, and in CI they fail.

use std::io::Write;

/// Whether a test can show what it is for; `missing` says what it would take. Told past the harness, which keeps to itself
/// what a test that passes prints. With `CI` in the environment nothing may be missing.
#[track_caller]
pub(crate) fn can_be_shown(missing: Option<&str>) -> bool {
    let Some(missing) = missing else { return true };
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(
        std::env::var_os("CI").is_none(),
        "CI has to show `{test}`, which takes {missing}"
    );
    let told = writeln!(std::io::stderr(), "SKIPPED {test}: it takes {missing}");
    assert!(told.is_ok(), "standard error takes nothing: {told:?}");
    false
}
