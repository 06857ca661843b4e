//! What a site asks of its clients' TLS, as other implementations see it: versions, suites, groups, tickets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustls::{HandshakeKind, NamedGroup};

use crate::support::hubgate::{HOST, command, one_site, two_sites};
use crate::support::openssl::{get, s_client};
use crate::support::{Client, Hubgate, Upstream, Wire, eventually, tls};

/// Whether a second connection of the same client resumes the first one's session.
fn resumes(addr: SocketAddr, host: &str, config: &rustls::ClientConfig) -> bool {
    let shake = || {
        let stream = tls::handshake(addr, host, config.clone()).unwrap();
        let kind = stream.conn.handshake_kind();
        // The ticket comes before the answer.
        assert_eq!(Client(Wire::new(stream)).get(host, "/").text(), "ok");
        kind
    };
    shake();
    shake() == Some(HandshakeKind::Resumed)
}

#[test]
fn a_modern_site_refuses_tls12_while_its_neighbour_takes_it() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::start(&two_sites(&upstream, "profile = \"modern\""));
    let refused = s_client(hubgate.https, HOST, "-tls1_2", "");
    assert!(!refused.is_done());
    refused.says("alert protocol version");
    s_client(hubgate.https, HOST, "-tls1_3", &get(HOST)).says("HTTP/1.1 200");
    for version in ["-tls1_2", "-tls1_3"] {
        let said = s_client(hubgate.https, "other.test", version, &get("other.test"));
        said.says("HTTP/1.1 200");
    }
}

#[test]
fn versions_before_tls12_are_refused_whatever_is_offered_with_them() {
    let upstream = Upstream::saying("no");
    let hubgate = Hubgate::before(upstream.addr);
    for version in ["-tls1", "-tls1_1"] {
        let more = format!("{version} -cipher ALL@SECLEVEL=0");
        let said = s_client(hubgate.https, HOST, &more, &get(HOST));
        assert!(!said.is_done(), "{}", said.0);
        said.says(" alert ");
    }
    for suites in [
        "AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-SHA256",
        "NULL",
        "aNULL",
        "DHE",
    ] {
        let more = format!("-tls1_2 -cipher {suites}:@SECLEVEL=0");
        let said = s_client(hubgate.https, HOST, &more, &get(HOST));
        assert!(!said.is_done(), "{suites}: {}", said.0);
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_site_speaks_its_own_suites_only() {
    let upstream = Upstream::saying("ok");
    let suites = "cipher_suites = [\"TLS_CHACHA20_POLY1305_SHA256\", \"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\"]";
    let hubgate = Hubgate::start(&two_sites(&upstream, suites));
    let agreed = |host, more: &str| {
        let said = s_client(hubgate.https, host, more, &get(host));
        let suite = said.of("New, ").unwrap_or_default();
        suite.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(agreed(HOST, "-tls1_3"), "TLS_CHACHA20_POLY1305_SHA256");
    assert_eq!(agreed(HOST, "-tls1_2"), "ECDHE-ECDSA-AES256-GCM-SHA384");
    for refused in [
        "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256",
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256",
    ] {
        let said = s_client(hubgate.https, HOST, refused, &get(HOST));
        said.says("alert handshake failure");
    }
    let other = agreed("other.test", "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256");
    assert_eq!(other, "TLS_AES_128_GCM_SHA256");
}

#[test]
fn a_site_agrees_on_its_own_groups_only() {
    let upstream = Upstream::saying("ok");
    let groups = "groups = [\"secp384r1\", \"SecP256r1MLKEM768\"]";
    let hubgate = Hubgate::start(&two_sites(&upstream, groups));
    s_client(hubgate.https, HOST, "-groups X25519:P-384", &get(HOST)).says("HTTP/1.1 200");
    for version in ["-tls1_2", "-tls1_3"] {
        let more = format!("{version} -groups X25519:P-256");
        let said = s_client(hubgate.https, HOST, &more, &get(HOST));
        said.says("alert handshake failure");
    }
    let agreed = |host| {
        let stream = tls::handshake(hubgate.https, host, tls::config(&["http/1.1"])).unwrap();
        stream.conn.negotiated_key_exchange_group().unwrap().name()
    };
    assert_eq!(agreed(HOST), NamedGroup::secp384r1);
    assert_eq!(agreed("other.test"), NamedGroup::X25519MLKEM768);
}

#[test]
fn a_changed_policy_holds_for_new_connections_and_leaves_sessions_and_open_ones_alone() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::start(&two_sites(&upstream, ""));
    let mut open = Client::tls(hubgate.https, HOST);
    assert_eq!(open.get(HOST, "/").text(), "ok");
    let config = tls::config(&["http/1.1"]);
    assert!(resumes(hubgate.https, "other.test", &config));
    hubgate.reload_to(&two_sites(&upstream, "minimum_version = \"1.3\""));
    assert_eq!(open.get(HOST, "/").text(), "ok");
    let said = s_client(hubgate.https, HOST, "-tls1_2", "");
    said.says("alert protocol version");
    let stream = tls::handshake(hubgate.https, "other.test", config).unwrap();
    assert_eq!(stream.conn.handshake_kind(), Some(HandshakeKind::Resumed));
    let (code, text) = {
        hubgate.rewrite(&two_sites(
            &upstream,
            "cipher_suites = [\"TLS_AES_128_GCM_SHA256\"]",
        ));
        hubgate.reload()
    };
    assert_eq!(code, 1);
    assert!(text.contains("leave nothing for TLS 1.2"), "{text}");
}

#[test]
fn a_site_without_tickets_makes_every_connection_anew() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::start(&two_sites(&upstream, "session_tickets = false"));
    for version in rustls::ALL_VERSIONS {
        let config = tls::config_with(&["http/1.1"], &[version]);
        assert!(!resumes(hubgate.https, HOST, &config), "{version:?}");
        assert!(resumes(hubgate.https, "other.test", &config), "{version:?}");
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let more = format!("{version} -reconnect");
        let said = s_client(hubgate.https, HOST, &more, "");
        assert!(!said.0.contains("Reused"), "{}", said.0);
    }
}

#[test]
fn a_ticket_outlives_two_rotations_and_no_more() {
    let upstream = Upstream::saying("ok");
    let toml = format!(
        "[tls]\nticket_rotation = \"1s\"\n{}",
        two_sites(&upstream, "")
    );
    let hubgate = Hubgate::start(&toml);
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("session");
    let start = Instant::now();
    let more = format!("-tls1_2 -sess_out {}", session.display());
    s_client(hubgate.https, HOST, &more, &get(HOST)).says("New, TLSv1.2");
    let again = format!("-tls1_2 -sess_in {}", session.display());
    let resumed = || {
        let said = s_client(hubgate.https, HOST, &again, &get(HOST));
        said.0.contains("Reused, TLSv1.2")
    };
    if resumed() {
        eventually("the ticket is too old", || !resumed());
        assert!(
            start.elapsed() > Duration::from_millis(1900),
            "{:?}",
            start.elapsed()
        );
    } else {
        // The machine is so busy that it is too old already.
        assert!(
            start.elapsed() > Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn sessions_resume_for_openssl_in_both_versions() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let folder = tempfile::tempdir().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = folder.path().join(version);
        let more = format!("{version} -sess_out {}", session.display());
        s_client(hubgate.https, HOST, &more, &get(HOST)).says("HTTP/1.1 200");
        let more = format!("{version} -sess_in {}", session.display());
        let said = s_client(hubgate.https, HOST, &more, &get(HOST));
        said.says("Reused");
        said.says("HTTP/1.1 200");
    }
    // Without tickets TLS 1.2 has sessions by their id.
    let said = s_client(hubgate.https, HOST, "-tls1_2 -no_ticket -reconnect", "");
    said.says("Reused");
}

#[test]
fn a_client_that_wants_to_renegotiate_is_refused() {
    let upstream = Upstream::saying("ok");
    let hubgate = Hubgate::before(upstream.addr);
    let said = s_client(hubgate.https, HOST, "-tls1_2", "R\n");
    said.says("RENEGOTIATING");
    assert!(said.0.contains("no renegotiation"), "{}", said.0);
}

/// The values of the field by HTTP/1.1 and by HTTP/2.
fn strict(hubgate: &Hubgate, host: &str, target: &str) -> Vec<String> {
    const FIELD: &str = "strict-transport-security";
    let mut told = Client::tls(hubgate.https, host)
        .get(host, target)
        .head
        .all(FIELD);
    let h2 = crate::support::H2::connect(hubgate.https, host).get(target);
    let h2 = h2.fields.get_all(FIELD).iter();
    told.extend(h2.map(|value| value.to_str().unwrap().to_owned()));
    told
}

#[test]
fn browsers_are_told_to_come_by_https_with_every_answer_by_https_and_no_other() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nstrict-Transport-security: max-age=1\r\nContent-Length: 2\r\n\r\nok",
    );
    let hsts = "hsts = { max_age = \"2d\", include_subdomains = true }";
    let toml = two_sites(&upstream, hsts)
        .replace("path = \"/\"", "path = \"/x/\"")
        .replace("\"self-signed\"\n", "\"self-signed\"\nhttp = \"forward\"\n");
    let hubgate = Hubgate::start(&toml);
    let wanted = vec!["max-age=172800; includeSubDomains".to_owned(); 2];
    // An upstream's, a redirect of ours, a 404 of ours.
    for target in ["/x/", "/x", "/"] {
        assert_eq!(strict(&hubgate, HOST, target), wanted, "{target}");
    }
    // The neighbour's upstream speaks for itself.
    assert_eq!(strict(&hubgate, "other.test", "/x/"), ["max-age=1"; 2]);
    assert_eq!(strict(&hubgate, "other.test", "/"), [""; 0]);
    let plain = hubgate.plain().get(HOST, "/");
    assert!(!plain.head.has("strict-transport-security"));
    // A head that is none, and a host that is another.
    let mut client = hubgate.tls();
    let answer = client.exchange("GET / HTTP/1.1\r\nX : y\r\n\r\n");
    assert_eq!(answer.status, 400);
    assert_eq!(answer.head.one("strict-transport-security"), wanted[0]);
    let answer = hubgate.tls().get("nobody.test", "/");
    assert!(answer.status == 421 && !answer.head.has("strict-transport-security"));
    let off = two_sites(&upstream, "hsts = false")
        + "[tls]\nhsts = { max_age = \"0s\", preload = false }\n";
    hubgate.reload_to(&off);
    assert_eq!(strict(&hubgate, HOST, "/"), ["max-age=1"; 2]);
    assert_eq!(strict(&hubgate, "other.test", "/"), ["max-age=0"; 2]);
}

#[test]
fn the_101_of_a_websocket_says_it_too_once() {
    let upstream = Upstream::answering(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\nStrict-Transport-Security: max-age=1\r\n\r\n",
    );
    let hubgate = Hubgate::start(&two_sites(&upstream, "hsts = { max_age = \"2d\" }"));
    for (host, wanted) in [(HOST, "max-age=172800"), ("other.test", "max-age=1")] {
        let mut client = Client::tls(hubgate.https, host);
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
        ));
        let head = client.head().unwrap();
        assert_eq!(head.status(), 101);
        assert_eq!(head.all("strict-transport-security"), [wanted]);
    }
}

#[test]
fn secrets_are_written_down_only_when_the_command_line_asks_for_it() {
    let upstream = Upstream::saying("ok");
    let folder = tempfile::tempdir().unwrap();
    let (asked, unasked) = (folder.path().join("asked"), folder.path().join("unasked"));
    let toml = one_site(upstream.addr, "");
    let run = |more: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        Hubgate::start_with(dir, &toml, |command| {
            command.env("SSLKEYLOGFILE", &unasked).args(more);
        })
    };
    let hubgate = run(&["--tls-key-log", asked.to_str().unwrap()]);
    s_client(hubgate.https, HOST, "-tls1_3", &get(HOST)).says("HTTP/1.1 200");
    s_client(hubgate.https, HOST, "-tls1_2", &get(HOST)).says("HTTP/1.1 200");
    let text = std::fs::read_to_string(&asked).unwrap();
    for label in [
        "CLIENT_TRAFFIC_SECRET_0 ",
        "SERVER_TRAFFIC_SECRET_0 ",
        "CLIENT_RANDOM ",
    ] {
        assert!(text.contains(label), "{text}");
    }
    hubgate.wait_log("THE SECRETS OF ALL TLS CONNECTIONS");
    let mut status = command(&["status", "--socket"]);
    let (_, told) = crate::support::hubgate::run(status.arg(hubgate.socket()));
    assert!(told.contains("WARNING"), "{told}");
    drop(hubgate);
    let hubgate = run(&[]);
    s_client(hubgate.https, HOST, "", &get(HOST)).says("HTTP/1.1 200");
    assert!(!unasked.exists());
    assert!(!hubgate.log().contains("SECRETS"));
}

#[test]
fn machines_with_the_same_ticket_keys_resume_each_others_sessions() {
    let upstream = Upstream::saying("ok");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for (name, byte) in [("one", 1), ("two", 2)] {
        std::fs::write(path(name), [byte; 80]).unwrap();
    }
    let (one, two) = (path("one"), path("two"));
    let keys = |keys: &str| two_sites(&upstream, &format!("ticket_keys = [{keys}]"));
    let first = Hubgate::start(&keys(&format!("\"{one}\"")));
    let second = Hubgate::start(&keys(&format!("\"{two}\", \"{one}\"")));
    let third = Hubgate::start(&keys(&format!("\"{two}\"")));
    for version in ["-tls1_2", "-tls1_3"] {
        let session = path(version);
        let more = format!("{version} -sess_out {session}");
        s_client(first.https, HOST, &more, &get(HOST)).says("New, TLSv1");
        let again = format!("{version} -sess_in {session}");
        let reused = |addr| {
            let said = s_client(addr, HOST, &again, &get(HOST));
            said.says("HTTP/1.1 200");
            said.0.contains("Reused, TLSv1")
        };
        assert!(reused(second.https), "{version}");
        assert!(!reused(third.https), "{version}");
        assert!(reused(first.https), "{version}");
    }
    // What the files hold is looked at again.
    std::fs::write(&one, [3; 80]).unwrap();
    let (code, said) = second.reload();
    assert_eq!(code, 0, "{said}");
    let again = format!("-tls1_2 -sess_in {}", path("-tls1_2"));
    let said = s_client(second.https, HOST, &again, &get(HOST));
    assert!(!said.0.contains("Reused"), "{}", said.0);
    std::fs::write(&one, [3; 79]).unwrap();
    let (code, said) = second.reload();
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("48 or 80 bytes"), "{said}");
}
