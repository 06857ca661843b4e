//! Every variable that a text of the configuration can name, with its meaning.
//!
//! One table, which the reference prints and messages suggest from. Texts are `text`'s, values `proxy::values`' and the
//! access log's.

use std::fmt;

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
    /// `$request_length`: bytes of the request's body.
    RequestLength,
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
    /// `$upstream_connect_time`: seconds with milliseconds, `-` without a new connection.
    UpstreamConnectTime,
    /// `$upstream_response_time`: seconds to the response head.
    UpstreamResponseTime,
    /// `$http_NAME`: a request field, lower case with `-`.
    RequestField(String),
    /// `$cause`: why hubgate made the answer, `-` when the upstream did.
    Cause,
    /// `$route`: the route's path.
    Route,
    /// `$ssl_protocol`
    TlsProtocol,
    /// `$ssl_server_name`
    ServerName,
    /// `$ssl_client_verify`: `SUCCESS`, `FAILED` or `NONE`.
    ClientVerify,
    /// `$ssl_client_s_dn`
    ClientSubject,
    /// `$ssl_client_i_dn`
    ClientIssuer,
    /// `$ssl_client_serial`
    ClientSerial,
    /// `$ssl_client_fingerprint`: SHA-256.
    ClientFingerprint,
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

/// Every variable with a fixed name, with its meaning.
pub(super) static VARIABLES: &[(&str, Variable, &str)] = &[
    ("remote_addr", Variable::RemoteAddr, "the client's address"),
    ("remote_port", Variable::RemotePort, "the client's port"),
    (
        "binary_remote_addr",
        Variable::BinaryRemoteAddr,
        "the client's address in 4 or 16 bytes; a key for limits",
    ),
    (
        "time_local",
        Variable::TimeLocal,
        "21/Nov/2026:07:06:11 +0000",
    ),
    (
        "time_iso8601",
        Variable::TimeIso8601,
        "2026-11-21T07:06:11+00:00",
    ),
    (
        "msec",
        Variable::Msec,
        "seconds since 1970, with milliseconds",
    ),
    (
        "request",
        Variable::Request,
        "method, target and version, redacted",
    ),
    ("request_method", Variable::RequestMethod, "the method"),
    (
        "request_uri",
        Variable::RequestUri,
        "the raw target, redacted",
    ),
    ("uri", Variable::Uri, "the path that is routed by"),
    ("document_uri", Variable::Uri, "the same"),
    ("args", Variable::Args, "the query, without its `?`"),
    ("query_string", Variable::Args, "the same"),
    (
        "is_args",
        Variable::IsArgs,
        "`?` when there is a query, else nothing",
    ),
    (
        "server_protocol",
        Variable::ServerProtocol,
        "HTTP/1.1 or HTTP/2.0",
    ),
    ("host", Variable::Host, "the request's host"),
    (
        "server_addr",
        Variable::ServerAddr,
        "the address the client connected to",
    ),
    ("server_port", Variable::ServerPort, "its port"),
    (
        "invalid_referer",
        Variable::InvalidReferer,
        "1 when Referer is none of `referers`, else nothing",
    ),
    ("server_name", Variable::Site, "the site's name"),
    ("hostname", Variable::Hostname, "this machine's name"),
    ("scheme", Variable::Scheme, "http or https"),
    ("status", Variable::Status, "the response's status"),
    (
        "body_bytes_sent",
        Variable::BodyBytesSent,
        "bytes of the response's body",
    ),
    (
        "request_length",
        Variable::RequestLength,
        "bytes of the request's body",
    ),
    (
        "request_time",
        Variable::RequestTime,
        "seconds, with milliseconds",
    ),
    (
        "request_id",
        Variable::RequestId,
        "the request's identity, as in X-Request-Id",
    ),
    (
        "proxy_add_x_forwarded_for",
        Variable::ForwardedFor,
        "X-Forwarded-For as received, and the peer's address",
    ),
    ("upstream_addr", Variable::UpstreamAddr, "the endpoint"),
    (
        "upstream_name",
        Variable::UpstreamName,
        "the upstream's name",
    ),
    (
        "upstream_status",
        Variable::UpstreamStatus,
        "the upstream's status",
    ),
    (
        "upstream_connect_time",
        Variable::UpstreamConnectTime,
        "seconds to connect; - without a new connection",
    ),
    (
        "upstream_response_time",
        Variable::UpstreamResponseTime,
        "seconds to the response's head",
    ),
    (
        "cause",
        Variable::Cause,
        "why hubgate made the answer; - when the upstream did",
    ),
    ("route", Variable::Route, "the route's path"),
    ("ssl_protocol", Variable::TlsProtocol, "the TLS version"),
    (
        "ssl_server_name",
        Variable::ServerName,
        "the name in the TLS handshake",
    ),
    (
        "ssl_client_verify",
        Variable::ClientVerify,
        "of the client's certificate: SUCCESS, FAILED, NONE",
    ),
    (
        "ssl_client_s_dn",
        Variable::ClientSubject,
        "whom it names: CN=alice,O=Example",
    ),
    ("ssl_client_i_dn", Variable::ClientIssuer, "its issuer"),
    (
        "ssl_client_serial",
        Variable::ClientSerial,
        "its serial number",
    ),
    (
        "ssl_client_fingerprint",
        Variable::ClientFingerprint,
        "its SHA-256",
    ),
    (
        "bytes_tunnelled_in",
        Variable::TunnelIn,
        "bytes from the client through a tunnel",
    ),
    (
        "bytes_tunnelled_out",
        Variable::TunnelOut,
        "bytes to the client through a tunnel",
    ),
    (
        "datagrams_in",
        Variable::DatagramsIn,
        "datagrams from the client, of UDP",
    ),
    (
        "datagrams_out",
        Variable::DatagramsOut,
        "datagrams to the client, of UDP",
    ),
    (
        "proxy_protocol_addr",
        Variable::ProxyProtocol(ProxyFact::Address),
        "the client's address, by its PROXY header",
    ),
    (
        "proxy_protocol_port",
        Variable::ProxyProtocol(ProxyFact::Port),
        "its port",
    ),
    (
        "proxy_protocol_server_addr",
        Variable::ProxyProtocol(ProxyFact::ServerAddress),
        "the address it connected to at the load balancer",
    ),
    (
        "proxy_protocol_server_port",
        Variable::ProxyProtocol(ProxyFact::ServerPort),
        "its port",
    ),
    (
        "proxy_protocol_tlv_alpn",
        Variable::ProxyProtocol(ProxyFact::Value(0x01)),
        "the protocol inside the load balancer's TLS",
    ),
    (
        "proxy_protocol_tlv_authority",
        Variable::ProxyProtocol(ProxyFact::Value(0x02)),
        "the name that TLS was asked for there",
    ),
    (
        "proxy_protocol_tlv_unique_id",
        Variable::ProxyProtocol(ProxyFact::Value(0x05)),
        "the connection's id there",
    ),
    (
        "proxy_protocol_tlv_netns",
        Variable::ProxyProtocol(ProxyFact::Value(0x30)),
        "its network namespace there",
    ),
    (
        "proxy_protocol_tlv_ssl_version",
        Variable::ProxyProtocol(ProxyFact::TlsValue(0x21)),
        "the TLS version there",
    ),
    (
        "proxy_protocol_tlv_ssl_cn",
        Variable::ProxyProtocol(ProxyFact::TlsValue(0x22)),
        "the common name of the client's certificate there",
    ),
    (
        "proxy_protocol_tlv_ssl_cipher",
        Variable::ProxyProtocol(ProxyFact::TlsValue(0x23)),
        "the cipher suite there",
    ),
    (
        "proxy_protocol_tlv_ssl_sig_alg",
        Variable::ProxyProtocol(ProxyFact::TlsValue(0x24)),
        "what the certificate there is signed with",
    ),
    (
        "proxy_protocol_tlv_ssl_key_alg",
        Variable::ProxyProtocol(ProxyFact::TlsValue(0x25)),
        "what its key is",
    ),
    (
        "proxy_protocol_tlv_ssl_verify",
        Variable::ProxyProtocol(ProxyFact::TlsVerify),
        "0 when the client's certificate was good there, or there was none to check",
    ),
];

/// What only streams have. By the names that they share with requests, `$remote_addr` and the like, they have their own.
pub(super) static OF_STREAMS: &[(&str, &str)] = &[
    ("protocol", "TCP or UDP"),
    ("connection", "the connection's number"),
    ("pid", "the process's number"),
    (
        "nginx_version",
        "of the nginx whose configuration is understood",
    ),
    ("bytes_sent", "bytes to the client"),
    ("bytes_received", "bytes from the client"),
    ("session_time", "seconds, with milliseconds"),
    ("upstream_bytes_sent", "bytes to the endpoint"),
    ("upstream_bytes_received", "bytes from the endpoint"),
    (
        "upstream_first_byte_time",
        "seconds to the endpoint's first byte",
    ),
    ("upstream_session_time", "seconds with the endpoint"),
    (
        "ssl_cipher",
        "the suite of the TLS that is ended, by OpenSSL's name",
    ),
    ("ssl_curve", "its key exchange"),
    ("ssl_alpn_protocol", "the protocol that was agreed on"),
    (
        "ssl_session_reused",
        "r when the session was resumed, else .",
    ),
    (
        "ssl_preread_server_name",
        "the name that the ClientHello asks for",
    ),
    (
        "ssl_preread_protocol",
        "the highest version it offers: TLSv1.3",
    ),
    (
        "ssl_preread_alpn_protocols",
        "the protocols it offers: h2,http/1.1",
    ),
];

/// Families of variables, by the beginning of their names, with an example's meaning.
pub(super) static FAMILIES: &[(&str, &str)] = &[
    ("http_NAME", "a request field: $http_user_agent"),
    ("arg_NAME", "a parameter of the query: $arg_token"),
    ("cookie_NAME", "a cookie of the request: $cookie_lang"),
    (
        "proxy_protocol_tlv_0xNN",
        "a value of a PROXY header by its kind: $proxy_protocol_tlv_0xEA",
    ),
];

/// Before the kind of a value in two hexadecimal digits.
const PROXY_VALUE: &str = "proxy_protocol_tlv_0x";

/// The variable called `name`, if there is one.
pub(super) fn named(name: &str) -> Option<Variable> {
    if let [digit @ b'1'..=b'9'] = name.as_bytes() {
        return Some(Variable::Capture(digit - b'0'));
    }
    if let Some(field) = name.strip_prefix("http_") {
        let field = field.to_ascii_lowercase().replace('_', "-");
        if http::HeaderName::from_bytes(field.as_bytes()).is_ok() {
            return Some(Variable::RequestField(field));
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
    let mut known = VARIABLES.iter().filter(|(known, ..)| *known == name);
    let known = known.next().map(|(_, variable, _)| variable.clone());
    known.or_else(|| {
        let mut of_streams = OF_STREAMS.iter();
        let (name, _) = of_streams.find(|(own, _)| *own == name)?;
        Some(Variable::OfStream(name))
    })
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestField(name) => write!(f, "http_{}", name.replace('-', "_")),
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
