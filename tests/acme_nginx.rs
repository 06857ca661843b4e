//! Certificates around nginx's own file, served by hubgate called as `nginx`: what nginx-acme and certbot's plugin for nginx
//! order, each from Debian's Pebble.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "a broken assumption should stop the test"
)]

mod support;

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command};

use support::eventually;
use support::openssl::s_client;
use support::orders::HOST;
use support::pebble::{Options, Pebble};
use support::ports::free_addr;
use tempfile::TempDir;

/// A process that ends with its test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// hubgate as `nginx`, with the `nginx.conf` of this folder.
fn serve(folder: &Path) -> Ends {
    let link = folder.join("nginx");
    symlink(env!("CARGO_BIN_EXE_hubgate"), &link).unwrap();
    let child = Command::new(&link)
        .arg("-c")
        .arg(folder.join("nginx.conf"))
        .args(["-g", "daemon off;"])
        .spawn();
    Ends(child.unwrap())
}

#[test]
fn what_nginx_acme_orders_is_ordered_from_nginxs_file_and_kept_in_its_folder() {
    let folder = TempDir::new().unwrap();
    let (http, https) = (free_addr(), free_addr());
    let pebble = Pebble::start(http.port());
    let (dir, name_server) = (folder.path().display(), pebble.name_server());
    let (directory, roots) = (&pebble.directory_url, pebble.ca_file.display());
    let conf = format!(
        "load_module modules/ngx_http_acme_module.so; pid {dir}/nginx.pid; error_log {dir}/error.log;
        events {{}} http {{ access_log off; resolver {name_server};
        acme_issuer own {{ uri {directory}; ssl_trusted_certificate {roots}; contact ops@example.org; state_path {dir}/state; accept_terms_of_service; }}
        acme_shared_zone zone=ngx_acme_shared:1M;
        server {{ listen {http}; return 404; }}
        server {{ listen {https} ssl; server_name {HOST}; acme_certificate own;
            ssl_certificate $acme_certificate; ssl_certificate_key $acme_certificate_key; return 200 ok; }} }}"
    );
    fs::write(folder.path().join("nginx.conf"), conf).unwrap();
    let _running = serve(folder.path());
    eventually("the authority's certificate is served", || {
        TcpStream::connect(https).is_ok() && {
            let said = s_client(https, HOST, "", "");
            said.of("issuer=")
                .is_some_and(|issuer| issuer.contains("Pebble"))
        }
    });
    assert_eq!(pebble.issued(), 1);
    let kept = folder.path().join("state/acme/certs").join(HOST);
    assert!(kept.join("current/key.pem").exists(), "{}", kept.display());
}

/// certbot with its plugin for nginx, whose program is hubgate.
fn certbot(folder: &Path, pebble: &Pebble, arguments: &str) {
    let at = |name: &str| folder.join(name).display().to_string();
    let output = Command::new("certbot")
        .args(arguments.split_whitespace())
        .args(["--nginx-ctl", &at("nginx"), "--nginx-server-root", &at("")])
        .args(["--config-dir", &at("certbot"), "--work-dir", &at("work")])
        .args(["--logs-dir", &at("logs")])
        .env("REQUESTS_CA_BUNDLE", &pebble.ca_file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {said}");
}

#[test]
fn certbots_plugin_for_nginx_orders_installs_and_renews_with_hubgate_in_nginxs_place() {
    let folder = TempDir::new().unwrap();
    let (http, https) = (free_addr(), free_addr());
    let pebble = Pebble::start_with(
        http.port(),
        Options {
            reuse: 0,
            ..Options::default()
        },
    );
    let dir = folder.path().display();
    let conf = format!(
        "pid {dir}/nginx.pid;\nerror_log {dir}/error.log;\nevents {{}}\nhttp {{\n    access_log off;\n    server {{\n        listen {http};\n        server_name {HOST};\n        return 200 ok;\n    }}\n}}\n"
    );
    fs::write(folder.path().join("nginx.conf"), conf).unwrap();
    let _running = serve(folder.path());
    eventually("it listens", || TcpStream::connect(http).is_ok());
    certbot(
        folder.path(),
        &pebble,
        &format!(
            "--nginx -n --agree-tos --register-unsafely-without-email --no-redirect -d {HOST} --server {} --http-01-port {} --https-port {}",
            pebble.directory_url,
            http.port(),
            https.port(),
        ),
    );
    let cert = folder
        .path()
        .join("certbot/live")
        .join(HOST)
        .join("cert.pem");
    let ordered = || fs::read_to_string(&cert).unwrap().trim().to_owned();
    let served = || {
        TcpStream::connect(https).is_ok() && s_client(https, HOST, "", "").0.contains(&ordered())
    };
    eventually("what certbot has installed is served", served);
    let first = ordered();
    certbot(
        folder.path(),
        &pebble,
        "renew --force-renewal --no-random-sleep-on-renew",
    );
    assert_ne!(ordered(), first);
    eventually("what certbot has renewed is served", served);
    assert_eq!(pebble.issued(), 2, "hubgate itself has ordered nothing");
}
