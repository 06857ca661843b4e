//! `hubgate certs`: what there is, why there is not more, and what came from elsewhere.
//!
//! One command a file; this one says what may be typed.

mod doctor;
mod import;
mod list;
mod rollover;
mod wish;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Subcommand;

use super::{ConfigFile, Door, EXIT_CODES, finding};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the certificates being served, soonest end first
    #[command(after_help = EXIT_CODES)]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        door: Door,
    },
    /// Show everything known of one host's certificate
    #[command(after_help = EXIT_CODES)]
    Show {
        /// The host
        host: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        door: Door,
    },
    /// Take over certificates that something else has ordered, for the sites with `certificate = "acme"`
    #[command(after_help = EXIT_CODES)]
    Import(Import),
    /// Order other certificates now, and wait for them
    #[command(after_help = EXIT_CODES)]
    Renew(Renew),
    /// Revoke the certificate being served, because its key may be known, and order another
    #[command(after_help = EXIT_CODES)]
    Revoke {
        /// The host
        host: String,
        /// RFC 5280's number: 0 unspecified, 1 key compromise, 4 superseded, 5 no longer operated
        #[arg(long, value_name = "NUMBER", default_value = "4")]
        reason: u8,
        #[command(flatten)]
        door: Door,
    },
    /// Give the account at the authority another key, because the one it has may be known; certificates stay as they are
    #[command(after_help = EXIT_CODES)]
    Rollover {
        /// Only at this authority, by its `name`, and at its staging directory [default: at every one]
        #[arg(long, value_name = "NAME")]
        ca: Option<String>,
        #[command(flatten)]
        door: Door,
    },
    /// Find out why a certificate does not come; changes nothing
    #[command(after_help = finding::EXIT_CODES)]
    Doctor(Doctor),
}

/// Whose, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Renew {
    /// The host
    #[arg(required_unless_present = "due", conflicts_with = "due")]
    host: Option<String>,
    /// Every certificate that is missing or whose time has come, without waiting as long as after a failure
    #[arg(long)]
    due: bool,
    /// Even when the authority's limit of the week is near
    #[arg(long, conflicts_with = "staging")]
    force: bool,
    /// Order at the authority's staging directory and keep nothing of it
    #[arg(long, visible_alias = "dry-run")]
    staging: bool,
    #[command(flatten)]
    door: Door,
}

/// At what, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// Only this host
    host: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Order at the authority's staging directory as well, and keep nothing of it
    #[arg(long)]
    dry_run: bool,
    /// The name server to ask [default: the system's first]
    #[arg(long, value_name = "ADDRESS:PORT")]
    resolver: Option<SocketAddr>,
    /// The port where authorities ask for challenges
    #[arg(long, value_name = "PORT", default_value = "80")]
    port: u16,
    #[command(flatten)]
    file: ConfigFile,
}

/// From where and for whom.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// certbot's folder (its `live/NAME/{fullchain,privkey}.pem`), Caddy's storage (`certificates/*/NAME/NAME.{crt,key}`),
    /// or any folder with PEM pairs
    #[arg(value_name = "FOLDER", required_unless_present = "chain", conflicts_with_all = ["chain", "key"])]
    folder: Option<PathBuf>,
    /// One certificate with its intermediates, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    chain: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "chain")]
    key: Option<PathBuf>,
    /// Only say what would be taken over
    #[arg(long)]
    plan: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

/// Does it. Gives the exit code.
pub(super) fn run(command: Command) -> u8 {
    match command {
        Command::List { json, door } => list::run(&door, None, json),
        Command::Show { host, json, door } => list::run(&door, Some(&host), json),
        Command::Renew(renew) => wish::renew(&renew),
        Command::Revoke { host, reason, door } => wish::revoke(&door, &host, reason),
        Command::Rollover { ca, door } => rollover::run(&door, ca.as_deref()),
        Command::Import(import) => import::run(&import),
        Command::Doctor(doctor) => doctor::run(doctor),
    }
}
