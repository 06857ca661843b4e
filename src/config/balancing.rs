//! What an upstream's balancing means: its endpoints with weights, who is chosen, and when an endpoint is left out.
//!
//! Values only; `schema` and `validate` make them, `upstream` acts on them.

use super::text::Text;
use crate::types::endpoint_address::EndpointAddress;
use std::net::SocketAddr;
use std::time::Duration;

/// One address of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens.
    pub address: EndpointAddress,
    /// Its share of the requests beside the others' weights, 1 to 255.
    pub weight: u8,
    /// Whether it gets requests only while no other endpoint can.
    pub backup: bool,
    /// Requests and tunnels that it has at once; `None` is no limit.
    pub most: Option<u32>,
    /// How many endpoints it counts as when a request is tried again; 0 gets none.
    pub times: u8,
}

impl From<EndpointAddress> for Endpoint {
    fn from(address: EndpointAddress) -> Self {
        Self {
            address,
            weight: 1,
            backup: false,
            most: None,
            times: 1,
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        EndpointAddress::from(address).into()
    }
}

/// Who gets the next request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest requests in flight for its weight; above eight endpoints the better of two.
    LeastRequests,
    /// One drawn by chance, by weight.
    Random,
    /// The same for the same key.
    Hash(Hashing),
}

/// How keys are kept together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashing {
    /// What the key is.
    pub on: HashOn,
    /// Whether an endpoint that has more than its share is passed over.
    pub bounded: bool,
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashOn {
    /// The client's address; of an IPv6 address the first 64 bits.
    Client,
    /// The value of a request field, by its name in lower case.
    Header(http::HeaderName),
    /// The value of a cookie.
    Cookie(Box<str>),
    /// What a text with variables comes to.
    Text(Text),
}

/// `sticky`: a browser stays with the endpoint that answered it first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: Box<str>,
    /// From the last request to the end of the session.
    pub ttl: Duration,
}

/// `[upstream.NAME.outlier]`: when an endpoint is left out because of what requests met there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// After a connect that failed, this long.
    pub rest: Duration,
    /// After so many failures in a row it is ejected; 0 never.
    pub failures: u32,
    /// Failures that follow one another within so long are in a row, whatever went well between.
    pub window: Option<Duration>,
    /// Statuses that are failures, first and last; none by default.
    pub statuses: Vec<(u16, u16)>,
    /// An answer whose head takes longer is a failure.
    pub latency: Option<Duration>,
    /// How long the first ejection lasts; the second in a row twice as long, the third three times.
    pub ejection: Duration,
    /// No ejection is longer.
    pub longest_ejection: Duration,
    /// Percent of the endpoints that are ejected at a time; of two or more, one always may be.
    pub max_ejected: u8,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            rest: Duration::from_secs(10),
            failures: 5,
            window: None,
            statuses: Vec::new(),
            latency: None,
            ejection: Duration::from_secs(10),
            longest_ejection: Duration::from_secs(60),
            max_ejected: 67,
        }
    }
}
