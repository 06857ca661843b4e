//! `hubgate compare nginx`: asks the running nginx and hubgate the same, and tells every difference in their answers.
//!
//! Requests are captured ones, from an access log, or made from the configuration's servers and locations. Exit codes: 0
//! when every difference is explained, 1 when one is not, 3 when one of the two cannot be reached. Asks one at a time.

mod captured;
mod exchange;
mod generated;
mod judge;
mod random;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};

use self::exchange::{Client, Request};
use self::judge::{Difference, judge};
use super::{complain, exit, print};
use crate::nginx::{Asked, origin};

/// Differences shown in full.
const SHOWN: usize = 100;

/// What can be compared with.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The running nginx: the same requests to both, one after the other
    #[command(after_help = super::EXIT_CODES)]
    Nginx(Wish),
}

/// What to compare.
#[derive(Debug, Args)]
pub(super) struct Wish {
    /// nginx's main file, or its folder: its servers and locations say what is asked
    #[arg(value_name = "PATH", default_value = "/etc/nginx/nginx.conf")]
    path: PathBuf,
    /// Where nginx listens, and where hubgate does for the same: 127.0.0.1:80=127.0.0.1:8080, or 80=8080 on this machine; may
    /// be given several times
    #[arg(long = "at", value_name = "NGINX=HUBGATE", required = true)]
    pairs: Vec<Pair>,
    /// Ask what this access log (combined, or JSON lines) holds: GET, HEAD and OPTIONS
    #[arg(long, value_name = "FILE")]
    requests: Option<PathBuf>,
    /// How many requests to make from the configuration
    #[arg(long, value_name = "NUMBER", default_value = "500")]
    count: usize,
    /// Ask with POST, too: upstreams may take that for more than a question
    #[arg(long)]
    post: bool,
}

/// Two addresses that are to answer alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    nginx: SocketAddr,
    hubgate: SocketAddr,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (nginx, hubgate) = text.split_once('=').ok_or("a `=` is missing")?;
        let address = |text: &str| {
            let here = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
            let found = text.parse().or_else(|_| text.parse().map(here));
            found.map_err(|_| format!("`{text}` is no port and no address with a port"))
        };
        Ok(Self {
            nginx: address(nginx)?,
            hubgate: address(hubgate)?,
        })
    }
}

/// Does what was asked. Gives the exit code.
pub(super) fn run(command: &Command) -> u8 {
    let Command::Nginx(wish) = command;
    let (requests, notes) = match requests(wish) {
        Ok(found) => found,
        Err(text) => {
            complain(&format!("{text}\n"));
            return exit::REFUSED;
        }
    };
    for note in notes {
        complain(&format!("{note}\n"));
    }
    if requests.is_empty() {
        complain(
            "there is nothing to ask: does `--at` name an address that the configuration listens on?\n",
        );
        return exit::REFUSED;
    }
    match compare(&requests) {
        Ok(outcome) => {
            print(&outcome.render());
            match outcome.unexplained() {
                0 => exit::OK,
                _ => exit::REFUSED,
            }
        }
        Err(text) => {
            complain(&format!("{text}\n"));
            exit::UNREACHABLE
        }
    }
}

/// What to ask, and what is not asked.
fn requests(wish: &Wish) -> Result<(Vec<Request>, Vec<String>), String> {
    let asked = Asked::of(&wish.path);
    let tree = origin::tree(&asked).map_err(|refused| format!("nginx: [emerg] {}", refused.0))?;
    let servers = generated::servers(&tree, &wish.pairs);
    match &wish.requests {
        None => {
            let (servers, notes) = servers;
            Ok((generated::requests(&servers, wish.count, wish.post), notes))
        }
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            Ok(captured::requests(&text, &servers.0))
        }
    }
}

fn compare(requests: &[Request]) -> Result<Outcome, String> {
    let client = Client::new()?;
    let mut outcome = Outcome::default();
    for request in requests {
        let nginx = client.ask(request, request.pair.nginx);
        let nginx = nginx.map_err(|error| format!("nginx at {}: {error}", request.pair.nginx))?;
        let hubgate = client.ask(request, request.pair.hubgate);
        let hubgate =
            hubgate.map_err(|error| format!("hubgate at {}: {error}", request.pair.hubgate))?;
        outcome.asked += 1;
        for difference in judge(request, &nginx, &hubgate) {
            outcome.take(request, difference);
        }
    }
    Ok(outcome)
}

/// What was found.
#[derive(Debug, Default)]
struct Outcome {
    asked: usize,
    /// How often, by what differs and why that may be.
    explained: BTreeMap<(String, &'static str), usize>,
    told: Vec<String>,
    /// How often, by what differs: of statuses by both.
    kinds: BTreeMap<String, usize>,
    unexplained: usize,
}

impl Outcome {
    fn take(&mut self, request: &Request, difference: Difference) {
        if let Some(reason) = difference.reason {
            *self.explained.entry((difference.what, reason)).or_default() += 1;
            return;
        }
        self.unexplained += 1;
        let kind = match &*difference.what {
            "status" => format!(
                "status: nginx {}, hubgate {}",
                difference.nginx, difference.hubgate
            ),
            what => what.to_owned(),
        };
        if self.kinds.len() < SHOWN || self.kinds.contains_key(&kind) {
            *self.kinds.entry(kind).or_default() += 1;
        }
        if self.told.len() < SHOWN {
            self.told.push(format!(
                "{request}\n  {}: nginx {}, hubgate {}\n",
                difference.what, difference.nginx, difference.hubgate
            ));
        }
    }

    fn unexplained(&self) -> usize {
        self.unexplained
    }

    fn render(&self) -> String {
        let mut out = self.told.concat();
        let more = self.unexplained - self.told.len();
        if more > 0 {
            push(&mut out, format_args!("and {more} more\n"));
        }
        for (kind, count) in &self.kinds {
            push(
                &mut out,
                format_args!("not explained: {kind}, {count} times\n"),
            );
        }
        for ((what, reason), count) in &self.explained {
            push(
                &mut out,
                format_args!("explained: {what}, {count} times: {reason}\n"),
            );
        }
        push(
            &mut out,
            format_args!(
                "{} requests, {} differences that are not explained\n",
                self.asked, self.unexplained
            ),
        );
        out
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    if out.write_fmt(text).is_err() {
        out.push('\n');
    }
}
