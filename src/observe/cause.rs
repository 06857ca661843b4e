//! Causes: the stable codes for every answer that hubgate makes itself, and for every request it could not finish.
//!
//! One table gives each its status, its sentence for a person and whether the client is at fault. Codes are an
//! interface: they stand in logs, in the `X-Hubgate-Cause` field and in metrics, and are never renamed.
#![deny(clippy::disallowed_methods)]

use std::fmt;

/// Why hubgate answered itself, or ended a request early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the table below says each in words")]
pub enum Cause {
    HeadMalformed,
    HeadTooLarge,
    HeadTooManyFields,
    TargetTooLong,
    VersionUnsupported,
    HeadTimeout,
    HostMissing,
    HostMalformed,
    HostUnknown,
    ServerNameMismatch,
    MethodRefused,
    CodingUnsupported,
    BodyTooLarge,
    BodyTimeout,
    BodyMalformed,
    RouteMissing,
    ChallengeUnknown,
    ChallengeFallbackFailed,
    ChallengeLimited,
    RedirectToHttps,
    RedirectSlash,
    UpstreamEmpty,
    UpstreamConnect,
    UpstreamConnectTimeout,
    UpstreamSend,
    UpstreamClosed,
    UpstreamMalformed,
    UpstreamResponseTimeout,
    UpstreamTruncated,
    UpstreamIdle,
    TunnelHandshakeTimeout,
    TunnelIdle,
    Draining,
    ClientGone,
    ClientStalled,
    Internal,
}

/// One row of the table.
struct Row {
    cause: Cause,
    code: &'static str,
    status: u16,
    sentence: &'static str,
}

const fn row(cause: Cause, code: &'static str, status: u16, sentence: &'static str) -> Row {
    Row {
        cause,
        code,
        status,
        sentence,
    }
}

/// In the order of the enum, which a test checks. 499 is nginx's mark for a client that left; it is only logged.
static TABLE: &[Row] = &[
    row(
        Cause::HeadMalformed,
        "head_malformed",
        400,
        "The request head is not valid HTTP.",
    ),
    row(
        Cause::HeadTooLarge,
        "head_too_large",
        431,
        "The request head is larger than this server accepts.",
    ),
    row(
        Cause::HeadTooManyFields,
        "head_too_many_fields",
        431,
        "The request head has more fields than this server accepts.",
    ),
    row(
        Cause::TargetTooLong,
        "target_too_long",
        414,
        "The request target is longer than this server accepts.",
    ),
    row(
        Cause::VersionUnsupported,
        "version_unsupported",
        505,
        "This HTTP version is not supported.",
    ),
    row(
        Cause::HeadTimeout,
        "head_timeout",
        408,
        "The request head did not arrive in time.",
    ),
    row(
        Cause::HostMissing,
        "host_missing",
        400,
        "The request names no host.",
    ),
    row(
        Cause::HostMalformed,
        "host_malformed",
        400,
        "The request's host is not valid.",
    ),
    row(
        Cause::HostUnknown,
        "host_unknown",
        421,
        "This server does not serve that host.",
    ),
    row(
        Cause::ServerNameMismatch,
        "server_name_mismatch",
        421,
        "The host differs from the name the connection was made for.",
    ),
    row(
        Cause::MethodRefused,
        "method_refused",
        405,
        "This method is not accepted here.",
    ),
    row(
        Cause::CodingUnsupported,
        "coding_unsupported",
        501,
        "This transfer coding is not supported.",
    ),
    row(
        Cause::BodyTooLarge,
        "body_too_large",
        413,
        "The request body is larger than this route accepts.",
    ),
    row(
        Cause::BodyTimeout,
        "body_timeout",
        408,
        "The request body stopped arriving.",
    ),
    row(
        Cause::BodyMalformed,
        "body_malformed",
        400,
        "The request body is not framed as HTTP asks.",
    ),
    row(
        Cause::RouteMissing,
        "route_missing",
        404,
        "Nothing is served at this path.",
    ),
    row(
        Cause::ChallengeUnknown,
        "challenge_unknown",
        404,
        "No such challenge is known here.",
    ),
    row(
        Cause::ChallengeFallbackFailed,
        "challenge_fallback_failed",
        502,
        "The challenge's backend gave no usable answer.",
    ),
    row(
        Cause::ChallengeLimited,
        "challenge_limited",
        429,
        "Too many challenges are asked for that are not known here.",
    ),
    row(
        Cause::RedirectToHttps,
        "redirect_to_https",
        301,
        "Plain HTTP is redirected to HTTPS.",
    ),
    row(
        Cause::RedirectSlash,
        "redirect_slash",
        301,
        "The path is served with a slash at its end.",
    ),
    row(
        Cause::UpstreamEmpty,
        "upstream_empty",
        502,
        "The upstream has no endpoint to try.",
    ),
    row(
        Cause::UpstreamConnect,
        "upstream_connect",
        502,
        "No endpoint of the upstream accepted a connection.",
    ),
    row(
        Cause::UpstreamConnectTimeout,
        "upstream_connect_timeout",
        504,
        "No endpoint of the upstream accepted a connection in time.",
    ),
    row(
        Cause::UpstreamSend,
        "upstream_send",
        502,
        "The upstream stopped taking the request.",
    ),
    row(
        Cause::UpstreamClosed,
        "upstream_closed",
        502,
        "The upstream closed the connection before it answered.",
    ),
    row(
        Cause::UpstreamMalformed,
        "upstream_malformed",
        502,
        "The upstream's answer is not valid HTTP.",
    ),
    row(
        Cause::UpstreamResponseTimeout,
        "upstream_response_timeout",
        504,
        "The upstream did not answer in time.",
    ),
    row(
        Cause::UpstreamTruncated,
        "upstream_truncated",
        502,
        "The upstream ended its answer too early.",
    ),
    row(
        Cause::UpstreamIdle,
        "upstream_idle",
        504,
        "The upstream stopped in the middle of its answer.",
    ),
    row(
        Cause::TunnelHandshakeTimeout,
        "tunnel_handshake_timeout",
        504,
        "The upstream did not accept the upgrade in time.",
    ),
    row(
        Cause::TunnelIdle,
        "tunnel_idle",
        101,
        "The tunnel was silent for too long.",
    ),
    row(Cause::Draining, "draining", 101, "The server is stopping."),
    row(
        Cause::ClientGone,
        "client_gone",
        499,
        "The client left before the answer was complete.",
    ),
    row(
        Cause::ClientStalled,
        "client_stalled",
        499,
        "The client stopped taking the answer.",
    ),
    row(
        Cause::Internal,
        "internal",
        500,
        "The server failed to handle the request.",
    ),
];

impl Cause {
    fn row(self) -> &'static Row {
        // The discriminant is the index: `the_table_is_in_the_order_of_the_enum` proves it.
        &TABLE[self as usize]
    }

    /// The stable code, as in logs and metrics: `upstream_connect`.
    pub fn code(self) -> &'static str {
        self.row().code
    }

    /// The status the client gets; 499 when there is nobody left to tell.
    pub fn status(self) -> u16 {
        self.row().status
    }

    /// What happened, for a person.
    pub fn sentence(self) -> &'static str {
        self.row().sentence
    }

    /// All causes, for metrics that must exist before they count.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.cause as usize, index, "{}", row.code);
        }
        assert_eq!(TABLE.len(), Cause::Internal as usize + 1);
    }

    #[test]
    fn no_two_causes_share_a_code() {
        let mut codes: Vec<_> = Cause::all().map(Cause::code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), TABLE.len());
    }
}
