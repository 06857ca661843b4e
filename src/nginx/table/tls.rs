//! Directives of nginx's modules for TLS and HTTP/2.
//!
//! One row each, in the order of their names; what the columns mean is in `rule`.
#![deny(clippy::disallowed_methods)]

use super::rule::context::{HTTP, LOCATION, SERVER};
use super::rule::{Form, Rule, any, between, exactly, rule};

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("http2", exactly(1), &[HTTP, SERVER]).form(Form::Flag).once().inherited().carried("`listen.h2c` for plain HTTP; TLS always offers it"),
    rule("http2_body_preread_size", exactly(1), &[HTTP, SERVER]).form(Form::Size).once().inherited().not_needed("HTTP/2 is spoken to whoever asks for it; its buffers are hubgate's affair"),
    rule("http2_chunk_size", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Size).once().inherited().not_needed("HTTP/2 is spoken to whoever asks for it; its buffers are hubgate's affair"),
    rule("http2_idle_timeout", exactly(1), &[HTTP, SERVER]).inherited().not_needed("nginx has left it for `keepalive_timeout`, and says so"),
    rule("http2_max_concurrent_pushes", exactly(1), &[HTTP, SERVER]).form(Form::Number).once().inherited().not_needed("HTTP/2 is spoken to whoever asks for it; its buffers are hubgate's affair"),
    rule("http2_max_concurrent_streams", exactly(1), &[HTTP, SERVER]).form(Form::Number).once().inherited().carried("`limits.h2_streams`, `client.h2_streams` of sites"),
    rule("http2_max_field_size", exactly(1), &[HTTP, SERVER]).inherited().not_needed("nginx has left it for `large_client_header_buffers`, and says so"),
    rule("http2_max_header_size", exactly(1), &[HTTP, SERVER]).inherited().not_needed("nginx has left it for `large_client_header_buffers`, and says so"),
    rule("http2_max_requests", exactly(1), &[HTTP, SERVER]).inherited().not_needed("nginx has left it for `keepalive_requests`, and says so"),
    rule("http2_pool_size", exactly(1), &[HTTP, SERVER]).form(Form::Size).once().inherited().not_needed("HTTP/2 is spoken to whoever asks for it; its buffers are hubgate's affair"),
    rule("http2_push", exactly(1), &[HTTP, SERVER, LOCATION]).inherited().lost("nothing is pushed: browsers have given it up"),
    rule("http2_push_preload", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().lost("nothing is pushed: browsers have given it up"),
    rule("http2_recv_buffer_size", exactly(1), &[HTTP]).form(Form::Size).once().not_needed("HTTP/2 is spoken to whoever asks for it; its buffers are hubgate's affair"),
    rule("http2_recv_timeout", exactly(1), &[HTTP, SERVER]).inherited().not_needed("nginx has left it for `client_header_timeout`, and says so"),
    rule("http2_streams_index_size", exactly(1), &[HTTP, SERVER]).form(Form::Number).once().inherited().not_needed("HTTP/2 is spoken to whoever asks for it; its buffers are hubgate's affair"),
    rule("ssl", exactly(1), &[HTTP, SERVER]).form(Form::Flag).inherited().carried("the addresses of `listen` are of `listen.https`"),
    rule("ssl_buffer_size", exactly(1), &[HTTP, SERVER]).form(Form::Size).once().inherited().not_needed("records are as long as what there is to send, up to 16 KiB"),
    rule("ssl_certificate", exactly(1), &[HTTP, SERVER]).inherited().carried("the site's `certificate`"),
    rule("ssl_certificate_key", exactly(1), &[HTTP, SERVER]).inherited().carried("the site's `certificate`"),
    rule("ssl_ciphers", exactly(1), &[HTTP, SERVER]).once().inherited().not_needed("current suites of TLS 1.2 and 1.3 are spoken; where single ones are named, `tls.cipher_suites`"),
    rule("ssl_client_certificate", exactly(1), &[HTTP, SERVER]).once().inherited().carried("`tls.client_certificate` of the site"),
    rule("ssl_conf_command", exactly(2), &[HTTP, SERVER]).inherited().lost("of OpenSSL's commands those about versions and suites are carried"),
    rule("ssl_crl", exactly(1), &[HTTP, SERVER]).once().inherited().carried("`tls.client_certificate` of the site"),
    rule("ssl_dhparam", exactly(1), &[HTTP, SERVER]).once().inherited().not_needed("key exchanges are elliptic curves and post-quantum ones, which need no such file"),
    rule("ssl_early_data", exactly(1), &[HTTP, SERVER]).form(Form::Flag).once().inherited().not_needed("early data can be replayed: clients are answered after the handshake, one round trip later"),
    rule("ssl_ecdh_curve", exactly(1), &[HTTP, SERVER]).once().inherited().carried("`tls.groups`; `auto` is what hubgate speaks by itself"),
    rule("ssl_ocsp", exactly(1), &[HTTP, SERVER]).form(Form::Word).once().inherited().lost("hubgate asks no OCSP responder: `tls.client_certificate.crl_files` say who is revoked"),
    rule("ssl_ocsp_cache", exactly(1), &[HTTP, SERVER]).inherited().lost("hubgate asks no OCSP responder: `tls.client_certificate.crl_files` say who is revoked"),
    rule("ssl_ocsp_responder", exactly(1), &[HTTP, SERVER]).once().inherited().lost("hubgate asks no OCSP responder: `tls.client_certificate.crl_files` say who is revoked"),
    rule("ssl_password_file", exactly(1), &[HTTP, SERVER]).once().inherited().carried("`certificate.passwords`"),
    rule("ssl_prefer_server_ciphers", exactly(1), &[HTTP, SERVER]).form(Form::Flag).once().inherited().not_needed("all suites are good ones: the client knows best which is fast for it"),
    rule("ssl_protocols", any(1), &[HTTP, SERVER]).form(Form::Word).inherited().carried("`tls.minimum_version` and `tls.maximum_version`; versions before 1.2 are not spoken"),
    rule("ssl_reject_handshake", exactly(1), &[HTTP, SERVER]).form(Form::Flag).once().inherited().carried("a site without a certificate takes no TLS connection"),
    rule("ssl_session_cache", between(1, 2), &[HTTP, SERVER]).inherited().not_needed("sessions are kept by clients, in tickets whose keys rotate: `tls.session_tickets`, `tls.ticket_rotation`"),
    rule("ssl_session_ticket_key", exactly(1), &[HTTP, SERVER]).inherited().carried("`tls.ticket_keys`; tickets of nginx itself are not taken"),
    rule("ssl_session_tickets", exactly(1), &[HTTP, SERVER]).form(Form::Flag).once().inherited().not_needed("sessions are kept by clients, in tickets whose keys rotate: `tls.session_tickets`, `tls.ticket_rotation`"),
    rule("ssl_session_timeout", exactly(1), &[HTTP, SERVER]).form(Form::Seconds).once().inherited().not_needed("sessions are kept by clients, in tickets whose keys rotate: `tls.session_tickets`, `tls.ticket_rotation`"),
    rule("ssl_stapling", exactly(1), &[HTTP, SERVER]).form(Form::Flag).once().inherited().not_needed("authorities are giving up OCSP: Let's Encrypt answers none since 2025"),
    rule("ssl_stapling_file", exactly(1), &[HTTP, SERVER]).once().inherited().not_needed("authorities are giving up OCSP: Let's Encrypt answers none since 2025"),
    rule("ssl_stapling_responder", exactly(1), &[HTTP, SERVER]).once().inherited().not_needed("authorities are giving up OCSP: Let's Encrypt answers none since 2025"),
    rule("ssl_stapling_verify", exactly(1), &[HTTP, SERVER]).form(Form::Flag).once().inherited().not_needed("authorities are giving up OCSP: Let's Encrypt answers none since 2025"),
    rule("ssl_trusted_certificate", exactly(1), &[HTTP, SERVER]).once().inherited().not_needed("it is for stapling; where clients are asked for certificates it is carried"),
    rule("ssl_verify_client", exactly(1), &[HTTP, SERVER]).form(Form::Word).once().inherited().carried("`tls.client_certificate` of the site"),
    rule("ssl_verify_depth", exactly(1), &[HTTP, SERVER]).form(Form::Number).once().inherited().not_needed("clients are asked for no certificate"),
];
