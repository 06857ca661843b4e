//! A UDP socket that many clients send to, and that answers each from the address it had sent to.
//!
//! A socket for every address of the host has to be told which one a datagram came to (`IP_PKTINFO`), or a client behind
//! a second address would get its answer from the first and drop it. Others are spared that. Sending never waits: what the
//! system does not take is lost, as on any other part of the way.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};
use socket2::Socket;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The longest datagram there is.
pub const LONGEST: usize = 65_535;

/// A socket that clients send to.
#[derive(Debug)]
pub struct DatagramSocket {
    udp: UdpSocket,
    /// Whether it is told which address a datagram came to.
    told: bool,
}

/// Whose a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    /// Who sent it.
    pub client: SocketAddr,
    /// The address it came to, where the socket is for several.
    pub local: Option<IpAddr>,
}

impl DatagramSocket {
    /// Puts a bound socket into the event loop of the caller; `any` when it is for every address of the host.
    pub fn new(socket: Socket, any: bool) -> io::Result<Self> {
        let udp = UdpSocket::from_std(socket.into())?;
        if any && udp.local_addr()?.is_ipv4() {
            setsockopt(&udp, sockopt::Ipv4PacketInfo, &true)?;
        } else if any {
            setsockopt(&udp, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        Ok(Self { udp, told: any })
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// The next datagram: how many bytes of `space` it takes, and whose it is.
    pub async fn receive(&self, space: &mut [u8]) -> io::Result<(usize, Ends)> {
        let read = || match self.told {
            true => self.receive_told(space),
            false => {
                let (size, _, client) = recvfrom(&self.udp, &mut *space, RecvFlags::DONTWAIT)?;
                let client = client.and_then(|client| client.try_into().ok());
                let client = client.ok_or(io::ErrorKind::InvalidData)?;
                let local = None;
                Ok((size, Ends { client, local }))
            }
        };
        self.udp.async_io(Interest::READABLE, read).await
    }

    fn receive_told(&self, space: &mut [u8]) -> io::Result<(usize, Ends)> {
        let mut list = [IoSliceMut::new(space)];
        let mut notes = nix::cmsg_space!(in6_pktinfo);
        let descriptor = self.udp.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let said = recvmsg::<SockaddrStorage>(descriptor, &mut list, Some(&mut notes), flags)?;
        let client = said.address.as_ref().and_then(address);
        let client = client.ok_or(io::ErrorKind::InvalidData)?;
        let local = said.cmsgs()?.find_map(|note| match note {
            ControlMessageOwned::Ipv4PacketInfo(to) => {
                Some(IpAddr::V4(u32::from_be(to.ipi_spec_dst.s_addr).into()))
            }
            ControlMessageOwned::Ipv6PacketInfo(to) => {
                Some(IpAddr::V6(to.ipi6_addr.s6_addr.into()))
            }
            _ => None,
        });
        Ok((said.bytes, Ends { client, local }))
    }

    /// Answers to `ends` without waiting.
    pub fn answer(&self, bytes: &[u8], ends: Ends) -> io::Result<()> {
        let Some(local) = ends.local else {
            sendto(&self.udp, bytes, SendFlags::DONTWAIT, &ends.client)?;
            return Ok(());
        };
        let (v4, v6);
        let note = match local {
            IpAddr::V4(from) => {
                v4 = from_v4(from);
                ControlMessage::Ipv4PacketInfo(&v4)
            }
            IpAddr::V6(from) => {
                v6 = from_v6(from);
                ControlMessage::Ipv6PacketInfo(&v6)
            }
        };
        let to = SockaddrStorage::from(ends.client);
        let (list, flags) = ([IoSlice::new(bytes)], MsgFlags::MSG_DONTWAIT);
        sendmsg(self.udp.as_raw_fd(), &list, &[note], flags, Some(&to))?;
        Ok(())
    }
}

fn from_v4(from: Ipv4Addr) -> in_pktinfo {
    let own = in_addr {
        s_addr: u32::from(from).to_be(),
    };
    in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: own,
        ipi_addr: in_addr { s_addr: 0 },
    }
}

fn from_v6(from: Ipv6Addr) -> in6_pktinfo {
    in6_pktinfo {
        ipi6_addr: in6_addr {
            s6_addr: from.octets(),
        },
        ipi6_ifindex: 0,
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in();
    let v4 = v4.map(|v4| SocketAddr::V4(SocketAddrV4::new(v4.ip(), v4.port())));
    v4.or_else(|| {
        let v6 = storage.as_sockaddr_in6()?;
        let (flow, scope) = (v6.flowinfo(), v6.scope_id());
        let v6 = SocketAddrV6::new(v6.ip(), v6.port(), flow, scope);
        Some(SocketAddr::V6(v6))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket as Plain;
    use std::time::Duration;

    fn socket(at: &str) -> (DatagramSocket, u16) {
        let at: SocketAddr = at.parse().unwrap();
        let socket = Socket::new(socket2::Domain::for_address(at), socket2::Type::DGRAM, None);
        let socket = socket.unwrap();
        if at.is_ipv6() {
            socket.set_only_v6(false).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        socket.bind(&at.into()).unwrap();
        let socket = DatagramSocket::new(socket, at.ip().is_unspecified()).unwrap();
        let port = socket.local_addr().unwrap().port();
        (socket, port)
    }

    #[tokio::test]
    async fn a_client_is_answered_from_the_address_it_sent_to() {
        for at in ["0.0.0.0:0", "[::]:0", "127.0.0.3:0"] {
            let (socket, port) = socket(at);
            for to in ["127.0.0.3", "127.0.0.2"]
                .into_iter()
                .take(if at.starts_with('1') { 1 } else { 2 })
            {
                let client = Plain::bind("127.0.0.1:0").unwrap();
                client
                    .set_read_timeout(Some(Duration::from_secs(5)))
                    .unwrap();
                // A connected socket takes nothing from any other address.
                client.connect((to, port)).unwrap();
                client.send(b"question").unwrap();
                let mut space = [0; 64];
                let (size, ends) = socket.receive(&mut space).await.unwrap();
                assert_eq!(&space[..size], b"question");
                assert_eq!(ends.client.port(), client.local_addr().unwrap().port());
                socket.answer(b"answer", ends).unwrap();
                let size = client.recv(&mut space).unwrap();
                assert_eq!(&space[..size], b"answer", "{at} {to}");
            }
        }
    }
}
