//! Listening sockets that this process was given instead of opening them: by its predecessor or by the service manager.
//!
//! A socket is found by its kind and the address of the configuration, as text. What nobody asked for is told and closed.
//! Invariant: a socket is given out once.

use std::os::fd::OwnedFd;
use std::path::Path;

use serde::{Deserialize, Serialize};
use socket2::Socket;

use crate::listener::bind::Carried;
use crate::transport::socket_file;
use crate::types::address::Address;

/// What is listened with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::server) enum Kind {
    /// For clients: TCP or unix sockets.
    Connections,
    /// For clients: UDP.
    Datagrams,
    /// For the operator.
    Admin,
    /// For the status page.
    Status,
    /// Not a socket: where what is written to standard error goes.
    Stderr,
    /// Of another version.
    #[serde(other)]
    Unknown,
}

/// Sockets of one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) kind: Kind,
    /// As in the configuration, which may have port 0.
    pub(super) address: String,
    pub(super) count: usize,
    /// Whether their file belongs to the service manager.
    #[serde(default)]
    pub(super) foreign: bool,
}

/// Sockets for clients.
pub(in crate::server) struct Listeners {
    pub(in crate::server) sockets: Vec<Socket>,
    /// Whether the file of a unix socket belongs to the service manager.
    pub(in crate::server) foreign: bool,
    /// Under which the service manager knows them.
    pub(in crate::server) names: Vec<String>,
}

/// See above.
#[derive(Debug, Default)]
pub(in crate::server) struct Sockets {
    given: Vec<Given>,
    /// Of those that were of no use.
    useless: Vec<String>,
}

#[derive(Debug)]
struct Given {
    kind: Kind,
    address: String,
    own: Vec<OwnedFd>,
    foreign: bool,
    /// Under which the service manager knows them.
    names: Vec<String>,
}

impl Sockets {
    /// Descriptors in the order of their slots.
    pub(super) fn new(slots: Vec<Slot>, descriptors: Vec<OwnedFd>) -> Self {
        let mut descriptors = descriptors.into_iter();
        let of = |slot: Slot| Given {
            own: descriptors.by_ref().take(slot.count).collect(),
            kind: slot.kind,
            address: slot.address,
            foreign: slot.foreign,
            names: Vec::new(),
        };
        Self {
            given: slots.into_iter().map(of).collect(),
            useless: Vec::new(),
        }
    }

    /// Further ones, which the service manager knows by a name; `foreign` are those that it has opened itself.
    pub(in crate::server) fn add(
        &mut self,
        kind: Kind,
        address: String,
        own: Vec<OwnedFd>,
        (name, foreign): (&str, bool),
    ) {
        let mut known = self.given.iter_mut();
        match known.find(|given| given.kind == kind && given.address == address) {
            Some(given) => {
                given.own.extend(own);
                given.foreign |= foreign;
                given.names.push(name.to_owned());
            }
            None => self.given.push(Given {
                kind,
                address,
                own,
                foreign,
                names: vec![name.to_owned()],
            }),
        }
    }

    /// Those of this kind and address; none when there are none.
    pub(in crate::server) fn take(&mut self, kind: &Kind, address: &str) -> Vec<OwnedFd> {
        let found = self.find(kind, address);
        found.map_or_else(Vec::new, |given| given.own)
    }

    fn find(&mut self, kind: &Kind, address: &str) -> Option<Given> {
        let mut given = self.given.iter();
        let found = given.position(|given| given.kind == *kind && given.address == address);
        found.map(|index| self.given.swap_remove(index))
    }

    /// The listeners for clients at this address, if there are some.
    pub(in crate::server) fn take_listeners(
        &mut self,
        carried: Carried,
        address: &Address,
    ) -> Option<Listeners> {
        let kind = match carried {
            Carried::Connections => Kind::Connections,
            Carried::Datagrams => Kind::Datagrams,
        };
        let given = self.find(&kind, &address.to_string())?;
        let mut sockets = Vec::with_capacity(given.own.len());
        for descriptor in given.own {
            let socket = Socket::from(descriptor);
            match socket.set_nonblocking(true) {
                Ok(()) => sockets.push(socket),
                Err(error) => tracing::error!(%address, %error, "a socket that was passed on"),
            }
        }
        let (foreign, names) = (given.foreign, given.names);
        let listeners = Listeners {
            sockets,
            foreign,
            names,
        };
        (!listeners.sockets.is_empty()).then_some(listeners)
    }

    /// Notes that the service manager keeps sockets under these names for nothing.
    pub(in crate::server) fn give_up(&mut self, names: Vec<String>) {
        self.useless.extend(names);
    }

    /// Takes the unix sockets that nobody asked for out of the file system. Those of a predecessor stay: it may go on with
    /// them.
    pub(in crate::server) fn remove_left_files(&mut self) {
        let of_a_restart = |given: &&mut Given| !given.foreign && !given.names.is_empty();
        for given in self.given.iter_mut().filter(of_a_restart) {
            let path = match given.address.parse() {
                Ok(Address::Unix(path)) => path,
                _ if given.kind == Kind::Admin => Path::new(&given.address).into(),
                _ => continue,
            };
            for own in given.own.drain(..) {
                socket_file::retire(&own.into(), &path);
            }
        }
    }

    /// What nobody took, in words.
    pub(in crate::server) fn left(&self) -> Vec<String> {
        let open = self.given.iter();
        let open = open.filter(|given| given.kind != Kind::Stderr);
        open.map(|given| format!("{:?} {}", given.kind, given.address).to_lowercase())
            .collect()
    }

    /// The names under which the service manager knows what nobody took.
    pub(in crate::server) fn names_left(&self) -> Vec<String> {
        let left = self.given.iter().flat_map(|given| &given.names);
        left.chain(&self.useless).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_socket_is_found_by_kind_and_address_and_only_once() {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let two = TcpListener::bind("127.0.0.1:0").unwrap();
        let slot = |kind, address: &str, count| Slot {
            kind,
            address: address.to_owned(),
            count,
            foreign: false,
        };
        let (actual, any): (_, Address) =
            (two.local_addr().unwrap(), "127.0.0.1:0".parse().unwrap());
        let slots = vec![
            slot(Kind::Status, "127.0.0.1:0", 1),
            slot(Kind::Connections, "127.0.0.1:0", 1),
        ];
        let mut sockets = Sockets::new(slots, vec![one.into(), two.into()]);
        let taken = sockets.take_listeners(Carried::Connections, &any).unwrap();
        let taken = taken.sockets[0].local_addr().unwrap();
        assert_eq!(taken.as_socket(), Some(actual));
        assert!(sockets.take_listeners(Carried::Connections, &any).is_none());
        assert_eq!(sockets.left(), ["status 127.0.0.1:0"]);
    }

    #[test]
    fn a_kind_of_another_version_is_left() {
        let slots: Vec<Slot> =
            serde_json::from_str(r#"[{"kind":"quic","address":"x","count":0}]"#).unwrap();
        assert_eq!(Sockets::new(slots, Vec::new()).left(), ["unknown x"]);
    }
}
