//! Directives of nginx's modules for gRPC.
//!
//! One row each, in the order of their names; what the columns mean is in `rule`.
#![deny(clippy::disallowed_methods)]

use super::rule::context::{HTTP, LOCATION, LOCATION_IF, SERVER};
use super::rule::{Form, Rule, any, between, exactly, rule};

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("grpc_bind", between(1, 2), &[HTTP, SERVER, LOCATION]).inherited().carried("`bind` of the route"),
    rule("grpc_buffer_size", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Size).once().inherited().not_needed("bodies are streamed, never gathered in memory or on disk"),
    rule("grpc_connect_timeout", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Time).once().inherited().carried("`connect_timeout`"),
    rule("grpc_hide_header", exactly(1), &[HTTP, SERVER, LOCATION]).inherited().carried("`hide_headers`"),
    rule("grpc_ignore_headers", any(1), &[HTTP, SERVER, LOCATION]).form(Form::Word).inherited().carried("`accel`: of these fields only X-Accel-Redirect and X-Accel-Limit-Rate are acted on"),
    rule("grpc_intercept_errors", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().carried("`own_errors`"),
    rule("grpc_next_upstream", any(1), &[HTTP, SERVER, LOCATION]).form(Form::Word).inherited().carried("`retry_on` of the upstream"),
    rule("grpc_next_upstream_timeout", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Time).once().inherited().carried("`retry_deadline` of the upstream"),
    rule("grpc_next_upstream_tries", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Number).once().inherited().carried("`retry_tries` of the upstream"),
    rule("grpc_pass", exactly(1), &[LOCATION, LOCATION_IF]).once().carried("the route's `upstream`, with `protocol = \"h2c\"` or `\"h2\"`"),
    rule("grpc_pass_header", exactly(1), &[HTTP, SERVER, LOCATION]).inherited().not_needed("all fields of answers pass, but those of the connection"),
    rule("grpc_read_timeout", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Time).once().inherited().carried("`response_timeout`, `idle_timeout`, `tunnel_idle_timeout`"),
    rule("grpc_send_timeout", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Time).once().inherited().carried("`send_timeout`"),
    rule("grpc_set_header", exactly(2), &[HTTP, SERVER, LOCATION]).inherited().carried("`request_headers` of the routes that have it"),
    rule("grpc_socket_keepalive", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().not_needed("how connections are kept is hubgate's affair"),
    rule("grpc_ssl_certificate", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().carried("`tls.client_certificate`, `tls.client_key` of the upstream"),
    rule("grpc_ssl_certificate_key", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().carried("`tls.client_certificate`, `tls.client_key` of the upstream"),
    rule("grpc_ssl_ciphers", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().not_needed("current suites of TLS 1.2 and 1.3 are offered; where single ones are named, `tls.cipher_suites` of the upstream"),
    rule("grpc_ssl_conf_command", exactly(2), &[HTTP, SERVER, LOCATION]).inherited().lost("of OpenSSL's commands those about versions and suites are carried"),
    rule("grpc_ssl_crl", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().carried("`tls.crl_files` of the upstream"),
    rule("grpc_ssl_name", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().carried("`tls.server_name` of the upstream"),
    rule("grpc_ssl_password_file", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().carried("`tls.client_passwords` of the upstream"),
    rule("grpc_ssl_protocols", any(1), &[HTTP, SERVER, LOCATION]).form(Form::Word).inherited().carried("`tls.version` of the upstream"),
    rule("grpc_ssl_server_name", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().carried("`tls.sni` of the upstream"),
    rule("grpc_ssl_session_reuse", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().not_needed("sessions are resumed, and chains followed, as far as they go"),
    rule("grpc_ssl_trusted_certificate", exactly(1), &[HTTP, SERVER, LOCATION]).once().inherited().carried("`tls.ca_file` of the upstream"),
    rule("grpc_ssl_verify", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().carried("`tls.verify` of the upstream"),
    rule("grpc_ssl_verify_depth", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Number).once().inherited().carried("`tls.depth` of the upstream"),
];
