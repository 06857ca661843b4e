//! Listening sockets of every kind: TCP, unix, and UDP for streams of datagrams.
//!
//! At an IP address each worker has one, in one `SO_REUSEPORT` group, unless the configuration wants one for all. The
//! kernel spreads connections over the group, so no two workers wake for one connection and none takes more than
//! its share; docs/decisions says what was measured. A group would also let a second process in by mistake, so an
//! address is first tried alone.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::unistd::{Group, User};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::holder::{self, Holder};
use crate::config::{Listener, Owner, SocketOptions};
use crate::observe::reasons::with_reasons;
use crate::transport::socket_file::{Access, SocketFile, SocketFileError};
use crate::types::address::Address;

/// What sockets carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Connections: TCP, or a unix socket.
    Connections,
    /// Datagrams: UDP.
    Datagrams,
}

/// The sockets of one address.
#[derive(Debug)]
pub struct Bound {
    /// One for each worker, in their order, or one for all.
    pub sockets: Vec<Socket>,
    /// What stands for a unix socket in the file system; gone with the last that holds it.
    pub file: Option<Arc<SocketFile>>,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address cannot be had.
    #[error("cannot listen on `{address}`")]
    Socket {
        /// Where.
        address: SocketAddr,
        /// Who has it, when that can be known.
        holder: Option<Holder>,
        /// What the system says.
        source: io::Error,
    },
    /// The network interface cannot be had.
    #[error("cannot listen on `{address}` at the interface `{interface}` alone")]
    Interface {
        /// Where.
        address: SocketAddr,
        /// Which.
        interface: Box<str>,
        /// What the system says.
        source: io::Error,
    },
    /// The file of a unix socket cannot be had.
    #[error("cannot listen on a unix socket")]
    File(#[from] SocketFileError),
    /// A unix socket's owner is not known here.
    #[error("cannot listen on `{address}`: there is no {kind} `{name}`")]
    Owner {
        /// Where.
        address: Address,
        /// User or group.
        kind: &'static str,
        /// Which.
        name: Box<str>,
    },
}

impl BindError {
    /// For what the system says of `address`; looks for who has it.
    pub fn new(address: SocketAddr, carried: Carried, source: io::Error) -> Self {
        let in_use = source.kind() == io::ErrorKind::AddrInUse;
        Self::Socket {
            address,
            holder: in_use.then(|| holder::of(address, carried)).flatten(),
            source,
        }
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> String {
        let denied = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
        match self {
            Self::Socket { source, holder, .. } => match (source.kind(), holder) {
                (io::ErrorKind::AddrInUse, Some(holder)) => {
                    return format!("another process listens there: {holder}");
                }
                (io::ErrorKind::AddrInUse, None) => {
                    "another process listens there; `ss -lntup` shows which"
                }
                (io::ErrorKind::AddrNotAvailable, _) => {
                    "this host does not have the address; `ip address` lists what it has"
                }
                (io::ErrorKind::PermissionDenied, _) => {
                    "ports below 1024 need root or `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the service unit"
                }
                _ => "see [listen] in the configuration",
            },
            Self::Interface { source, .. } if denied(source) => {
                "before Linux 5.7 an interface needs root or `AmbientCapabilities=CAP_NET_RAW` in the service unit"
            }
            Self::Interface { .. } => "`ip link` lists the interfaces of this host",
            Self::File(SocketFileError::Io { source, .. }) if denied(source) => {
                "the account that hubgate runs as has to be allowed to write in the folder; it can give a socket to groups that it belongs to (`usermod -aG GROUP ACCOUNT`, then a start), and to another user only as root"
            }
            Self::File(SocketFileError::InUse { .. }) => "`ss -lxp` shows which process it is",
            Self::File(_) => "see the folder it is in",
            Self::Owner { .. } => "`getent passwd` and `getent group` list who there is",
        }
        .to_owned()
    }
}

/// Listens as `listener` says, for so many workers. IPv6 sockets take IPv6 only unless they are to take both. Port 0
/// becomes one free port for all of them.
pub fn bind(listener: &Listener, carried: Carried, workers: usize) -> Result<Bound, BindError> {
    let options = &listener.options;
    match &listener.address {
        Address::Ip(address) => Ok(Bound {
            sockets: open_all(*address, options, carried, workers)?,
            file: None,
        }),
        Address::Unix(path) => {
            let access = access(&listener.address, options)?;
            let (socket, file) = SocketFile::listen(path, access, backlog(options))?;
            Ok(Bound {
                sockets: vec![socket],
                file: Some(Arc::new(file)),
            })
        }
    }
}

impl Bound {
    /// What another process opened for `listener`, with the options it has here, for so many workers. The file of a unix
    /// socket may be `foreign`: it keeps the permissions it has, and is never removed here. Fails when that makes no sense
    /// here: nothing of it is lost then but these descriptors.
    pub fn take_over(
        listener: &Listener,
        carried: Carried,
        (sockets, foreign): (Vec<Socket>, bool),
        workers: usize,
    ) -> Result<Self, BindError> {
        let mut bound = Self {
            sockets,
            file: None,
        };
        match &listener.address {
            Address::Ip(address) => bound.join(*address, &listener.options, carried, workers),
            Address::Unix(_) if foreign => {}
            Address::Unix(path) => {
                let file = SocketFile::take_over(path).map_err(|source| SocketFileError::Io {
                    action: "take over",
                    path: path.to_path_buf(),
                    source,
                })?;
                bound.file = Some(Arc::new(file));
            }
        }
        bound.follow(listener, carried)?;
        Ok(bound)
    }

    /// Adds to the group what workers need, where the system lets this process. They share sockets otherwise.
    fn join(
        &mut self,
        address: SocketAddr,
        options: &SocketOptions,
        carried: Carried,
        workers: usize,
    ) {
        let first = self.sockets.first().and_then(|one| one.local_addr().ok());
        let address = first.and_then(|one| one.as_socket()).unwrap_or(address);
        while options.reuse_port && self.sockets.len() < workers {
            match open(address, options, carried, true) {
                Ok(socket) => self.sockets.push(socket),
                Err(error) => {
                    tracing::info!(%address, error = %with_reasons(&error), "workers share the sockets of the listener");
                    break;
                }
            }
        }
    }

    /// The same sockets once more, for another kind of listener. Fails when the process has no file descriptor left.
    pub fn duplicate(&self) -> io::Result<Self> {
        Ok(Self {
            sockets: (self.sockets.iter().map(Socket::try_clone)).collect::<Result<_, _>>()?,
            file: self.file.clone(),
        })
    }

    /// Gives sockets that are in use the options that can be changed.
    pub fn follow(&self, listener: &Listener, carried: Carried) -> Result<(), BindError> {
        let options = &listener.options;
        match (&listener.address, &self.file) {
            (Address::Ip(address), _) => {
                let set = |socket| set_options(socket, options, carried);
                let set = self.sockets.iter().try_for_each(set);
                set.map_err(|source| BindError::new(*address, carried, source))
            }
            (Address::Unix(_), Some(file)) => {
                let access = access(&listener.address, options)?;
                let opened = file.open_to(access);
                let listens = |socket: &Socket| socket.listen(backlog(options));
                let opened = opened.and_then(|()| self.sockets.iter().try_for_each(listens));
                opened.map_err(|source| {
                    let (action, path) = ("change", file.path().to_owned());
                    BindError::File(SocketFileError::Io {
                        action,
                        path,
                        source,
                    })
                })
            }
            (Address::Unix(_), None) => Ok(()),
        }
    }
}

fn open_all(
    address: SocketAddr,
    options: &SocketOptions,
    carried: Carried,
    workers: usize,
) -> Result<Vec<Socket>, BindError> {
    let failed = |source| BindError::new(address, carried, source);
    // Without the option this fails where anybody listens, one of our own kind included.
    let alone = open(address, options, carried, false)?;
    let ready = |socket: Socket| match set_options(&socket, options, carried) {
        Ok(()) => Ok(socket),
        Err(source) => Err(failed(source)),
    };
    // Datagrams of one client belong together, which only a group sees to.
    if !options.reuse_port {
        return Ok(vec![ready(alone)?]);
    }
    drop(alone);
    let first = ready(open(address, options, carried, true)?)?;
    let found = first.local_addr().map_err(failed)?;
    let address = found.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    while sockets.len() < workers {
        sockets.push(ready(open(address, options, carried, true)?)?);
    }
    Ok(sockets)
}

fn open(
    address: SocketAddr,
    options: &SocketOptions,
    carried: Carried,
    shared: bool,
) -> Result<Socket, BindError> {
    let (kind, protocol) = match carried {
        Carried::Connections => (Type::STREAM, Protocol::TCP),
        Carried::Datagrams => (Type::DGRAM, Protocol::UDP),
    };
    let failed = |source| BindError::new(address, carried, source);
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol)).map_err(failed)?;
    if let Some(interface) = &options.interface {
        let bound = socket.bind_device(Some(interface.as_bytes()));
        bound.map_err(|source| BindError::Interface {
            address,
            interface: interface.clone(),
            source,
        })?;
    }
    let bound = || {
        if carried == Carried::Connections {
            // A restarted process must not wait for the old one's connections to time out. For datagrams the option
            // would let anybody in.
            socket.set_reuse_address(true)?;
        }
        socket.set_reuse_port(shared)?;
        if address.is_ipv6() {
            socket.set_only_v6(options.ipv6_only)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())
    };
    bound().map_err(failed)?;
    Ok(socket)
}

/// Sets what can be set at any time; connections have it from their listener. Begins to listen.
fn set_options(socket: &Socket, options: &SocketOptions, carried: Carried) -> io::Result<()> {
    if carried == Carried::Datagrams {
        return Ok(());
    }
    socket.set_keepalive(options.tcp_keep_alive.is_some())?;
    if let Some(probes) = &options.tcp_keep_alive {
        let keep_alive = TcpKeepalive::new()
            .with_time(probes.idle)
            .with_interval(probes.interval)
            .with_retries(probes.probes);
        socket.set_tcp_keepalive(&keep_alive)?;
    }
    let queue = options.fast_open.unwrap_or(0) as usize;
    pingora::protocols::l4::ext::set_tcp_fastopen_backlog(socket.as_raw_fd(), queue)
        .map_err(io::Error::other)?;
    socket.listen(backlog(options))
}

fn backlog(options: &SocketOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

fn access(address: &Address, options: &SocketOptions) -> Result<Access, BindError> {
    let unknown = |kind, name: &str| BindError::Owner {
        address: address.clone(),
        kind,
        name: name.into(),
    };
    let Owner { user, group } = &options.owner;
    // A list of accounts that cannot be read knows nobody.
    let user = user.as_deref().map(|name| match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        _ => Err(unknown("user", name)),
    });
    let group = group.as_deref().map(|name| match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        _ => Err(unknown("group", name)),
    });
    Ok(Access {
        mode: options.mode,
        user: user.transpose()?,
        group: group.transpose()?,
    })
}

/// Whether a socket at `held` keeps others from `wanted`.
pub(super) fn meet(held: SocketAddr, wanted: SocketAddr) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    let (held_ip, wanted_ip) = (held.ip().to_canonical(), wanted.ip().to_canonical());
    held.port() == wanted.port() && (held_ip == wanted_ip || any(held_ip) || any(wanted_ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(text: &str) -> Listener {
        text.parse::<Address>().unwrap().into()
    }

    fn with(text: &str, change: impl FnOnce(&mut SocketOptions)) -> Listener {
        let mut listener = listener(text);
        change(Arc::make_mut(&mut listener.options));
        listener
    }

    fn address(bound: &Bound) -> SocketAddr {
        bound.sockets[0].local_addr().unwrap().as_socket().unwrap()
    }

    const KINDS: [Carried; 2] = [Carried::Connections, Carried::Datagrams];

    #[test]
    fn a_taken_port_is_named_with_who_has_it() {
        for carried in KINDS {
            let first = bind(&listener("127.0.0.1:0"), carried, 2).unwrap();
            let taken = listener(&address(&first).to_string());
            let error = bind(&taken, carried, 2).unwrap_err();
            assert!(error.to_string().contains(&taken.address.to_string()));
            let (hint, pid) = (error.hint(), format!("pid {}", std::process::id()));
            assert!(
                hint.contains("another process") && hint.contains(&pid),
                "{hint}"
            );
        }
    }

    #[test]
    fn all_sockets_of_a_group_have_one_port_and_one_for_all_is_one() {
        for carried in KINDS {
            let bound = bind(&listener("127.0.0.1:0"), carried, 3).unwrap();
            let ports = bound
                .sockets
                .iter()
                .map(|socket| socket.local_addr().unwrap());
            let ports: Vec<_> = ports.map(|at| at.as_socket().unwrap().port()).collect();
            assert_eq!(ports, [ports[0]; 3]);
            let one = with("127.0.0.1:0", |options| options.reuse_port = false);
            assert_eq!(bind(&one, carried, 3).unwrap().sockets.len(), 1);
        }
    }

    #[test]
    fn both_families_can_have_the_same_port_unless_one_takes_both() {
        let v4 = bind(&listener("0.0.0.0:0"), Carried::Connections, 1).unwrap();
        let v6 = format!("[::]:{}", address(&v4).port());
        match bind(&listener(&v6), Carried::Connections, 1) {
            Ok(_) => {
                let both = with(&v6, |options| options.ipv6_only = false);
                let refused = bind(&both, Carried::Connections, 1).unwrap_err();
                assert!(refused.hint().contains("another process"));
            }
            // A machine without IPv6 cannot show it.
            Err(error) => assert!(!error.hint().contains("another process")),
        }
    }

    #[test]
    fn options_reach_the_sockets_and_can_be_changed_later() {
        let probes = crate::config::TcpKeepAlive {
            idle: std::time::Duration::from_secs(61),
            interval: std::time::Duration::from_secs(11),
            probes: 4,
        };
        let wanted = with("127.0.0.1:0", |options| {
            options.tcp_keep_alive = Some(probes);
            options.fast_open = Some(16);
        });
        let bound = bind(&wanted, Carried::Connections, 2).unwrap();
        for socket in &bound.sockets {
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), probes.idle);
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
        }
        let plain = listener("127.0.0.1:0");
        bound.follow(&plain, Carried::Connections).unwrap();
        assert!(!bound.sockets[1].keepalive().unwrap());
    }

    #[test]
    fn an_interface_and_an_owner_that_are_not_there_are_named() {
        let nowhere = with("127.0.0.1:0", |options| {
            options.interface = Some("nowhere0".into());
        });
        let error = bind(&nowhere, Carried::Connections, 1).unwrap_err();
        assert!(error.to_string().contains("nowhere0"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let path = format!("unix:{}/x.sock", dir.path().display());
        let nobodys = with(&path, |options| {
            options.owner.group = Some("no-such-group".into());
        });
        let error = bind(&nobodys, Carried::Connections, 1).unwrap_err();
        assert!(error.to_string().contains("no-such-group"), "{error}");
    }

    #[test]
    fn addresses_meet_at_one_port_when_either_stands_for_all() {
        let meet =
            |held: &str, wanted: &str| super::meet(held.parse().unwrap(), wanted.parse().unwrap());
        assert!(meet("0.0.0.0:80", "192.0.2.1:80") && meet("[::]:80", "192.0.2.1:80"));
        assert!(meet("[::ffff:192.0.2.1]:80", "192.0.2.1:80"));
        assert!(!meet("0.0.0.0:81", "0.0.0.0:80") && !meet("192.0.2.2:80", "192.0.2.1:80"));
    }
}
