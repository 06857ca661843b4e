//! What `nginx -t` tries beside reading: whether the pid file can be written, logs be opened and addresses be listened on.
//!
//! Logs that are not there are made, as nginx makes them; a pid file is not. An address in use is no fault: a running nginx
//! has it. Invariant: what listens here is closed at once.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use rustix::fs::{Access, access};

use super::options::Options;
use super::words::{Fault, append, system};
use crate::config::Config;
use crate::nginx::{Directive, Tree};

/// Tries the pid file and every log whose name is known.
pub(super) fn made(options: &Options, tree: &Tree) -> Result<(), Fault> {
    let failed = |path: &Path, error: &io::Error| {
        let text = format!("open() \"{}\" failed ({})", path.display(), system(error));
        Fault::emerg(text)
    };
    let pid = super::pid_file(options, tree);
    let tried = match pid.exists() {
        true => access(&pid, Access::WRITE_OK),
        false => access(pid.parent().unwrap_or(Path::new("/")), Access::WRITE_OK),
    };
    tried.map_err(|error| failed(&pid, &error.into()))?;
    let mut logs = Vec::new();
    if !tree.directives.iter().any(|own| own.is("error_log")) {
        let first = options.error_log();
        logs.extend(first.map(|path| path.display().to_string()));
    }
    gather(&tree.directives, &mut logs);
    for log in logs {
        let path = options.prefix().join(log);
        append(&path).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

/// The files that logs name, in their order.
fn gather(directives: &[Directive], logs: &mut Vec<String>) {
    for own in directives {
        if own.is("access_log") || own.is("error_log") {
            let path = own.argument(0).into_owned();
            let other = matches!(&*path, "" | "off" | "stderr") || path.contains('$');
            let elsewhere = ["syslog:", "memory:"]
                .iter()
                .any(|mark| path.starts_with(mark));
            // With `off` an error log is a file of that name.
            let other = other && !(path == "off" && own.is("error_log"));
            if !other && !elsewhere && !logs.contains(&path) {
                logs.push(path);
            }
        }
        gather(own.children(), logs);
    }
}

/// Tries every address.
pub(super) fn bound(config: &Config) -> Result<(), Fault> {
    let sites = config.listen.http.iter().chain(&config.listen.https);
    let streams = config.streams.iter().filter(|stream| stream.udp.is_none());
    let all = sites.chain(streams.map(|stream| &stream.listen));
    let addresses = all.filter_map(|listener| listener.address.ip());
    for address in addresses {
        let address: SocketAddr = address;
        match TcpListener::bind(address) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                let text = format!("bind() to {address} failed ({})", system(&error));
                return Err(Fault::emerg(text));
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}
