//! Endpoints that come and go while hubgate runs: by a file that a script writes, by an operator's word.

use std::path::PathBuf;

use crate::support::hubgate::{HOST, command, one_site, run};
use crate::support::{Hubgate, Upstream, eventually};

/// An upstream whose endpoints are in `nodes` of the folder.
fn site() -> String {
    one_site("127.0.0.1:1".parse().unwrap(), "").replace(
        "endpoints = [\"127.0.0.1:1\"]",
        "endpoints_file = \"nodes\"\nkeep_alive = 0",
    )
}

fn write(hubgate: &Hubgate, text: &str) {
    // As a careful script does: never half a file.
    let path: PathBuf = hubgate.dir.path().join("nodes");
    std::fs::write(path.with_extension("new"), text).unwrap();
    std::fs::rename(path.with_extension("new"), path).unwrap();
}

fn who(hubgate: &Hubgate) -> String {
    hubgate.plain().get(HOST, "/").text()
}

#[test]
fn a_file_of_endpoints_is_followed_and_a_damaged_one_changes_nothing() {
    let (a, b) = (Upstream::saying("a"), Upstream::saying("b"));
    let hubgate = Hubgate::start(&site());
    let response = hubgate.plain().get(HOST, "/");
    assert_eq!(
        response.head.one("x-hubgate-cause"),
        "upstream_empty",
        "it starts without"
    );
    write(&hubgate, &format!("{} # the first\n", a.addr));
    eventually("the first endpoint is used", || who(&hubgate) == "a");
    write(&hubgate, &format!("{}\n{}\n", a.addr, b.addr));
    eventually("the second one too", || who(&hubgate) == "b");
    write(&hubgate, &format!("{}\n", b.addr));
    eventually("the first is gone", || (0..4).all(|_| who(&hubgate) == "b"));
    for damaged in ["", "127.0.0.1", "127.0.0.1:80 weight=x\n"] {
        write(&hubgate, damaged);
        let before = hubgate.log().matches("upstream.endpoints.kept").count();
        eventually("it is told", || {
            hubgate.log().matches("upstream.endpoints.kept").count() >= before.max(1)
        });
        assert_eq!(who(&hubgate), "b", "{damaged:?}");
    }
    // A reload that changes the upstream keeps what is known, though the file says nothing.
    hubgate.reload_to(&(site() + "slow_start = \"0s\"\nqueue = 7\n"));
    assert_eq!(who(&hubgate), "b");
    std::fs::remove_file(hubgate.dir.path().join("nodes")).unwrap();
    hubgate.reload_to(&site());
    assert_eq!(who(&hubgate), "b");
}

#[test]
fn a_file_in_toml_is_followed_too_and_what_is_wrong_is_told_with_its_line() {
    let (a, b) = (Upstream::saying("a"), Upstream::saying("b"));
    let hubgate = Hubgate::start(&site().replace("\"nodes\"", "\"nodes.toml\""));
    let path = hubgate.dir.path().join("nodes.toml");
    let write = |text: &str| {
        std::fs::write(path.with_extension("new"), text).unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
    };
    write(&format!(
        "endpoints = [\n  \"{}\",\n  {{ address = \"{}\", backup = true }},\n]\n",
        a.addr, b.addr
    ));
    eventually("it is used", || who(&hubgate) == "a");
    assert!(
        (0..4).all(|_| who(&hubgate) == "a"),
        "the other is a backup"
    );
    write("endpoints = [\n  \"127.0.0.1\",\n]\n");
    hubgate.wait_log("nodes.toml:2:3: endpoint `127.0.0.1` has no port");
    assert_eq!(who(&hubgate), "a");
    write(&format!("endpoints = [\"{}\"]\n", b.addr));
    eventually("the other one is", || who(&hubgate) == "b");
}

#[test]
fn an_endpoint_is_taken_out_and_back_by_command_and_stays_out_over_a_reload() {
    let (a, b) = (Upstream::saying("a"), Upstream::saying("b"));
    let toml =
        one_site(a.addr, "").replace("endpoints = [", &format!("endpoints = [\"{}\", ", b.addr));
    let hubgate = Hubgate::start(&toml);
    let say = |what: &str, endpoint: &str| {
        let socket = hubgate.socket();
        run(command(&["upstream", what, endpoint, "--socket"]).arg(socket))
    };
    let list = || run(command(&["upstream", "list", "--socket"]).arg(hubgate.socket()));
    let all = |name: &str| (0..6).all(|_| who(&hubgate) == name);
    for (out, back, state) in [
        ("drain", "undrain", "draining"),
        ("disable", "enable", "disabled"),
    ] {
        let (code, text) = say(out, &a.addr.to_string());
        assert_eq!(code, 0, "{text}");
        assert!(text.contains(state), "{text}");
        assert!(all("b"));
        let (_, text) = list();
        let row = text
            .lines()
            .find(|line| line.contains(&a.addr.to_string()))
            .unwrap();
        assert!(row.contains(state), "{text}");
        hubgate.reload_to(&(toml.clone() + "queue = 9\n"));
        assert!(all("b"), "kept over a reload");
        hubgate.reload_to(&toml);
        assert_eq!(say(back, &a.addr.to_string()).0, 0);
        eventually("it is back", || who(&hubgate) == "a");
    }
    let (code, text) = say("drain", "127.0.0.1:9");
    assert_eq!(code, 1);
    assert!(
        text.contains(&a.addr.to_string()),
        "it says which there are: {text}"
    );
    assert_eq!(say("drain", "node-1:80").0, 1);
}
