//! Free ports for processes that must be told theirs.
//!
//! Below the range the kernel gives to outgoing connections, so that no client socket of another test takes one
//! between the choice and the bind; the start depends on the process, so that two test binaries rarely meet.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

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
