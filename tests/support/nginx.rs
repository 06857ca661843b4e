//! Debian's nginx, for tests whose expected values are what it does.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::ports::free_addr;
use super::{Client, eventually};

/// A running nginx of one process; ended when dropped.
pub struct Nginx {
    /// Where `@LISTEN@` of its configuration listens.
    pub addr: SocketAddr,
    pub dir: TempDir,
    child: Child,
}

impl Nginx {
    /// Starts with these directives of `http`, in which `@LISTEN@` is an address. `None`, and a word about it, where there
    /// is no nginx to compare with.
    #[track_caller]
    pub fn start(http: &str) -> Option<Self> {
        let found = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"];
        let Some(nginx) = found.into_iter().find(|path| Path::new(path).exists()) else {
            eprintln!("no nginx here: nothing to compare with");
            return None;
        };
        let dir = TempDir::new().unwrap();
        let (addr, folder) = (free_addr(), dir.path().display());
        let mut text = format!(
            "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log warn;\nevents {{}}\nhttp {{\naccess_log off;\n"
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
    }
}
