//! The operator's door: status, metrics and reload over a unix socket; status and metrics over loopback HTTP.
//!
//! `answer` says what each request gets, `open` shows what is still open, `serve` carries it, `socket` puts the door where it belongs, `status` and
//! `page` show the process. What a reload does is [`Control`]'s matter, which the server implements. Invariant:
//! nothing that changes state is reachable except through the unix socket, which only its owner can open.

mod answer;
mod open;
mod page;
mod serve;
mod socket;
mod status;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use open::{Draining, OpenConnection, OpenConnections, StillOpen};
pub use serve::{Gate, serve_socket, serve_tcp};
pub use socket::{AdminSocket, BindError};
pub use status::{
    CertificateStatus, EndpointStatus, ListenerStatus, NameStatus, RouteStatus, SiteStatus, Status,
    StatusReport, Traffic, UpstreamStatus,
};

use crate::acme::Renew;
use crate::observe::history::Explained;
use crate::observe::metrics::{AcmeFacts, Metrics, UpstreamFacts};
use crate::upstream::endpoint::Override;

/// What the running process can be asked to do. Every call may take as long as what it does.
pub trait Control: Send + Sync + 'static {
    /// Reads the configuration again and runs it, all or nothing.
    fn reload(&self) -> BoxFuture<'_, ReloadOutcome>;
    /// Has another program take over from this process: the one at `program`, or the file this one was started from. Says
    /// which process serves now, or why it is still this one.
    fn upgrade(&self, _program: Option<PathBuf>) -> BoxFuture<'_, Result<String, String>> {
        async { Err("this process takes no successor".to_owned()) }.boxed()
    }
    /// Says what `reload` would do now; changes nothing.
    fn plan(&self) -> BoxFuture<'_, ReloadOutcome>;
    /// What runs now.
    fn status(&self) -> Status;
    /// What is open, and so many of it one by one; here, and in processes before this one that still drain.
    fn open(&self, _most: usize) -> BoxFuture<'_, StillOpen> {
        async { StillOpen::default() }.boxed()
    }
    /// Whether the process is stopping.
    fn is_draining(&self) -> bool {
        false
    }
    /// What is known of certificates being ordered.
    fn orders(&self) -> AcmeFacts;
    /// What is known of upstreams.
    fn upstreams(&self) -> Vec<UpstreamFacts> {
        Vec::new()
    }
    /// Carries out a wish for `host`'s certificate and says what was done, or why nothing. May take minutes.
    fn wish(&self, _host: &str, _wish: Wish) -> BoxFuture<'_, Result<String, String>> {
        async { Err("this process orders no certificates".to_owned()) }.boxed()
    }
    /// Gives the ACME account at `authority` another key, or the account at each. Says what was done, or what was not and
    /// why. May take minutes.
    fn roll_over(&self, _authority: Option<&str>) -> BoxFuture<'_, Result<String, String>> {
        async { Err("this process orders no certificates".to_owned()) }.boxed()
    }
    /// What is remembered of the requests with this id, or with the only id that begins or ends like this.
    fn explain(&self, _request_id: &str) -> Explained {
        Explained::default()
    }
    /// Takes an operator's word on `endpoint`, an IP:port, in the upstream of that name or in all that have it. Says what
    /// holds now, or why nothing has changed.
    fn override_endpoint(
        &self,
        _upstream: Option<&str>,
        _endpoint: &str,
        _to: Override,
    ) -> Result<String, String> {
        Err("this process has no upstreams".to_owned())
    }
    /// Answers a random challenge token for `host` for a minute; `None` when no site has that host.
    fn probe(&self, _host: &str) -> Option<ChallengeProbe> {
        None
    }
}

/// What a person can ask for one host's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Another one, so wished for.
    Renew(Renew),
    /// Revoked, for this reason (RFC 5280 section 5.3.1), and replaced.
    Revoke {
        /// The reason's number.
        reason: u8,
    },
}

/// A challenge token that nobody ordered, to see from outside whether requests for it reach this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeProbe {
    /// To be asked for below `/.well-known/acme-challenge/`.
    pub token: String,
    /// What this process answers.
    pub answer: String,
}

/// What became of a reload or a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// The configuration runs now; for a plan: it would.
    Done(ReloadReport),
    /// Nothing was changed.
    Refused {
        /// Every fault as text for a terminal: place, excerpt, hint.
        diagnostics: String,
    },
    /// Nothing was tried: this process has taken over meanwhile and is the one to ask.
    TakenOver(u32),
}

/// What a reload changed, or a plan would change. The answer to `POST /reload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// The number of the configuration that runs now; for a plan, the one that would.
    pub generation: u64,
    /// One sentence per change; empty when the files say what runs already.
    pub changes: Vec<String>,
    /// What the operator should look at, though it was no reason to refuse.
    pub warnings: Vec<String>,
}

/// What the door shows and commands.
#[derive(Clone)]
pub struct Admin {
    control: Arc<dyn Control>,
    metrics: Arc<Metrics>,
}

impl Admin {
    /// A door to `control`, showing `metrics`.
    pub fn new(control: Arc<dyn Control>, metrics: Arc<Metrics>) -> Self {
        Self { control, metrics }
    }
}
