//! Debian's nginx, for tests whose expected values are what it does, and hubgate with what the import makes of the same
//! text.
//!
//! In the text `@LISTEN@` is each one's address; the folder of both is prepared alike.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hubgate::nginx::import::{Report, import};
use hubgate::nginx::{Disk, Options, read};
use tempfile::TempDir;

use super::hubgate::HOST;
use super::ports::free_addr;
use super::{Client, Hubgate, eventually};

/// A running nginx of one process; ended when dropped.
pub struct Nginx {
    /// Where `@LISTEN@` of its configuration listens.
    pub addr: SocketAddr,
    pub dir: TempDir,
    child: Child,
}

/// The program; `None`, and a word about it, where there is none to compare with.
pub fn program() -> Option<&'static Path> {
    let found = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].map(Path::new);
    let found = found.into_iter().find(|path| path.exists());
    if found.is_none() {
        eprintln!("no nginx here: nothing to compare with");
    }
    found
}

impl Nginx {
    /// Starts with these directives of `http`, in a folder that `files` prepares. `None`, and a word about it, where
    /// there is no nginx to compare with.
    #[track_caller]
    pub fn start(http: &str, files: impl Fn(&Path)) -> Option<Self> {
        let nginx = program()?;
        let dir = TempDir::new().unwrap();
        files(dir.path());
        let (addr, folder) = (free_addr(), dir.path().display());
        let mut text = format!(
            "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log info;\nevents {{}}\nhttp {{\naccess_log off;\n"
        );
        for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            text += &format!("{name}_temp_path {folder}/{name};\n");
        }
        text += &http.replace("@LISTEN@", &addr.to_string());
        text += "\n}\n";
        let conf = dir.path().join("nginx.conf");
        fs::write(&conf, text).unwrap();
        let child = Command::new(nginx)
            .args(["-e", "stderr", "-p"])
            .arg(dir.path())
            .arg("-c")
            .arg(&conf)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut started = Self { addr, dir, child };
        eventually("nginx listens", || {
            assert!(started.child.try_wait().unwrap().is_none(), "nginx ended");
            std::net::TcpStream::connect(addr).is_ok()
        });
        Some(started)
    }

    /// Its error log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default()
    }

    /// A connection to it.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::plain(self.addr)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- nginx's log\n{}---", self.log());
        }
    }
}

/// hubgate with what the import makes of the same directives of `http`, in a folder that `files` prepares, and what the
/// import says of it. Whatever the directives listen on is one address.
#[track_caller]
pub fn imported(http: &str, files: impl Fn(&Path)) -> (Hubgate, Report) {
    let dir = TempDir::new().unwrap();
    files(dir.path());
    let conf = dir.path().join("nginx.conf");
    let http = http.replace("@LISTEN@", &free_addr().to_string());
    fs::write(&conf, format!("events {{}}\nhttp {{\n{http}\n}}\n")).unwrap();
    let options = Options {
        globals: String::new(),
        keep_unknown: true,
    };
    let tree = read(&Disk, &conf, &options).unwrap_or_else(|refused| panic!("{}", refused.0));
    let imported = import(&tree);
    let mut toml: toml::Table = imported.toml.parse().unwrap();
    for table in ["log", "server"] {
        toml.remove(table); // the test's own
    }
    let mut listen = toml::Table::new();
    listen.insert("http".to_owned(), vec!["@HTTP@".to_owned()].into());
    listen.insert("https".to_owned(), vec!["@HTTPS@".to_owned()].into());
    toml.insert("listen".to_owned(), listen.into());
    for (index, (_, site)) in toml["site"].as_table_mut().unwrap().iter_mut().enumerate() {
        let site = site.as_table_mut().unwrap();
        site.remove("listen");
        if index == 0 {
            site.insert("default".to_owned(), true.into());
        }
    }
    let hubgate = Hubgate::start_in(dir, &toml::to_string(&toml).unwrap());
    (hubgate, imported.report)
}

/// Asserts that the import carries everything.
#[track_caller]
pub fn assert_carried(report: &Report) {
    assert_eq!(report.lost(), 0, "{}", report.render());
}

/// Serves the same text by nginx and by hubgate, and asserts that all of it is carried and that `ask`, given a connection
/// to either and a request, gives the same. Nothing is compared where there is no nginx.
#[track_caller]
pub fn assert_alike<R: AsRef<str>>(
    (block, files): (&str, impl Fn(&Path)),
    requests: &[R],
    ask: impl Fn(&mut Client, &str) -> String,
) {
    let Some(theirs) = Nginx::start(block, &files) else {
        return;
    };
    let (ours, report) = imported(block, &files);
    assert_carried(&report);
    let mut different = Vec::new();
    for request in requests.iter().map(AsRef::as_ref) {
        let of_theirs = ask(&mut theirs.client(), request);
        let of_ours = ask(&mut ours.plain(), request);
        if of_theirs != of_ours {
            different.push(format!(
                "{request}\nnginx:   {of_theirs}\nhubgate: {of_ours}\n"
            ));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {}\n{}",
        different.len(),
        requests.len(),
        different.join("---\n")
    );
}

/// Sends each request (`TARGET|FIELD|FIELD`) to both, and compares status, these fields and the body.
#[track_caller]
pub fn assert_gets_alike(served: (&str, impl Fn(&Path)), fields: &[&str], requests: &[&str]) {
    assert_alike(served, requests, |client, request| {
        let (target, said) = request.split_once('|').unwrap_or((request, ""));
        let mut text = format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n");
        for field in said.split('|').filter(|field| !field.is_empty()) {
            text += &format!("{field}\r\n");
        }
        let answer = client.exchange(text + "\r\n");
        let mut shown = answer.status.to_string();
        for name in fields {
            shown += &format!(" {name}={:?}", answer.head.all(name));
        }
        if answer.status < 300 {
            shown += &format!(" {}", answer.text());
        }
        shown
    });
}
