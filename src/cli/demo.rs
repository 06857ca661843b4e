//! `hubgate demo`: the stand-in hub and hubgate in front of it, on loopback, with nothing to set up.
//!
//! Chooses ports, writes the configuration into a folder of its own, says what to open, and runs the server as
//! `hubgate run` does. Invariant: the folder is gone when the command ends.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::{complain, exit, print};
use crate::demo::{self, Hub, Ports};
use crate::server::How;

/// Tried first, so that the addresses are easy to remember.
const HTTP: u16 = 8080;
const HTTPS: u16 = 8443;
const ADMIN: u16 = 9180;

/// Runs until a signal ends it. Gives the exit code of `hubgate run`, or 3 when the demo could not be set up.
pub(super) fn run() -> u8 {
    match Prepared::new() {
        Ok(prepared) => super::run::run_and_tell(&prepared.config, How::Demo, None, || {
            print(&prepared.welcome())
        }),
        Err(error) => {
            complain(&format!("hubgate: the demo cannot be set up: {error}\n"));
            exit::UNREACHABLE
        }
    }
}

/// Everything that lives as long as the demo. The hub ends before its folder goes.
struct Prepared {
    _hub: Hub,
    ports: Ports,
    config: PathBuf,
    _folder: Folder,
}

impl Prepared {
    fn new() -> io::Result<Self> {
        let ports = choose_ports()?;
        let folder = Folder::new(&std::env::temp_dir())?;
        let hub = Hub::start()?;
        let config = folder.0.join("hubgate.toml");
        fs::write(&config, demo::config(hub.address(), ports, &folder.0))?;
        Ok(Self {
            _hub: hub,
            ports,
            config,
            _folder: folder,
        })
    }

    fn welcome(&self) -> String {
        let Ports {
            http, https, admin, ..
        } = self.ports;
        let config = self.config.display();
        format!(
            "hubgate demo: a stand-in hub behind hubgate. Ctrl-C stops it.

  open     https://localhost:{https}/jupyterhub/    (self-signed: the browser asks once)
  or       http://localhost:{http}/jupyterhub/     (redirects there)
  status   http://127.0.0.1:{admin}/
  config   {config}

  curl -k https://localhost:{https}/jupyterhub/echo
  curl -kN 'https://localhost:{https}/binderhub/events?n=5'
  curl -i http://localhost:{http}/jupyterhub
  hubgate reload -c {config}

"
        )
    }
}

/// The usual ports where they are free, others where not. Somebody may take one before the server does; it then says so.
fn choose_ports() -> io::Result<Ports> {
    let ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    // Kept open until all are chosen, so that no port is chosen twice.
    let mut held = Vec::new();
    Ok(Ports {
        http: choose_port(HTTP, ipv6, &mut held)?,
        https: choose_port(HTTPS, ipv6, &mut held)?,
        admin: choose_port(ADMIN, false, &mut held)?,
        ipv6,
    })
}

fn choose_port(wanted: u16, ipv6: bool, held: &mut Vec<TcpListener>) -> io::Result<u16> {
    let mut last = None;
    for port in [wanted, 0, 0, 0, 0] {
        match hold(port, ipv6, held) {
            Ok(port) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

/// Binds `port` (0: any) on every loopback address that is wanted.
fn hold(port: u16, ipv6: bool, held: &mut Vec<TcpListener>) -> io::Result<u16> {
    let v4 = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let port = v4.local_addr()?.port();
    if ipv6 {
        held.push(TcpListener::bind(SocketAddr::from((
            Ipv6Addr::LOCALHOST,
            port,
        )))?);
    }
    held.push(v4);
    Ok(port)
}

/// A new folder that only its owner can enter; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(parent: &Path) -> io::Result<Self> {
        // Never one that is already there: somebody else may have made it to be written into.
        let path = parent.join(format!(
            "hubgate-demo-{}-{:08x}",
            std::process::id(),
            fastrand::u32(..)
        ));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            complain(&format!(
                "hubgate: `{}` stays behind: {error}\n",
                self.0.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_taken_port_is_replaced_by_a_free_one() {
        let mut held = Vec::new();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let chosen = choose_port(port, false, &mut held).unwrap();
        assert_ne!(chosen, port);
        let other = choose_port(chosen, false, &mut held).unwrap();
        assert_ne!(other, chosen, "still held");
    }

    #[test]
    fn the_folder_is_private_and_goes_with_the_demo() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path()).unwrap();
        let path = folder.0.clone();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        fs::write(path.join("hubgate.toml"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn the_welcome_names_the_ports_and_the_configuration_that_was_written() {
        let prepared = Prepared::new().unwrap();
        let text = prepared.welcome();
        assert!(text.contains(&format!(
            "https://localhost:{}/jupyterhub/",
            prepared.ports.https
        )));
        assert!(text.contains(prepared.config.to_str().unwrap()));
        let written = fs::read_to_string(&prepared.config).unwrap();
        assert!(written.contains(&prepared._hub.address().to_string()));
    }
}
