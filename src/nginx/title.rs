//! What a process that was called as `nginx` is listed as, in words that monitoring and scripts look for.
//!
//! nginx writes over its arguments, `nginx: master process /usr/sbin/nginx -g ...`; here the program starts itself with
//! that as the name it is called by. Scripts that signal by the program's name (`start-stop-daemon --name nginx`) see
//! what the kernel calls a process, which is `nginx` for whoever is called so. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

/// What the kernel is told.
pub const NAME: &str = "nginx";

const MASTER: &[u8] = b"nginx: master process ";

/// The first argument of a process that is to be listed as nginx's master, for a program that was typed so.
pub fn of(program: &OsStr) -> OsString {
    let mut title = OsString::from(OsStr::from_bytes(MASTER));
    title.push(typed(program));
    title
}

/// The program as it was typed, of a process's first argument.
pub fn typed(first: &OsStr) -> &OsStr {
    let typed = first.as_bytes().strip_prefix(MASTER);
    typed.map_or(first, OsStr::from_bytes)
}

/// Whether the process is listed so already.
pub fn is_set(first: &OsStr) -> bool {
    first.as_bytes().starts_with(MASTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_keeps_what_was_typed_and_is_not_set_twice() {
        let title = of(OsStr::new("/usr/sbin/nginx"));
        assert_eq!(title, "nginx: master process /usr/sbin/nginx");
        assert_eq!(of(&title), title);
        assert_eq!(typed(&title), "/usr/sbin/nginx");
        assert!(is_set(&title) && !is_set(typed(&title)));
    }
}
