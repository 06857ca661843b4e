//! What this machine is called.
//!
//! Asked of the kernel once, by whoever needs it first; a name that is changed later counts from the next start.

use std::sync::LazyLock;

/// This machine's name, as it was when first asked for; empty where the kernel does not say.
pub static HOSTNAME: LazyLock<String> = LazyLock::new(|| {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.unwrap_or_default().trim().to_owned()
});
