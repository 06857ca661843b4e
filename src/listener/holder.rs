//! Which process has an address that is wanted: found in `/proc`, as `ss -lntup` does.
//!
//! For messages only: whatever cannot be read, as other accounts' processes cannot without privilege, is not known.
//! Bounded in time.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::bind::{Carried, meet};

/// For the whole search.
const LONGEST: Duration = Duration::from_millis(1000);
/// The states of sockets that take what comes (`include/net/tcp_states.h`): listening, and of UDP the only one.
const LISTENING: &str = "0A";
const UNCONNECTED: &str = "07";

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// As the kernel calls it, up to 15 bytes.
    pub name: String,
    /// Its number.
    pub pid: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`, pid {}", self.name, self.pid)
    }
}

/// Who keeps others from `address`. Blocks on files.
pub(super) fn of(address: SocketAddr, carried: Carried) -> Option<Holder> {
    let ends = Instant::now() + LONGEST;
    let (tables, state) = match carried {
        Carried::Connections => (["/proc/net/tcp", "/proc/net/tcp6"], LISTENING),
        Carried::Datagrams => (["/proc/net/udp", "/proc/net/udp6"], UNCONNECTED),
    };
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| inodes(&table, address, state))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        if Instant::now() >= ends {
            return None;
        }
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let Ok(open) = fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        let mut targets = open
            .flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok());
        if targets.any(|target| {
            inodes
                .iter()
                .any(|inode| target.as_os_str() == inode.as_str())
        }) {
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            let name = name.trim_end().escape_debug().to_string();
            return Some(Holder { name, pid });
        }
    }
    None
}

/// The inodes of sockets in a table of the kernel that are in `state` and keep others from `address`.
fn inodes(table: &str, address: SocketAddr, state: &str) -> Vec<u64> {
    let of_line = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let local = socket_address(fields.nth(1)?)?;
        let found = fields.nth(1)? == state && meet(local, address);
        found.then(|| fields.nth(5)?.parse().ok()).flatten()
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

/// `0100007F:1F90`: words in the machine's order, of an address in the network's.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut bytes = [0; 16];
            bytes.copy_from_slice(words.as_flattened());
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_table_is_read_for_those_that_listen() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n\
   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 100 0 0 10 0\n\
   2: short\n";
        let at = |text: &str| inodes(table, text.parse().unwrap(), LISTENING);
        assert_eq!(at("127.0.0.1:8080"), [4711]);
        assert_eq!(at("0.0.0.0:8080"), [4711]);
        assert!(at("127.0.0.1:8081").is_empty() && at("127.0.0.2:8080").is_empty());
        let v6 = socket_address("00000000000000000000000001000000:0050").unwrap();
        assert_eq!(v6, "[::1]:80".parse().unwrap());
    }

    #[test]
    fn what_is_no_line_is_no_fault() {
        for text in [
            "",
            "\n:\n",
            "x\n0: zz:zz a b 0A",
            "x\n0: é00000:0 a 0A 1 2 3 4 5 6 7",
        ] {
            assert!(inodes(text, "1.2.3.4:5".parse().unwrap(), LISTENING).is_empty());
        }
    }
}
