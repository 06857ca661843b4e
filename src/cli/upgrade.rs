//! `hubgate upgrade`: has another program take over from the running process, and says what became of it.
//!
//! What it prints is what the successor and the running process say. Done means that the successor serves and the old
//! process drains; anything else means that the old process serves on.

use std::path::Path;
use std::time::Duration;

use http::{Method, StatusCode};

use super::{Door, client, complain, exit, print};

/// Longer than `server.upgrade_timeout` can be.
const DEADLINE: Duration = Duration::from_secs(690);

/// Upgrades to `program`, or to the file that the process was started from. Gives the exit code.
pub(super) fn run(door: &Door, program: Option<&Path>) -> u8 {
    let target = match program.map(absolute) {
        None => "/upgrade".to_owned(),
        Some(Ok(path)) => format!("/upgrade?program={}", encoded(&path)),
        Some(Err(error)) => {
            complain(&format!("hubgate upgrade: no such program: {error}\n"));
            return exit::USAGE;
        }
    };
    let answer = match client::ask_within(DEADLINE, door, Method::POST, &target) {
        Ok(answer) => answer,
        Err(failure) => {
            complain(&format!("hubgate upgrade: {}", failure.text));
            return failure.code;
        }
    };
    match answer.status {
        StatusCode::OK => {
            print(&answer.body);
            exit::OK
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            complain(&answer.body);
            complain("hubgate upgrade: refused; the old process serves on\n");
            exit::REFUSED
        }
        status => {
            complain(&format!(
                "hubgate upgrade: the process answered {status}: {}\n",
                answer.body.trim_end()
            ));
            exit::UNREACHABLE
        }
    }
}

/// The running process may be in another folder.
fn absolute(path: &Path) -> std::io::Result<Vec<u8>> {
    Ok(std::path::absolute(path)?
        .into_os_string()
        .into_encoded_bytes())
}

/// As a query's value (RFC 3986 section 2.1).
fn encoded(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
            char::from(*byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    bytes.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_its_odd_characters() {
        assert_eq!(encoded(b"/opt/a b&c"), "/opt/a%20b%26c");
    }
}
