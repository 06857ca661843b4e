//! `hubgate upstream`: which endpoints there are and how they do, and an operator's word on one of them.
//!
//! The running process holds the word, over reloads and upgrades, until it is taken back or hubgate is started anew.

use clap::Subcommand;
use http::{Method, StatusCode};

use super::{Door, EXIT_CODES, client, complain, exit, print, status};
use crate::upstream::endpoint::Override;

/// What there is to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List endpoints: state, requests in flight, why one is left out
    #[command(after_help = EXIT_CODES)]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        door: Door,
    },
    /// Give an endpoint no further requests but those of sessions that stick to it
    ///
    /// The word holds over `reload` and `upgrade`, until it is taken back; a hubgate that is started anew has forgotten it.
    #[command(after_help = EXIT_CODES)]
    Drain(Which),
    /// Take `drain` back
    #[command(after_help = EXIT_CODES)]
    Undrain(Which),
    /// Give an endpoint no further requests at all
    ///
    /// The word holds over `reload` and `upgrade`, until it is taken back; a hubgate that is started anew has forgotten it.
    #[command(after_help = EXIT_CODES)]
    Disable(Which),
    /// Take `disable` back
    #[command(after_help = EXIT_CODES)]
    Enable(Which),
}

/// Which endpoint.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// IP:port, as `list` shows it
    #[arg(value_name = "ENDPOINT")]
    endpoint: String,
    /// Only in this upstream [default: in all that have it]
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    #[command(flatten)]
    door: Door,
}

/// Does it. Gives the exit code.
pub(super) fn run(command: &Command) -> u8 {
    match command {
        Command::List { json, door } => list(door, *json),
        Command::Drain(which) => say("drain", which, Override::Draining),
        Command::Undrain(which) => say("undrain", which, Override::Enabled),
        Command::Disable(which) => say("disable", which, Override::Disabled),
        Command::Enable(which) => say("enable", which, Override::Enabled),
    }
}

fn list(door: &Door, json: bool) -> u8 {
    let report = match client::status("hubgate upstream list", door) {
        Ok(report) => report,
        Err(code) => return code,
    };
    let upstreams = &report.status.upstreams;
    if json {
        match serde_json::to_string_pretty(upstreams) {
            Ok(text) => print(&format!("{text}\n")),
            Err(error) => complain(&format!("hubgate upstream list: {error}\n")),
        }
        return exit::OK;
    }
    print(status::upstreams(upstreams).trim_start());
    exit::OK
}

fn say(what: &str, which: &Which, to: Override) -> u8 {
    let endpoint = &which.endpoint;
    let mut target = format!("/endpoint?to={}&endpoint={endpoint}", to.as_str());
    if let Some(upstream) = &which.upstream {
        target.push_str("&upstream=");
        target.push_str(upstream);
    }
    match client::ask(&which.door, Method::POST, &target) {
        Ok(answer) if answer.status == StatusCode::OK => {
            print(&answer.body);
            exit::OK
        }
        Ok(answer) => {
            complain(&format!("hubgate upstream {what}: {}", answer.body));
            exit::REFUSED
        }
        Err(failure) => {
            complain(&format!("hubgate upstream {what}: {}", failure.text));
            failure.code
        }
    }
}
