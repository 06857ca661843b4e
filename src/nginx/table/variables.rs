//! Variables of nginx's HTTP modules, each with its fate.
//!
//! The counterpart of the directives' rows: what is carried is a variable of hubgate's by the same name, which a test
//! checks. In the order of nginx's own index.
#![deny(clippy::disallowed_methods)]

use super::Fate;

const fn same(name: &'static str) -> (&'static str, Fate) {
    (name, Fate::Carried("the same"))
}

const fn but(name: &'static str, how: &'static str) -> (&'static str, Fate) {
    (name, Fate::Carried(how))
}

const fn lost(name: &'static str, what: &'static str) -> (&'static str, Fate) {
    (name, Fate::Lost(what))
}

/// Every variable, without its dollar sign; `NAME` stands for what follows a family's beginning.
#[rustfmt::skip]
pub static VARIABLES: &[(&str, Fate)] = &[
    lost("ancient_browser", "nothing asks which browser it is"),
    same("arg_NAME"),
    same("args"),
    same("binary_remote_addr"),
    same("body_bytes_sent"),
    but("bytes_sent", "of HTTP/2 the body only"),
    same("connections_active"),
    same("connections_reading"),
    same("connections_waiting"),
    same("connections_writing"),
    same("connection"),
    same("connection_requests"),
    same("connection_time"),
    same("content_length"),
    same("content_type"),
    but("cookie_NAME", "in access logs its value is REDACTED"),
    lost("date_gmt", "SSI is not carried"),
    lost("date_local", "SSI is not carried"),
    but("document_root", "of locations that proxy only where the import writes it out"),
    same("document_uri"),
    lost("fastcgi_path_info", "FastCGI is not carried"),
    lost("fastcgi_script_name", "FastCGI is not carried"),
    lost("geoip_NAME", "no databases are read; `geo` is carried"),
    same("gzip_ratio"),
    same("host"),
    same("hostname"),
    but("http2", "h2 or h2c, and nothing for HTTP/1.1"),
    but("http_NAME", "credentials are REDACTED in access logs"),
    same("https"),
    same("invalid_referer"),
    same("is_args"),
    lost("jwt_NAME", "not in nginx without a subscription"),
    same("limit_conn_status"),
    same("limit_rate"),
    same("limit_req_status"),
    lost("memcached_key", "memcached is not carried"),
    lost("modern_browser", "nothing asks which browser it is"),
    lost("msie", "nothing asks which browser it is"),
    same("msec"),
    same("nginx_version"),
    same("pid"),
    same("pipe"),
    same("proxy_add_x_forwarded_for"),
    but("proxy_host", "of a pass with variables the upstream's name"),
    lost("proxy_internal_body_length", "an inner variable of nginx's"),
    same("proxy_port"),
    same("proxy_protocol_addr"),
    same("proxy_protocol_port"),
    same("proxy_protocol_server_addr"),
    same("proxy_protocol_server_port"),
    same("proxy_protocol_tlv_alpn"),
    same("query_string"),
    same("realip_remote_addr"),
    same("realip_remote_port"),
    but("realpath_root", "of routes with files"),
    same("remote_addr"),
    same("remote_port"),
    same("remote_user"),
    same("request"),
    but("request_body", "of routes with an upstream, when its answer has come; of 64 KiB at most"),
    lost("request_body_file", "bodies are streamed, never gathered"),
    same("request_completion"),
    but("request_filename", "of routes with files, and where the import writes it out"),
    same("request_id"),
    but("request_length", "of chunked bodies the content; of HTTP/2 as HTTP/1.1 would write it"),
    same("request_method"),
    same("request_time"),
    same("request_uri"),
    same("scheme"),
    but("secure_link", "the variable of a `[signed.NAME]`"),
    but("secure_link_expires", "what `secure_link` has after its comma"),
    but("sent_http_NAME", "without `Keep-Alive` and `Transfer-Encoding`; `Connection` of an upgrade only"),
    lost("sent_trailer_NAME", "trailers pass, and are not kept"),
    same("server_addr"),
    but("server_name", "the site's name: the first `server_name`"),
    same("server_port"),
    same("server_protocol"),
    lost("session_log_id", "not in nginx without a subscription"),
    lost("slice_range", "`slice` is not carried"),
    lost("spdy", "HTTP/2 is spoken, SPDY is not"),
    same("ssl_alpn_protocol"),
    but("ssl_cipher", "of a connection with TLS"),
    but("ssl_ciphers", "suites that OpenSSL has and hubgate has not are numbers"),
    same("ssl_client_cert"),
    same("ssl_client_escaped_cert"),
    same("ssl_client_fingerprint"),
    same("ssl_client_i_dn"),
    same("ssl_client_i_dn_legacy"),
    same("ssl_client_raw_cert"),
    same("ssl_client_s_dn"),
    same("ssl_client_s_dn_legacy"),
    same("ssl_client_serial"),
    same("ssl_client_v_end"),
    same("ssl_client_v_remain"),
    same("ssl_client_v_start"),
    same("ssl_client_verify"),
    same("ssl_curve"),
    same("ssl_curves"),
    but("ssl_early_data", "nothing: early data is not taken"),
    same("ssl_protocol"),
    same("ssl_server_name"),
    but("ssl_session_id", "nothing: sessions are kept by clients"),
    same("ssl_session_reused"),
    same("status"),
    same("tcpinfo_rcv_space"),
    same("tcpinfo_rtt"),
    same("tcpinfo_rttvar"),
    same("tcpinfo_snd_cwnd"),
    same("time_iso8601"),
    same("time_local"),
    lost("uid_got", "`userid` is not carried"),
    lost("uid_reset", "`userid` is not carried"),
    lost("uid_set", "`userid` is not carried"),
    same("upstream_addr"),
    but("upstream_bytes_received", "of HTTP/2 the bodies only"),
    but("upstream_bytes_sent", "of HTTP/2 the bodies only"),
    but("upstream_cache_last_modified", "nothing: there is no cache"),
    but("upstream_cache_status", "nothing: there is no cache"),
    same("upstream_connect_time"),
    same("upstream_cookie_NAME"),
    same("upstream_header_time"),
    same("upstream_http_NAME"),
    lost("upstream_queue_time", "not in nginx without a subscription"),
    same("upstream_response_length"),
    same("upstream_response_time"),
    same("upstream_status"),
    lost("upstream_trailer_NAME", "trailers pass, and are not kept"),
    same("uri"),
];

/// Those of `http` that nginx knows beside the rows above.
pub static ALSO: &[&str] = &["proxy_internal_chunked"];

/// Those that are there only where a module is used, or with a subscription: their beginnings, and the beginning of the
/// directive that brings them; none for what only `set` brings.
#[rustfmt::skip]
pub static ONLY_WITH: &[(&str, &str)] = &[
    ("geoip_", "geoip_"),
    ("jwt_", "auth_jwt"),
    ("memcached_key", ""),
    ("session_log_id", "session_log"),
    ("spdy", "spdy"),
    ("upstream_queue_time", "queue"),
];

/// Those of `http` that no directive may give a value.
#[rustfmt::skip]
pub static FIXED: &[&str] = &[
    "binary_remote_addr", "body_bytes_sent", "bytes_sent", "connection", "connection_requests", "connection_time",
    "connections_active", "connections_reading", "connections_waiting", "connections_writing", "content_length",
    "content_type", "date_gmt", "date_local", "document_root", "document_uri", "fastcgi_path_info",
    "fastcgi_script_name", "gzip_ratio", "host", "hostname", "http2", "http_cookie", "http_host", "http_referer",
    "http_user_agent", "http_via", "http_x_forwarded_for", "https", "is_args", "limit_conn_status",
    "limit_req_status", "msec", "nginx_version", "pid", "pipe", "proxy_add_x_forwarded_for",
    "proxy_internal_body_length", "proxy_internal_chunked", "proxy_protocol_addr", "proxy_protocol_port",
    "proxy_protocol_server_addr", "proxy_protocol_server_port", "query_string", "realip_remote_addr",
    "realip_remote_port", "realpath_root", "remote_addr", "remote_port", "remote_user", "request", "request_body",
    "request_body_file", "request_completion", "request_filename", "request_id", "request_length",
    "request_method", "request_time", "request_uri", "scheme", "secure_link", "secure_link_expires",
    "sent_http_cache_control", "sent_http_connection", "sent_http_content_length", "sent_http_content_type",
    "sent_http_keep_alive", "sent_http_last_modified", "sent_http_link", "sent_http_location",
    "sent_http_transfer_encoding", "server_addr", "server_name", "server_port", "server_protocol", "slice_range",
    "status", "tcpinfo_rcv_space", "tcpinfo_rtt", "tcpinfo_rttvar", "tcpinfo_snd_cwnd", "time_iso8601",
    "time_local", "uid_got", "uid_set", "upstream_addr", "upstream_bytes_received", "upstream_bytes_sent",
    "upstream_cache_last_modified", "upstream_cache_status", "upstream_connect_time", "upstream_header_time", "upstream_response_length",
    "upstream_response_time", "upstream_status", "uri",
];

/// Those of `stream` that no directive may give a value; with them and those of TLS these are all.
#[rustfmt::skip]
pub static OF_STREAMS: &[&str] = &[
    "binary_remote_addr", "bytes_received", "bytes_sent", "connection", "hostname", "limit_conn_status", "msec",
    "nginx_version", "pid", "protocol", "proxy_protocol_addr", "proxy_protocol_port",
    "proxy_protocol_server_addr", "proxy_protocol_server_port", "realip_remote_addr", "realip_remote_port",
    "remote_addr", "remote_port", "server_addr", "server_port", "session_time", "ssl_preread_alpn_protocols",
    "ssl_preread_protocol", "ssl_preread_server_name", "status", "time_iso8601", "time_local", "upstream_addr",
    "upstream_bytes_received", "upstream_bytes_sent", "upstream_connect_time", "upstream_first_byte_time",
    "upstream_session_time",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Text;

    #[test]
    fn what_is_carried_is_a_variable_of_hubgates_and_nothing_else_is() {
        for (name, fate) in VARIABLES {
            let text = format!("${}", name.replace("NAME", "x"));
            // Each location's own, written out where they are named.
            let known = Text::parse(&text).is_ok() || name.starts_with("secure_link");
            assert_eq!(known, matches!(fate, Fate::Carried(_)), "{text}");
        }
    }

    #[test]
    fn each_is_there_once_and_near_its_place() {
        let mut names: Vec<_> = VARIABLES.iter().map(|(name, _)| *name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
