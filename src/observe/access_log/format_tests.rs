//! Claims about access log lines.
//!
//! Apart from `format` because that file is long enough.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::config::Text;
use crate::observe::cause::Cause;

fn time() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_795_244_771_042)
}

fn ordinary(fields: &HeaderMap) -> Record<'_> {
    Record {
        method: "GET",
        target: b"/jupyterhub/hub/login?next=%2F&token=abc",
        scheme: "https",
        host: Some("hub.example.org"),
        status: 200,
        body_sent: 6871,
        duration: Duration::from_millis(1234),
        request_id: "r-1",
        ..Record::new(time(), ([203, 0, 113, 9], 50_000).into(), fields)
    }
}

fn fields() -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert(
        REFERER,
        HeaderValue::from_static("https://hub.example.org/?token=abc"),
    );
    fields.insert(USER_AGENT, HeaderValue::from_static("Mozilla/5.0 \"X\""));
    fields.insert(COOKIE, HeaderValue::from_static("session=abc"));
    fields
}

fn rendered(format: &AccessLogFormat, record: &Record<'_>) -> String {
    let mut out = Vec::new();
    line(
        format,
        (&["token".to_owned()], Escape::Default),
        record,
        &mut Clock::default(),
        &mut out,
    );
    String::from_utf8(out).unwrap()
}

#[test]
fn an_ordinary_request_reads_as_in_nginx() {
    assert_eq!(
        rendered(&AccessLogFormat::Combined, &ordinary(&fields())),
        "203.0.113.9 - - [21/Nov/2026:07:06:11 +0000] \"GET /jupyterhub/hub/login?next=%2F&token=REDACTED HTTP/1.1\" 200 6871 \
         \"https://hub.example.org/?token=REDACTED\" \"Mozilla/5.0 \\x22X\\x22\"\n"
    );
}

#[test]
fn a_head_too_broken_to_read_is_a_dash() {
    let fields = HeaderMap::new();
    let record = Record {
        status: 400,
        cause: Some(Cause::HeadMalformed),
        ..Record::new(time(), ([203, 0, 113, 9], 1).into(), &fields)
    };
    assert_eq!(
        rendered(&AccessLogFormat::Combined, &record),
        "203.0.113.9 - - [21/Nov/2026:07:06:11 +0000] \"-\" 400 0 \"-\" \"-\"\n"
    );
}

#[test]
fn a_template_names_what_it_wants_but_gets_no_credentials() {
    let template = "$request_time $upstream_connect_time <$http_cookie> $http_x_none";
    let template = AccessLogFormat::Template(Text::parse(template).unwrap());
    assert_eq!(
        rendered(&template, &ordinary(&fields())),
        "1.234 - <REDACTED> -\n"
    );
}

#[test]
fn json_leaves_out_what_is_not_known() {
    let fields = fields();
    let record = Record {
        cause: Some(Cause::UpstreamConnect),
        upstream: Some("hub"),
        endpoint: Some(std::net::SocketAddr::from(([10, 0, 0, 1], 80)).into()),
        ..ordinary(&fields)
    };
    let text = rendered(&AccessLogFormat::Json, &record);
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["time"], "2026-11-21T07:06:11.042Z");
    assert_eq!(
        object["uri"],
        "/jupyterhub/hub/login?next=%2F&token=REDACTED"
    );
    assert_eq!(object["request_time"], 1.234);
    assert_eq!(object["cause"], "upstream_connect");
    assert_eq!(object["upstream_addr"], "10.0.0.1:80");
    assert!(object.get("upstream_status").is_none() && object.get("tunnel_bytes_in").is_none());
}

proptest! {
    #[test]
    fn no_request_can_forge_a_line(target: Vec<u8>, host in "(?s).*", value: Vec<u8>, server_name in "(?s).*") {
        let mut fields = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            fields.insert(USER_AGENT, value.clone());
            fields.insert(REFERER, value);
        }
        let record = Record { target: &target, host: Some(&host), server_name: Some(&server_name), ..ordinary(&fields) };
        let every = Text::parse("$request_uri$host$ssl_server_name$http_user_agent").unwrap();
        let every = AccessLogFormat::Template(every);
        for format in [AccessLogFormat::Combined, every] {
            let text = rendered(&format, &record);
            let quotes = if format == AccessLogFormat::Combined { 6 } else { 0 };
            prop_assert_eq!(text.find('\n'), Some(text.len() - 1));
            prop_assert_eq!(text.matches('"').count(), quotes);
            prop_assert!(text.trim_end().chars().all(|c| (' '..='~').contains(&c)));
        }
        let text = rendered(&AccessLogFormat::Json, &record);
        prop_assert_eq!(text.find('\n'), Some(text.len() - 1));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }
}
