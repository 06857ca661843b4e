//! What nginx's habits ask for beside its directives: the pid file, the form and the levels of its error log, its logs
//! where nobody names any.
//!
//! Only for whoever was called as `nginx`: who imports an nginx configuration, or runs one beside nginx, must not write
//! to nginx's own files.

use std::path::PathBuf;

use super::Import;
use super::draft::{self, Draft};
use super::log;
use crate::config::LogLevel;
use crate::nginx::model::Scope;
use crate::nginx::tree::{Directive, Word};

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
    if let Some(own) = scope.one("user") {
        // A group of the account's name is meant where none is said.
        let user = own.argument(0);
        let group = own.arguments().get(1).map_or(user.clone(), Word::text);
        import.server_key("worker_user", &draft::text(&user), Some(own));
        import.server_key("worker_group", &draft::text(&group), None);
        import.ledger.carried(own, "`server.worker_user`");
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
        let log = error_log(import, &[]);
        import.tables.push(log);
    }
    let mut http = import.tree.directives.iter().filter(|own| own.is("http"));
    if http.any(|http| !http.children().iter().any(|own| own.is("access_log"))) {
        let of_http = |own: &&mut Draft| own.header == "[access_log]";
        match import.tables.iter_mut().find(of_http) {
            // Where its `error_log`s are.
            Some(log) => log.set("target", draft::text(ACCESS_LOG), None),
            None => {
                let mut log = Draft::new("[access_log]", None);
                log.set("target", draft::text(ACCESS_LOG), None);
                import.tables.push(log);
            }
        }
    }
}

fn lenient(limits: &mut Draft) {
    limits.set("bare_lf", "true", None);
    limits.set("lenient_hosts", "true", None);
    // nginx counts bytes alone; so many are the most that can be kept.
    limits.set("head_fields", "256", None);
}

/// `[log]` in nginx's form, and as loud as the loudest log of single servers and locations.
pub(super) fn error_log(import: &Import<'_>, main: &[&Directive]) -> Draft {
    let mut table = Draft::new("[log]", main.first().copied());
    let inner = |name: &str| {
        let blocks = import.tree.directives.iter().filter(|own| own.is(name));
        blocks.map(loudest).max()
    };
    let of_main = main.iter().map(|own| log::level(own)).max();
    let all = [inner("http").flatten(), inner("stream").flatten(), of_main];
    let loudest = all.into_iter().flatten().max();
    let word = match loudest.unwrap_or(LogLevel::Error) {
        LogLevel::Debug => "debug",
        LogLevel::Info | LogLevel::Notice => "info",
        LogLevel::Warn => "warn",
        _ => "error",
    };
    table.set("level", draft::text(word), None);
    let habits = import.asked.habits.as_ref();
    let logs = match log::events(import, main) {
        Some(logs) => logs,
        None => {
            let file = habits.and_then(|own| own.error_log.as_ref());
            let file = file.map(|file| file.display().to_string());
            let target = draft::text(file.as_deref().unwrap_or("stderr"));
            format!("[{{ target = {target} }}]")
        }
    };
    table.set("logs", logs, None);
    table
}

/// The loudest level of the logs within a block.
fn loudest(block: &Directive) -> Option<LogLevel> {
    let within = block
        .children()
        .iter()
        .map(|own| match own.is("error_log") {
            true => Some(log::level(own)),
            false => loudest(own),
        });
    within.max().flatten()
}
