//! Lines to a syslog server, each in a datagram, in the form that nginx gives them (RFC 3164).
//!
//! Times are UTC, as in all of hubgate's logs. A server that is not there costs the lines that it would have got: the
//! next are tried anew.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::macros::format_description;

use super::frames::{frame, frames};
use super::hostname::HOSTNAME;
use super::output::Output;
use crate::config::{Syslog, SyslogServer};

/// The frame of one message: `text` without its line end.
pub fn message(syslog: &Syslog, severity: u8, at: SystemTime, text: &[u8], out: &mut Vec<u8>) {
    let form =
        format_description!("[month repr:short] [day padding:space] [hour]:[minute]:[second]");
    let at = OffsetDateTime::from(at).format(&form).unwrap_or_default();
    let priority = u16::from(syslog.facility) * 8 + u16::from(severity);
    let host = match syslog.hostname {
        true => format!("{} ", HOSTNAME.to_ascii_lowercase()),
        false => String::new(),
    };
    let mut whole = format!("<{priority}>{at} {host}{}: ", syslog.tag).into_bytes();
    whole.extend_from_slice(text.trim_ascii_end());
    frame(b"", &whole, out);
}

/// Sends a batch's messages.
#[derive(Debug)]
pub struct SyslogOutput {
    to: SyslogServer,
    socket: Option<Socket>,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl SyslogOutput {
    /// To that server, which need not be there yet.
    pub fn new(syslog: &Syslog) -> Self {
        Self {
            to: syslog.server.clone(),
            socket: None,
        }
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => connect(&self.to)?,
        };
        let sent = match &socket {
            Socket::Udp(socket) => socket.send(message),
            Socket::Unix(socket) => socket.send(message),
        };
        match &sent {
            // A server that was started anew has another socket.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {}
            _ => self.socket = Some(socket),
        }
        sent.map(drop)
    }
}

fn connect(to: &SyslogServer) -> io::Result<Socket> {
    Ok(match to {
        SyslogServer::Udp(address) => {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                SocketAddr::V6(_) => ([0u16; 8], 0).into(),
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(address)?;
            socket.set_nonblocking(true)?;
            Socket::Udp(socket)
        }
        SyslogServer::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            socket.set_nonblocking(true)?;
            Socket::Unix(socket)
        }
    })
}

impl Output for SyslogOutput {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        let mut failed = Ok(());
        for (_, message) in frames(batch) {
            // What is refused is told by the next one: that is tried once more.
            let sent = self.send(message).or_else(|_| self.send(message));
            failed = failed.and(sent);
        }
        failed
    }

    fn reopen(&mut self) {
        self.socket = None;
    }

    fn name(&self) -> String {
        match &self.to {
            SyslogServer::Udp(address) => format!("syslog server {address}"),
            SyslogServer::Unix(path) => format!("syslog server {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_is_a_datagram_and_a_server_that_comes_back_gets_the_next() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let words = format!("server={address},facility=user,severity=alert,nohostname");
        let syslog = Syslog::parse(&words).unwrap();
        let mut output = SyslogOutput::new(&syslog);
        let mut batch = Vec::new();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        message(&syslog, syslog.severity, at, b"one\n", &mut batch);
        let expected = b"<9>Jan  2 00:00:00 nginx: one";
        let mut buffer = [0; 100];
        server
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        output.write(&batch).unwrap();
        let count = server.recv(&mut buffer).unwrap();
        assert_eq!(buffer.get(..count).unwrap(), expected);
        drop(server);
        output.write(&batch).ok();
        output.write(&batch).ok();
        let server = UdpSocket::bind(address).unwrap();
        server
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        output.write(&batch).unwrap();
        let count = server.recv(&mut buffer).unwrap();
        assert_eq!(buffer.get(..count).unwrap(), expected);
    }
}
