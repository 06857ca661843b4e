//! Listening sockets that the service manager holds: those it opened itself, and ours over a restart.
//!
//! Theirs come at the start (`LISTEN_FDS`), found by the address they are bound to, whatever their name. Ours are given to it
//! under names made of their addresses, so that it can be told which to let go. Invariant: a socket that comes twice, from
//! a socket unit and from the store, is taken once.

use std::collections::HashSet;
use std::env;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};

use listenfd::ListenFd;
use socket2::Socket;

use super::notify::Notify;
use super::process::Listening;
use super::upgrade::{Kind, Sockets};
use crate::listener::accept::ListenerKey;
use crate::observe::metrics::ListenerKind;
use crate::types::address::Address;

/// What the names of our sockets begin with.
const OURS: &str = "listener-";
/// That of the status page's.
const STATUS: &str = "listener-status";

/// The sockets this process was started with. To be called first of all, while there is one thread.
pub(super) fn given() -> Sockets {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<_> = names.split(':').map(str::to_owned).collect();
    let mut given = ListenFd::from_env();
    let mut sockets = Sockets::default();
    let mut seen = HashSet::new();
    for index in 0..given.len() {
        let name = names.get(index).cloned().unwrap_or_default();
        let tcp = given.take_tcp_listener(index).ok().flatten();
        let unix = given.take_unix_listener(index).ok().flatten();
        let udp = given.take_udp_socket(index).ok().flatten();
        let kind = match udp {
            Some(_) => Kind::Datagrams,
            None if name == STATUS => Kind::Status,
            None => Kind::Connections,
        };
        let socket = tcp.map(Socket::from).or(unix.map(Socket::from));
        let socket = socket.or(udp.map(Socket::from));
        let address = socket.as_ref().and_then(address);
        let (Some(socket), Some(address)) = (socket, address) else {
            sockets.add(Kind::Unknown, name.clone(), Vec::new(), &name);
            continue;
        };
        if seen.insert(identity(&socket)) {
            let own: OwnedFd = socket.into();
            sockets.add(kind, address.to_string(), vec![own], &name);
        }
    }
    sockets
}

/// Where it is bound.
fn address(socket: &Socket) -> Option<Address> {
    let bound = socket.local_addr().ok()?;
    match (bound.as_socket(), bound.as_pathname()) {
        (Some(ip), _) => Some(ip.into()),
        (None, Some(path)) => Some(Address::Unix(path.into())),
        (None, None) => None,
    }
}

/// The socket behind a descriptor; several lead to one.
fn identity(socket: &impl AsFd) -> Option<u64> {
    rustix::fs::fstat(socket).ok().map(|stat| stat.st_ino)
}

/// Has the sockets of a listener kept over a restart.
pub(super) fn keep(notify: &Notify, key: &ListenerKey, listening: &Listening) {
    if notify.is_on() {
        let sockets: Vec<_> = listening.bound.sockets.iter().map(AsFd::as_fd).collect();
        notify.keep(&name(key), &sockets);
    }
}

/// Has the status page's socket kept over a restart.
pub(super) fn keep_status(notify: &Notify, page: &TcpListener) {
    if notify.is_on() {
        notify.keep(STATUS, &[page.as_fd()]);
    }
}

/// Has the sockets of a listener let go.
pub(super) fn let_go(notify: &Notify, key: &ListenerKey) {
    notify.let_go(&name(key));
}

/// Has what nobody listens with any more let go, by its name.
pub(super) fn let_go_left(notify: &Notify, names: &[String]) {
    for name in names.iter().filter(|name| name.starts_with(OURS)) {
        notify.let_go(name);
    }
}

fn name(key: &ListenerKey) -> String {
    let protocol = match key.1 {
        ListenerKind::Udp => "udp-",
        _ => "",
    };
    format!("{OURS}{protocol}{}", key.0.to_string().replace(':', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_colon_and_tells_addresses_apart() {
        let of = |address: &str| name(&(address.parse().unwrap(), ListenerKind::Http));
        assert_eq!(of("0.0.0.0:80"), "listener-0.0.0.0_80");
        assert_eq!(of("[::]:80"), "listener-[__]_80");
        assert_eq!(of("unix:/run/a.sock"), "listener-unix_/run/a.sock");
    }

    #[test]
    fn two_descriptors_of_a_socket_are_one() {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(identity(&one), identity(&one.try_clone().unwrap()));
        assert_ne!(identity(&one), identity(&other));
    }
}
