//! `hubgate why REQUEST_ID`: what happened to one request, and what to do about it.
//!
//! Asks the running process, which remembers failures and samples; then reads the access logs that the configuration names.
//! `logs` finds lines, `line` reads them, `show` prints. Exit code: 0 found, 1 not found, and then it says what to try.

mod line;
mod logs;
mod show;

use std::path::Path;

use http::{Method, StatusCode};

use super::{Door, client, complain, exit, print};
use crate::observe::history::{Explained, Overview, Told};

/// What was found out, and where was looked.
#[derive(Default)]
struct Looked {
    found: Vec<Told>,
    candidates: Vec<String>,
    /// What the process has, or why it could not be asked.
    process: Option<Result<Overview, String>>,
    logs: logs::Searched,
}

/// Tells of the request. Gives the exit code.
pub(super) fn run(door: &Door, asked: &str, json: bool) -> u8 {
    let asked = asked.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/@".contains(&byte);
    if asked.is_empty() || asked.len() > 128 || !asked.bytes().all(plain) {
        complain(&format!(
            "hubgate why: `{}` is no request id; it stands on the error page, in `X-Request-Id` and in the access log\n",
            asked.escape_debug()
        ));
        return exit::USAGE;
    }
    let mut looked = Looked::default();
    ask(door, asked, &mut looked);
    if looked.found.is_empty() && looked.candidates.is_empty() {
        let file = door.config.as_deref();
        let file = file.unwrap_or(Path::new("/etc/hubgate/hubgate.toml"));
        // A configuration with faults, or none: the process was asked all the same.
        if let Ok(loaded) = crate::nginx::origin::read(file) {
            looked.logs = logs::search(&loaded.config, asked);
            (looked.found, looked.candidates) = looked.logs.take();
        }
    }
    report(asked, &looked, json)
}

fn ask(door: &Door, asked: &str, looked: &mut Looked) {
    let answer = client::ask(door, Method::GET, &format!("/why?id={asked}"));
    let told = answer.map_err(|failure| failure.text).and_then(|answer| {
        let known = [StatusCode::OK, StatusCode::NOT_FOUND].contains(&answer.status);
        serde_json::from_str::<Explained>(&answer.body)
            .ok()
            .filter(|_| known)
            .ok_or_else(|| "the running hubgate is of another version\n".to_owned())
    });
    match told {
        Ok(explained) => {
            looked.found = explained.found;
            looked.candidates = explained.candidates;
            looked.process = Some(Ok(explained.kept));
        }
        Err(text) => looked.process = Some(Err(text)),
    }
}

fn report(asked: &str, looked: &Looked, json: bool) -> u8 {
    if json {
        let value = serde_json::json!({"found": looked.found, "candidates": looked.candidates});
        print(&format!("{value:#}\n"));
    } else {
        for told in &looked.found {
            print(&show::told(told));
        }
    }
    if !looked.found.is_empty() {
        return exit::OK;
    }
    complain(&show::missing(asked, looked));
    exit::REFUSED
}
