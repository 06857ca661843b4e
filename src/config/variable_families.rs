//! Families of variables: those of which a part of the name says what is meant.
//!
//! Single ones are in `variables`; which there are is `variable`'s to parse.

/// Families of variables, by the beginning of their names, with an example's meaning.
pub(super) static FAMILIES: &[(&str, &str)] = &[
    ("http_NAME", "a request field: $http_user_agent"),
    ("arg_NAME", "a parameter of the query: $arg_token"),
    ("cookie_NAME", "a cookie of the request: $cookie_lang"),
    (
        "proxy_protocol_tlv_0xNN",
        "a value of a PROXY header by its kind: $proxy_protocol_tlv_0xEA",
    ),
    (
        "sent_http_NAME",
        "a field of the answer: $sent_http_content_type",
    ),
    (
        "upstream_http_NAME",
        "a field of the upstream's answer: $upstream_http_server",
    ),
    (
        "upstream_cookie_NAME",
        "a cookie that the upstream sets: $upstream_cookie_lang",
    ),
];
