//! `hubgate certs renew` and `revoke`: has the running process act on certificates now, and waits for the outcome.
//!
//! The process goes on with what it has begun when nobody waits any more. What is due, it decides; this only asks it.

use std::time::Duration;

use http::{Method, StatusCode};

use super::Renew;
use super::list::report;
use crate::cli::{Door, client, complain, exit, print};
use crate::types::host::Host;

/// An authority that validates slowly takes 90 s.
const PATIENCE: Duration = Duration::from_secs(110);

/// Renews one host's certificate or all that are due, or only tries. Gives the exit code.
pub(super) fn renew(asked: &Renew) -> u8 {
    let mut more = String::new();
    for (is_set, parameter) in [
        (asked.force, "&force=1"),
        (asked.due, "&due=1"),
        (asked.staging, "&staging=1"),
    ] {
        more.push_str(if is_set { parameter } else { "" });
    }
    let hosts = match &asked.host {
        Some(host) => Ok(vec![host.clone()]),
        None => due(&asked.door),
    };
    let hosts = match hosts {
        Ok(hosts) => hosts,
        Err(code) => return code,
    };
    if hosts.is_empty() {
        print("nothing is due\n");
    }
    let codes = hosts
        .iter()
        .map(|host| ask(&asked.door, "renew", host, &more));
    codes.max().unwrap_or(exit::OK)
}

/// Revokes and replaces. Gives the exit code.
pub(super) fn revoke(door: &Door, host: &str, reason: u8) -> u8 {
    ask(door, "revoke", host, &format!("&reason={reason}"))
}

/// The hosts without a certificate or whose renewal is due, the soonest end first.
fn due(door: &Door) -> Result<Vec<String>, u8> {
    let report = report(door)?;
    let mut rows = report.status.certificates;
    rows.retain(|row| row.state.is_some() && row.renew_at.is_none_or(|at| at <= report.now));
    rows.sort_by_key(|row| (row.not_after, row.host.clone()));
    Ok(rows.into_iter().map(|row| row.host).collect())
}

fn ask(door: &Door, what: &str, host: &str, more: &str) -> u8 {
    let Ok(host) = Host::parse(host) else {
        complain(&format!("hubgate certs {what}: `{host}` is no host\n"));
        return exit::USAGE;
    };
    let target = format!("/certificates/{what}?host={host}{more}");
    match client::ask_within(PATIENCE, door, Method::POST, &target) {
        Ok(answer) if answer.status == StatusCode::OK => {
            print(&format!("{host}: {}\n", answer.body.trim_end()));
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
