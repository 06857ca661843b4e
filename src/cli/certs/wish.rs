//! `hubgate certs renew` and `revoke`: has the running process act on one certificate now, and waits for the outcome.
//!
//! The process goes on with what it has begun when nobody waits any more.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::cli::{Door, client, complain, exit, print};
use crate::types::host::Host;

/// An authority that validates slowly takes 90 s.
const PATIENCE: Duration = Duration::from_secs(110);

/// Renews, or with `dry_run` only tries. Gives the exit code.
pub(super) fn renew(door: &Door, host: &str, force: bool, dry_run: bool) -> u8 {
    let (more, done) = match (force, dry_run) {
        (_, true) => ("&dry-run=1", "the authority would issue"),
        (true, _) => ("&force=1", "renewed"),
        _ => ("", "renewed"),
    };
    ask(door, "renew", host, more, done)
}

/// Revokes and replaces. Gives the exit code.
pub(super) fn revoke(door: &Door, host: &str, reason: u8) -> u8 {
    let done = "revoked; another is ordered";
    ask(door, "revoke", host, &format!("&reason={reason}"), done)
}

fn ask(door: &Door, what: &str, host: &str, more: &str, done: &str) -> u8 {
    let Ok(host) = Host::parse(host) else {
        complain(&format!("hubgate certs {what}: `{host}` is no host\n"));
        return exit::USAGE;
    };
    let target = format!("/certificates/{what}?host={host}{more}");
    match client::ask_within(PATIENCE, door, Method::POST, &target) {
        Ok(answer) if answer.status == StatusCode::OK => {
            print(&format!("{host}: {done}\n"));
            exit::OK
        }
        Ok(answer) => {
            complain(&format!(
                "hubgate certs {what}: {host}: {}\n",
                answer.body.trim_end()
            ));
            exit::REFUSED
        }
        Err(failure) => {
            complain(&format!("hubgate certs {what}: {}", failure.text));
            failure.code
        }
    }
}
