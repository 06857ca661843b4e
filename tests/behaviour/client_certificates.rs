//! Sites that ask clients for certificates, as openssl, curl and Python's ssl meet them.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::authority::{Authority, Issued};
use crate::support::hubgate::{HOST, two_sites};
use crate::support::openssl::{Said, get, s_client};
use crate::support::{Client, Head, Hubgate, Upstream, Wire, eventually, tls};

/// A hubgate before an upstream, with an authority whose files are `clients.pem` and, if they are wanted, `clients.crl`.
struct Edge {
    upstream: Upstream,
    authority: Authority,
    hubgate: Hubgate,
}

const REQUIRED: &str =
    "client_certificate = { mode = \"required\", ca_file = \"@DIR@/clients.pem\" }";
const OPTIONAL: &str =
    "client_certificate = { mode = \"optional\", ca_file = \"@DIR@/clients.pem\" }";
const REVOKING: &str =
    "client_certificate = { ca_file = \"@DIR@/clients.pem\", crl_files = [\"@DIR@/clients.crl\"] }";

impl Edge {
    fn new(tls: &str) -> Self {
        Self::with(tls, "")
    }

    fn with(tls: &str, more: &str) -> Self {
        let upstream = Upstream::saying("ok");
        let authority = Authority::new("clients");
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("clients.pem"), authority.pem()).unwrap();
        std::fs::write(dir.path().join("clients.crl"), authority.revoke(&[], 30)).unwrap();
        let hubgate = Hubgate::start_in(dir, &(two_sites(&upstream, tls) + more));
        Self {
            upstream,
            authority,
            hubgate,
        }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.hubgate.dir.path().join(name), text).unwrap();
    }

    /// The arguments with which `s_client` shows a certificate.
    fn showing(&self, issued: &Issued) -> String {
        let dir = self.hubgate.dir.path();
        issued.files(dir, "mine");
        let (cert, key) = (dir.join("mine.pem"), dir.join("mine.key"));
        format!("-cert {} -key {}", cert.display(), key.display())
    }

    fn get(&self, more: &str) -> Said {
        s_client(self.hubgate.https, HOST, more, &get(HOST))
    }

    /// The cause of the answer to a client with this certificate.
    fn cause(&self, issued: &Issued) -> String {
        let said = self.get(&self.showing(issued));
        said.of("X-Hubgate-Cause: ")
            .or(said.of("x-hubgate-cause: "))
            .unwrap_or("none")
            .to_owned()
    }
}

/// The fields that could tell an application of a certificate.
fn of_certificate(head: &Head) -> Vec<String> {
    let told = head
        .fields
        .iter()
        .filter(|(name, _)| name.to_lowercase().starts_with("ssl"));
    told.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
        .collect()
}

/// A client of ours that shows a certificate.
pub(super) fn ours(issued: &Issued) -> rustls::ClientConfig {
    let plain = tls::config(&["http/1.1"]);
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = hubgate::tls::unverified::Unverified::new(&provider);
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(std::sync::Arc::new(verifier))
        .with_client_auth_cert(issued.certificates(), issued.private_key())
        .unwrap();
    config.alpn_protocols = plain.alpn_protocols;
    config
}

#[test]
fn a_client_with_a_certificate_comes_in_and_the_upstream_hears_who_it_is() {
    let edge = Edge::new(REQUIRED);
    let issued = edge.authority.issue_to("alice, of \"Ö\"", 0xabcdef);
    for version in ["-tls1_2", "-tls1_3"] {
        let showing = format!("{version} {}", edge.showing(&issued));
        let forged = "ssl-client-verify: x\r\nSSL_Client_Subject_DN: CN=root\r\nssl-client-cert: y";
        let request = get(HOST).replace("\r\n\r\n", &format!("\r\n{forged}\r\n\r\n"));
        let said = s_client(edge.hubgate.https, HOST, &showing, &request);
        said.says("HTTP/1.1 200");
        // Whom the server wants is asked for.
        said.says("Acceptable client certificate CA names");
    }
    let der = issued.certificates()[0].clone();
    let fingerprint: String = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for request in edge.upstream.requests() {
        let got = of_certificate(&request.head);
        let wanted = [
            ("ssl-client-verify", "SUCCESS"),
            (
                "ssl-client-subject-dn",
                "CN=alice\\, of \\\"\\C3\\96\\\",O=Example",
            ),
            ("ssl-client-issuer-dn", "CN=clients"),
            ("ssl-client-serial", "ABCDEF"),
            ("ssl-client-fingerprint", &fingerprint),
        ];
        let wanted = wanted.map(|(name, value)| format!("{name}: {value}"));
        assert_eq!(got, wanted);
    }
}

#[test]
fn a_client_without_a_certificate_gets_a_page_that_says_so() {
    let edge = Edge::new(REQUIRED);
    let said = edge.get("");
    said.says("HTTP/1.1 400");
    said.says("client_certificate_missing");
    let mut client = Client::tls(edge.hubgate.https, HOST);
    let page = client.exchange(format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nAccept: text/html\r\n\r\n"
    ));
    assert!(page.text().contains("certificate"), "{}", page.text());
    // On another connection it is asked again.
    assert!(client.closes_within(Duration::from_secs(5)));
    assert_eq!(edge.upstream.requests().len(), 0);
    let mut h2 = crate::support::H2::connect(edge.hubgate.https, HOST);
    assert_eq!(h2.get("/").status, 400);
    // Its neighbour asks for nothing.
    assert_eq!(
        Client::tls(edge.hubgate.https, "other.test")
            .get("other.test", "/")
            .text(),
        "ok"
    );
}

#[test]
fn certificates_that_do_not_count_are_told_apart() {
    let edge = Edge::new(REVOKING);
    let strangers = Authority::new("clients");
    edge.write("clients.crl", &edge.authority.revoke(&[7], 30));
    assert_eq!(edge.cause(&edge.authority.issue_to("alice", 8)), "none");
    assert_eq!(
        edge.cause(&strangers.issue_to("mallory", 9)),
        "client_certificate_refused"
    );
    assert_eq!(
        edge.cause(&edge.authority.issue_expired(&["old.test"])),
        "client_certificate_expired"
    );
    let revoked = edge.authority.issue_to("bob", 7);
    eventually("the list is read", || {
        edge.cause(&revoked) == "client_certificate_revoked"
    });
    let server_only = edge.authority.issue_with(&[], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_eq!(edge.cause(&server_only), "client_certificate_refused");
}

#[test]
fn an_optional_certificate_may_be_missing_but_not_wrong_and_nobody_can_pretend() {
    let edge = Edge::new(OPTIONAL);
    let forged = get(HOST).replace(
        "\r\n\r\n",
        "\r\nSSL-Client-Verify: SUCCESS\r\nssl_client_subject_dn: CN=root\r\n\r\n",
    );
    s_client(edge.hubgate.https, HOST, "", &forged).says("HTTP/1.1 200");
    let other = forged.replace(HOST, "other.test");
    s_client(edge.hubgate.https, "other.test", "", &other).says("HTTP/1.1 200");
    let told: Vec<Vec<String>> = edge
        .upstream
        .requests()
        .iter()
        .map(|request| of_certificate(&request.head))
        .collect();
    assert_eq!(told, [vec!["ssl-client-verify: NONE".to_owned()], vec![]]);
    let strangers = Authority::new("strangers");
    assert_eq!(
        edge.cause(&strangers.issue_to("mallory", 9)),
        "client_certificate_refused"
    );
}

#[test]
fn the_certificate_itself_is_passed_on_as_ingresses_do_and_logged() {
    let tls = REQUIRED.replace(" }", ", pass_certificate = true }");
    let log = "[access_log]\ntarget = \"@DIR@/access.log\"\nformat = \"$ssl_client_verify $ssl_client_s_dn $ssl_client_i_dn $ssl_client_serial $status\"\n";
    let edge = Edge::with(&tls, log);
    let issued = edge.authority.issue_to("alice", 0x0a);
    let dir = edge.hubgate.dir.path();
    issued.files(dir, "mine");
    // Another client, over HTTP/2.
    let output = Command::new("curl")
        .args(["-sk", "--http2", "-o", "-", "-w", "%{http_version}"])
        .args(["--cert", dir.join("mine.pem").to_str().unwrap()])
        .args(["--key", dir.join("mine.key").to_str().unwrap()])
        .args([
            "--resolve",
            &format!("{HOST}:{}:127.0.0.1", edge.hubgate.https.port()),
        ])
        .arg(format!("https://{HOST}:{}/", edge.hubgate.https.port()))
        .output()
        .expect("curl is needed for this test");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok2");
    let request = edge.upstream.only_request();
    let escaped = request.head.one("ssl-client-cert");
    let pem = escaped
        .replace("%20", " ")
        .replace("%0A", "\n")
        .replace("%2B", "+")
        .replace("%2F", "/")
        .replace("%3D", "=");
    assert_eq!(pem.trim(), issued.chain.replace("\r\n", "\n").trim());
    edge.get("").says("client_certificate_missing");
    edge.cause(&Authority::new("x").issue_to("m", 11));
    eventually("three lines are written", || {
        let log = std::fs::read_to_string(dir.join("access.log")).unwrap_or_default();
        log == "SUCCESS CN=alice,O=Example CN=clients 0A 200\nNONE - - - 400\nFAILED:none of the authorities in `ca_file` has signed it CN=m,O=Example CN=x 0B 400\n"
    });
}

#[test]
fn host_and_name_of_the_handshake_must_agree_where_certificates_are_asked_for() {
    let edge = Edge::new(REQUIRED);
    let issued = edge.authority.issue_to("alice", 1);
    for (name, host) in [(HOST, "other.test"), ("other.test", HOST)] {
        let said = s_client(edge.hubgate.https, name, &edge.showing(&issued), &get(host));
        said.says("HTTP/1.1 421");
    }
    assert_eq!(edge.upstream.requests().len(), 0);
    // A browser may put requests for both on one connection (RFC 9113 section 9.1.1).
    let mut h2 = crate::support::H2::connect(edge.hubgate.https, "other.test");
    let coalesced = h2.request("GET", "/").uri(format!("https://{HOST}/"));
    assert_eq!(h2.exchange(coalesced).status, 421);
}

#[test]
fn a_connection_that_named_no_host_does_not_reach_a_site_that_asks() {
    let edge = Edge::new(REQUIRED);
    let toml = two_sites(&edge.upstream, REQUIRED).replace(
        "[site.\"other.test\"]\n",
        "[site.\"other.test\"]\ndefault = true\n",
    );
    edge.hubgate.reload_to(&toml);
    let issued = edge.authority.issue_to("alice", 1);
    let showing = edge.showing(&issued);
    let said = s_client(edge.hubgate.https, "", &showing, &get(HOST));
    said.says("HTTP/1.1 421");
    said.says("server_name_mismatch");
    s_client(edge.hubgate.https, "", "", &get("other.test")).says("HTTP/1.1 200");
    // And the other way round: the default site asks, the other one must not take what was shown there.
    let toml = two_sites(&edge.upstream, REQUIRED).replace(
        "[site.\"hub.test\"]\n",
        "[site.\"hub.test\"]\ndefault = true\n",
    );
    edge.hubgate.reload_to(&toml);
    let said = s_client(edge.hubgate.https, "", &showing, &get("other.test"));
    said.says("HTTP/1.1 421");
    s_client(edge.hubgate.https, "", &showing, &get(HOST)).says("HTTP/1.1 200");
}

#[test]
fn a_connection_from_before_a_site_asked_does_not_reach_it() {
    let edge = Edge::new("");
    let mut open = Client::tls(edge.hubgate.https, HOST);
    assert_eq!(open.get(HOST, "/").text(), "ok");
    edge.hubgate.reload_to(&two_sites(&edge.upstream, REQUIRED));
    assert_eq!(open.get(HOST, "/").status, 421);
}

#[test]
fn a_revoked_client_is_refused_on_its_open_connection_and_resumes_no_session() {
    let edge = Edge::new(REVOKING);
    let (alice, bob) = (
        edge.authority.issue_to("alice", 1),
        edge.authority.issue_to("bob", 2),
    );
    let (alices, bobs) = (ours(&alice), ours(&bob));
    let connect = |config: &rustls::ClientConfig| {
        let stream = tls::handshake(edge.hubgate.https, HOST, config.clone()).unwrap();
        let resumed = stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        (Client(Wire::new(stream)), resumed)
    };
    let (mut open, _) = connect(&bobs);
    assert_eq!(open.get(HOST, "/").text(), "ok");
    let (mut client, resumed) = connect(&bobs);
    assert!(resumed);
    // Who was seen before is known again.
    assert_eq!(client.get(HOST, "/").text(), "ok");
    edge.write("clients.crl", &edge.authority.revoke(&[2], 30));
    eventually("bob is refused", || {
        let (mut client, _) = connect(&bobs);
        client.get(HOST, "/").status == 400
    });
    let refused = open.get(HOST, "/");
    assert_eq!(
        refused.head.one("x-hubgate-cause"),
        "client_certificate_revoked"
    );
    let (mut client, _) = connect(&alices);
    assert_eq!(client.get(HOST, "/").text(), "ok");
    let (_, resumed) = connect(&alices);
    assert!(resumed, "sessions of after the change resume");
    edge.hubgate.wait_log("clients.reloaded");
}

#[test]
fn a_changed_authority_ends_the_sessions_of_openssl_and_python_and_of_no_other_site() {
    let edge = Edge::new(REQUIRED);
    let issued = edge.authority.issue_to("alice", 1);
    let showing = edge.showing(&issued);
    let dir = edge.hubgate.dir.path().to_owned();
    let session = |host: &str, how: &str, version: &str| {
        let file = dir.join(format!("{host}{version}"));
        let more = format!("{version} {showing} {how} {}", file.display());
        s_client(edge.hubgate.https, host, &more, &get(host))
    };
    for version in ["-tls1_2", "-tls1_3"] {
        for host in [HOST, "other.test"] {
            session(host, "-sess_out", version).says("HTTP/1.1 200");
            let again = session(host, "-sess_in", version);
            again.says("Reused");
            again.says("HTTP/1.1 200");
        }
    }
    assert!(
        python_resumes(&edge, 0),
        "python resumes while nothing changes"
    );
    // The old authority still counts beside a new one; sessions do not.
    let both = edge.authority.pem().to_owned() + Authority::new("second").pem();
    edge.write("clients.pem", &both);
    edge.hubgate.wait_log("clients.reloaded");
    for version in ["-tls1_2", "-tls1_3"] {
        let again = session(HOST, "-sess_in", version);
        assert!(!again.0.contains("Reused"), "{}", again.0);
        again.says("HTTP/1.1 200");
        session("other.test", "-sess_in", version).says("Reused");
    }
    let change = edge.authority.pem().to_owned() + Authority::new("third").pem();
    let python = std::thread::scope(|scope| {
        let python = scope.spawn(|| python_resumes(&edge, 3));
        eventually("python waits", || dir.join("python-waits").exists());
        let seen = edge.hubgate.log().matches("clients.reloaded").count();
        edge.write("clients.pem", &change);
        eventually("the files are read", || {
            edge.hubgate.log().matches("clients.reloaded").count() > seen
        });
        std::fs::write(dir.join("python-goes-on"), "").unwrap();
        python.join().unwrap()
    });
    assert!(!python, "python's session is of before the change");
}

/// Whether Python's ssl resumes; with `wait` not before the file `python-goes-on` is there.
fn python_resumes(edge: &Edge, wait: u32) -> bool {
    const SCRIPT: &str = r#"
import os, socket, ssl, sys, time
port, host, folder, wait = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain(folder + "/mine.pem", folder + "/mine.key")
def once(session):
    sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname=host, session=session)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\nConnection: close\r\n\r\n")
    answer = b""
    while chunk := sock.recv(4096):
        answer += chunk
    assert b" 200 " in answer, answer
    return sock
first = once(None)
if wait:
    open(folder + "/python-waits", "w").close()
    while not os.path.exists(folder + "/python-goes-on"):
        time.sleep(0.01)
print(once(first.session).session_reused)
"#;
    let output = Command::new("python3")
        .args(["-c", SCRIPT])
        .arg(edge.hubgate.https.port().to_string())
        .arg(HOST)
        .arg(edge.hubgate.dir.path())
        .arg(wait.to_string())
        .output()
        .expect("python3 is needed for this test");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.trim() == "True"
}

#[test]
fn files_that_cannot_be_used_refuse_a_reload_and_change_nothing_that_runs() {
    let edge = Edge::new(REQUIRED);
    let issued = edge.authority.issue_to("alice", 1);
    let pem = edge.authority.pem().to_owned();
    for (text, why) in [
        ("", "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n", "damaged PEM"),
        (&issued.key, "holds no certificate"),
    ] {
        edge.write("clients.pem", text);
        let (code, said) = edge.hubgate.reload();
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains(why) && said.contains("hubgate.toml:"),
            "{said}"
        );
    }
    edge.hubgate.wait_log("clients.kept");
    assert_eq!(edge.cause(&issued), "none");
    edge.write("clients.pem", &pem);
    let (code, said) = edge.hubgate.reload();
    assert_eq!(code, 0, "{said}");
    let strangers = Authority::new("strangers");
    edge.write("clients.crl", &strangers.revoke(&[], -1));
    edge.hubgate.rewrite(&two_sites(&edge.upstream, REVOKING));
    let (code, said) = edge.hubgate.reload();
    assert_eq!(code, 0, "{said}");
    for doubt in [
        "expired at",
        "is not in `ca_file`",
        "all that it has signed are refused",
    ] {
        assert!(said.contains(doubt), "{doubt}: {said}");
    }
}

#[test]
fn a_token_for_an_authority_is_answered_to_clients_without_a_certificate() {
    let edge = Edge::new(REQUIRED);
    let toml = two_sites(&edge.upstream, REQUIRED).replacen(
        "certificate = \"self-signed\"\n",
        "certificate = \"self-signed\"\nchallenge_fallback = \"up\"\n",
        1,
    );
    edge.hubgate.reload_to(&toml);
    let mut client = Client::tls(edge.hubgate.https, HOST);
    let token = "/.well-known/acme-challenge/LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEu_0";
    assert_eq!(client.get(HOST, token).text(), "ok");
    // What is no token is as any other path.
    let mut client = Client::tls(edge.hubgate.https, HOST);
    assert_eq!(client.get(HOST, "/.well-known/acme-challenge/").status, 400);
}

/// A certificate of version 1 that has signed itself, as `openssl req -x509` made them for long.
fn version_1(dir: &std::path::Path, name: &str) {
    std::fs::write(
        dir.join("openssl.conf"),
        "[ req ]\nencrypt_key = no\ndistinguished_name = dn\n[ dn ]\n",
    )
    .unwrap();
    let file = |end: &str| dir.join(format!("{name}.{end}"));
    let made = Command::new("openssl")
        .args(["req", "-new", "-newkey", "rsa:2048", "-config"])
        .arg(dir.join("openssl.conf"))
        .args(["-subj", &format!("/CN={name}/"), "-keyout"])
        .arg(file("key"))
        .arg("-out")
        .arg(file("csr"))
        .output();
    assert!(made.unwrap().status.success());
    let made = Command::new("openssl")
        .args(["x509", "-req", "-days", "3", "-in"])
        .arg(file("csr"))
        .arg("-signkey")
        .arg(file("key"))
        .arg("-out")
        .arg(file("pem"))
        .output();
    assert!(made.unwrap().status.success());
}

#[test]
fn by_openssl_s_rules_a_certificate_of_version_1_counts_that_stands_among_the_authorities() {
    let edge = Edge::new(
        "client_certificate = { mode = \"optional\", ca_file = \"@DIR@/clients.pem\", depth = 1 }",
    );
    let dir = edge.hubgate.dir.path().to_path_buf();
    for name in ["mine", "stranger"] {
        version_1(&dir, name);
    }
    let authorities = std::fs::read_to_string(dir.join("clients.pem")).unwrap();
    let own = std::fs::read_to_string(dir.join("mine.pem")).unwrap();
    edge.write("clients.pem", &(authorities + &own));
    edge.hubgate.wait_log("clients.reloaded");
    let showing = |name: &str| {
        let file = |end: &str| dir.join(format!("{name}.{end}")).display().to_string();
        format!("-cert {} -key {}", file("pem"), file("key"))
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let get = |name: &str| edge.get(&format!("{version} {}", showing(name)));
        get("mine").says("HTTP/1.1 200");
        get("stranger").says("client_certificate_refused");
    }
}

#[test]
fn an_unverified_client_comes_in_and_the_upstream_hears_why_it_is_not_believed() {
    let edge = Edge::new("client_certificate = { mode = \"unverified\" }");
    let dir = edge.hubgate.dir.path().to_path_buf();
    version_1(&dir, "mine");
    let showing = format!("-cert {0}/mine.pem -key {0}/mine.key", dir.display());
    edge.get(&showing).says("HTTP/1.1 200");
    let told = of_certificate(&edge.upstream.only_request().head);
    let expected = [
        "ssl-client-verify: FAILED:self-signed certificate",
        "ssl-client-subject-dn: CN=mine",
    ];
    assert_eq!(told[..2], expected);
}
