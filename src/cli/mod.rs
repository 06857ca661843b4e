//! Commands: arguments to actions to exit codes. The only place that prints.
//!
//! One command a file; this one says what may be typed and hands it on. Exit codes are an interface: scripts and
//! service units read them, so each command's meaning is in [`EXIT_CODES`] and shown by `--help`.

pub mod causes;
mod certs;
pub mod check;
mod client;
mod compare;
mod demo;
mod doctor;
mod exit;
mod finding;
mod import;
mod manual;
mod names;
mod nginx;
mod open;
mod patience;
mod reload;
mod run;
mod socket;
mod status;
mod upgrade;
mod upstream;
mod web;
mod why;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::nginx::{Asked, Moved};

/// The end of `--help`.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the configuration was refused: by `check`, `run`, or the process asked by `reload`; `upgrade` changed nothing;
     `why` found no such request; `import` lost something; `compare` found a difference
  2  the command line is wrong
  3  the process could not start or be reached (port in use, no socket)

Signals to `hubgate run`:
  HUP reload, TERM or INT stop after a drain, a second one stop at once, USR1 reopen logs,
  USR2 upgrade";

/// The edge in front of a BinderHub / JupyterHub cluster.
#[derive(Debug, Parser)]
#[command(name = "hubgate", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve, in the foreground
    #[command(after_help = EXIT_CODES)]
    Run {
        #[command(flatten)]
        file: ConfigFile,
        /// Serve what this nginx configuration says, imported anew by each reload
        #[arg(long, value_name = "FILE", conflicts_with = "config")]
        nginx: Option<PathBuf>,
        /// Listen elsewhere than nginx does, to run beside it: 80=8080, or 127.0.0.1:80=127.0.0.1:8080; may be given several
        /// times
        #[arg(long, value_name = "NGINX=HUBGATE", requires = "nginx")]
        at: Vec<Moved>,
        /// Started by the running hubgate at an upgrade
        #[arg(long, hide = true)]
        successor: bool,
        /// Write the secrets of all TLS connections of clients to FILE, for Wireshark: whoever has it reads them
        #[arg(long, value_name = "FILE")]
        tls_key_log: Option<PathBuf>,
    },
    /// Say everything that is wrong with a configuration
    #[command(after_help = EXIT_CODES)]
    Check {
        #[command(flatten)]
        file: ConfigFile,
        /// Print the configuration with every default and preset filled in
        #[arg(long)]
        explain: bool,
    },
    /// Have the running hubgate read its configuration again, all or nothing
    #[command(after_help = EXIT_CODES)]
    Reload {
        /// Only print what would change
        #[arg(long)]
        plan: bool,
        #[command(flatten)]
        door: Door,
    },
    /// Have another program take over from the running hubgate without losing a connection: a new version, or an old one
    #[command(after_help = EXIT_CODES)]
    Upgrade {
        /// The program [default: the file that the running hubgate was started from]
        #[arg(long, value_name = "PATH")]
        program: Option<PathBuf>,
        #[command(flatten)]
        door: Door,
    },
    /// Show what the running hubgate does
    #[command(after_help = EXIT_CODES)]
    Status {
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
        /// Show the N oldest open connections: for whom each is, and what it waits for
        #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20")]
        open: Option<usize>,
        #[command(flatten)]
        door: Door,
    },
    /// Say what happened to a request and what to do about it
    #[command(after_help = EXIT_CODES)]
    Why {
        /// Its id, or a beginning or end of it that no other has: from the error page, `X-Request-Id` or the access log
        #[arg(value_name = "REQUEST_ID")]
        id: String,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        door: Door,
    },
    /// Look at every endpoint of the configuration from here: connect, TLS and HTTP, with times; needs no running hubgate
    #[command(after_help = finding::EXIT_CODES)]
    Doctor {
        /// Only this upstream
        #[arg(value_name = "UPSTREAM")]
        upstream: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// List every cause that answers and logs name: what it means and what to do
    #[command(after_help = EXIT_CODES)]
    Causes {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Look after endpoints: list them, take one out of service, take it back
    #[command(after_help = EXIT_CODES)]
    Upstream {
        #[command(subcommand)]
        command: upstream::Command,
    },
    /// Turn another server's configuration into hubgate's, and say what becomes of every line
    #[command(after_help = EXIT_CODES)]
    Import {
        #[command(subcommand)]
        command: import::Command,
    },
    /// Find out whether hubgate answers as the server does whose configuration it was given
    #[command(after_help = EXIT_CODES)]
    Compare {
        #[command(subcommand)]
        command: compare::Command,
    },
    /// Look after certificates
    #[command(after_help = EXIT_CODES)]
    Certs {
        #[command(subcommand)]
        command: certs::Command,
    },
    /// Show hubgate in front of a stand-in hub, on this machine only
    #[command(after_help = EXIT_CODES)]
    Demo,
}

/// Which configuration.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "/etc/hubgate/hubgate.toml"
    )]
    config: PathBuf,
}

/// How to reach the running process.
#[derive(Debug, Args)]
struct Door {
    /// The admin socket [default: as the configuration file says]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The configuration file, read here for its `[admin].socket` [default: /etc/hubgate/hubgate.toml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Does what `arguments` (the program's name first) ask for.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    if nginx::is_meant(&arguments) {
        return ExitCode::from(nginx::run(&arguments));
    }
    let command = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments.command,
        Err(error) => {
            // Help and version come this way too, with code 0. A closed output is no reason to complain about.
            let printed = error.print().is_ok();
            let code = u8::try_from(error.exit_code()).unwrap_or(exit::USAGE);
            return ExitCode::from(if printed { code } else { exit::USAGE });
        }
    };
    ExitCode::from(match command {
        Command::Run {
            file,
            nginx,
            at,
            successor,
            tls_key_log,
        } => {
            let nginx = nginx.map(|path| Asked::of(&path).moved(at).name());
            let file = nginx.unwrap_or(file.config);
            run::run(&file, successor, tls_key_log.as_deref())
        }
        Command::Upgrade { program, door } => upgrade::run(&door, program.as_deref()),
        Command::Demo => demo::run(),
        Command::Why { id, json, door } => why::run(&door, &id, json),
        Command::Doctor {
            upstream,
            json,
            file,
        } => doctor::run(&file.config, upstream.as_deref(), json),
        Command::Causes { json } => causes::run(json),
        Command::Upstream { command } => upstream::run(&command),
        Command::Import { command } => import::run(&command),
        Command::Compare { command } => compare::run(&command),
        Command::Certs { command } => certs::run(command),
        Command::Check { file, explain } => check::run(&file.config, explain),
        Command::Reload { plan, door } => reload::run(&door, plan),
        Command::Status { json, open, door } => status::run(&door, json, open),
    })
}

/// What may be typed, for completions of shells.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// hubgate(8), for `man`.
pub fn manual_page() -> String {
    let codes = [
        ("EXIT STATUS", EXIT_CODES),
        ("EXIT STATUS OF THE DOCTORS", finding::EXIT_CODES),
    ];
    manual::manual_page(&command(), &codes)
}

/// Prints to standard output. Whoever reads it may have seen enough (`| head`), which is no error.
fn print(text: &str) {
    write(io::stdout().lock(), text);
}

/// Prints to standard error.
fn complain(text: &str) {
    write(io::stderr().lock(), text);
}

fn write(mut stream: impl Write, text: &str) {
    let written = stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush());
    // With the stream closed there is nobody left to tell.
    drop(written);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(arguments: &[&str]) -> u8 {
        let parsed = Arguments::try_parse_from(arguments);
        parsed.map_or_else(|error| u8::try_from(error.exit_code()).unwrap(), |_| 0)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_wrong_command_line_is_a_usage_error_and_help_is_not() {
        assert_eq!(code(&["hubgate", "relaod"]), exit::USAGE);
        assert_eq!(code(&["hubgate", "reload", "--plna"]), exit::USAGE);
        assert_eq!(code(&["hubgate"]), exit::USAGE);
        assert_eq!(code(&["hubgate", "--help"]), exit::OK);
        assert_eq!(code(&["hubgate", "--version"]), exit::OK);
    }

    #[test]
    fn every_command_tells_its_exit_codes() {
        for command in Arguments::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            let codes = match command.get_name() {
                "doctor" => finding::EXIT_CODES,
                _ => EXIT_CODES,
            };
            assert_eq!(help.as_deref(), Some(codes), "{}", command.get_name());
        }
    }
}
