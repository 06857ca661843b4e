//! The five shapes of nginx configurations that people have, served by the real nginx and by hubgate called as `nginx`,
//! and compared by `hubgate compare nginx`: what upstreams said arrives the same. Without a Debian nginx there is nothing
//! to compare with, which is said.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use regex::Regex;
use tempfile::TempDir;

use crate::support::ports::free_addr;
use crate::support::{Upstream, within};

const LONG: Duration = Duration::from_secs(60);
const NGINX: &str = "/usr/sbin/nginx";
const MODULES: &str = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;";

/// Ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
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
        let dir = self.dir.path().display();
        let mut child = Command::new(program)
            .args(["-c", &format!("{dir}/nginx.conf"), "-p", &format!("{dir}/")])
            .args(["-e", &format!("{dir}/error.log"), "-g"])
            .arg(format!(
                "{MODULES} daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;"
            ))
            .stdin(Stdio::null())
            .stderr(fs::File::create(self.path("said")).unwrap())
            .spawn()
            .unwrap();
        within(LONG, "it listens", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{} ended with {status}: {}", program.display(), self.said());
            }
            TcpStream::connect(self.http).is_ok()
        });
        Running(child)
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path("said")).unwrap_or_default()
    }
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

/// A shape may differ in these kinds, and in none else. docs/decisions/2026-11-21-nginx-differences.md says why.
fn differs_in(name: &str, known: &[&str]) {
    let said = compared(name);
    assert!(said.contains("600 requests, "), "{said}");
    let kinds = said
        .lines()
        .filter_map(|line| line.strip_prefix("not explained: "));
    let kinds: Vec<_> = kinds
        .filter_map(|line| Some(line.rsplit_once(", ")?.0))
        .collect();
    let unknown: Vec<_> = kinds.iter().filter(|kind| !known.contains(kind)).collect();
    assert!(unknown.is_empty(), "{name}: {unknown:#?}\n{said}");
}

#[test]
fn the_edge_with_two_paths_says_what_the_upstream_said() {
    differs_in(
        "two-paths",
        &[
            "body",
            "content-length",
            "location",
            "status: nginx 405, hubgate 404",
            "status: nginx 301, hubgate 308",
            "status: nginx 400, hubgate 301",
            "status: nginx 400, hubgate 308",
        ],
    );
}

#[test]
fn the_documented_edge_of_a_hub_says_what_the_upstream_said() {
    differs_in(
        "jupyterhub",
        &[
            "status: nginx 400, hubgate 200",
            "status: nginx 400, hubgate 302",
            "status: nginx 404, hubgate 200",
            "status: nginx 405, hubgate 200",
            "status: nginx 405, hubgate 404",
        ],
    );
}

#[test]
fn the_site_that_certbot_looks_after_says_what_the_upstream_said() {
    differs_in(
        "certbot",
        &[
            "status: nginx 301, hubgate 308",
            "status: nginx 400, hubgate 301",
            "status: nginx 400, hubgate 308",
        ],
    );
}

#[test]
fn the_configuration_that_a_controller_made_says_what_the_upstream_said() {
    differs_in(
        "ingress",
        &[
            "content-type",
            "status: nginx 200, hubgate 404",
            "status: nginx 405, hubgate 404",
        ],
    );
}

#[test]
fn the_edge_that_passes_ports_on_says_what_the_upstream_said() {
    differs_in(
        "tcpconf",
        &[
            "status: nginx 301, hubgate 308",
            "status: nginx 400, hubgate 301",
            "status: nginx 400, hubgate 308",
        ],
    );
}
