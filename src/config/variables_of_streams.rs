//! The variables that only texts of streams can name: names, and meanings for people.
//!
//! The counterpart of `variables`; what each is in a stream is said where its values are made.

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
