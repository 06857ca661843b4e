//! Listening sockets that this process was given instead of opening them: by its predecessor or by the service manager.
//!
//! A socket is found by its kind and the address of the configuration, as text. What nobody asked for is told and closed.
//! Invariant: a socket is given out once.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};
use socket2::Socket;

use crate::listener::bind::Carried;
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
}

/// See above.
#[derive(Debug, Default)]
pub(in crate::server) struct Sockets(Vec<Given>);

#[derive(Debug)]
struct Given {
    kind: Kind,
    address: String,
    own: Vec<OwnedFd>,
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
            names: Vec::new(),
        };
        Self(slots.into_iter().map(of).collect())
    }

    /// Further ones, which the service manager knows by a name.
    pub(in crate::server) fn add(
        &mut self,
        kind: Kind,
        address: String,
        own: Vec<OwnedFd>,
        name: &str,
    ) {
        let mut known = self.0.iter_mut();
        match known.find(|given| given.kind == kind && given.address == address) {
            Some(given) => {
                given.own.extend(own);
                given.names.push(name.to_owned());
            }
            None => self.0.push(Given {
                kind,
                address,
                own,
                names: vec![name.to_owned()],
            }),
        }
    }

    /// Those of this kind and address; none when there are none.
    pub(in crate::server) fn take(&mut self, kind: &Kind, address: &str) -> Vec<OwnedFd> {
        let found = self
            .0
            .iter()
            .position(|given| given.kind == *kind && given.address == address);
        found.map_or_else(Vec::new, |index| self.0.swap_remove(index).own)
    }

    /// The listeners for clients at this address.
    pub(in crate::server) fn take_listeners(
        &mut self,
        carried: Carried,
        address: &Address,
    ) -> Vec<Socket> {
        let kind = match carried {
            Carried::Connections => Kind::Connections,
            Carried::Datagrams => Kind::Datagrams,
        };
        let taken = self.take(&kind, &address.to_string());
        let mut listeners = Vec::with_capacity(taken.len());
        for descriptor in taken {
            let socket = Socket::from(descriptor);
            match socket.set_nonblocking(true) {
                Ok(()) => listeners.push(socket),
                Err(error) => tracing::error!(%address, %error, "a socket that was passed on"),
            }
        }
        listeners
    }

    /// What nobody took, in words.
    pub(in crate::server) fn left(&self) -> Vec<String> {
        let open = self.0.iter().filter(|given| given.kind != Kind::Stderr);
        open.map(|given| format!("{:?} {}", given.kind, given.address).to_lowercase())
            .collect()
    }

    /// The names under which the service manager knows what nobody took.
    pub(in crate::server) fn names_left(&self) -> Vec<String> {
        self.0
            .iter()
            .flat_map(|given| given.names.clone())
            .collect()
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
        };
        let (actual, any): (_, Address) =
            (two.local_addr().unwrap(), "127.0.0.1:0".parse().unwrap());
        let slots = vec![
            slot(Kind::Status, "127.0.0.1:0", 1),
            slot(Kind::Connections, "127.0.0.1:0", 1),
        ];
        let mut sockets = Sockets::new(slots, vec![one.into(), two.into()]);
        let taken = sockets.take_listeners(Carried::Connections, &any);
        assert_eq!(taken[0].local_addr().unwrap().as_socket(), Some(actual));
        assert!(
            sockets
                .take_listeners(Carried::Connections, &any)
                .is_empty()
        );
        assert_eq!(sockets.left(), ["status 127.0.0.1:0"]);
    }

    #[test]
    fn a_kind_of_another_version_is_left() {
        let slots: Vec<Slot> =
            serde_json::from_str(r#"[{"kind":"quic","address":"x","count":0}]"#).unwrap();
        assert_eq!(Sockets::new(slots, Vec::new()).left(), ["unknown x"]);
    }
}
