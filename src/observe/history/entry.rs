//! One kept request, in a fixed number of bytes.
//!
//! Texts stand one after the other in one array, each cut to its share; numbers, tries and conditions have their places.
//! Invariant: nothing in it points elsewhere, so the bytes of a ring are its entries' number times their size.
#![deny(clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::told::{Condition, Told, ToldCondition, ToldTry, Try};
use crate::observe::access_log::{Record, redacted};
use crate::observe::cause::Cause;
use crate::types::endpoint_address::EndpointAddress;

/// Tries with room in an entry; of more, the last ones are kept.
const TRIES: usize = 4;
/// Endpoints whose condition is kept.
pub const CONDITIONS: usize = 6;
/// Bytes of an endpoint's condition.
const STATE: usize = 80;
/// Bytes for all texts.
const TEXT: usize = 640;

/// The texts, in their order, with the most that is kept of each.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Piece {
    Id,
    Method,
    Scheme,
    Host,
    Protocol,
    Tls,
    ServerName,
    Site,
    Route,
    Upstream,
    Target,
}

const PIECES: usize = Piece::Target as usize + 1;
const MOST: [usize; PIECES] = [128, 16, 5, 96, 8, 8, 64, 48, 64, 48, TEXT];

/// A kept request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    time: SystemTime,
    duration: Duration,
    client: SocketAddr,
    status: u16,
    upstream_status: Option<u16>,
    cause: Option<Cause>,
    generation: u64,
    bytes: [u64; 4],
    tries: [Option<Try>; TRIES],
    tries_left_out: u32,
    conditions: [Option<(EndpointAddress, [u8; STATE])>; CONDITIONS],
    ends: [u16; PIECES],
    text: [u8; TEXT],
}

impl Entry {
    /// Of a finished request; values of the parameters `secrets` are replaced.
    pub(super) fn of(
        record: &Record<'_>,
        secrets: &[String],
        generation: u64,
        tries: &[Try],
        conditions: &[Condition],
    ) -> Self {
        let left_out = tries.len().saturating_sub(TRIES);
        let mut entry = Self {
            time: record.time,
            duration: record.duration,
            client: record.client,
            status: record.status,
            upstream_status: record.upstream_status,
            cause: record.cause,
            generation,
            bytes: [
                record.body_received,
                record.body_sent,
                record.tunnel_in,
                record.tunnel_out,
            ],
            tries: std::array::from_fn(|at| tries.get(left_out + at).copied()),
            tries_left_out: u32::try_from(left_out).unwrap_or(u32::MAX),
            conditions: std::array::from_fn(|at| {
                let one = conditions.get(at)?;
                let mut state = [0; STATE];
                let kept = one.state.floor_char_boundary(STATE);
                state[..kept].copy_from_slice(&one.state.as_bytes()[..kept]);
                Some((one.endpoint, state))
            }),
            ends: [0; PIECES],
            text: [0; TEXT],
        };
        let target = redacted(record.target, secrets);
        let pieces: [(Piece, &[u8]); PIECES] = [
            (Piece::Id, record.request_id.as_bytes()),
            (Piece::Method, record.method.as_bytes()),
            (Piece::Scheme, record.scheme.as_bytes()),
            (Piece::Host, record.host.unwrap_or_default().as_bytes()),
            (Piece::Protocol, record.protocol.as_bytes()),
            (
                Piece::Tls,
                record.tls_version.unwrap_or_default().as_bytes(),
            ),
            (
                Piece::ServerName,
                record.server_name.unwrap_or_default().as_bytes(),
            ),
            (Piece::Site, record.site.unwrap_or_default().as_bytes()),
            (Piece::Route, record.route.unwrap_or_default().as_bytes()),
            (
                Piece::Upstream,
                record.upstream.unwrap_or_default().as_bytes(),
            ),
            (Piece::Target, &target),
        ];
        let mut end = 0;
        for (piece, text) in pieces {
            let length = text.len().min(MOST[piece as usize]).min(TEXT - end);
            entry.text[end..end + length].copy_from_slice(&text[..length]);
            end += length;
            // TEXT is far below 64 Ki.
            entry.ends[piece as usize] = end as u16;
        }
        entry
    }

    /// The request's id.
    pub(super) fn id(&self) -> &[u8] {
        self.piece(Piece::Id)
    }

    /// When it ended.
    pub(super) fn unix_millis(&self) -> u64 {
        let since = self.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn piece(&self, piece: Piece) -> &[u8] {
        let at = piece as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[usize::from(start)..usize::from(self.ends[at])]
    }

    fn text(&self, piece: Piece) -> Option<String> {
        let bytes = self.piece(piece);
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned())
    }

    /// For a person or a script.
    pub(super) fn told(&self, sampled: bool) -> Told {
        let [bytes_received, bytes_sent, tunnel_received, tunnel_sent] = self.bytes;
        let conditions = self.conditions.iter().flatten();
        Told {
            request_id: self.text(Piece::Id).unwrap_or_default(),
            source: match sampled {
                true => "memory (a sample)".to_owned(),
                false => "memory".to_owned(),
            },
            ended: self.unix_millis(),
            took: Some(self.duration.as_secs_f64()),
            client: self.client.to_string(),
            method: self.text(Piece::Method),
            scheme: self.text(Piece::Scheme),
            host: self.text(Piece::Host),
            target: self.text(Piece::Target),
            protocol: self.text(Piece::Protocol),
            tls: self.text(Piece::Tls),
            server_name: self.text(Piece::ServerName),
            site: self.text(Piece::Site),
            route: self.text(Piece::Route),
            upstream: self.text(Piece::Upstream),
            generation: Some(self.generation),
            status: self.status,
            upstream_status: self.upstream_status,
            bytes_received,
            bytes_sent,
            tunnel_received,
            tunnel_sent,
            cause: self.cause.map(|cause| cause.code().to_owned()),
            tries: self.tries.iter().flatten().map(told_try).collect(),
            tries_left_out: u64::from(self.tries_left_out),
            endpoints: conditions
                .map(|(endpoint, state)| ToldCondition {
                    endpoint: endpoint.to_string(),
                    state: String::from_utf8_lossy(state.trim_ascii_end())
                        .trim_end_matches('\0')
                        .to_owned(),
                })
                .collect(),
            ..Told::default()
        }
        .explained()
    }
}

fn told_try(one: &Try) -> ToldTry {
    ToldTry {
        endpoint: one.endpoint.to_string(),
        at: Some(one.at.as_secs_f64()),
        took: Some(one.took.as_secs_f64()),
        connect: one.connect.map(|connect| connect.as_secs_f64()),
        status: one.status,
        cause: one.cause.map(|cause| cause.code().to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests need a time to start from")]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn an_entry_has_one_size_however_long_its_texts_are() {
        assert!(size_of::<Entry>() <= 2048, "{}", size_of::<Entry>());
        let fields = HeaderMap::new();
        let long = "x".repeat(5_000);
        let record = Record {
            request_id: &long[..128],
            method: &long,
            host: Some(&long),
            site: Some(&long),
            route: Some(&long),
            upstream: Some(&long),
            server_name: Some(&long),
            target: b"/tail",
            ..Record::new(SystemTime::now(), ([192, 0, 2, 1], 7).into(), &fields)
        };
        let told = Entry::of(&record, &[], 3, &[], &[]).told(false);
        assert_eq!(told.request_id.len(), 128);
        assert_eq!(told.upstream.unwrap().len(), 48);
        assert_eq!(told.target.as_deref(), Some("/tail"));
        assert_eq!(told.client, "192.0.2.1:7");
    }

    #[test]
    fn secrets_are_not_kept_and_the_last_tries_are() {
        let fields = HeaderMap::new();
        let record = Record {
            target: b"/x?token=SECRET",
            cause: Some(Cause::UpstreamConnect),
            ..Record::new(SystemTime::now(), ([192, 0, 2, 1], 7).into(), &fields)
        };
        let one = |port| Try {
            endpoint: SocketAddr::from(([192, 0, 2, 9], port)).into(),
            at: Duration::ZERO,
            took: Duration::from_millis(5),
            connect: None,
            status: None,
            cause: Some(Cause::UpstreamConnect),
        };
        let tries: Vec<_> = (1..=6).map(one).collect();
        let told = Entry::of(&record, &["token".to_owned()], 1, &tries, &[]).told(false);
        assert_eq!(told.target.as_deref(), Some("/x?token=REDACTED"));
        assert_eq!(told.tries_left_out, 2);
        assert_eq!(told.tries[0].endpoint, "192.0.2.9:3");
        assert_eq!(
            told.advice.as_deref(),
            Some(Cause::UpstreamConnect.advice())
        );
    }
}
