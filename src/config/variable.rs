//! What a text of the configuration can name, by the name.
//!
//! The names with their meanings are `variables`', texts are `text`'s, values `proxy::values`' and the access log's.

use std::fmt;

use super::variables::VARIABLES;
use super::variables_of_streams::OF_STREAMS;

/// What a text can name, as `$name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Variable {
    /// `$remote_addr`: the client's address.
    RemoteAddr,
    /// `$remote_port`
    RemotePort,
    /// `$binary_remote_addr`: the client's address as 4 or 16 bytes.
    BinaryRemoteAddr,
    /// `$time_local`: `21/Nov/2026:07:06:11 +0000`.
    TimeLocal,
    /// `$time_iso8601`
    TimeIso8601,
    /// `$msec`: seconds since 1970 with milliseconds.
    Msec,
    /// `$request`: method, target and version, redacted in logs.
    Request,
    /// `$request_method`
    RequestMethod,
    /// `$request_uri`: the raw target, redacted in logs.
    RequestUri,
    /// `$uri`: the path that is routed by.
    Uri,
    /// `$args`: the query, without its `?`.
    Args,
    /// `$is_args`: `?` when there is a query, else nothing.
    IsArgs,
    /// `$arg_NAME`: a parameter of the query.
    Argument(String),
    /// `$cookie_NAME`: a cookie of the request.
    Cookie(String),
    /// `$server_protocol`
    ServerProtocol,
    /// `$host`
    Host,
    /// `$server_addr`: the address the client connected to.
    ServerAddr,
    /// `$server_port`
    ServerPort,
    /// `$invalid_referer`: `1` when `Referer` is none of the route's `referers`.
    InvalidReferer,
    /// `$server_name`: the site's name.
    Site,
    /// `$hostname`: this machine's.
    Hostname,
    /// `$scheme`
    Scheme,
    /// `$status`
    Status,
    /// `$body_bytes_sent`: of the response's body.
    BodyBytesSent,
    /// `$request_length`: bytes of the request, head and body.
    RequestLength,
    /// `$bytes_sent`: of the response, head and body.
    BytesSent,
    /// `$request_time`: seconds with milliseconds.
    RequestTime,
    /// `$request_id`
    RequestId,
    /// `$proxy_add_x_forwarded_for`: `X-Forwarded-For` as received, and the peer's address.
    ForwardedFor,
    /// `$upstream_addr`
    UpstreamAddr,
    /// `$upstream_name`
    UpstreamName,
    /// `$upstream_status`
    UpstreamStatus,
    /// `$upstream_connect_time`: seconds with milliseconds, 0.000 on a connection that was open, `-` without one.
    UpstreamConnectTime,
    /// `$upstream_header_time`: seconds to the response's head.
    UpstreamHeaderTime,
    /// `$upstream_response_time`: seconds to the response's last byte.
    UpstreamResponseTime,
    /// `$upstream_response_length`: bytes of the upstream's body.
    UpstreamLength,
    /// `$upstream_bytes_received`: all bytes of its answer.
    UpstreamReceived,
    /// `$upstream_bytes_sent`: all bytes of what it was asked.
    UpstreamSent,
    /// `$upstream_http_NAME`: a field of the upstream's answer, lower case with `-`.
    UpstreamField(String),
    /// `$upstream_cookie_NAME`: a cookie that the upstream sets.
    UpstreamCookie(String),
    /// `$sent_http_NAME`: a field of the answer, lower case with `-`.
    SentField(String),
    /// `$remote_user`: of `Authorization: Basic`, whether or not it was checked.
    RemoteUser,
    /// `$https`: `on` with TLS, else nothing.
    Https,
    /// `$http2`: `h2`, or nothing.
    Http2,
    /// `$connections_active`: open client connections.
    ConnectionsActive,
    /// `$connections_reading`: those in the middle of a request's head.
    ConnectionsReading,
    /// `$connections_writing`: those with a request whose answer is not over.
    ConnectionsWriting,
    /// `$connections_waiting`: those without a request.
    ConnectionsWaiting,
    /// `$realip_remote_addr`: the connection's other end, whoever it speaks for.
    PeerAddr,
    /// `$connection`: the connection's number.
    Connection,
    /// `$connection_requests`: requests of the connection so far.
    ConnectionRequests,
    /// `$connection_time`: seconds with milliseconds since it began.
    ConnectionTime,
    /// `$pid`: the process that serves.
    Pid,
    /// `$pipe`: `p` for a request that had come before the answer to the one before, else `.`.
    Pipe,
    /// `$nginx_version`: nginx's version whose configuration is understood.
    NginxVersion,
    /// `$gzip_ratio`: how many times larger the body was before it was compressed.
    GzipRatio,
    /// `$limit_rate`: bytes in a second of the answer, 0 for as fast as can be.
    LimitRate,
    /// `$tcpinfo_...`: what the kernel knows of the client's connection.
    TcpInfo(TcpFact),
    /// `$request_completion`: `OK` for an answer that came to its end.
    Completion,
    /// `$request_body`
    RequestBody,
    /// `$document_root`: the folder of a route's files.
    DocumentRoot,
    /// `$realpath_root`: as that, without links.
    RealRoot,
    /// `$request_filename`: the file that the path stands for.
    RequestFilename,
    /// `$proxy_host`: the host of the upstream, with its port unless that is the usual one.
    ProxyHost,
    /// `$proxy_port`: its port.
    ProxyPort,
    /// `$limit_req_status`: PASSED, DELAYED, REJECTED and their DRY_RUN.
    RateStatus,
    /// `$limit_conn_status`: as that.
    ConcurrencyStatus,
    /// `$http_NAME`: a request field, lower case with `-`.
    RequestField(String),
    /// `$cause`: why hubgate made the answer, `-` when the upstream did.
    Cause,
    /// `$route`: the route's path.
    Route,
    /// `$ssl_protocol`
    TlsProtocol,
    /// `$ssl_cipher`: the cipher suite, as OpenSSL names it.
    TlsCipher,
    /// `$ssl_curve`: the group of the key exchange, as OpenSSL names it.
    TlsCurve,
    /// `$ssl_ciphers`: the suites that the client offered, as OpenSSL names them, with colons between.
    TlsCiphers,
    /// `$ssl_curves`: the groups that it offered, likewise.
    TlsCurves,
    /// `$ssl_session_reused`: `r`, or `.`.
    TlsReused,
    /// `$ssl_alpn_protocol`
    TlsAlpn,
    /// `$ssl_server_name`
    ServerName,
    /// `$ssl_client_escaped_cert`: PEM, percent-encoded.
    ClientEscaped,
    /// `$ssl_client_raw_cert`: PEM.
    ClientPem,
    /// `$ssl_client_cert`: PEM, each line but the first behind a tab.
    ClientTabbed,
    /// `$ssl_client_s_dn_legacy`: `/C=DE/CN=alice`.
    ClientSubjectLegacy,
    /// `$ssl_client_i_dn_legacy`
    ClientIssuerLegacy,
    /// `$ssl_client_v_start`
    ClientNotBefore,
    /// `$ssl_client_v_end`
    ClientNotAfter,
    /// `$ssl_client_v_remain`: days.
    ClientRemaining,
    /// What nginx has and hubgate never: `$ssl_early_data`, `$upstream_cache_status`. Nothing.
    Never(&'static str),
    /// `$ssl_client_verify`: `SUCCESS`, `FAILED` or `NONE`.
    ClientVerify,
    /// `$ssl_client_s_dn`
    ClientSubject,
    /// `$ssl_client_i_dn`
    ClientIssuer,
    /// `$ssl_client_serial`
    ClientSerial,
    /// `$ssl_client_fingerprint`: SHA-1, as nginx's.
    ClientFingerprint,
    /// `$ssl_client_fingerprint_sha256`
    ClientSha256,
    /// `$bytes_tunnelled_in`: from the client through a tunnel.
    TunnelIn,
    /// `$bytes_tunnelled_out`: to the client through a tunnel.
    TunnelOut,
    /// `$datagrams_in`: from the client, of UDP.
    DatagramsIn,
    /// `$datagrams_out`: to the client, of UDP.
    DatagramsOut,
    /// `$proxy_protocol_...`: what a load balancer's PROXY header said.
    ProxyProtocol(ProxyFact),
    /// `$1` to `$9`: what the regex matched last has caught.
    Capture(u8),
    /// A name the configuration gives: of a regex's group, of `set`, of a map.
    Own(Box<str>),
    /// What only streams have, by its name.
    OfStream(&'static str),
}

/// What a PROXY header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyFact {
    /// Who connected: the address.
    Address,
    /// The port.
    Port,
    /// Where to: the address.
    ServerAddress,
    /// The port.
    ServerPort,
    /// The value of this kind.
    Value(u8),
    /// That of this kind inside the value about TLS.
    TlsValue(u8),
    /// What came of the check of the client's certificate.
    TlsVerify,
}

/// What the kernel knows of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcpFact {
    /// The round trip, in microseconds.
    Rtt,
    /// How much it varies.
    RttVariance,
    /// Packets that may be under way.
    Window,
    /// Room for what arrives, in bytes.
    Space,
}

/// Makes a variable of a field's name.
type Family = fn(String) -> Variable;

/// How fields are named, of the request and of answers.
const FIELDS: &[(&str, Family)] = &[
    ("http_", Variable::RequestField),
    ("sent_http_", Variable::SentField),
    ("upstream_http_", Variable::UpstreamField),
];

/// Before the kind of a value in two hexadecimal digits.
const PROXY_VALUE: &str = "proxy_protocol_tlv_0x";

/// The variable called `name`, if there is one.
pub(super) fn named(name: &str) -> Option<Variable> {
    if let [digit @ b'1'..=b'9'] = name.as_bytes() {
        return Some(Variable::Capture(digit - b'0'));
    }
    let mut known = VARIABLES.iter().filter(|(known, ..)| *known == name);
    if let Some((_, variable, _)) = known.next() {
        return Some(variable.clone());
    }
    if let Some((name, _)) = OF_STREAMS.iter().find(|(own, _)| *own == name) {
        return Some(Variable::OfStream(name));
    }
    if matches!(name, "content_type" | "content_length") {
        return Some(Variable::RequestField(name.replace('_', "-")));
    }
    for (family, of) in FIELDS {
        if let Some(field) = name.strip_prefix(family) {
            let field = field.to_ascii_lowercase().replace('_', "-");
            if http::HeaderName::from_bytes(field.as_bytes()).is_ok() {
                return Some(of(field));
            }
        }
    }
    if let Some(parameter) = name.strip_prefix("arg_").filter(|name| !name.is_empty()) {
        return Some(Variable::Argument(parameter.to_owned()));
    }
    if let Some(cookie) = name.strip_prefix("cookie_").filter(|name| !name.is_empty()) {
        return Some(Variable::Cookie(cookie.to_owned()));
    }
    if let Some(kind) = name
        .strip_prefix(PROXY_VALUE)
        .filter(|kind| kind.len() == 2 && kind.bytes().all(|digit| digit.is_ascii_hexdigit()))
    {
        let kind = u8::from_str_radix(kind, 16).ok()?;
        return Some(Variable::ProxyProtocol(ProxyFact::Value(kind)));
    }
    let cookie = name.strip_prefix("upstream_cookie_");
    let cookie = cookie.filter(|name| !name.is_empty());
    cookie.map(|name| Variable::UpstreamCookie(name.to_owned()))
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestField(name) => write!(f, "http_{}", name.replace('-', "_")),
            Self::SentField(name) => write!(f, "sent_http_{}", name.replace('-', "_")),
            Self::UpstreamField(name) => write!(f, "upstream_http_{}", name.replace('-', "_")),
            Self::UpstreamCookie(name) => write!(f, "upstream_cookie_{name}"),
            Self::Never(name) => f.write_str(name),
            Self::Argument(name) => write!(f, "arg_{name}"),
            Self::Cookie(name) => write!(f, "cookie_{name}"),
            Self::Capture(number) => write!(f, "{number}"),
            Self::Own(name) => f.write_str(name),
            Self::OfStream(name) => f.write_str(name),
            known => {
                let mut named = VARIABLES
                    .iter()
                    .filter(|(_, variable, _)| variable == known);
                match (named.next(), known) {
                    (Some((name, ..)), _) => f.write_str(name),
                    (None, Self::ProxyProtocol(ProxyFact::Value(kind))) => {
                        write!(f, "{PROXY_VALUE}{kind:02x}")
                    }
                    (None, _) => Ok(()),
                }
            }
        }
    }
}
