//! The conversation between a process and its successor, over a pair of unix sockets: frames of JSON, and descriptors.
//!
//! What is said when is `predecessor`'s and `successor`'s. A frame is its length in four bytes and its text; descriptors
//! follow as single bytes that carry up to [`AT_ONCE`] each. Invariant: every wait has a deadline and every frame a bound,
//! and descriptors that arrive are closed in programs that are started from here.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::carried::Carried;
use super::sockets::Slot;

/// Told first; a successor that does not know it refuses.
pub(super) const PROTOCOL: u32 = 1;
const AT_ONCE: usize = 64;
const MOST_BYTES: usize = 256 << 20;

/// The first frame, from the old process; the descriptors of `slots` follow it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opening {
    pub(super) protocol: u32,
    /// The old process.
    pub(super) pid: u32,
    pub(super) version: String,
    pub(super) slots: Vec<Slot>,
    pub(super) carried: Carried,
}

/// What the successor says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It cannot serve, with the text for a terminal and the exit code it will end with.
    Refused { text: String, code: u8 },
    /// Everything that can fail is done.
    Ready,
    /// Clients are accepted.
    Serving,
}

/// What the old process says after [`Answer::Ready`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// Nobody accepts any more; begin. With what has been learned since the opening.
    Go(Box<Carried>),
    /// It was watched for long enough: the work is the successor's.
    Settled,
}

/// What the successor asks afterwards, for as long as the old process drains: a [`Draining`](crate::admin::Draining) is
/// the answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question {
    /// How many of what is open are to be told one by one.
    pub(super) most: usize,
}

/// One end of the conversation.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

impl Channel {
    /// Both ends; the second is for the successor.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self(ours), theirs.into()))
    }

    /// The end that this process was started with.
    pub(super) fn of(descriptor: OwnedFd) -> Self {
        Self(descriptor.into())
    }

    /// Says something; the other end has to take it by `deadline`.
    pub(super) fn say(&mut self, what: &impl Serialize, deadline: Instant) -> io::Result<()> {
        let text = serde_json::to_vec(what)?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        self.0.set_write_timeout(Some(left(deadline)?))?;
        self.0.write_all(&length.to_be_bytes())?;
        self.0.write_all(&text)
    }

    /// Hears something by `deadline`. The other end being gone is [`ErrorKind::UnexpectedEof`].
    pub(super) fn hear<T: DeserializeOwned>(&mut self, deadline: Instant) -> io::Result<T> {
        let mut length = [0; 4];
        self.fill(&mut length, deadline)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > MOST_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "a frame too long"));
        }
        let mut text = vec![0; length];
        self.fill(&mut text, deadline)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Passes descriptors on.
    pub(super) fn pass(
        &mut self,
        descriptors: &[BorrowedFd<'_>],
        deadline: Instant,
    ) -> io::Result<()> {
        for some in descriptors.chunks(AT_ONCE) {
            self.0.set_write_timeout(Some(left(deadline)?))?;
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
            let mut beside = SendAncillaryBuffer::new(&mut space);
            if !beside.push(SendAncillaryMessage::ScmRights(some)) {
                return Err(io::Error::other("no room for descriptors"));
            }
            sendmsg(
                self.0.as_fd(),
                &[IoSlice::new(b"+")],
                &mut beside,
                SendFlags::NOSIGNAL,
            )?;
        }
        Ok(())
    }

    /// Takes `count` descriptors that were passed on.
    pub(super) fn take(&mut self, count: usize, deadline: Instant) -> io::Result<Vec<OwnedFd>> {
        let mut taken = Vec::with_capacity(count.min(AT_ONCE));
        while taken.len() < count {
            self.0.set_read_timeout(Some(left(deadline)?))?;
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
            let mut beside = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            let came = recvmsg(
                self.0.as_fd(),
                &mut [IoSliceMut::new(&mut byte)],
                &mut beside,
                RecvFlags::CMSG_CLOEXEC,
            )?;
            if came.bytes == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let before = taken.len();
            for message in beside.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    taken.extend(descriptors);
                }
            }
            if taken.len() == before {
                // The system drops what the limit of open files leaves no room for.
                return Err(io::Error::other(
                    "descriptors got lost: is the limit of open files too low?",
                ));
            }
        }
        Ok(taken)
    }

    fn fill(&mut self, mut space: &mut [u8], deadline: Instant) -> io::Result<()> {
        while !space.is_empty() {
            self.0.set_read_timeout(Some(left(deadline)?))?;
            match self.0.read(space) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => space = &mut space[read..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                // Killed with something of ours unread.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The time until `deadline`; an error when there is none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(crate::transport::now());
    match left.is_zero() {
        true => Err(ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (Channel, Channel) {
        let (ours, theirs) = Channel::pair().unwrap();
        (ours, Channel::of(theirs))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn what_is_said_is_heard_and_descriptors_come_in_their_order() {
        let (mut ours, mut theirs) = pair();
        let listeners: Vec<_> = (0..150)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        ours.say(&Answer::Ready, soon()).unwrap();
        let borrowed: Vec<_> = listeners.iter().map(AsFd::as_fd).collect();
        ours.pass(&borrowed, soon()).unwrap();
        ours.say(&Answer::Serving, soon()).unwrap();
        assert!(matches!(theirs.hear(soon()), Ok(Answer::Ready)));
        let taken = theirs.take(150, soon()).unwrap();
        assert!(matches!(theirs.hear(soon()), Ok(Answer::Serving)));
        for (listener, taken) in listeners.iter().zip(taken) {
            let taken = TcpListener::from(taken);
            assert_eq!(taken.local_addr().unwrap(), listener.local_addr().unwrap());
        }
    }

    #[test]
    fn silence_ends_at_the_deadline_and_a_dead_end_at_once() {
        let (mut ours, theirs) = pair();
        let start = Instant::now();
        let error = ours
            .hear::<Answer>(start + Duration::from_millis(30))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(theirs);
        let error = ours.hear::<Answer>(soon()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}
