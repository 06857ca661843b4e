//! The real nginx for one test, where there is one, and hubgate beside it with what the import makes of the same file.
//!
//! Both serve the same text, in which `@HTTP@` is each one's address and `@UP@` what the test says.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hubgate::nginx::import::{Report, import};
use hubgate::nginx::{Disk, Options, read};
use tempfile::TempDir;

use super::ports::free_addr;
use super::{Client, Hubgate, eventually};

const PROGRAM: &str = "/usr/sbin/nginx";

/// Whether there is one to compare with.
pub fn is_there() -> bool {
    let there = Path::new(PROGRAM).exists();
    if !there {
        eprintln!("no {PROGRAM}: nothing was compared");
    }
    there
}

/// A running nginx; it ends, by its id, when this is dropped.
pub struct Nginx {
    pub http: SocketAddr,
    pub dir: TempDir,
    child: Child,
}

impl Nginx {
    /// Starts with this text within `http {}`, in a folder that `files` prepares.
    #[track_caller]
    pub fn start(http_block: &str, files: impl Fn(&Path)) -> Self {
        let dir = TempDir::new().unwrap();
        files(dir.path());
        let http = free_addr();
        let text = configuration(http_block, http);
        fs::write(dir.path().join("nginx.conf"), text).unwrap();
        let child = Command::new(PROGRAM)
            .arg("-p")
            .arg(dir.path())
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self { http, dir, child };
        eventually("nginx accepts", || {
            std::net::TcpStream::connect(http).is_ok()
        });
        nginx
    }

    pub fn client(&self) -> Client {
        Client::plain(self.http)
    }

    /// Its error log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its master ends the worker when it is told to, not when it is killed.
        drop(
            Command::new("kill")
                .arg(self.child.id().to_string())
                .status(),
        );
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- nginx's log\n{}---", self.log());
        }
    }
}

fn configuration(http_block: &str, http: SocketAddr) -> String {
    let block = http_block.replace("@HTTP@", &http.to_string());
    format!(
        "user root;\ndaemon off;\nmaster_process on;\nworker_processes 1;\npid nginx.pid;\nerror_log error.log info;\n\
         events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\nclient_body_temp_path t1;\nproxy_temp_path t2;\n\
         fastcgi_temp_path t3;\nuwsgi_temp_path t4;\nscgi_temp_path t5;\n{block}\n}}\n"
    )
}

/// hubgate with what the import makes of the same text, and what it says of it.
#[track_caller]
pub fn imported(http_block: &str, files: impl Fn(&Path)) -> (Hubgate, Report) {
    let dir = TempDir::new().unwrap();
    files(dir.path());
    let http = free_addr();
    let conf = dir.path().join("nginx.conf");
    fs::write(&conf, configuration(http_block, http)).unwrap();
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
    let listen = toml["listen"].as_table_mut().unwrap();
    listen.insert("http".to_owned(), vec!["@HTTP@".to_owned()].into());
    listen.insert("https".to_owned(), vec!["@HTTPS@".to_owned()].into());
    let hubgate = Hubgate::start_in(dir, &toml::to_string(&toml).unwrap());
    (hubgate, imported.report)
}
