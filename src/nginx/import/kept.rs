//! `keepalive` of an upstream and its kin: how many connections wait for requests, for how long, and when they have had
//! enough.
//!
//! nginx's own bounds are not written where the file says none: hubgate has none of those.

use super::draft::{self, Draft};
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// Sets what a directive of `upstream` says of its connections; nothing for any other.
pub(super) fn of_upstream(directive: &Directive, table: &mut Draft) {
    let time = || {
        let word = directive.arguments().first()?;
        value::milliseconds(&word.bytes)
    };
    match &*directive.name() {
        "keepalive" => table.set(
            "keep_alive",
            directive.argument(0).into_owned(),
            Some(directive),
        ),
        "keepalive_timeout" => match time() {
            Some(time) if time > 0 => {
                table.set("keep_alive_idle", draft::time(time), Some(directive));
            }
            _ => table.set("keep_alive", "0", Some(directive)),
        },
        "keepalive_requests" => {
            let most = directive.argument(0).parse::<u32>().unwrap_or(u32::MAX);
            let most = most.max(1).to_string();
            table.set("keep_alive_requests", most, Some(directive));
        }
        "keepalive_time" => {
            let time = time().unwrap_or_default().max(1);
            table.set("keep_alive_age", draft::time(time), Some(directive));
        }
        _ => {}
    }
}
