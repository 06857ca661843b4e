//! The five shapes of nginx configurations that people have, served by the real nginx and by hubgate called as `nginx`,
//! and compared by `hubgate compare nginx`: what upstreams said arrives the same. Without a Debian nginx there is nothing
//! to compare with, which is said.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use regex::Regex;
use tempfile::TempDir;

use crate::support::ports::free_addr;
use crate::support::{Upstream, within};

const LONG: Duration = Duration::from_secs(60);
pub(crate) const NGINX: &str = "/usr/sbin/nginx";
const MODULES: &str = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;";

/// Ends with its test, and its workers with it: they outlive a master that is killed.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        drop(Command::new("kill").arg(pid).status());
        drop(self.0.wait());
    }
}

/// An upstream that says what it was asked.
fn echo() -> Upstream {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    Upstream::on(listener, |conn| {
        while let Some(head) = conn.request_head() {
            let Ok(body) = conn.request_body(&head) else {
                return;
            };
            let said = format!(
                "{} {} {}\n",
                head.method(),
                String::from_utf8_lossy(&head.target()),
                String::from_utf8_lossy(&body)
            );
            let length = said.len();
            let said = if head.method() == "HEAD" {
                String::new()
            } else {
                said
            };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Echo: 1\r\nSet-Cookie: a=b; Path=/\r\nCache-Control: no-cache\r\nContent-Length: {length}\r\n\r\n{said}"
            );
            if conn.try_send(answer).is_err() {
                return;
            }
        }
    })
}

/// A shape in a folder of its own, with ports, upstreams and files that are there.
struct Shape {
    dir: TempDir,
    http: SocketAddr,
    https: SocketAddr,
}

impl Shape {
    fn new(name: &str, upstream: SocketAddr) -> Self {
        let dir = TempDir::new().unwrap();
        let (http, https) = (free_addr(), free_addr());
        let shape = Self { dir, http, https };
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/goldens/nginx")
            .join(name);
        let own = rcgen::generate_simple_self_signed(["hub.example.org".to_owned()]).unwrap();
        fs::write(shape.path("cert.pem"), own.cert.pem()).unwrap();
        fs::write(shape.path("key.pem"), own.signing_key.serialize_pem()).unwrap();
        fs::create_dir(shape.path("www")).unwrap();
        fs::write(shape.path("www/index.html"), "<p>hello</p>\n").unwrap();
        fs::write(shape.path("www/a.png"), "png").unwrap();
        for name in ["www/index.html", "www/a.png"] {
            let file = fs::File::options().append(true).open(shape.path(name));
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            file.unwrap().set_modified(then).unwrap();
        }
        shape.copy(&from, &shape.path(""), upstream);
        symlink(env!("CARGO_BIN_EXE_hubgate"), shape.path("nginx")).unwrap();
        shape
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn copy(&self, from: &Path, to: &Path, upstream: SocketAddr) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let to = to.join(path.file_name().unwrap());
            if path.is_dir() {
                self.copy(&path, &to, upstream);
            } else {
                fs::write(
                    &to,
                    self.adapted(&fs::read_to_string(&path).unwrap(), upstream),
                )
                .unwrap();
            }
        }
    }

    /// The text with this machine's addresses and files; what needs modules that Debian's nginx lacks is left out.
    fn adapted(&self, text: &str, upstream: SocketAddr) -> String {
        let dir = self.dir.path().display();
        let rules: &[(&str, String)] = &[
            (
                r"(?m)^\s*(user|daemon|pid|ssl_dhparam|ssl_stapling\w*|\w+_temp_path|worker_rlimit_nofile|worker_cpu_affinity|load_module|lua_\w+|geoip2?_\w+|brotli\w*|modsecurity\w*|opentelemetry\w*|aio|aio_write|access_log|error_log|worker_shutdown_timeout)\s[^;{]*;.*$",
                String::new(),
            ),
            (
                r"(?ms)^\s*\w+_by_lua_block\s*\{.*?^\s*\}\s*$",
                String::new(),
            ),
            (r"(?m)^\s*\w+_by_lua(_file)?\s[^;]*;.*$", String::new()),
            (r"(?m)^\s*listen\s+\[::\][^;]*;.*$", String::new()),
            (
                r"ssl_certificate\s+\S+;",
                format!("ssl_certificate {dir}/cert.pem;"),
            ),
            (
                r"ssl_certificate_key\s+\S+;",
                format!("ssl_certificate_key {dir}/key.pem;"),
            ),
            (r"/var/www/html|/srv/www", format!("{dir}/www")),
            (
                r"server 0\.0\.0\.1;?[^\n]*",
                format!("server 127.0.0.1:{};", upstream.port()),
            ),
            (
                r"(?m)^http \{",
                format!(
                    "http {{ access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;"
                ),
            ),
        ];
        let mut text = text.to_owned();
        for (from, to) in rules {
            text = Regex::new(from)
                .unwrap()
                .replace_all(&text, to.as_str())
                .into_owned();
        }
        // Each endpoint keeps an address of its own: the upstream listens on all of them.
        let endpoint = Regex::new(
            r"\b(?:192\.168\.50|10\.0\.\d+|127\.0\.0)\.(\d+):(?:8000|80|32574|443|6443)\b",
        )
        .unwrap();
        let text = endpoint.replace_all(&text, format!("127.0.0.$1:{}", upstream.port()));
        let listen = Regex::new(r"listen\s+(?:[\d.]+:)?(\d+)\b").unwrap();
        let moved = listen.replace_all(&text, |found: &regex::Captures<'_>| {
            let address = match &found[1] {
                "80" => self.http,
                "443" => self.https,
                _ => free_addr(),
            };
            format!("listen {address}")
        });
        moved.into_owned()
    }

    /// Serves it by this program.
    fn serve(&self, program: &Path) -> Running {
        serve(program, self.dir.path(), self.http)
    }
}

/// Serves the `nginx.conf` of a folder by this program, until it listens `at` this address.
pub(crate) fn serve(program: &Path, folder: &Path, at: SocketAddr) -> Running {
    let dir = folder.display();
    let said = || fs::read_to_string(folder.join("said")).unwrap_or_default();
    let mut child = Command::new(program)
        .args(["-c", &format!("{dir}/nginx.conf"), "-p", &format!("{dir}/")])
        .args(["-e", &format!("{dir}/error.log"), "-g"])
        .arg(format!(
            "{MODULES} daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;"
        ))
        .stdin(Stdio::null())
        .stderr(fs::File::create(folder.join("said")).unwrap())
        .spawn()
        .unwrap();
    within(LONG, "it listens", || {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("{} ended with {status}: {}", program.display(), said());
        }
        TcpStream::connect(at).is_ok()
    });
    Running(child)
}

/// Asks both the same; gives what is said of it.
fn compared(name: &str) -> String {
    assert!(
        Path::new(NGINX).exists(),
        "no nginx: run `tests/install.sh test`"
    );
    let upstream = echo();
    let theirs = Shape::new(name, upstream.addr);
    let ours = Shape::new(name, upstream.addr);
    let _nginx = theirs.serve(Path::new(NGINX));
    let _hubgate = ours.serve(&ours.path("nginx"));
    let output = Command::new(env!("CARGO_BIN_EXE_hubgate"))
        .args(["compare", "nginx"])
        .arg(theirs.path("nginx.conf"))
        .args(["--at", &format!("{}={}", theirs.http, ours.http)])
        .args(["--at", &format!("{}={}", theirs.https, ours.https)])
        .args(["--count", "600", "--post"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A shape may differ where `known` says so of a request and of what differs, and nowhere else.
/// docs/decisions/2026-11-21-nginx-differences.md says why.
fn differs_only(name: &str, known: impl Fn(&str, &str) -> bool) {
    let said = compared(name);
    assert!(said.contains("600 requests, "), "{said}");
    let mut request = "";
    let mut unknown = Vec::new();
    for line in said.lines() {
        match line.strip_prefix("  ") {
            Some(what) if !known(request, what) => unknown.push((request, what)),
            Some(_) => {}
            None => request = line,
        }
    }
    assert!(unknown.is_empty(), "{name}: {unknown:#?}");
}

/// A path in front of a hub is forwarded as it came, where nginx decoded it: what was asked for has another length.
fn decoded_for_a_hub(request: &str, what: &str) -> bool {
    request.contains("/jupyterhub/")
        && (what.starts_with("body: ") || what.starts_with("content-length: "))
}

#[test]
fn the_edge_with_two_paths_says_what_the_upstream_said() {
    differs_only("two-paths", decoded_for_a_hub);
}

#[test]
fn the_documented_edge_of_a_hub_says_what_the_upstream_said() {
    differs_only("jupyterhub", |_, _| false);
}

#[test]
fn the_site_that_certbot_looks_after_says_what_the_upstream_said() {
    differs_only("certbot", |_, _| false);
}

#[test]
fn the_configuration_that_a_controller_made_says_what_the_upstream_said() {
    // nginx counts what nginx has met, and calls the text of a `return` by the name that was asked for.
    let counts = |request: &str| request.contains("/nginx_status");
    let named = |request: &str, what: &str| {
        request.contains("/healthz") && what.starts_with("content-type: ")
    };
    differs_only("ingress", |request, what| {
        counts(request) || named(request, what)
    });
}

#[test]
fn the_edge_that_passes_ports_on_says_what_the_upstream_said() {
    differs_only("tcpconf", |_, _| false);
}

#[test]
fn hubgate_serves_the_file_of_an_nginx_that_runs_and_is_compared_with_it() {
    let (folder, upstream) = (TempDir::new().unwrap(), echo());
    let (theirs, ours) = (free_addr(), free_addr());
    let main = folder.path().join("nginx.conf");
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {};", folder.path().join(name).display()));
    let text = format!(
        "events {{}} http {{ access_log off; {} server {{ listen {theirs}; location / {{ proxy_pass http://{}; }} \
         location = /own {{ return 200 own; }} }} }}",
        temporary.concat(),
        upstream.addr
    );
    fs::write(&main, text).unwrap();
    let _nginx = serve(Path::new(NGINX), folder.path(), theirs);
    let hubgate = |words: [&str; 2]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hubgate"));
        command.args(words).arg(&main).stdin(Stdio::null());
        command
    };
    let taken = hubgate(["run", "--nginx"]).output().unwrap();
    let said = String::from_utf8_lossy(&taken.stderr);
    assert_eq!(
        taken.status.code(),
        Some(3),
        "nginx has the address: {said}"
    );
    let moved = format!("{}={}", theirs.port(), ours.port());
    let child = hubgate(["run", "--nginx"]).args(["--at", &moved]).spawn();
    let mut running = Running(child.unwrap());
    within(LONG, "it listens", || {
        assert_eq!(running.0.try_wait().unwrap(), None);
        TcpStream::connect(ours).is_ok()
    });
    let compared = hubgate(["compare", "nginx"])
        .args(["--at", &moved])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compared.stdout);
    assert_eq!(compared.status.code(), Some(0), "{said}");
    assert!(said.contains("500 requests, 0 differ"), "{said}");
    let elsewhere = hubgate(["import", "nginx"])
        .args(["--at", "1=2"])
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&elsewhere.stderr);
    assert!(report.contains("nothing listens there"), "{report}");
}
