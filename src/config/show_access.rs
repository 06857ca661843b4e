//! Access as TOML: what `explain` prints and `diff` compares of it.
//!
//! What is printed loads to an equal value.

use super::access::Access;
use super::show::{Entry, inline, list, quoted};

/// `access`, whole.
pub(super) fn access(access: &Access) -> Entry {
    let mut entries = vec![("rules", list(&access.rules))];
    if let Some(basic) = &access.basic {
        let basic = [
            ("realm", quoted(&basic.realm)),
            ("file", quoted(basic.file.display())),
        ];
        entries.push(("basic", inline(&basic)));
    }
    entries.push(("need", quoted(access.need.as_str())));
    ("access", inline(&entries))
}
