//! What a reload would change, in words.
//!
//! Each test changes one thing in a small configuration and reads the whole plan.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use hubgate::config::{Config, Source, diff, parse};

const OLD: &str = r#"
[site."hub.example.org"]
[[site."hub.example.org".route]]
path = "/jupyterhub/"
upstream = "hub"
[[site."hub.example.org".route]]
path = "/binderhub/"
upstream = "binder"
[upstream.hub]
endpoints = ["192.0.2.1:80"]
[upstream.binder]
endpoints = ["192.0.2.2:80"]
"#;

fn load(text: &str) -> Config {
    parse(&Source::new("a.toml", "/etc/hubgate", text))
        .unwrap_or_else(|report| panic!("{report}"))
        .config
}

fn plan(change: impl Fn(&str) -> String) -> String {
    diff(&load(OLD), &load(&change(OLD))).to_string()
}

#[test]
fn the_same_configuration_changes_nothing() {
    let plan = diff(&load(OLD), &load(&format!("# a comment\n{OLD}")));
    assert!(plan.is_empty());
    assert_eq!(plan.to_string(), "nothing changes");
}

#[test]
fn a_changed_key_of_a_route_says_old_and_new() {
    let found = plan(|old| {
        old.replacen(
            "upstream = \"hub\"",
            "upstream = \"hub\"\nidle_timeout = \"1h\"",
            1,
        )
    });
    assert_eq!(
        found,
        "route hub.example.org /jupyterhub/: idle_timeout 1m -> 1h"
    );
}

#[test]
fn a_preset_is_told_by_what_it_changes() {
    let found = plan(|old| {
        old.replacen(
            "upstream = \"hub\"",
            "upstream = \"hub\"\npreset = \"jupyterhub\"",
            1,
        )
    });
    assert_eq!(
        found,
        "route hub.example.org /jupyterhub/: preset (not set) -> jupyterhub\n\
         route hub.example.org /jupyterhub/: body_limit 64MiB -> none\n\
         route hub.example.org /jupyterhub/: response_timeout 1m -> 10m\n\
         route hub.example.org /jupyterhub/: idle_timeout 1m -> 1h\n\
         upstream hub: health { kind = \"off\" } -> { kind = \"http\", path = \"/jupyterhub/hub/health\", host = \"hub.example.org\", expect = [\"200-399\"], interval = \"10s\", jitter = \"10%\", timeout = \"5s\", rise = 2, fall = 3, initial = \"up\" }"
    );
}

#[test]
fn listeners_come_and_go_by_address() {
    let found =
        plan(|old| format!("[listen]\nhttps = [\"0.0.0.0:443\", \"127.0.0.1:8443\"]\n{old}"));
    assert_eq!(
        found,
        "listener https [::]:443: removed\nlistener https 127.0.0.1:8443: added"
    );
}

#[test]
fn a_new_site_brings_its_routes() {
    let found = plan(|old| {
        format!(
            "{old}[site.\"b.example.org\"]\n[[site.\"b.example.org\".route]]\nexact = \"/x\"\nupstream = \"hub\"\n"
        )
    });
    assert_eq!(
        found,
        "site b.example.org: added (certificate acme)\nroute b.example.org = /x: added (upstream hub)"
    );
}

#[test]
fn a_removed_site_takes_its_routes_with_it() {
    let more = format!(
        "{OLD}[site.\"b.example.org\"]\n[[site.\"b.example.org\".route]]\npath = \"/\"\nupstream = \"hub\"\n"
    );
    let found = diff(&load(&more), &load(OLD)).to_string();
    assert_eq!(
        found,
        "site b.example.org: removed (certificate acme)\nroute b.example.org /: removed (upstream hub)"
    );
}

#[test]
fn endpoints_are_told_as_lists() {
    let found =
        plan(|old| old.replace("[\"192.0.2.2:80\"]", "[\"192.0.2.2:80\", \"192.0.2.3:80\"]"));
    assert_eq!(
        found,
        "upstream binder: endpoints [\"192.0.2.2:80\"] -> [\"192.0.2.2:80\", \"192.0.2.3:80\"]"
    );
}

#[test]
fn what_waits_for_the_next_start_says_so() {
    let new = load(&format!(
        "[server]\nworkers = 2\ndrain_timeout = \"1m\"\n[admin]\nsocket = \"/tmp/a.sock\"\n{OLD}"
    ));
    let plan = diff(&load(OLD), &new);
    let waiting: Vec<_> = plan
        .at_restart()
        .map(|(change, field)| format!("{}.{}", change.name, field.key))
        .collect();
    assert_eq!(waiting, ["server.workers", "admin.socket"]);
    assert!(
        plan.to_string()
            .contains("setting server: workers 0 -> 2 (takes effect at the next start)"),
        "{plan}"
    );
}

#[test]
fn an_inherited_access_log_is_told_once() {
    let found = plan(|old| format!("[access_log]\ntarget = \"stdout\"\n{old}"));
    assert_eq!(found, "setting access_log: target off -> stdout");
}

#[test]
fn a_routes_own_access_log_is_told_at_the_route() {
    let found = plan(|old| {
        old.replacen(
            "upstream = \"hub\"",
            "upstream = \"hub\"\naccess_log = { target = \"stdout\" }",
            1,
        )
    });
    assert_eq!(
        found,
        "route hub.example.org /jupyterhub/: access_log.target off -> stdout"
    );
}

#[test]
fn a_plan_is_data_for_programs() {
    let plan = diff(&load(OLD), &load(&OLD.replace("/binderhub/", "/build/")));
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["changes"][0]["subject"], "route");
    assert_eq!(json["changes"][0]["action"], "removed");
    assert_eq!(json["changes"][1]["name"], "hub.example.org /build/");
}
