//! `hubgate check`: says everything that is wrong with a configuration, or prints it in full.
//!
//! Exit codes: 0 when it can be run (warnings or not), 1 when it is refused. Diagnostics go to standard error, what
//! was asked for to standard output.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to the person who typed it"
)]

use std::io::IsTerminal as _;
use std::path::Path;

use super::names;
use crate::config::{self, Paint};

/// Checks the file at `path`; with `explain`, prints the effective configuration. Gives the exit code.
pub fn run(path: &Path, explain: bool) -> u8 {
    match crate::nginx::origin::read(path) {
        Ok(loaded) => {
            eprint!("{}", loaded.report.render(paint()));
            eprint!("{}", unresolved(&loaded.config));
            if explain {
                print!("{}", config::explain(&loaded.config));
            } else {
                println!("{}: ok, {}", path.display(), summary(&loaded.config));
            }
            0
        }
        Err(report) => {
            eprint!("{}", report.render(paint()));
            1
        }
    }
}

/// A warning for each name of an endpoint that is not in DNS, as seen from here: it may be by the time it is needed.
fn unresolved(config: &config::Config) -> String {
    let upstreams: Vec<_> = config.upstreams.values().collect();
    let book = names::look_up(&config.resolver, &upstreams);
    let mut out = String::new();
    for upstream in upstreams {
        for (standing, said) in names::troubles(&book, upstream) {
            let (upstream, name) = (&upstream.name, standing.name);
            out.push_str(&format!(
                "warning[unresolved]: `{name}` of upstream `{upstream}`: {said}\n"
            ));
        }
    }
    out
}

/// Colours for a person at a terminal who has not asked for none (<https://no-color.org>).
pub fn paint() -> Paint {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match std::io::stderr().is_terminal() && !plain {
        true => Paint::Color,
        false => Paint::Plain,
    }
}

fn summary(config: &config::Config) -> String {
    let count = |number: usize, word: &str| match number {
        1 => format!("1 {word}"),
        number => format!("{number} {word}s"),
    };
    let routes = config.sites.iter().map(|site| site.routes.len()).sum();
    [
        count(config.sites.len(), "site"),
        count(routes, "route"),
        count(config.upstreams.len(), "upstream"),
    ]
    .join(", ")
}
