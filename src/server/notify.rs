//! Speaks to the service manager: the sd_notify(3) protocol on the socket that `NOTIFY_SOCKET` names.
//!
//! Only sends; when to say what is `run`'s, `control`'s and `stop`'s. Without the variable nothing is sent. A process that
//! is not the main one yet is mute. Invariant: never blocks, and nothing depends on an answer.

use std::ffi::OsStr;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{env, io};

use parking_lot::Mutex;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::time::{ClockId, clock_gettime};

/// So many descriptors go with one message; the kernel takes 253.
const AT_ONCE: usize = 64;
/// A status is one line of at most so many characters.
const STATUS: usize = 300;

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub(super) struct Notify {
    socket: Option<UnixDatagram>,
    mute: AtomicBool,
    /// What `STATUS` said last.
    said: Mutex<String>,
    /// Why the last reload was refused, unless one was done since.
    refusal: Mutex<Option<String>>,
}

impl Notify {
    /// As the environment says.
    pub(super) fn from_env() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|name| match connect(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(socket = ?name, %error, "the service manager cannot be told anything");
                None
            }
        });
        Self {
            socket,
            ..Self::default()
        }
    }

    /// Whether anybody listens.
    pub(super) fn is_on(&self) -> bool {
        self.socket.is_some()
    }

    /// Clients are served.
    pub(super) fn ready(&self, status: &str) {
        *self.said.lock() = one_line(status);
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)), &[]);
    }

    /// A reload has begun; [`Notify::ready`] ends it.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"), &[]);
    }

    /// What came of the last reload, for the status.
    pub(super) fn reloaded(&self, refusal: Option<&str>) {
        let first_fault = |text: &str| {
            let fault = text.lines().find(|line| line.starts_with("error"));
            one_line(fault.unwrap_or(text))
        };
        *self.refusal.lock() = refusal.map(first_fault);
    }

    /// Why the last reload was refused.
    pub(super) fn refusal(&self) -> Option<String> {
        self.refusal.lock().clone()
    }

    /// The end has begun.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1", &[]);
    }

    /// One line for a person, sent when it differs from the last one.
    pub(super) fn status(&self, text: &str) {
        let text = one_line(text);
        let mut said = self.said.lock();
        if *said != text {
            self.send(&format!("STATUS={text}"), &[]);
            *said = text;
        }
    }
    /// A sign of life.
    pub(super) fn alive(&self) {
        self.send("WATCHDOG=1", &[]);
    }

    /// Another process is the main one from now on.
    pub(super) fn main_pid(&self, pid: u32) {
        self.send(&format!("MAINPID={pid}"), &[]);
    }

    /// Has these kept for whoever is started next, under a name.
    pub(super) fn keep(&self, name: &str, sockets: &[BorrowedFd<'_>]) {
        for some in sockets.chunks(AT_ONCE) {
            self.send(&format!("FDSTORE=1\nFDNAME={name}"), some);
        }
    }

    /// Has those of this name let go.
    pub(super) fn let_go(&self, name: &str) {
        self.send(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[]);
    }

    /// Says nothing from now on, or speaks again.
    pub(super) fn mute(&self, mute: bool) {
        self.mute.store(mute, Relaxed);
        self.said.lock().clear();
    }

    fn send(&self, text: &str, with: &[BorrowedFd<'_>]) {
        let Some(socket) = self.socket.as_ref().filter(|_| !self.mute.load(Relaxed)) else {
            return;
        };
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !with.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(with)) {
            tracing::error!("descriptors do not fit into a message to the service manager");
            return;
        }
        let bytes = [IoSlice::new(text.as_bytes())];
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        if let Err(error) = sendmsg(socket.as_fd(), &bytes, &mut beside, flags) {
            tracing::warn!(%error, text, "the service manager was not told");
        }
    }
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    let address = match name.as_bytes().split_first() {
        Some((b'@', rest)) => SocketAddr::from_abstract_name(rest)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    socket.connect_addr(&address)?;
    Ok(socket)
}

/// The first line that says something, cut to what a status may have.
fn one_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or_default().trim();
    line.chars().take(STATUS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (UnixDatagram, Notify) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let notify = Notify {
            socket: Some(theirs),
            ..Notify::default()
        };
        (ours, notify)
    }

    fn heard(socket: &UnixDatagram) -> Option<String> {
        let mut space = [0; 1000];
        let length = socket.recv(&mut space).ok()?;
        Some(String::from_utf8_lossy(&space[..length]).into_owned())
    }

    #[test]
    fn a_status_is_one_line_and_is_not_said_twice() {
        let (manager, notify) = pair();
        notify.ready("\n serving: a\nand more");
        assert_eq!(heard(&manager).unwrap(), "READY=1\nSTATUS=serving: a");
        notify.status("serving: a");
        assert_eq!(heard(&manager), None);
        notify.status(&"x".repeat(1000));
        assert_eq!(heard(&manager).unwrap().len(), "STATUS=".len() + STATUS);
    }

    #[test]
    fn a_refusal_is_told_by_its_first_fault() {
        let (_manager, notify) = pair();
        notify.reloaded(Some("warning[a]: b\n\nerror[c]: d\n  --> e\n"));
        assert_eq!(notify.refusal().unwrap(), "error[c]: d");
        notify.reloaded(None);
        assert_eq!(notify.refusal(), None);
    }

    #[test]
    fn who_is_mute_says_nothing() {
        let (manager, notify) = pair();
        notify.mute(true);
        notify.alive();
        notify.stopping();
        assert_eq!(heard(&manager), None);
        notify.mute(false);
        notify.alive();
        assert_eq!(heard(&manager).unwrap(), "WATCHDOG=1");
    }

    #[test]
    fn a_reload_tells_when_it_began() {
        let (manager, notify) = pair();
        notify.reloading();
        let said = heard(&manager).unwrap();
        let micros = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn an_abstract_socket_is_found_by_its_sign() {
        let name = format!("hubgate-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let socket = connect(OsStr::new(&format!("@{name}"))).unwrap();
        socket.send(b"x").unwrap();
        assert_eq!(manager.recv(&mut [0; 9]).unwrap(), 1);
    }
}
