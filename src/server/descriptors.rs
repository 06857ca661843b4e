//! File descriptors: room for as many connections as the configuration allows, or fewer connections.
//!
//! A client beyond the cap is closed at once, which costs nobody else anything; a process without descriptors cannot
//! reach its upstreams even for the clients it has, nor be asked for its status. So the cap never promises more than
//! the limit holds. Streams of one HTTP/2 connection that run at once are not reckoned with, except for what the pool keeps
//! of them.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::upstream::pool::SPARE;

/// For listeners, logs, event loops, the admin socket and a reload.
const RESERVE: usize = 128;
/// One towards the client, one towards the endpoint.
const PER_CONNECTION: usize = 2;

/// How many of `wanted` connections there are descriptors for, and what the operator should know when that is fewer.
/// Raises the process's own limit as far as it needs and may.
pub(super) fn room_for(wanted: usize) -> (usize, Option<String>) {
    let needed = wanted
        .saturating_mul(PER_CONNECTION)
        .saturating_add(RESERVE + SPARE);
    let limit = match limit(u64::try_from(needed).unwrap_or(u64::MAX)) {
        Ok(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        Err(error) => {
            return (
                wanted,
                Some(format!("the limit of open files is unknown: {error}")),
            );
        }
    };
    let room = fitting(limit).min(wanted);
    let doubt = (room < wanted).then(|| {
        format!(
            "the limit of {limit} open files has room for {room} connections, not for the {wanted} of \
             `limits.connections`; `LimitNOFILE={needed}` in the service unit, or `ulimit -n`, makes room"
        )
    });
    (room, doubt)
}

/// The limit, raised towards `needed`.
fn limit(needed: u64) -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let raised = needed.min(hard);
    if raised <= soft || setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_err() {
        return Ok(soft);
    }
    Ok(raised)
}

/// Connections that fit; always one, however little there is. What a burst leaves in the pool for a second gets its
/// place, but no more than a quarter of all.
fn fitting(limit: usize) -> usize {
    let spare = SPARE.min(limit / 4);
    (limit.saturating_sub(RESERVE + spare) / PER_CONNECTION).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_is_neither_reserved_nor_spare_is_for_clients() {
        assert_eq!((fitting(256), fitting(17536)), (32, 8192));
        assert_eq!((fitting(0), fitting(130)), (1, 1));
    }

    #[test]
    fn more_than_the_system_gives_is_cut_and_told() {
        let (room, doubt) = room_for(usize::MAX);
        assert!(room < usize::MAX);
        assert!(doubt.unwrap().contains("LimitNOFILE"));
    }
}
