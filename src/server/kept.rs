//! Listening sockets that the service manager holds: those it opened itself, and ours over a restart.
//!
//! Theirs come at the start (`LISTEN_FDS`), found by the address they are bound to, whatever their name. Ours are given to it
//! under names made of their addresses, so that it can be told which to let go; a unix socket of ours is found by that name,
//! as it was bound under another before it was moved to its place. Invariant: a socket that comes twice, from a socket unit
//! and from the store, is taken once.

use std::collections::HashSet;
use std::env;
use std::ffi::OsString;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use socket2::Socket;

use super::notify::Notify;
use super::process::Listening;
use super::upgrade::{Kind, Sockets};
use crate::admin::AdminSocket;
use crate::listener::accept::ListenerKey;
use crate::observe::metrics::ListenerKind;
use crate::types::address::Address;

/// What the names of our sockets begin with.
const OURS: &str = "listener-";
/// That of the status page's.
const STATUS: &str = "listener-status";
/// That of a unix socket, before its path.
const UNIX: &str = "listener-unix_";
/// That of the operator's, before its path.
const ADMIN: &str = "listener-admin_";

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
            None if name.starts_with(ADMIN) => Kind::Admin,
            None => Kind::Connections,
        };
        let socket = tcp.map(Socket::from).or(unix.map(Socket::from));
        let socket = socket.or(udp.map(Socket::from));
        let address = path_in(&name).or_else(|| socket.as_ref().and_then(address));
        let (Some(socket), Some(address)) = (socket, address) else {
            sockets.add(Kind::Unknown, name.clone(), Vec::new(), (&name, true));
            continue;
        };
        if seen.insert(identity(&socket)) {
            let address = match (&kind, &address) {
                (Kind::Admin, Address::Unix(path)) => path.display().to_string(),
                _ => address.to_string(),
            };
            let own: OwnedFd = socket.into();
            // A file of what it has opened itself is its own.
            let foreign = !name.starts_with(OURS);
            sockets.add(kind, address, vec![own], (&name, foreign));
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

/// Has the operator's socket kept over a restart.
pub(super) fn keep_admin(notify: &Notify, socket: &AdminSocket) {
    if !notify.is_on() {
        return;
    }
    match socket.listener() {
        Ok(listener) => notify.keep(&admin_name(socket.path()), &[listener.as_fd()]),
        Err(error) => tracing::warn!(%error, "the admin socket is not kept over a restart"),
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

/// That of the operator's socket at `path`.
pub(super) fn admin_name(path: &Path) -> String {
    encoded(ADMIN, path)
}

fn name(key: &ListenerKey) -> String {
    if let Address::Unix(path) = &key.0 {
        return encoded(UNIX, path);
    }
    let protocol = match key.1 {
        ListenerKind::Udp => "udp-",
        _ => "",
    };
    format!("{OURS}{protocol}{}", key.0.to_string().replace(':', "_"))
}

/// A path with all that a name cannot have as its number: colons, control characters, what is not ASCII.
fn encoded(begin: &str, path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes().iter();
    bytes.fold(begin.to_owned(), |name, byte| match byte {
        b':' | b'%' => format!("{name}%{byte:02x}"),
        b' '..=b'~' => name + &char::from(*byte).to_string(),
        _ => format!("{name}%{byte:02x}"),
    })
}

/// The path in a name of ours, if it has one.
fn path_in(name: &str) -> Option<Address> {
    let text = name.strip_prefix(UNIX).or(name.strip_prefix(ADMIN))?;
    let mut parts = text.split('%');
    let mut path = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (number, rest) = part.split_at_checked(2)?;
        path.push(u8::from_str_radix(number, 16).ok()?);
        path.extend(rest.as_bytes());
    }
    Some(Address::Unix(
        PathBuf::from(OsString::from_vec(path)).into(),
    ))
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
    fn a_unix_socket_is_found_by_its_name() {
        for path in ["/run/a.sock", "/run/a:b 100%_%41.sock", "/run/größe.sock"] {
            let address: Address = format!("unix:{path}").parse().unwrap();
            let name = name(&(address.clone(), ListenerKind::Http));
            assert!(name.is_ascii() && !name.contains(':'), "{name}");
            assert_eq!(path_in(&name), Some(address.clone()));
            assert_eq!(path_in(&admin_name(Path::new(path))), Some(address));
        }
        for other in [
            "listener-0.0.0.0_80",
            "hubgate",
            "listener-unix_%4",
            "listener-unix_%zz",
        ] {
            assert_eq!(path_in(other), None, "{other}");
        }
    }

    #[test]
    fn two_descriptors_of_a_socket_are_one() {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(identity(&one), identity(&one.try_clone().unwrap()));
        assert_ne!(identity(&one), identity(&other));
    }
}
