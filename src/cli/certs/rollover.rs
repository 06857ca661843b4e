//! `hubgate certs rollover`: has the running process give its accounts other keys, and waits for the outcome.
//!
//! The process goes on with what it has begun when nobody waits any more.

use std::fmt::Write;
use std::time::Duration;

use http::{Method, StatusCode};

use crate::cli::{Door, client, complain, exit, print};

/// Orders under way are waited for first.
const PATIENCE: Duration = Duration::from_secs(240);

/// Does it at one authority or at each. Gives the exit code.
pub(super) fn run(door: &Door, ca: Option<&str>) -> u8 {
    let query = ca.map_or_else(String::new, |name| format!("?ca={}", encoded(name)));
    let target = format!("/certificates/rollover{query}");
    match client::ask_within(PATIENCE, door, Method::POST, &target) {
        Ok(answer) if answer.status == StatusCode::OK => {
            print(&answer.body);
            exit::OK
        }
        Ok(answer) => {
            let body = answer.body.trim_end();
            complain(&format!("hubgate certs rollover: {body}\n"));
            exit::REFUSED
        }
        Err(failure) => {
            complain(&format!("hubgate certs rollover: {}", failure.text));
            failure.code
        }
    }
}

/// A query's value (RFC 3986 section 2.1).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                out.push(char::from(byte));
            }
            // Writing to a string cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_umlauts_stays_one_parameter() {
        assert_eq!(encoded("my ca&x=ü"), "my%20ca%26x%3D%C3%BC");
        assert_eq!(encoded("acme-v02.example.org"), "acme-v02.example.org");
    }
}
