//! What is open and for whom, as the process tells it: the fields `open` and `predecessors` of `GET /status`.
//!
//! Plain data; field names are an interface: they are added to, never renamed. Where it comes from is the server's matter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is open here, and in processes before this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StillOpen {
    /// Of this process.
    pub open: OpenConnections,
    /// Those that an upgrade has relieved and that still drain, the latest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub predecessors: Vec<Draining>,
}

/// What is open in a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenConnections {
    /// How many of each kind, those without any left out.
    pub kinds: BTreeMap<String, u64>,
    /// The oldest, oldest first, as many as were asked for.
    pub oldest: Vec<OpenConnection>,
    /// Workers that did not answer in time, whose connections are missing here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silent_workers: Vec<String>,
}

impl OpenConnections {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.kinds.values().sum()
    }
}

/// A connection; of HTTP/2 with requests, one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenConnection {
    /// The client's address and port.
    pub client: String,
    /// `opening`, `http1`, `http2`, `tunnel`, `event stream`, `stream` or `datagrams`.
    pub kind: String,
    /// Seconds since it began.
    pub age: u64,
    /// Seconds since its request began, when it has had one.
    pub request_age: Option<u64>,
    /// What is waited for: `handshake`, `request`, `upstream` (a turn or a connection), `answer` or `end`.
    pub waits_for: String,
    /// The site of its request, or of the last one; the stream.
    pub site: Option<String>,
    /// The route.
    pub route: Option<String>,
    /// The upstream.
    pub upstream: Option<String>,
    /// The endpoint.
    pub endpoint: Option<String>,
    /// The name that a stream's TLS asks for.
    pub server_name: Option<String>,
    /// Bytes from the client, of a tunnel or a stream.
    pub bytes_in: Option<u64>,
    /// Bytes to it.
    pub bytes_out: Option<u64>,
}

/// A process that only ends what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Draining {
    /// Its number.
    pub pid: u32,
    /// Seconds until it ends at the latest.
    pub ends_in: Option<u64>,
    /// What is open there; none when it did not answer in time.
    pub open: Option<OpenConnections>,
    /// Those before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub predecessors: Vec<Self>,
}
