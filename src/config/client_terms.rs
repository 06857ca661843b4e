//! `client` of sites and routes: how long clients are waited for there, and how their connections are kept and ended.
//!
//! Whole where it is written: what it leaves out is what the site's, `[timeouts]` and nothing say. What came before a
//! site is known, the head of a request and HTTP/2's bounds, is the affair of the address and the handshake's host.

use std::time::Duration;

use super::model::ClientTimeouts;

/// What clients get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTerms {
    /// How long they are waited for; a `keep_alive` of zero keeps no connection.
    pub times: ClientTimeouts,
    /// What they are told that `keep_alive` is.
    pub told: Option<Duration>,
    /// The request of a connection after which it is closed.
    pub requests: Option<u64>,
    /// The age of a connection at which it is closed after a request.
    pub age: Option<Duration>,
    /// Browsers whose connections are not kept.
    pub not_kept: Vec<OldBrowser>,
    /// Whether what a client still sends is read before its connection is closed.
    pub linger: Linger,
    /// For how long at most.
    pub linger_time: Duration,
    /// And without a byte.
    pub linger_idle: Duration,
    /// Whether who is too slow gets a reset.
    pub reset: bool,
    /// Room for heads of requests.
    pub head_buffers: Option<HeadBuffers>,
    /// Streams at once on a connection of HTTP/2, instead of `limits.h2_streams`.
    pub h2_streams: Option<u32>,
}

/// Browsers that go wrong on connections that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldBrowser {
    /// Internet Explorer up to 6, after a POST.
    Msie6,
    /// Safari on a Mac.
    Safari,
}

impl OldBrowser {
    /// As they are written.
    pub const WORDS: &'static [&'static str] = &["msie6", "safari"];

    /// By its word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "msie6" => Some(Self::Msie6),
            "safari" => Some(Self::Safari),
            _ => None,
        }
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Msie6 => "msie6",
            Self::Safari => "safari",
        }
    }
}

/// When what a client still sends is read before its connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linger {
    /// Never: bytes that came too late may reset the answer.
    Never,
    /// When there is more of a request to come.
    Needed,
    /// Whenever the connection is closed after an answer.
    Always,
}

impl Linger {
    /// As they are written.
    pub const WORDS: &'static [&'static str] = &["never", "needed", "always"];

    /// By its word; `Needed` for any other.
    pub fn parse(word: &str) -> Self {
        match word {
            "never" => Self::Never,
            "always" => Self::Always,
            _ => Self::Needed,
        }
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Needed => "needed",
            Self::Always => "always",
        }
    }
}

/// Pieces of memory that a head is read into; no line is in two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadBuffers {
    /// Bytes of the first.
    pub first: usize,
    /// How many more there may be.
    pub more: usize,
    /// Bytes of each of those, and of the longest line.
    pub size: usize,
}

impl ClientTerms {
    /// Those of clients for whom no site says anything; without `times` some that hold the place of ones with a fault.
    pub(super) fn usual(times: Option<&ClientTimeouts>) -> Self {
        let placeholder = || ClientTimeouts {
            handshake: Self::LINGER,
            head: Self::LINGER,
            keep_alive: Self::LINGER,
            body: Self::LINGER,
            write: Self::LINGER,
        };
        Self {
            times: times.cloned().unwrap_or_else(placeholder),
            told: None,
            requests: None,
            age: None,
            not_kept: Vec::new(),
            linger: Linger::Needed,
            linger_time: Self::LINGER,
            linger_idle: Self::LINGER,
            reset: false,
            head_buffers: None,
            h2_streams: None,
        }
    }

    /// For which what still comes is read and thrown away, where nothing is said of it.
    pub const LINGER: Duration = Duration::from_secs(5);
}
