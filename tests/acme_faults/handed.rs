//! Somebody else behind hubgate, here lego and certbot in the place of cert-manager, orders by HTTP-01 through it: fault
//! 17. What single requests meet (redirects, HEAD, slow, huge, dead and looping backends) is in `behaviour`'s `port80`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use hubgate::tls::pem::load_pair;

use crate::support::gate::{Gate, Running, authority, toml};
use crate::support::orders::HOST;
use crate::support::pebble::{Options, Pebble};
use crate::support::ports::free_addr;

const CLUSTER: &str = "cluster.example.test";

/// hubgate with a certificate of its own for [`HOST`], before somebody who orders for [`CLUSTER`].
struct Front {
    gate: Gate,
    pebble: Pebble,
    /// Where challenges for [`CLUSTER`] are handed to.
    fallback: SocketAddr,
    running: Running,
}

impl Front {
    fn new() -> Self {
        let (pebble, http) = authority(Options::default());
        let fallback = free_addr();
        let sites = format!(
            "{}[site.\"{CLUSTER}\"]\ncertificate = \"self-signed\"\nchallenge_fallback = \"cluster\"\n[upstream.cluster]\nendpoints = [\"{fallback}\"]\n",
            toml(&pebble, &pebble.directory_url, "", &[HOST])
        );
        let gate = Gate::with(&sites, http);
        let running = gate.run();
        gate.wait_served();
        Self {
            gate,
            pebble,
            fallback,
            running,
        }
    }

    /// Runs what orders for the cluster to its end.
    #[track_caller]
    fn order(&self, command: &mut Command) {
        let output = command.stdin(Stdio::null()).output();
        let output = output.expect("install Debian's packages `lego` and `certbot`");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(output.status.success(), "{text}");
    }

    /// The chain is for the cluster's name, and hubgate's own host goes on as before.
    #[track_caller]
    fn issued(&self, chain: &Path, key: &Path) {
        let pair = load_pair(chain, key).unwrap();
        let name = hubgate::types::host::HostPattern::parse(CLUSTER).unwrap();
        assert!(pair.leaf.covers(&name));
        assert_eq!((self.pebble.orders(), self.pebble.issued()), (2, 2));
        assert!(self.gate.served().is_some());
        assert_eq!(
            self.gate.served_for(CLUSTER),
            None,
            "not hubgate's to serve"
        );
        assert!(self.running.events("acme.order.failed", &[]).is_empty());
        // Nobody stands there any more.
        let path = format!("/.well-known/acme-challenge/{}", "t".repeat(43));
        assert_eq!(self.gate.plain(CLUSTER, &path).status, 502);
    }
}

#[test]
fn fault_17_lego_behind_hubgate_gets_its_certificate_through_the_fallback() {
    let front = Front::new();
    let dir = front.gate.dir.path().join("lego");
    let mut lego = Command::new("lego");
    lego.env("LEGO_CA_CERTIFICATES", &front.pebble.ca_file)
        .arg("--path")
        .arg(&dir)
        .args(["--server", &front.pebble.directory_url, "--accept-tos"])
        .args(["--email", "ops@example.test", "--domains", CLUSTER])
        .args(["--http", "--http.port", &front.fallback.to_string(), "run"]);
    front.order(&mut lego);
    let certificates = dir.join("certificates");
    front.issued(
        &certificates.join(format!("{CLUSTER}.crt")),
        &certificates.join(format!("{CLUSTER}.key")),
    );
}

#[test]
fn fault_17_certbot_behind_hubgate_gets_its_certificate_through_the_fallback() {
    let front = Front::new();
    let dir = front.gate.dir.path().join("certbot");
    let mut certbot = Command::new("certbot");
    certbot
        .env("REQUESTS_CA_BUNDLE", &front.pebble.ca_file)
        .args(["certonly", "--quiet", "--non-interactive", "--agree-tos"])
        .args(["--register-unsafely-without-email", "--standalone"])
        .args(["--http-01-address", "127.0.0.1"])
        .args(["--http-01-port", &front.fallback.port().to_string()])
        .args(["--server", &front.pebble.directory_url, "-d", CLUSTER]);
    for (option, name) in [
        ("--config-dir", "config"),
        ("--work-dir", "work"),
        ("--logs-dir", "logs"),
    ] {
        certbot.arg(option).arg(dir.join(name));
    }
    front.order(&mut certbot);
    let live = dir.join("config/live").join(CLUSTER);
    front.issued(&live.join("fullchain.pem"), &live.join("privkey.pem"));
}
