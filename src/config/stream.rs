//! `[[stream]]`: connections that are passed on; and what listeners and endpoints are told by PROXY headers.
//!
//! Values only; `schema` and `validate` make them, `snapshot` and `stream` act on them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::access::AddressRule;
use super::access_log::AccessLog;
use super::action::Strangers;
use super::definition::Definitions;
use super::limit::{Amount, RouteLimits};
use super::listener::Listener;
use super::model::Listen;
use super::text::Text;
use super::tls::{PairFiles, TlsPolicy};
use super::variable::Variable;
use crate::types::address::Address;
use crate::types::host::HostPattern;
use crate::types::name::UpstreamName;

/// One `[[stream]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Where its connections come in.
    pub listen: Listener,
    /// The names whose TLS connections it takes; empty for all connections that no other stream takes.
    pub sni: Vec<HostPattern>,
    /// What becomes of them.
    pub action: StreamAction,
    /// To connect to one endpoint.
    pub connect: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
    /// Set for UDP.
    pub udp: Option<Udp>,
    /// Whether the endpoint is told of the client by a PROXY header.
    pub send_proxy_protocol: Option<ProxyVersion>,
    /// What that header says beside the addresses.
    pub proxy_fields: ProxyFields,
    /// Its log, one line a connection.
    pub access_log: Arc<AccessLog>,
    /// What most streams do not ask for.
    pub more: Option<Box<StreamMore>>,
}

/// What becomes of a stream's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamAction {
    /// An upstream gets them.
    Forward(UpstreamName),
    /// An upstream gets them, whose name this text says for each, or who else it may mean.
    Choose(Text, Strangers),
    /// They are told this, and ended.
    Respond(Text),
}

/// What a stream can ask for besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamMore {
    /// The first that matches decides; where none does, everybody is let in.
    pub access: Vec<AddressRule>,
    /// How many at once, by key.
    pub limits: Option<Arc<RouteLimits>>,
    /// Bytes in a second that are taken from a client.
    pub upload: Option<Amount>,
    /// Bytes in a second that are taken from an endpoint.
    pub download: Option<Amount>,
    /// Whether its texts do without what a ClientHello says, so that none is waited for.
    pub blind: bool,
    /// TLS is ended here.
    pub tls: Option<StreamTls>,
    /// Whether endpoints are spoken to by TLS, as their upstream's `tls` says.
    pub tls_to_upstream: bool,
    /// Where connections to endpoints come from.
    pub bind: Option<IpAddr>,
    /// Variables, in their order.
    pub set: Vec<(Box<str>, Text)>,
    /// So many endpoints are tried at most.
    pub tries: Option<u32>,
    /// After this time no other is tried.
    pub tries_time: Option<Duration>,
    /// Whether it is over once the endpoint has ended its side.
    pub ends_with_endpoint: bool,
}

/// TLS that is ended at a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamTls {
    /// Of different kinds; one at least.
    pub pairs: Vec<PairFiles>,
    /// What handshakes are made by.
    pub policy: Arc<TlsPolicy>,
    /// Protocols that are agreed to (RFC 7301); none is as good as any.
    pub alpn: Vec<Box<str>>,
}

/// What sessions of datagrams are bounded by, beside the idle time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// At once.
    pub sessions: usize,
    /// Answers to each datagram of the client, after which nothing more is waited for; `None` is not known.
    pub responses: Option<u32>,
    /// Datagrams of the client after which the next one begins another session; `None` for any number.
    pub requests: Option<u32>,
}

/// The keys of `[listen]` about PROXY headers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProxyProtocol {
    /// Who is believed, at listeners without a list of their own.
    pub from: Vec<IpNet>,
    /// Who is believed at listeners that say so themselves.
    pub own: Vec<(Address, Arc<[IpNet]>)>,
    /// Listeners where a header may come.
    pub optional: Vec<Address>,
    /// Where it has to.
    pub required: Vec<Address>,
    /// Whether a header is taken from anybody: from who is not believed it is told, and no more.
    pub anybody: bool,
}

impl ProxyProtocol {
    /// Who is believed at `listener`.
    pub fn from_at(&self, listener: &Address) -> &[IpNet] {
        let own = self.own.iter().find(|(address, _)| address == listener);
        own.map_or(&self.from, |(_, own)| own)
    }
}

/// What version 2 of the PROXY header can say beside the addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyFields {
    /// The protocol inside TLS that ended here or before hubgate.
    pub alpn: bool,
    /// The name that the client's TLS asks for.
    pub authority: bool,
    /// What is known of TLS that ended here or before hubgate.
    pub tls: bool,
    /// An id of the connection, which is in the log too.
    pub unique_id: bool,
    /// A checksum of the header.
    pub checksum: bool,
}

impl ProxyFields {
    /// In the words of the configuration.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let words = [
            (self.alpn, "alpn"),
            (self.authority, "authority"),
            (self.tls, "ssl"),
            (self.unique_id, "unique-id"),
            (self.checksum, "crc32c"),
        ];
        words
            .into_iter()
            .filter_map(|(is, word)| is.then_some(word))
    }
}

/// A form of the PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// Text.
    V1,
    /// Binary.
    V2,
}

impl ProxyVersion {
    /// As in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl Stream {
    /// The listener its connections come in by, and the local address they must have come to where the listener takes
    /// those of others too: one of `https` on all addresses and the same port. Otherwise, and for UDP, one of its own.
    pub fn listener<'a>(&'a self, listen: &'a Listen) -> (&'a Listener, Option<IpAddr>) {
        if self.udp.is_some() {
            return (&self.listen, None);
        }
        if let Some(https) = listen.https_at(&self.listen.address) {
            return (https, None);
        }
        let own = self.listen.address.ip();
        let own = own.filter(|own| !own.ip().is_unspecified());
        let whole = own.and_then(|own| {
            let https = listen.https.iter().find(|https| https.takes_in(own))?;
            Some((https, Some(own.ip())))
        });
        whole.unwrap_or((&self.listen, None))
    }

    /// The upstream, where it is the same for all.
    pub fn upstream(&self) -> Option<&UpstreamName> {
        match &self.action {
            StreamAction::Forward(name) => Some(name),
            StreamAction::Choose(..) | StreamAction::Respond(_) => None,
        }
    }

    /// Its texts with variables, those of its log among them.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        let action = match &self.action {
            StreamAction::Forward(_) => None,
            StreamAction::Choose(text, _) | StreamAction::Respond(text) => Some(text),
        };
        let log = self.access_log.texts();
        let set = self.more.iter().flat_map(|more| &more.set);
        let set = set.map(|(_, text)| text);
        let rates = self
            .more
            .iter()
            .flat_map(|more| [&more.upload, &more.download]);
        let rates = rates.flatten().filter_map(Amount::text);
        action.into_iter().chain(log).chain(set).chain(rates)
    }

    /// Whether one of its texts, or of the definitions behind them, names what a ClientHello says.
    pub fn names_hello(&self, definitions: &Definitions) -> bool {
        let mut seen: Vec<&str> = Vec::new();
        let mut waiting: Vec<&Variable> = self.texts().flat_map(Text::variables).collect();
        while let Some(variable) = waiting.pop() {
            match variable {
                Variable::OfStream(name) if name.starts_with("ssl_preread_") => return true,
                Variable::Own(name) if !seen.contains(&&**name) => {
                    seen.push(name);
                    let defined = definitions.get(name).into_iter();
                    waiting.extend(defined.flat_map(|one| one.variables()));
                }
                _ => {}
            }
        }
        false
    }

    /// Where it listens and for whom, as in messages.
    pub fn name(&self) -> String {
        let mut name = self.listen.address.to_string();
        if self.udp.is_some() {
            name.push_str("/udp");
        }
        for pattern in &self.sni {
            name.push(' ');
            name.push_str(&pattern.to_string());
        }
        name
    }
}
