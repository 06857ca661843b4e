//! What nginx's habits ask for beside its directives: the pid file, the form and the levels of its error log, its logs
//! where nobody names any.
//!
//! Only for whoever was called as `nginx`: who imports an nginx configuration, or runs one beside nginx, must not write
//! to nginx's own files.

use std::path::PathBuf;

use super::Import;
use super::draft::{self, Draft};
use crate::nginx::model::Scope;
use crate::nginx::tree::Directive;

/// What nginx's package says.
pub const PID: &str = "/run/nginx.pid";
const ACCESS_LOG: &str = "/var/log/nginx/access.log";
/// nginx waits for what is open as long as it takes; so long has hubgate an end all the same.
const DRAIN: i64 = 24 * 3600 * 1000;

/// The pid file that a configuration asks for, relative to the prefix.
pub fn pid_file(directives: &[Directive]) -> PathBuf {
    let own = directives.iter().rfind(|own| own.is("pid"));
    own.map_or(PathBuf::from(PID), |own| {
        PathBuf::from(own.argument(0).into_owned())
    })
}

/// Sets what the process needs, after the directives have been looked at.
pub(super) fn of_process<'t>(import: &mut Import<'t>, scope: &Scope<'t>) {
    if import.asked.habits.is_none() {
        return;
    }
    let own = scope.own().iter().rfind(|own| own.is("pid"));
    let pid = import.under_prefix(&pid_file(scope.own()).display().to_string());
    import.server_key("pid_file", &draft::text(&pid), own);
    if let Some(own) = own {
        import.ledger.carried(own, "`server.pid_file`");
    }
    let own = scope.one("worker_shutdown_timeout");
    let time = scope
        .time("worker_shutdown_timeout")
        .filter(|time| *time > 0);
    import.server_key("drain_timeout", &draft::time(time.unwrap_or(DRAIN)), own);
    if let Some(own) = own {
        import.ledger.carried(own, "`server.drain_timeout`");
    }
    // nginx takes such lines, and its own tests send them.
    match import
        .tables
        .iter_mut()
        .find(|own| own.header == "[limits]")
    {
        Some(limits) => lenient(limits),
        None => {
            let mut limits = Draft::new("[limits]", None);
            lenient(&mut limits);
            import.tables.push(limits);
        }
    }
    let mut pages = Draft::new("[error_pages]", None);
    pages.set("bare", "true", None);
    import.tables.push(pages);
    if !import.tables.iter().any(|own| own.header == "[admin]") {
        let mut admin = Draft::new("[admin]", None);
        let socket = PathBuf::from(pid).with_extension("hubgate.sock");
        admin.set("socket", draft::text(&socket.display().to_string()), None);
        import.tables.push(admin);
    }
    if !import.tables.iter().any(|own| own.header == "[log]") {
        let log = error_log(import, None);
        import.tables.push(log);
    }
    let mut http = import.tree.directives.iter().filter(|own| own.is("http"));
    if http.any(|http| !http.children().iter().any(|own| own.is("access_log"))) {
        let mut log = Draft::new("[access_log]", None);
        log.set("target", draft::text(ACCESS_LOG), None);
        import.tables.push(log);
    }
}

fn lenient(limits: &mut Draft) {
    limits.set("bare_lf", "true", None);
    limits.set("lenient_hosts", "true", None);
}

/// `[log]` in nginx's form: what is at least as grave as the level says.
pub(super) fn error_log(import: &Import<'_>, directive: Option<&Directive>) -> Draft {
    let mut log = Draft::new("[log]", directive);
    let level = directive.map(|own| own.argument(1).into_owned());
    let level = match level.as_deref() {
        Some("debug") => "debug",
        Some("info" | "notice") => "info",
        Some("warn") => "warn",
        _ => "error",
    };
    log.set("level", draft::text(level), None);
    log.set("format", draft::text("nginx"), None);
    let file = match directive.map(|own| own.argument(0)).as_deref() {
        Some("stderr") => None,
        Some(path) if path.starts_with("syslog:") || path.starts_with("memory:") => None,
        Some(path) => Some(import.under_prefix(path)),
        None => {
            let habits = import.asked.habits.as_ref();
            let file = habits.and_then(|own| own.error_log.as_ref());
            file.map(|file| file.display().to_string())
        }
    };
    if let Some(file) = file {
        log.set("file", draft::text(&file), None);
    }
    log
}
