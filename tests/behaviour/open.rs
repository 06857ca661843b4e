//! `hubgate status` says what is still open and for whom: while serving, while draining, and in a process that was relieved.

use std::time::Duration;

use serde_json::Value;

use crate::reload::held;
use crate::support::hubgate::{HOST, command, one_site, run};
use crate::support::ports::free_addr;
use crate::support::websocket::{self, echoes};
use crate::support::{Client, Conn, Hubgate, Upstream, within};

const LONG: Duration = Duration::from_secs(60);
/// A drain that a slow machine does not see the end of.
const PATIENT: &str = "[server]\ndrain_timeout = \"5m\"\n";

/// Echoes WebSockets at `/ws`, begins an event stream at `/events` that nobody ends, and holds everything else.
fn lasting(conn: &mut Conn) {
    let Some(head) = conn.request_head() else {
        return;
    };
    match &head.target()[..] {
        b"/ws" => {
            conn.give_back(head.raw);
            websocket::echo(conn.take());
        }
        b"/events" => {
            conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n");
            while conn.try_send(":\n\n").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        _ => {
            conn.give_back(head.raw);
            held(conn);
        }
    }
}

fn shown(hubgate: &Hubgate, more: &[&str]) -> String {
    let mut command = command(&["status", "--socket"]);
    let (code, output) = run(command.arg(hubgate.socket()).args(more));
    assert_eq!(code, 0, "{output}");
    output
}

fn status(hubgate: &Hubgate) -> Value {
    serde_json::from_str(&shown(hubgate, &["--json", "--open", "50"])).unwrap()
}

fn of_kind<'a>(open: &'a Value, kind: &str) -> &'a Value {
    let rows = open["oldest"].as_array().unwrap();
    let row = rows.iter().find(|row| row["kind"] == kind);
    row.unwrap_or_else(|| panic!("no {kind} in {open}"))
}

#[test]
fn everything_open_is_shown_with_its_client_and_what_it_waits_for_also_after_a_reload() {
    let upstream = Upstream::start(lasting);
    let (endpoint, listen) = (upstream.addr.to_string(), free_addr());
    let toml = one_site(upstream.addr, "")
        + PATIENT
        + &format!(
            "[[stream]]\nlisten = \"{listen}\"\nupstream = \"passed\"\n[upstream.passed]\nendpoints = [\"{endpoint}\"]\n"
        );
    let hubgate = Hubgate::start(&toml);
    let idle = hubgate.plain();
    let mut socket = websocket::open(hubgate.plain(), HOST, "/ws", "").0;
    echoes(&mut socket, "hello");
    let mut h2 = hubgate.h2();
    let events = h2.open(h2.request("GET", "/events"), true);
    let waiting = crate::reload::in_flight(&upstream, hubgate.tls());
    let mut passed = Client::plain(listen);
    passed.send("GET /held HTTP/1.1\r\n");
    within(LONG, "everything is shown", || {
        let open = &status(&hubgate)["open"];
        let kinds = &open["kinds"];
        ["http1", "tunnel", "event stream", "stream"]
            .iter()
            .all(|kind| kinds[kind].as_u64().is_some())
            && of_kind(open, "stream")["bytes_in"] == 20
            && kinds["http1"] == 2
    });
    hubgate.reload_to(&(toml + "[limits]\nhead_fields = 50\n"));
    let open = status(&hubgate)["open"].take();
    let tunnel = of_kind(&open, "tunnel");
    assert_eq!(
        tunnel["client"],
        socket.get_ref().tcp().local_addr().unwrap().to_string()
    );
    assert_eq!(tunnel["site"], HOST, "{tunnel}");
    assert_eq!(tunnel["route"], "/");
    assert_eq!(tunnel["endpoint"], endpoint);
    assert!(tunnel["bytes_in"].as_u64().unwrap() >= 5, "{tunnel}");
    let events_row = of_kind(&open, "event stream");
    assert_eq!(
        (&events_row["waits_for"], &events_row["site"]),
        (&"end".into(), &HOST.into())
    );
    let rows = open["oldest"].as_array().unwrap();
    let waits = |what: &str| {
        rows.iter()
            .any(|row| row["kind"] == "http1" && row["waits_for"] == what)
    };
    assert!(waits("answer") && waits("request"), "{open}");
    let stream = of_kind(&open, "stream");
    assert_eq!(
        (&stream["upstream"], &stream["endpoint"]),
        (&"passed".into(), &endpoint.into())
    );
    let text = shown(&hubgate, &["--open"]);
    assert!(
        text.contains("CLIENT") && text.contains("event stream"),
        "{text}"
    );
    assert!(!shown(&hubgate, &[]).contains("CLIENT"), "nobody asked");
    assert!(shown(&hubgate, &["--open", "2"]).contains("younger ones"));
    hubgate.signal("TERM");
    within(LONG, "a drain shows what it waits for", || {
        let text = shown(&hubgate, &[]);
        text.contains("is stopping, within") && text.contains("tunnel") && text.contains("CLIENT")
    });
    drop((idle, events, waiting, passed));
}

#[test]
fn what_a_relieved_process_still_has_is_shown_by_its_successor_until_it_ends() {
    let upstream = Upstream::start(lasting);
    let mut hubgate = Hubgate::start(&(one_site(upstream.addr, "") + PATIENT));
    let mut socket = websocket::open(hubgate.plain(), HOST, "/ws", "").0;
    echoes(&mut socket, "hello");
    let first = hubgate.pid();
    hubgate.upgrade();
    // And a second one, so that there are two to be shown.
    let mut other = websocket::open(hubgate.plain(), HOST, "/ws", "").0;
    echoes(&mut other, "hello");
    let second = hubgate.pid();
    hubgate.upgrade();
    within(LONG, "both processes are shown", || {
        let report = status(&hubgate);
        let before = &report["predecessors"][0];
        before["pid"] == second && before["predecessors"][0]["pid"] == first
    });
    let report = status(&hubgate);
    let oldest = &report["predecessors"][0]["predecessors"][0];
    assert_eq!(oldest["open"]["kinds"]["tunnel"], 1, "{report}");
    assert!(
        oldest["ends_in"].as_u64().is_some_and(|left| left <= 300),
        "{report}"
    );
    let client = socket.get_ref().tcp().local_addr().unwrap().to_string();
    assert_eq!(of_kind(&oldest["open"], "tunnel")["client"], client);
    let text = shown(&hubgate, &[]);
    assert!(
        text.contains(&format!("process {first}, before this one")) && text.contains(&client),
        "{text}"
    );
    echoes(&mut socket, "still there");
    drop((socket, other));
    within(LONG, "nobody drains any more", || {
        status(&hubgate).get("predecessors").is_none()
    });
}
