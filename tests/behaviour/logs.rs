//! The access log and the event log as a person and a log collector read them.

use std::fs;

use crate::support::hubgate::{HOST, one_site};
use crate::support::{Hubgate, Upstream, eventually, websocket};

fn logging(upstream: &Upstream, lines: &str) -> Hubgate {
    Hubgate::start(
        &(one_site(upstream.addr, "")
            + &format!("[access_log]\ntarget = \"@DIR@/access.log\"\n{lines}\n")),
    )
}

/// The access log's lines, once there are `count`.
fn lines(hubgate: &Hubgate, count: usize) -> Vec<String> {
    let path = hubgate.dir.path().join("access.log");
    let read = || -> Vec<String> {
        fs::read_to_string(&path)
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    };
    eventually("the access log has its lines", || read().len() >= count);
    let all = read();
    assert_eq!(all.len(), count, "{all:#?}");
    all
}

#[test]
fn a_combined_line_is_what_apache_writes() {
    let upstream = Upstream::saying("hello");
    let hubgate = logging(&upstream, "");
    hubgate.plain().exchange("GET /a%2Fb?x=1 HTTP/1.1\r\nHost: hub.test\r\nReferer: https://r.test/\r\nUser-Agent: tester/1 \"q\"\r\n\r\n");
    let all = lines(&hubgate, 1);
    let line = &all[0];
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(
        line.contains("\"GET /a%2Fb?x=1 HTTP/1.1\" 200 5 \"https://r.test/\" \"tester/1 "),
        "{line}"
    );
    assert!(!line.contains("\"q\""), "quotes are escaped: {line}");
}

#[test]
fn a_json_line_is_one_object_with_what_happened() {
    let upstream = Upstream::saying("hello");
    let hubgate = logging(&upstream, "format = \"json\"");
    hubgate.plain().get(HOST, "/x?y");
    hubgate.plain().get(HOST, "/\u{1b}\"\\");
    assert_eq!(hubgate.h2().get("/two").status, 200);
    let mut protocols = Vec::new();
    for line in lines(&hubgate, 3) {
        let value: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if value.to_string().contains("/x?y") {
            let text = value.to_string();
            for word in [
                "127.0.0.1",
                "GET",
                "200",
                "hub.test",
                &upstream.addr.to_string(),
            ] {
                assert!(text.contains(word), "no {word} in {text}");
            }
        }
        protocols.push(line);
    }
    assert!(
        protocols.iter().any(|l| l.contains("HTTP/2")),
        "{protocols:#?}"
    );
}

#[test]
fn a_line_can_name_the_parts_of_a_target_and_both_ends_of_the_connection() {
    let upstream = Upstream::saying("ok");
    let more = "redact = [\"token\"]\nformat = \"$uri $is_args $args $arg_x $arg_token $cookie_a $server_addr:$server_port $server_name $hostname\"";
    let hubgate = logging(&upstream, more);
    hubgate.plain().exchange(
        "GET /a%2Fb?x=1&token=t0p HTTP/1.1\r\nHost: hub.test\r\nCookie: a=secret\r\n\r\n",
    );
    let port = hubgate.http.port();
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(
        lines(&hubgate, 1)[0],
        format!(
            "/a%2Fb ? x=1&token=REDACTED 1 REDACTED REDACTED 127.0.0.1:{port} hub.test {}",
            name.trim()
        )
    );
}

#[test]
fn tokens_are_redacted_wherever_a_target_is_written() {
    let upstream = Upstream::saying("ok");
    let more = "redact = [\"token\", \"code\"]\nformat = \"$remote_addr $request $request_uri $http_referer $status\"";
    let hubgate = logging(&upstream, more);
    for target in [
        "/x?token=SECRET",
        "/x?a=1&token=SECRET&b=2",
        "/x?TOKEN=SECRET",
        "/x?code=SECRET",
        "/x?token=SECRET?token=SECRET",
        "/x?%74oken=SECRET",
    ] {
        hubgate.plain().exchange(format!(
            "GET {target} HTTP/1.1\r\nHost: hub.test\r\nReferer: https://hub.test{target}\r\n\r\n"
        ));
    }
    let all = lines(&hubgate, 6);
    for line in &all {
        assert!(!line.contains("SECRET"), "{line}");
        assert!(line.contains("REDACTED"), "{line}");
    }
    assert!(all[1].contains("a=1&token=REDACTED&b=2"), "{}", all[1]);
    assert!(!hubgate.log().contains("SECRET"), "in the event log");
    assert!(
        upstream
            .requests()
            .iter()
            .all(|r| String::from_utf8_lossy(&r.head.raw).contains("SECRET")),
        "the upstream gets it"
    );
}

#[test]
fn the_request_id_in_the_log_is_the_one_the_upstream_got() {
    let upstream = Upstream::saying("ok");
    let hubgate = logging(
        &upstream,
        "format = \"$request_id $upstream_name $upstream_addr $upstream_status $route $cause\"",
    );
    hubgate.plain().get(HOST, "/");
    let id = upstream.only_request().head.one("x-request-id");
    assert_eq!(
        lines(&hubgate, 1)[0],
        format!("{id} up {} 200 / -", upstream.addr)
    );
}

#[test]
fn answers_by_hubgate_itself_are_logged_with_their_cause() {
    let upstream = Upstream::start(|conn| {
        conn.request();
    });
    let hubgate = logging(&upstream, "format = \"$status $cause $request_uri\"");
    hubgate.plain().get(HOST, "/gone");
    assert_eq!(lines(&hubgate, 1), ["502 upstream_closed /gone"]);
    hubgate.plain().get("nobody.test", "/unknown");
    hubgate
        .plain()
        .exchange("GET /bad HTTP/1.1\r\nHost: hub.test\r\nX : y\r\n\r\n");
    let all = lines(&hubgate, 3);
    assert!(all[1].starts_with("421 host_unknown"), "{all:?}");
    assert!(all[2].starts_with("400 head_malformed"), "{all:?}");
}

#[test]
fn a_client_that_left_is_logged_as_such() {
    let upstream = Upstream::start(|conn| {
        conn.request();
        let _ = conn.closes_within(std::time::Duration::from_secs(10));
    });
    let hubgate = logging(&upstream, "format = \"$status $cause\"");
    let mut client = hubgate.plain();
    client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    upstream.wait_requests(1);
    drop(client);
    assert_eq!(lines(&hubgate, 1), ["499 client_gone"]);
}

#[test]
fn a_tunnel_is_logged_at_its_end_with_its_bytes() {
    let upstream = Upstream::start(|conn| {
        conn.request();
        conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nwelcome");
        let _ = conn.exactly(4);
    });
    let hubgate = logging(
        &upstream,
        "format = \"$status $bytes_tunnelled_in $bytes_tunnelled_out\"",
    );
    let mut client = hubgate.plain();
    client.send("GET / HTTP/1.1\r\nHost: hub.test\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n");
    client.head().unwrap();
    client.exactly(7).unwrap();
    client.send("ping");
    client.rest();
    drop(client);
    assert_eq!(lines(&hubgate, 1), ["101 4 7"]);
    assert_eq!(
        websocket::handshake_request(HOST, "/", "")
            .matches("\r\n\r\n")
            .count(),
        1
    );
}

#[test]
fn a_route_can_log_elsewhere_and_a_site_not_at_all() {
    let upstream = Upstream::saying("ok");
    let toml = one_site(upstream.addr, "")
        + "[access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"$request_uri\"\n\
           [[site.\"hub.test\".route]]\npath = \"/api/\"\nupstream = \"up\"\naccess_log = { target = \"@DIR@/api.log\" }\n\
           [site.\"quiet.test\"]\ncertificate = \"self-signed\"\nhttp = \"forward\"\naccess_log = { target = \"off\" }\n\
           [[site.\"quiet.test\".route]]\npath = \"/\"\nupstream = \"up\"\n";
    let hubgate = Hubgate::start(&toml);
    for (host, target) in [
        ("hub.test", "/one"),
        ("hub.test", "/api/two"),
        ("quiet.test", "/three"),
        ("hub.test", "/four"),
    ] {
        assert_eq!(hubgate.plain().get(host, target).text(), "ok");
    }
    assert_eq!(lines(&hubgate, 2), ["/one", "/four"]);
    let api = hubgate.dir.path().join("api.log");
    eventually("the route's log", || {
        fs::read_to_string(&api).unwrap_or_default() == "/api/two\n"
    });
}

#[test]
fn usr1_opens_renamed_logs_again() {
    let upstream = Upstream::saying("ok");
    let toml = one_site(upstream.addr, "")
        + "[access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"$request_uri\"\n[log]\nfile = \"@DIR@/event.log\"\nlevel = \"info\"\n";
    let hubgate = Hubgate::start(&toml);
    hubgate.plain().get(HOST, "/before");
    lines(&hubgate, 1);
    let path = |name: &str| hubgate.dir.path().join(name);
    for name in ["access", "event"] {
        fs::rename(path(&format!("{name}.log")), path(&format!("{name}.old"))).unwrap();
    }
    hubgate.signal("USR1");
    eventually("both are open again", || {
        path("access.log").exists() && path("event.log").exists()
    });
    hubgate.plain().get(HOST, "/after");
    assert_eq!(lines(&hubgate, 1), ["/after"]);
    assert_eq!(fs::read_to_string(path("access.old")).unwrap(), "/before\n");
    assert_eq!(hubgate.reload().0, 0);
    eventually("events go to the new file", || {
        !fs::read_to_string(path("event.log"))
            .unwrap_or_default()
            .is_empty()
    });
}

#[test]
fn stdout_gets_lines_and_a_stop_loses_none() {
    let upstream = Upstream::saying("ok");
    let mut hubgate = Hubgate::start(
        &(one_site(upstream.addr, "")
            + "[access_log]\ntarget = \"stdout\"\nformat = \"$request_uri\"\n"),
    );
    let mut client = hubgate.plain();
    for i in 0..100 {
        assert_eq!(client.get(HOST, &format!("/{i}")).text(), "ok");
    }
    assert!(hubgate.stop_and_wait().success());
    eventually("all lines are there", || {
        hubgate.printed().lines().count() == 100
    });
}

#[test]
fn a_field_cannot_forge_a_line() {
    let upstream = Upstream::saying("ok");
    let hubgate = logging(&upstream, "format = \"$request_uri [$http_user_agent]\"");
    let mut request =
        b"GET /x HTTP/1.1\r\nHost: hub.test\r\nUser-Agent: a\x80\xc2\x85\xe2\x80\xa8b\tc".to_vec();
    request.extend(b"\r\n\r\n");
    hubgate.plain().exchange(request);
    let raw = fs::read(hubgate.dir.path().join("access.log"));
    let all = lines(&hubgate, 1);
    assert!(
        all[0]
            .bytes()
            .all(|b| b == b'\t' || (0x20..0x7f).contains(&b) || b >= 0x80),
        "{all:?} {raw:?}"
    );
}
