//! The variables that texts can name: names, and meanings for people.
//!
//! The reference prints them and messages suggest from them; what each is in a request is said where values are made.

use super::variable::{ProxyFact, TcpFact, Variable};
pub(super) use super::variable_families::FAMILIES;

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
        "bytes of the request, head and body",
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
        "seconds to connect; 0.000 on a connection that was open, - without one",
    ),
    (
        "upstream_header_time",
        Variable::UpstreamHeaderTime,
        "seconds to the response's head",
    ),
    (
        "upstream_response_time",
        Variable::UpstreamResponseTime,
        "seconds to the response's last byte",
    ),
    (
        "upstream_response_length",
        Variable::UpstreamLength,
        "bytes of the upstream's body",
    ),
    (
        "upstream_bytes_received",
        Variable::UpstreamReceived,
        "bytes of the upstream's answer, head and body",
    ),
    (
        "upstream_bytes_sent",
        Variable::UpstreamSent,
        "bytes that the upstream was sent",
    ),
    (
        "bytes_sent",
        Variable::BytesSent,
        "bytes of the response, head and body",
    ),
    (
        "remote_user",
        Variable::RemoteUser,
        "the user of the request's Basic credentials, checked or not",
    ),
    ("https", Variable::Https, "on with TLS, else nothing"),
    ("http2", Variable::Http2, "h2, h2c without TLS, or nothing"),
    (
        "connections_active",
        Variable::ConnectionsActive,
        "client connections that are open",
    ),
    (
        "connections_reading",
        Variable::ConnectionsReading,
        "those in the middle of a request's head",
    ),
    (
        "connections_writing",
        Variable::ConnectionsWriting,
        "those with a request whose answer is not over",
    ),
    (
        "connections_waiting",
        Variable::ConnectionsWaiting,
        "those without a request",
    ),
    (
        "realip_remote_addr",
        Variable::PeerAddr,
        "the connection's other end, whoever it speaks for",
    ),
    ("realip_remote_port", Variable::RemotePort, "its port"),
    (
        "connection",
        Variable::Connection,
        "the connection's number",
    ),
    (
        "connection_requests",
        Variable::ConnectionRequests,
        "requests of the connection so far",
    ),
    (
        "connection_time",
        Variable::ConnectionTime,
        "seconds since it began, with milliseconds",
    ),
    (
        "pid",
        Variable::Pid,
        "the number of the process that serves",
    ),
    (
        "pipe",
        Variable::Pipe,
        "p for a request that came together with the one before, else a dot",
    ),
    (
        "nginx_version",
        Variable::NginxVersion,
        "nginx's version whose configuration is understood",
    ),
    (
        "gzip_ratio",
        Variable::GzipRatio,
        "how many times larger the body was before it was compressed; nothing for one that was not",
    ),
    (
        "limit_rate",
        Variable::LimitRate,
        "what rules `set` it to, in bytes: how many the answer may have in a second, of routes with a `bandwidth`",
    ),
    (
        "tcpinfo_rtt",
        Variable::TcpInfo(TcpFact::Rtt),
        "of the client's connection: the round trip in microseconds",
    ),
    (
        "tcpinfo_rttvar",
        Variable::TcpInfo(TcpFact::RttVariance),
        "how much it varies",
    ),
    (
        "tcpinfo_snd_cwnd",
        Variable::TcpInfo(TcpFact::Window),
        "packets that may be under way to it",
    ),
    (
        "tcpinfo_rcv_space",
        Variable::TcpInfo(TcpFact::Space),
        "room for what it sends, in bytes",
    ),
    (
        "request_completion",
        Variable::Completion,
        "OK for an answer that came to its end",
    ),
    (
        "document_root",
        Variable::DocumentRoot,
        "the folder of the route's files",
    ),
    (
        "realpath_root",
        Variable::RealRoot,
        "the same, without links",
    ),
    (
        "request_filename",
        Variable::RequestFilename,
        "the file that the path stands for",
    ),
    (
        "proxy_host",
        Variable::ProxyHost,
        "what the upstream is called in the route: its name",
    ),
    (
        "proxy_port",
        Variable::ProxyPort,
        "the port of the endpoint that was asked last",
    ),
    (
        "limit_req_status",
        Variable::RateStatus,
        "PASSED, DELAYED, REJECTED, and these with _DRY_RUN",
    ),
    (
        "limit_conn_status",
        Variable::ConcurrencyStatus,
        "the same of limits of requests at once",
    ),
    (
        "ssl_cipher",
        Variable::TlsCipher,
        "the cipher suite, as OpenSSL names it",
    ),
    (
        "ssl_curve",
        Variable::TlsCurve,
        "the group of the key exchange, as OpenSSL names it",
    ),
    (
        "ssl_ciphers",
        Variable::TlsCiphers,
        "the suites that the client offered, as OpenSSL names them, with colons between",
    ),
    (
        "ssl_curves",
        Variable::TlsCurves,
        "the groups that it offered, likewise",
    ),
    (
        "ssl_session_id",
        Variable::Never("ssl_session_id"),
        "nothing: sessions are kept by clients",
    ),
    (
        "ssl_session_reused",
        Variable::TlsReused,
        "r for a resumed session, else a dot",
    ),
    (
        "ssl_alpn_protocol",
        Variable::TlsAlpn,
        "the protocol that was agreed on in the handshake",
    ),
    (
        "ssl_client_escaped_cert",
        Variable::ClientEscaped,
        "the client's certificate: PEM, percent-encoded",
    ),
    ("ssl_client_raw_cert", Variable::ClientPem, "the same, PEM"),
    (
        "ssl_client_cert",
        Variable::ClientTabbed,
        "the same, each line but the first behind a tab",
    ),
    (
        "ssl_client_s_dn_legacy",
        Variable::ClientSubjectLegacy,
        "whom it names, as nginx before 1.11.6 wrote it: /C=DE/CN=alice",
    ),
    (
        "ssl_client_i_dn_legacy",
        Variable::ClientIssuerLegacy,
        "who signed it, likewise",
    ),
    (
        "ssl_client_v_start",
        Variable::ClientNotBefore,
        "since when it is valid: Nov 21 07:06:11 2026 GMT",
    ),
    ("ssl_client_v_end", Variable::ClientNotAfter, "until when"),
    (
        "ssl_client_v_remain",
        Variable::ClientRemaining,
        "for how many days yet",
    ),
    (
        "ssl_early_data",
        Variable::Never("ssl_early_data"),
        "nothing: early data is not taken",
    ),
    (
        "request_body",
        Variable::RequestBody,
        "the body that went to the upstream, of 64 KiB at most; empty if there was more",
    ),
    (
        "upstream_cache_last_modified",
        Variable::Never("upstream_cache_last_modified"),
        "nothing: there is no cache",
    ),
    (
        "upstream_cache_status",
        Variable::Never("upstream_cache_status"),
        "nothing: there is no cache",
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
        "its SHA-1, as nginx says it",
    ),
    (
        "ssl_client_fingerprint_sha256",
        Variable::ClientSha256,
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
