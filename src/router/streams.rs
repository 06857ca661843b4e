//! Which stream a connection belongs to: by its listener, the address it came to, and the name its TLS asks for.
//!
//! Pure. Precedence: a name of a stream for just this address, a name of one for the whole listener, then in the same order
//! the stream that takes the rest.
#![deny(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::net::IpAddr;

use super::patterns::PatternTable;
use crate::config::{Definitions, Listen, Stream};
use crate::types::address::Address;
use crate::types::host::{Host, HostPattern};

/// Every stream by its listener.
#[derive(Debug)]
pub struct StreamTable {
    listeners: HashMap<Address, Vec<Part>>,
    /// Those of UDP.
    datagrams: HashMap<Address, usize>,
}

/// The streams of one listener that ask for the same local address.
#[derive(Debug)]
struct Part {
    local: Option<IpAddr>,
    /// `None` when none of them asks for a name.
    names: Option<PatternTable>,
    /// The one without names.
    rest: Option<usize>,
    /// Whether it wants to know what the ClientHello says.
    looks: bool,
}

/// Those that a connection may belong to.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a>([Option<&'a Part>; 2]);

impl StreamTable {
    /// Takes the streams in the order of the file; values are their indices.
    pub fn new(streams: &[Stream], listen: &Listen, definitions: &Definitions) -> Self {
        let mut grouped: HashMap<_, Vec<(u32, &Stream)>> = HashMap::new();
        let mut datagrams = HashMap::new();
        for (index, stream) in (0..).zip(streams) {
            if stream.udp.is_some() {
                datagrams.insert(stream.listen.address.clone(), index as usize);
                continue;
            }
            let (listener, local) = stream.listener(listen);
            let place = (&listener.address, local);
            grouped.entry(place).or_default().push((index, stream));
        }
        let mut listeners: HashMap<Address, Vec<Part>> = HashMap::new();
        for ((listener, local), streams) in grouped {
            let names: Vec<(&HostPattern, u32)> = streams
                .iter()
                .flat_map(|(index, stream)| stream.sni.iter().map(move |name| (name, *index)))
                .collect();
            let rest = streams.iter().find(|(_, stream)| stream.sni.is_empty());
            listeners.entry(listener.clone()).or_default().push(Part {
                local,
                names: (!names.is_empty()).then(|| PatternTable::new(names.into_iter())),
                rest: rest.map(|(index, _)| *index as usize),
                looks: rest.is_some_and(|(_, stream)| looks(stream, definitions)),
            });
        }
        Self {
            listeners,
            datagrams,
        }
    }

    /// Whether any stream's connections come in by `listener`.
    pub fn is_at(&self, listener: &Address) -> bool {
        self.listeners.contains_key(listener)
    }

    /// The index of the stream for datagrams that come in by `listener`.
    pub fn of_datagrams(&self, listener: &Address) -> Option<usize> {
        self.datagrams.get(listener).copied()
    }

    /// Those for a connection that came in by `listener`, to the address `local`.
    pub fn at(&self, listener: &Address, local: IpAddr) -> Here<'_> {
        let parts = self.listeners.get(listener);
        let part = |wanted: Option<IpAddr>| {
            let mut parts = parts.into_iter().flatten();
            parts.find(|part| part.local == wanted)
        };
        Here([part(Some(local)), part(None)])
    }
}

impl Here<'_> {
    /// Whether what the connection's ClientHello says has to be known.
    pub fn need_hello(&self) -> bool {
        let mut parts = self.0.iter().flatten();
        parts.any(|part| part.names.is_some() || part.looks)
    }

    /// The index of the stream for a connection that asks for `name`, or for none.
    pub fn find(&self, name: Option<&Host>) -> Option<usize> {
        let parts = || self.0.iter().flatten();
        let named = parts().find_map(|part| part.names.as_ref()?.find(name?));
        named.or_else(|| parts().find_map(|part| part.rest))
    }
}

/// Whether a stream without names wants to know; one that ends TLS learns all of it anyway.
fn looks(stream: &Stream, definitions: &Definitions) -> bool {
    let more = stream.more.as_ref();
    let ends = more.is_some_and(|more| more.tls.is_some() || more.blind);
    !ends && stream.names_hello(definitions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AccessLog, ProxyProtocol, StreamAction};
    use std::time::Duration;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn stream(listen: &str, sni: &[&str]) -> Stream {
        Stream {
            listen: address(listen).into(),
            sni: sni
                .iter()
                .map(|name| HostPattern::parse(name).unwrap())
                .collect(),
            action: StreamAction::Forward(crate::types::name::UpstreamName::parse("u").unwrap()),
            connect: Duration::from_secs(1),
            idle: Duration::from_secs(1),
            udp: None,
            send_proxy_protocol: None,
            proxy_fields: crate::config::ProxyFields::default(),
            access_log: std::sync::Arc::new(AccessLog::off()),
            more: None,
        }
    }

    fn listen(https: &[&str]) -> Listen {
        Listen {
            h2c: Vec::new(),
            http: Vec::new(),
            https: https.iter().map(|text| address(text).into()).collect(),
            redirect_port: None,
            proxy_protocol: ProxyProtocol::default(),
        }
    }

    fn find(table: &StreamTable, listener: &str, local: &str, name: &str) -> Option<usize> {
        let here = table.at(&address(listener), local.parse().unwrap());
        here.find(Host::parse(name).ok().as_ref())
    }

    #[test]
    fn an_exact_name_wins_over_a_wildcard_and_both_over_the_stream_without_names() {
        let streams = [
            stream("192.0.2.1:443", &[]),
            stream("192.0.2.1:443", &["*.a.test"]),
            stream("192.0.2.1:443", &["x.a.test", "b.test"]),
        ];
        let table = StreamTable::new(&streams, &listen(&[]), &Definitions::new());
        let at = |name| find(&table, "192.0.2.1:443", "192.0.2.1", name);
        assert_eq!(at("x.a.test"), Some(2));
        assert_eq!(at("B.test."), Some(2));
        assert_eq!(at("y.a.test"), Some(1));
        assert_eq!(at("c.test"), Some(0));
        assert_eq!(at(""), Some(0));
        assert!(!table.is_at(&address("192.0.2.2:443")));
    }

    #[test]
    fn a_stream_on_one_address_of_a_listener_for_all_takes_nothing_from_the_others() {
        let streams = [
            stream("192.0.2.1:443", &["a.test"]),
            stream("192.0.2.2:443", &[]),
            stream("0.0.0.0:443", &["b.test"]),
            stream("192.0.2.1:8443", &["a.test"]),
        ];
        let table = StreamTable::new(
            &streams,
            &listen(&["0.0.0.0:443", "[::]:443"]),
            &Definitions::new(),
        );
        let at = |local, name| find(&table, "0.0.0.0:443", local, name);
        assert_eq!(at("192.0.2.1", "a.test"), Some(0));
        assert_eq!(at("192.0.2.1", "b.test"), Some(2));
        assert_eq!(at("192.0.2.3", "a.test"), None);
        assert_eq!(at("192.0.2.2", "a.test"), Some(1));
        assert_eq!(at("192.0.2.2", "b.test"), Some(2));
        let own = find(&table, "192.0.2.1:8443", "192.0.2.1", "a.test");
        assert_eq!(own, Some(3));
    }

    #[test]
    fn names_are_asked_for_only_where_a_stream_has_some() {
        let streams = [
            stream("192.0.2.1:1", &[]),
            stream("192.0.2.1:2", &["a.test"]),
        ];
        let table = StreamTable::new(&streams, &listen(&[]), &Definitions::new());
        let needs = |listener: &str| {
            let local = "192.0.2.1".parse().unwrap();
            table.at(&address(listener), local).need_hello()
        };
        assert!(!needs("192.0.2.1:1") && needs("192.0.2.1:2"));
    }
}
