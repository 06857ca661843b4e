//! Free ports for processes that must be told theirs.
//!
//! Below the range the kernel gives to outgoing connections, so that no client socket of another test takes one
//! between the choice and the bind; the start depends on the process, so that two test binaries rarely meet.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An address on 127.0.0.1 that nobody listens on now.
pub fn free_addr() -> SocketAddr {
    for _ in 0..20_000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (std::process::id().wrapping_mul(397).wrapping_add(step)) % 20_000;
        let addr = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        if TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
    panic!("no free port");
}

/// An address that answers no attempt to connect, for as long as this lives: a queue of one, filled.
pub struct Unreachable {
    pub addr: SocketAddr,
    _listening: Socket,
    _queued: Vec<std::io::Result<TcpStream>>,
}

impl Unreachable {
    pub fn new() -> Self {
        let listening = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        listening.bind(&any.into()).unwrap();
        listening.listen(0).unwrap();
        let addr = listening.local_addr().unwrap().as_socket().unwrap();
        let queued: Vec<_> = (0..4)
            .map(|_| TcpStream::connect_timeout(&addr, Duration::from_millis(200)))
            .collect();
        assert!(queued.iter().any(Result::is_err), "the queue is full");
        Self {
            addr,
            _listening: listening,
            _queued: queued,
        }
    }
}
