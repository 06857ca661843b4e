//! Causes: the closed list of reasons for which hubgate answers itself, or a request does not end as it should.
//!
//! One table gives each its code, its status, when to try again, what it means and what to do about it. Codes are an
//! interface: they stand in logs, in the `X-Hubgate-Cause` field, on error pages and in metrics, and are never renamed;
//! new ones go before `Internal`. `observe::cause` is where the rest of the program takes them from.
#![deny(clippy::disallowed_methods)]

use std::fmt;

/// What whoever looks at the page has to be told; the words are the page's, in the site's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Situation {
    /// The client sent what cannot be taken.
    Request,
    /// Its head is too large, which cookies make it.
    Cookies,
    /// There is nothing at this address.
    Address,
    /// It has not shown a certificate that counts here.
    Certificate,
    /// It is not let in here.
    Forbidden,
    /// It has not given a name and password that count here.
    Password,
    /// What it uploads is too large.
    TooLarge,
    /// It was too slow.
    Slow,
    /// There is more to do than can be done now.
    Busy,
    /// What is behind hubgate does not work now.
    Unavailable,
    /// What is behind hubgate took too long.
    Late,
    /// The server is being restarted.
    Stopping,
    /// hubgate itself failed.
    Broken,
    /// Nobody sees a page: a redirect, a tunnel, a client that has left.
    Unseen,
}

/// One row of the table.
struct Row {
    cause: Cause,
    code: &'static str,
    status: u16,
    situation: Situation,
    retry_after: Option<u16>,
    sentence: &'static str,
    advice: &'static str,
}

/// `Name "code" status Situation [retry SECONDS], "sentence", "advice";`
macro_rules! causes {
    ($($name:ident $code:literal $status:literal $situation:ident $(retry $after:literal)?, $sentence:literal, $advice:literal;)*) => {
        /// Why hubgate answered itself, or why a request did not end as it should.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Cause {
            $(#[doc = $sentence] $name,)*
        }

        /// In the order of the enum, by construction.
        static TABLE: &[Row] = &[$(Row {
            cause: Cause::$name,
            code: $code,
            status: $status,
            situation: Situation::$situation,
            retry_after: causes!(@after $($after)?),
            sentence: $sentence,
            advice: $advice,
        },)*];
    };
    (@after) => { None };
    (@after $after:literal) => { Some($after) };
}

// 499 is nginx's mark for a client that left; it is only logged. Status 0: the upstream's own, which passed untouched.
causes! {
    HeadMalformed "head_malformed" 400 Request,
        "The request head is not valid HTTP.",
        "Look at the answer's `detail` line; it is the client, or a proxy in front, that writes ambiguous heads.";
    HeadTooLarge "head_too_large" 431 Cookies,
        "The request head is larger than this server accepts.",
        "Have the person delete the site's cookies; if heads that large are meant, raise `limits.head_size`.";
    HeadTooManyFields "head_too_many_fields" 431 Cookies,
        "The request head has more fields than this server accepts.",
        "Look at what the client sends; if it is meant, raise `limits.head_fields`.";
    TargetTooLong "target_too_long" 414 Request,
        "The request target is longer than this server accepts.",
        "Send long parameters in a body; the target has to fit into `limits.head_size`.";
    TargetInvalid "target_invalid" 400 Request,
        "The request target cannot be decoded.",
        "Its path has a broken `%` escape, a zero byte, or leads above `/`; the site has `paths = \"normal\"`, which asks for a path that can be read.";
    VersionUnsupported "version_unsupported" 505 Request,
        "This HTTP version is not supported.",
        "Use a client that speaks HTTP/1.0, HTTP/1.1 or HTTP/2.";
    HeadTimeout "head_timeout" 408 Slow,
        "The request head did not arrive in time.",
        "A slow or broken connection, or a client that holds connections on purpose; `timeouts.head` is the limit.";
    HostMissing "host_missing" 400 Request,
        "The request names no host.",
        "Use a client that sends `Host`; a health check in front has to send one too.";
    HostMalformed "host_malformed" 400 Request,
        "The request's host is not valid.",
        "Look at the `Host` that the client sends: one name or address, and at most a port.";
    HostUnknown "host_unknown" 421 Address,
        "This server does not serve that host.",
        "If the host is meant, add it as a `[site]` or to a site's `aliases`, or make one site the `default`.";
    ServerNameMismatch "server_name_mismatch" 421 Address,
        "The host differs from the name the connection was made for.",
        "Browsers open another connection by themselves; a client or proxy that does not has to send the same name by SNI and `Host`.";
    MethodRefused "method_refused" 405 Request,
        "This method is not accepted here.",
        "CONNECT and TRACE are never forwarded; use another method.";
    CodingUnsupported "coding_unsupported" 501 Request,
        "This transfer coding is not supported.",
        "Have the client send `Transfer-Encoding: chunked` alone, or a `Content-Length`.";
    BodyTooLarge "body_too_large" 413 TooLarge,
        "The request body is larger than this route accepts.",
        "Raise the route's `body_limit`, or give the route a preset, which sets none.";
    BodyTimeout "body_timeout" 408 Slow,
        "The request body stopped arriving.",
        "The client's connection stood still for `timeouts.body`; have it try again.";
    BodyMalformed "body_malformed" 400 Request,
        "The request body is not framed as HTTP asks.",
        "Look at the client, or the proxy in front: its chunks or its length are wrong.";
    RouteMissing "route_missing" 404 Address,
        "Nothing is served at this path.",
        "If the path is meant, add a route for it; `hubgate check --explain` shows those there are.";
    ChallengeUnknown "challenge_unknown" 404 Address,
        "No such challenge is known here.",
        "If a cluster behind orders certificates for this host, set the site's `challenge_fallback`; `hubgate certs doctor` looks at it all.";
    ChallengeFallbackFailed "challenge_fallback_failed" 502 Unavailable retry 10,
        "The challenge's backend gave no usable answer.",
        "See that `challenge_fallback` names the cluster's own address and that it answers: `hubgate certs doctor`.";
    ChallengeLimited "challenge_limited" 429 Busy retry 1,
        "Too many challenges are asked for that are not known here.",
        "One client asks for more than 20 unknown tokens a second: a scanner, or an ordering that loops.";
    RedirectToHttps "redirect_to_https" 301 Unseen,
        "Plain HTTP is redirected to HTTPS.",
        "Nothing to do; `http = \"forward\"` in the site would serve plain HTTP.";
    RedirectSlash "redirect_slash" 301 Unseen,
        "The path is served with a slash at its end.",
        "Nothing to do; link to the path with its slash to spare the detour.";
    UpstreamEmpty "upstream_empty" 502 Unavailable retry 10,
        "The upstream has no endpoint to try.",
        "Name endpoints in `[upstream]`, or see why its name or file gives none: `hubgate doctor`.";
    UpstreamConnect "upstream_connect" 502 Unavailable retry 10,
        "No endpoint of the upstream accepted a connection.",
        "See that the service runs and listens at the endpoint's address and port: `hubgate doctor`.";
    UpstreamConnectTimeout "upstream_connect_timeout" 504 Unavailable retry 10,
        "No endpoint of the upstream accepted a connection in time.",
        "The node is down or a firewall drops what is sent to it: `hubgate doctor`; `connect_timeout` is the limit.";
    UpstreamSend "upstream_send" 502 Unavailable,
        "The upstream stopped taking the request.",
        "Look at the service's own log: it closed or stood still in the middle of a request's body; it may have a limit of its own.";
    UpstreamClosed "upstream_closed" 502 Unavailable retry 10,
        "The upstream closed the connection before it answered.",
        "Look at the service's own log for a crash or restart; if it closes idle connections, keep `keep_alive_idle` below its time.";
    UpstreamMalformed "upstream_malformed" 502 Unavailable,
        "The upstream's answer is not valid HTTP.",
        "See what listens at the endpoint: another protocol, TLS, or a broken answer: `hubgate doctor`.";
    UpstreamResponseTimeout "upstream_response_timeout" 504 Late,
        "The upstream did not answer in time.",
        "Look at what the service does so long (a spawn, a full cluster); `response_timeout` of the route is the limit.";
    UpstreamTruncated "upstream_truncated" 502 Unavailable,
        "The upstream ended its answer too early.",
        "Look at the service's own log: it closed the connection before all it had announced was sent.";
    UpstreamIdle "upstream_idle" 504 Late,
        "The upstream stopped in the middle of its answer.",
        "Look at what the service waits for; `idle_timeout` of the route is the longest silence between two bytes.";
    TunnelHandshakeTimeout "tunnel_handshake_timeout" 504 Late retry 10,
        "The upstream did not accept the upgrade in time.",
        "The kernel or terminal behind does not answer its WebSocket; `tunnel_handshake_timeout` is the limit.";
    TunnelIdle "tunnel_idle" 101 Unseen,
        "The tunnel was silent for too long.",
        "Nothing to do if the browser had gone; else raise `tunnel_idle_timeout`, or have the application ping.";
    Draining "draining" 101 Unseen,
        "The server is stopping.",
        "Nothing to do: the tunnel was closed with 1001, or the event stream ended, at the end of `server.drain_timeout`, and browsers connect again.";
    ClientGone "client_gone" 499 Unseen,
        "The client left before the answer was complete.",
        "Often nothing: a closed tab. If it took long, look at what the upstream was doing, and at time limits of proxies in front.";
    ClientStalled "client_stalled" 499 Unseen,
        "The client stopped taking the answer.",
        "The client's connection stood still for `timeouts.write`: a sleeping laptop, a lost network.";
    PlainOnTls "plain_on_tls" 400 Request,
        "Plain HTTP was spoken to a port for TLS.",
        "Use `https://`; a load balancer in front has to pass TLS through, or speak to the plain port.";
    UpstreamTls "upstream_tls" 502 Unavailable,
        "No TLS connection to the upstream could be made that can be trusted.",
        "Look at the endpoint's certificate, its name and who signed it: `hubgate doctor`.";
    UpstreamTlsTimeout "upstream_tls_timeout" 504 Unavailable retry 10,
        "The upstream did not finish the TLS handshake in time.",
        "See that the endpoint speaks TLS at that port, and is not overloaded: `hubgate doctor`.";
    UpstreamReset "upstream_reset" 502 Unavailable,
        "The upstream broke the connection in the middle of its answer.",
        "Look for a crash, a killed pod or a node that went away, or a firewall that ends connections.";
    UpstreamDown "upstream_down" 503 Unavailable retry 10,
        "Every endpoint of the upstream is down or taken out.",
        "See why: `hubgate upstream list` shows each endpoint's health, checks and overrides; `hubgate doctor` looks now.";
    QueueFull "queue_full" 503 Busy retry 5,
        "As many requests as allowed wait for the upstream already.",
        "Look at why the upstream is slow; raise its `max_connections`, `max_in_flight` or `queue` if it can bear more.";
    QueueTimeout "queue_timeout" 503 Busy retry 5,
        "The request waited too long for its turn at the upstream.",
        "Look at why the upstream is slow; raise its `max_connections` or `max_in_flight` if it can bear more, or `queue_timeout`.";
    CircuitOpen "circuit_open" 503 Unavailable retry 10,
        "The upstream failed so often that it is spared for a while.",
        "Look at the causes of the failures before; the circuit closes by itself when a try succeeds.";
    TotalTimeout "total_timeout" 504 Late,
        "The request took longer in all than its route allows.",
        "Raise `total_timeout` of the route, or leave it out; it counts uploads, downloads and event streams too.";
    TunnelRefused "tunnel_refused" 0 Unseen,
        "The upstream refused the upgrade; its answer was passed on.",
        "403 of a Jupyter server: `Host` and `Origin` differ, or the session is over; 404 and 503: the server or kernel is gone.";
    ShuttingDown "shutting_down" 503 Stopping retry 5,
        "The server is stopping and could not wait for the answer any longer.",
        "Try again; for requests that take longer, raise `server.drain_timeout`.";
    ClientCertificateMissing "client_certificate_missing" 400 Certificate,
        "The client has shown no certificate, and this site requires one.",
        "Have the person install their certificate, and choose it when the browser asks; after a change the browser may have to be started anew.";
    ClientCertificateExpired "client_certificate_expired" 400 Certificate,
        "The client's certificate has expired, or is not valid yet.",
        "Have a new one issued; if it should be valid, look at the clocks.";
    ClientCertificateRevoked "client_certificate_revoked" 400 Certificate,
        "The client's certificate was revoked.",
        "It is in one of the `crl_files`: have a new one issued, if the person is still meant to come in.";
    ClientCertificateRefused "client_certificate_refused" 400 Certificate,
        "The client's certificate is not accepted here.",
        "The log says why at level debug; mostly none of the authorities in `ca_file` has signed it, or there is no list of its authority in `crl_files`.";
    UpstreamUnresolved "upstream_unresolved" 502 Unavailable retry 10,
        "The names of the upstream's endpoints could not be resolved.",
        "See what name servers say: `hubgate upstream list` shows each name with its last error, `hubgate doctor` asks now.";
    AccessDenied "access_denied" 403 Forbidden,
        "The client's address is not let in here.",
        "`rules` of the route's `access` refuse the address; behind a proxy, see that `server.trusted_proxies` names it.";
    PasswordMissing "password_missing" 401 Password,
        "A name and a password are asked for here.",
        "Nothing to do: browsers ask first without one, and then the person; programs have to send `Authorization: Basic`.";
    PasswordWrong "password_wrong" 401 Password,
        "The name or the password is not right.",
        "See the log for which of the two; `htpasswd -B FILE NAME` sets a password anew, and the file is read again at once.";
    PasswordsUnreadable "passwords_unreadable" 500 Broken,
        "The file of passwords cannot be read.",
        "See that the `file` of the route's `access.basic` exists and that hubgate's account may read it.";
    PasswordsBusy "passwords_busy" 503 Busy retry 5,
        "Too many passwords are being checked.",
        "Somebody may be trying passwords: look for clients with many `password_wrong`, and give the route a limit by rate.";
    AskRefused "ask_refused" 403 Forbidden,
        "The route that is asked for leave has refused it.",
        "Look at the service behind `ask` of the route's `access`: it answered 401 or 403, often because a session is over.";
    AskFailed "ask_failed" 500 Broken,
        "The route that is asked for leave gave no usable answer.",
        "See that the route of `ask` exists and that what is behind it answers 2xx, 401 or 403; the log tells what it did.";
    RateLimited "rate_limited" 429 Busy retry 1,
        "Too many requests come from there, or for the same thing.",
        "The log says which `[rate.NAME]` and by how much; raise its `rate`, or `burst` in the route's `limits`.";
    ConcurrencyLimited "concurrency_limited" 429 Busy retry 1,
        "Too many requests are under way from there, or for the same thing.",
        "The log says which `[concurrency.NAME]`; raise `most` in the route's `limits`, and see why requests take long.";
    FileMissing "file_missing" 404 Address,
        "There is no such file.",
        "Look at the route's `files`: its folder, what `try` and `index` name, and how the files are spelt.";
    FileForbidden "file_forbidden" 403 Address,
        "The file may not be read.",
        "hubgate's account needs the right to read it; a folder without an index is only shown with `listing`, and `symlinks` says where links may lead.";
    FileMethod "file_method" 405 Request,
        "Files are only read: this method is not accepted here.",
        "Use GET or HEAD; if an application should take the request, name its route in `try`.";
    FileFailed "file_failed" 500 Broken,
        "The file could not be read.",
        "Look for `files.failed` in hubgate's log: the disk, or a limit on open files.";
    RangeUnsatisfiable "range_unsatisfiable" 416 Request,
        "The part that was asked for is not there.",
        "The file has become shorter, or the client counts wrong; have it ask for the whole.";
    PreconditionFailed "precondition_failed" 412 Request,
        "The file is not the one that the client knows.",
        "The file has changed since the client read it; have it read it anew.";
    UpstreamError "upstream_error" 502 Unavailable,
        "The upstream answered with an error, and what `errors` puts in its place could not be had.",
        "Look at what the upstream answered, in the log; a request whose body has been sent cannot be sent to another route.";
    RouteLoop "route_loop" 500 Broken,
        "The request was sent from route to route too often.",
        "Look at what `try`, `index` and `rules` name: they lead to each other.";
    Internal "internal" 500 Broken,
        "The server failed to handle the request.",
        "A defect in hubgate: look for `panicked` in its log, and report it with the request's id.";
}

impl Cause {
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The stable code, as in logs and metrics: `upstream_connect`.
    pub fn code(self) -> &'static str {
        self.row().code
    }

    /// The status the client gets: 499 when there is nobody left to tell, 0 when it is the upstream's own.
    pub fn status(self) -> u16 {
        self.row().status
    }

    /// What happened, for a person.
    pub fn sentence(self) -> &'static str {
        self.row().sentence
    }

    /// What the operator can do about it, in one line.
    pub fn advice(self) -> &'static str {
        self.row().advice
    }

    /// Seconds after which another try makes sense, where one does.
    pub fn retry_after(self) -> Option<u16> {
        self.row().retry_after
    }

    /// What whoever sees the page has to be told.
    pub fn situation(self) -> Situation {
        self.row().situation
    }

    /// Whether something went wrong. Redirects are answers of our own too.
    pub fn is_failure(self) -> bool {
        !(300..400).contains(&self.status())
    }

    /// The cause with this code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::all().find(|cause| cause.code() == code)
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
    fn the_last_cause_is_the_one_that_metrics_count_to() {
        assert_eq!(TABLE.len(), Cause::Internal as usize + 1);
    }

    #[test]
    fn no_two_causes_share_a_code() {
        let mut codes: Vec<_> = Cause::all().map(Cause::code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), TABLE.len());
    }

    #[test]
    fn sentences_and_advice_are_one_line_each_and_end_as_sentences() {
        for cause in Cause::all() {
            for text in [cause.sentence(), cause.advice()] {
                assert!(
                    text.ends_with('.') && !text.contains('\n'),
                    "{cause}: {text}"
                );
            }
            assert_ne!(cause.sentence(), cause.advice());
        }
    }

    #[test]
    fn nobody_is_asked_to_try_again_by_a_page_that_nobody_sees() {
        for cause in Cause::all() {
            let unseen = cause.situation() == Situation::Unseen;
            assert!(!(unseen && cause.retry_after().is_some()), "{cause}");
            assert_eq!(
                unseen,
                !matches!(cause.status(), 400..=498 | 500..=599),
                "{cause}"
            );
        }
    }
}
