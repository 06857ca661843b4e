//! A defect ends the request that met it, and nothing else. Debug builds have one on demand.

use crate::support::hubgate::{HOST, one_site};
use crate::support::{Client, Hubgate, Upstream, eventually};

/// A request that meets it, with a body that is not read.
const MEETS_IT: &str = "POST /defect HTTP/1.1\r\nHost: hub.test\r\nX-Hubgate-Defect: yes\r\nContent-Length: 3\r\n\r\nabc";

#[test]
fn a_panic_becomes_500_is_counted_and_logged_and_leaves_nothing_behind() {
    let upstream = Upstream::saying("ok");
    let admin = crate::support::ports::free_addr();
    let toml = one_site(upstream.addr, "")
        + &format!("max_in_flight = 2\nqueue = 0\n[admin]\nlisten = \"{admin}\"\n")
        + "[access_log]\ntarget = \"stdout\"\nformat = \"$request_uri $status $cause\"\n";
    let hubgate = Hubgate::start(&toml);
    for _ in 0..3 {
        let response = hubgate.plain().exchange(MEETS_IT);
        assert_eq!((response.status, response.complete), (500, Ok(())));
        assert_eq!(response.head.one("x-hubgate-cause"), "internal");
    }
    assert_eq!(hubgate.plain().get(HOST, "/after").text(), "ok");
    eventually("each has its line", || {
        let lines = hubgate.printed();
        lines.matches("/defect 500 internal").count() == 3 && lines.contains("/after 200 -")
    });
    hubgate.wait_log("panicked: a defect on demand");
    let metrics = Client::plain(admin).get("localhost", "/metrics").text();
    for line in [
        "hubgate_panics_total 3",
        "hubgate_requests_in_flight 0",
        "hubgate_requests_total{protocol=\"h1\",class=\"5xx\"} 3",
    ] {
        assert!(metrics.contains(line), "no `{line}` in {metrics}");
    }
    eventually("the connections are closed", || upstream.open() <= 1);
}

#[test]
fn a_panic_in_one_stream_leaves_the_others_of_its_connection_alone() {
    let upstream = Upstream::start(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbefore");
    });
    let hubgate = Hubgate::before(upstream.addr);
    let mut h2 = hubgate.h2();
    let mut open = h2.open(h2.request("POST", "/open"), false);
    let defect = h2
        .request("GET", "/defect")
        .header("x-hubgate-defect", "yes");
    assert_eq!(h2.exchange(defect).status, 500);
    open.send("the rest", true);
    assert_eq!(open.whole().unwrap().text(), "before");
}
