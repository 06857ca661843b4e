//! `hubgate causes`: every cause with its status, what it means and what to do; also the text of `docs/causes.md`.
//!
//! Needs no process and no configuration. `tests/causes.rs` holds the document to [`document`].

use std::fmt::Write;

use serde::Serialize;

use super::{complain, exit, print};
use crate::observe::cause::Cause;

/// A cause as JSON shows it.
#[derive(Serialize)]
struct Told {
    code: &'static str,
    /// `None`: the upstream's own.
    status: Option<u16>,
    meaning: &'static str,
    advice: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u16>,
}

impl Told {
    fn of(cause: Cause) -> Self {
        Self {
            code: cause.code(),
            status: Some(cause.status()).filter(|status| *status != 0),
            meaning: cause.sentence(),
            advice: cause.advice(),
            retry_after: cause.retry_after(),
        }
    }

    fn status(&self) -> String {
        self.status
            .map_or("-".to_owned(), |status| status.to_string())
    }
}

/// Prints them all. Gives the exit code.
pub(super) fn run(json: bool) -> u8 {
    let all: Vec<_> = Cause::all().map(Told::of).collect();
    if json {
        match serde_json::to_string_pretty(&all) {
            Ok(text) => print(&format!("{text}\n")),
            Err(error) => complain(&format!("hubgate causes: {error}\n")),
        }
        return exit::OK;
    }
    for cause in all {
        print(&format!(
            "{}  {}\n     {}\n     {}\n",
            cause.status(),
            cause.code,
            cause.meaning,
            cause.advice
        ));
    }
    exit::OK
}

const HEAD: &str = "\
# Causes

Every answer that hubgate makes itself says why, by one of these codes: in its `X-Hubgate-Cause` field, on the error page
beside the request's id, as `cause` in the access log, and in the metric `hubgate_answers_total`. The same codes say in the
log why a request did not end as it should. They are never renamed.

Answers of upstreams pass as they are and carry no such field: hubgate takes it off them, so a 502 with the field is hubgate's
own, and one without it is the cluster's. `hubgate why REQUEST_ID` tells what happened to one request; `hubgate causes`
prints this list, which is made from the program (`HUBGATE_BLESS=1 cargo test --test causes`).

Status 499 is only logged: the client had left. 101 is a tunnel that was open already. `-` is the upstream's own status.

| code | status | means | what to do |
|---|---|---|---|
";

/// `docs/causes.md`.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for cause in Cause::all().map(Told::of) {
        let after = cause.retry_after.map_or(String::new(), |seconds| {
            format!(", again after {seconds} s")
        });
        let written = writeln!(
            text,
            "| `{}` | {}{after} | {} | {} |",
            cause.code,
            cause.status(),
            cause.meaning,
            cause.advice
        );
        debug_assert!(written.is_ok(), "a String takes every write");
    }
    text
}
