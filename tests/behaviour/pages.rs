//! What people and programs are told when something goes wrong, as they receive it.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::hubgate::{HOST, command, one_site, run};
use crate::support::{Hubgate, Upstream, ports::free_addr};

/// A GET with these fields.
fn get(hubgate: &Hubgate, target: &str, fields: &str) -> crate::support::Response {
    hubgate.plain().exchange(format!(
        "GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n"
    ))
}

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

#[test]
fn a_browser_a_program_and_curl_each_get_what_they_can_read() {
    let hubgate =
        Hubgate::start(&(one_site(free_addr(), "") + "[error_pages]\nlanguage = \"de\"\n"));
    let page = get(&hubgate, "/", BROWSER);
    assert_eq!(page.head.one("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.head.one("content-language"), "de");
    assert_eq!(page.head.one("cache-control"), "no-store");
    assert_eq!(page.head.one("retry-after"), "10");
    assert!(
        page.text().contains("<html lang=\"de\">")
            && page.text().contains("Gerade nicht erreichbar")
    );
    assert!(page.text().contains(&page.head.one("x-request-id")));
    let problem = get(&hubgate, "/", "Accept: application/json\r\n");
    assert_eq!(problem.head.one("content-type"), "application/problem+json");
    let told: Value = serde_json::from_str(&problem.text()).unwrap();
    assert_eq!(
        (&told["status"], &told["cause"]),
        (&502.into(), &"upstream_connect".into())
    );
    let text = get(&hubgate, "/", "Accept: */*\r\nUser-Agent: curl/8\r\n");
    assert!(text.text().starts_with("502 ") && text.text().contains("cause: upstream_connect"));
    let head = hubgate
        .plain()
        .exchange(format!("HEAD / HTTP/1.1\r\nHost: {HOST}\r\n{BROWSER}\r\n"));
    assert_eq!((head.status, head.body.bytes.len()), (502, 0));
    assert_eq!(head.head.one("x-hubgate-cause"), "upstream_connect");
}

#[test]
fn a_launch_that_takes_too_long_says_so_on_the_page_and_in_the_build_stream() {
    let upstream = Upstream::start(|conn| {
        conn.request();
        let _ = conn.closes_within(std::time::Duration::from_secs(20));
    });
    for (preset, target) in [
        ("binderhub", "/v2/gh/a/b/HEAD"),
        ("jupyterhub", "/hub/spawn"),
    ] {
        let more = format!("preset = \"{preset}\"\nresponse_timeout = \"200ms\"");
        let contact = "[error_pages]\ncontact = \"your teacher\"\n";
        let hubgate = Hubgate::start(&(one_site(upstream.addr, &more) + contact));
        let page = get(&hubgate, target, BROWSER);
        assert_eq!(page.status, 504);
        for part in [
            "Your launch took too long",
            "You did nothing wrong",
            "your teacher",
        ] {
            assert!(page.text().contains(part), "{part} in {}", page.text());
        }
        assert!(
            get(&hubgate, "/other", BROWSER)
                .text()
                .contains("This took too long")
        );
        if preset == "binderhub" {
            let event = get(
                &hubgate,
                "/build/gh/a/b/HEAD",
                "Accept: text/event-stream\r\n",
            );
            assert_eq!(
                (event.status, event.head.one("content-type").as_str()),
                (200, "text/event-stream")
            );
            assert_eq!(
                event.head.one("x-hubgate-cause"),
                "upstream_response_timeout"
            );
            assert!(event.text().starts_with("data: {") && event.text().contains("\"failed\""));
        }
    }
}

#[test]
fn a_site_shows_pages_of_its_own_and_a_reload_reads_them_again() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("502.html");
    fs::write(&file, "<p>one {cause} {request_id}</p>").unwrap();
    let toml =
        one_site(free_addr(), "") + "[site.\"hub.test\".error_pages]\n502 = \"@DIR@/502.html\"\n";
    let hubgate = Hubgate::start_in(dir, &toml);
    let page = get(&hubgate, "/", BROWSER);
    let id = page.head.one("x-request-id");
    assert_eq!(page.text(), format!("<p>one upstream_connect {id}</p>"));
    assert!(!page.head.has("content-security-policy"));
    fs::write(&file, "<p>two {request_id}</p>").unwrap();
    assert!(
        get(&hubgate, "/", BROWSER).text().contains("one"),
        "not read for a request"
    );
    let (code, output) = hubgate.reload();
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("says something else now"), "{output}");
    assert!(get(&hubgate, "/", BROWSER).text().contains("two"));
    fs::write(&file, "<p>three {reqest_id}</p>").unwrap();
    let (code, output) = hubgate.reload();
    assert_eq!(code, 1, "{output}");
    for part in [
        "502.html:1:10",
        "{reqest_id}",
        "did you mean `request_id`?",
        "hubgate.toml:",
    ] {
        assert!(output.contains(part), "{part} in {output}");
    }
    assert!(
        get(&hubgate, "/", BROWSER).text().contains("two"),
        "the old page stays"
    );
}

#[test]
fn a_page_that_cannot_be_read_is_too_large_or_for_no_status_of_ours_refuses_the_configuration() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("large.html"), "x".repeat(65 << 10)).unwrap();
    fs::write(dir.path().join("plain.html"), "no id").unwrap();
    let site = "certificate = \"none\"\n[site.\"a.test\".error_pages]\n";
    for (line, code, told) in [
        ("502 = \"none.html\"", 1, "bad-page"),
        ("502 = \"large.html\"", 1, "64KiB"),
        ("418 = \"plain.html\"", 1, "unknown-key"),
        ("language = \"tlh\"", 1, "bad-word"),
        ("upstream_down = \"plain.html\"", 0, "page-without-id"),
    ] {
        let file = dir.path().join("hubgate.toml");
        fs::write(&file, format!("[site.\"a.test\"]\n{site}{line}\n")).unwrap();
        let (exit, output) = run(command(&["check", "-c"]).arg(&file));
        assert_eq!(exit, code, "{line}: {output}");
        assert!(output.contains(told), "{line}: {output}");
    }
}
