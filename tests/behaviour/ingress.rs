//! The edge before an ingress that has its own certificate: TLS passed on unopened, and the ingress's renewals let through.
//!
//! The ingress is nginx, its authority Pebble, and certbot renews; nobody touches hubgate meanwhile.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::hubgate::{command, run};
use crate::support::pebble::Pebble;
use crate::support::ports::free_addr;
use crate::support::{Client, Hubgate, eventually, tls};

const NAME: &str = "binder.test";

/// nginx with a certificate of its own, which also shows challenges of certbot's.
struct Ingress {
    child: Child,
    tls: SocketAddr,
    http: SocketAddr,
    dir: TempDir,
}

impl Ingress {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let (tls, http) = (free_addr(), free_addr());
        for folder in ["webroot", "tls", "temp"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let own = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        fs::write(dir.path().join("tls/fullchain.pem"), own.cert.pem()).unwrap();
        fs::write(
            dir.path().join("tls/privkey.pem"),
            own.signing_key.serialize_pem(),
        )
        .unwrap();
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path @DIR@/temp/{kind};\n"));
        let text = format!(
            "user root;\ndaemon off;\nworker_processes 1;\npid @DIR@/nginx.pid;\nerror_log @DIR@/error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{\naccess_log off;\n{}\
             server {{ listen {tls} ssl; server_name {NAME};\n\
             ssl_certificate @DIR@/tls/fullchain.pem; ssl_certificate_key @DIR@/tls/privkey.pem;\n\
             location / {{ return 200 \"the ingress\"; }} }}\n\
             server {{ listen {http}; server_name {NAME};\n\
             location /.well-known/acme-challenge/ {{ root @DIR@/webroot; }}\n\
             location / {{ return 404; }} }}\n}}\n",
            temp.concat()
        );
        let file = dir.path().join("nginx.conf");
        let text = text.replace("@DIR@", &dir.path().display().to_string());
        fs::write(&file, text).unwrap();
        let child = Command::new("nginx")
            .env(
                "PATH",
                format!("{}:/usr/sbin", std::env::var("PATH").unwrap()),
            )
            .arg("-e")
            .arg(dir.path().join("error.log"))
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("install Debian's package `nginx`");
        eventually("the ingress listens", || {
            [tls, http]
                .iter()
                .all(|at| std::net::TcpStream::connect(at).is_ok())
        });
        Self {
            child,
            tls,
            http,
            dir,
        }
    }

    /// Runs certbot for at most two minutes; what it gets is put in place and nginx told.
    fn certbot(&self, pebble: &Pebble, arguments: &[&str]) {
        let dir = self.dir.path();
        let hook = dir.join("hook");
        let copy = format!(
            "#!/bin/sh\nset -e\ncp \"$RENEWED_LINEAGE/fullchain.pem\" \"$RENEWED_LINEAGE/privkey.pem\" {0}/tls/\nkill -HUP \"$(cat {0}/nginx.pid)\"\n",
            dir.display()
        );
        fs::write(&hook, copy).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        let folder = |name: &str| format!("--{name}-dir={}", dir.join(name).display());
        let output = Command::new("timeout")
            .args(["120", "certbot"])
            .args(arguments)
            .args([folder("config"), folder("work"), folder("logs")])
            .args(["--non-interactive", "--no-random-sleep-on-renew"])
            .args(["--server", &pebble.directory_url])
            .arg("--deploy-hook")
            .arg(&hook)
            .env("REQUESTS_CA_BUNDLE", &pebble.ca_file)
            .stdin(Stdio::null())
            .output()
            .expect("install Debian's package `certbot`");
        assert!(
            output.status.success(),
            "certbot {arguments:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn certificate(&self) -> Vec<u8> {
        tls::certificate_of(self.tls, NAME)
    }
}

impl Drop for Ingress {
    fn drop(&mut self) {
        // Told, not killed: its workers have to end too.
        let ended = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        if ended.is_ok() {
            drop(self.child.wait());
        }
    }
}

/// The whole configuration of such an edge, with the ports of a test.
fn edge(listen: SocketAddr, ingress: &Ingress) -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/examples/passthrough.toml");
    let text = fs::read_to_string(example).unwrap();
    let text = text + "[listen]\nredirect_port = 443\n";
    text.replace("0.0.0.0:443", &listen.to_string())
        .replace("binder.libretexts.org", NAME)
        .replace("10.0.1.61:443", &ingress.tls.to_string())
        .replace("10.0.1.61:80", &ingress.http.to_string())
}

fn generation(hubgate: &Hubgate) -> serde_json::Value {
    let mut command = command(&["status", "--json", "--socket"]);
    let (code, output) = run(command.arg(hubgate.socket()));
    assert_eq!(code, 0, "{output}");
    let report: serde_json::Value = serde_json::from_str(&output).unwrap();
    report["generation"].clone()
}

#[test]
fn the_ingress_renews_its_certificate_through_the_edge_and_no_connection_fails_meanwhile() {
    let ingress = Ingress::start();
    let listen = free_addr();
    let hubgate = Hubgate::start(&edge(listen, &ingress));
    let before = fs::read(&hubgate.config).unwrap();
    let pebble = Pebble::start(hubgate.http.port());
    let webroot = ingress.dir.path().join("webroot");
    let webroot = webroot.to_str().unwrap();
    let redirected = hubgate.plain().get(NAME, "/v2/gh/a/b");
    assert_eq!(redirected.status, 301);
    assert_eq!(
        redirected.head.one("location"),
        format!("https://{NAME}/v2/gh/a/b")
    );
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let visitors: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let mut client = Client::tls(listen, NAME);
                        assert_eq!(client.get(NAME, "/").text(), "the ingress");
                        asked.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(5));
                    }
                })
            })
            .collect();
        ingress.certbot(
            &pebble,
            &[
                "certonly",
                "--webroot",
                "-w",
                webroot,
                "-d",
                NAME,
                "--agree-tos",
                "--register-unsafely-without-email",
            ],
        );
        let own = |certificate: &[u8]| certificate == tls::certificate_of(listen, NAME);
        let mut first = ingress.certificate();
        eventually(
            "the first certificate is served, passed on as it is",
            || {
                first = ingress.certificate();
                pebble.issued() == 1 && own(&first)
            },
        );
        ingress.certbot(&pebble, &["renew", "--force-renewal"]);
        eventually("the renewed one is served", || {
            let second = ingress.certificate();
            second != first && own(&second)
        });
        let so_far = asked.load(Ordering::Relaxed);
        eventually("clients are served with it", || {
            asked.load(Ordering::Relaxed) > so_far + 10
                || visitors.iter().any(|one| one.is_finished())
        });
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(pebble.issued(), 2);
    assert!(asked.load(Ordering::Relaxed) > 20);
    assert_eq!(fs::read(&hubgate.config).unwrap(), before);
    assert_eq!(generation(&hubgate), 1, "nobody has touched the edge");
}
