//! `hubgate import nginx`: nginx's configuration as hubgate's, with a report of every directive.
//!
//! The configuration goes to standard output or to `-o FILE`, the report to the other of the two streams. Exit codes: 0
//! when nothing is lost, 1 when something is or when nginx would refuse the file.

use std::path::PathBuf;

use clap::Subcommand;

use super::{complain, exit, print};
use crate::config::{self, Paint, Source};
use crate::nginx::{Asked, Moved, origin};

/// What can be imported.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// nginx's configuration: every directive is carried over, not needed or reported as lost
    #[command(after_help = super::EXIT_CODES)]
    Nginx {
        /// The main file, or its folder
        #[arg(value_name = "PATH", default_value = "/etc/nginx/nginx.conf")]
        path: PathBuf,
        /// Write the configuration here rather than to standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Listen elsewhere than nginx does, to run beside it: 80=8080, or 127.0.0.1:80=127.0.0.1:8080; may be given several
        /// times
        #[arg(long, value_name = "NGINX=HUBGATE")]
        at: Vec<Moved>,
    },
}

/// Does what was asked. Gives the exit code.
pub(super) fn run(command: &Command) -> u8 {
    let Command::Nginx { path, output, at } = command;
    let (imported, unresolved) = match origin::imported(&Asked::of(path).moved(at.clone()).kept()) {
        Ok(imported) => imported,
        Err(refusal) => {
            complain(&format!("{refusal}\n"));
            return exit::REFUSED;
        }
    };
    let report = imported.report.render();
    match output {
        Some(file) => {
            if let Err(error) = std::fs::write(file, &imported.toml) {
                complain(&format!("cannot write {}: {error}\n", file.display()));
                return exit::UNREACHABLE;
            }
            print(&report);
        }
        None => {
            print(&imported.toml);
            complain(&report);
        }
    }
    // hubgate's own word on what was made: an address in use twice, a certificate that is not there.
    if let Err(faults) = config::parse(&Source::new("imported", "/", &*imported.toml)) {
        complain(&format!(
            "\nhubgate would refuse this:\n{}",
            faults.render(Paint::Plain)
        ));
        return exit::REFUSED;
    }
    if let Some(unresolved) = &unresolved {
        complain(&format!("\n{unresolved}\n"));
    }
    match (imported.report.lost(), unresolved) {
        (0, None) => exit::OK,
        _ => exit::REFUSED,
    }
}
