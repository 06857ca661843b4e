//! What is on the disk and what the process makes of it: whether it can be written, read, and lasts.
//!
//! The probe file aside nothing is written; where no process runs, its part is said to be unknown.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use http::Method;
use time::OffsetDateTime;

use super::{Finding, Level, Look, ask};
use crate::acme::storage::Storage;
use crate::admin::StatusReport;
use crate::config::CertificateSource;
use crate::observe::reasons::with_reasons;
use crate::tls::pem::load_files;
use crate::tls::verify;
use crate::types::host::Host;
use crate::types::moment::rfc3339;

const DISK: &str = "state directory";

/// Looks at the state directory, at every pair and at the process's own report.
pub(super) fn look(look: &Look, hosts: &[Host]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let state = &look.config.server.state_dir;
    let storage = Storage::new(state);
    if !hosts.is_empty() {
        findings.push(writable(&storage, state));
        findings.extend(open_modes(&state.join("acme")));
        findings.extend(hosts.iter().map(|host| kept(&storage, host)));
    }
    for site in &look.config.sites {
        if let CertificateSource::Files(files) = &site.certificate {
            let about = site.name();
            findings.extend(files.iter().map(|files| match load_files(files) {
                Ok(pair) => dates(&about, pair.leaf.not_before, pair.leaf.not_after),
                Err(error) => Finding::of(
                    Level::Broken,
                    &about,
                    with_reasons(&error),
                    "put a good pair there; the running process serves the last good one until then",
                ),
            }));
        }
    }
    findings.extend(process(look));
    findings
}

fn writable(storage: &Storage, state: &Path) -> Finding {
    match storage.check() {
        Ok(()) => Finding::fine(DISK, format!("`{}` can be written", state.display())),
        Err(error) => Finding::of(
            Level::Broken,
            DISK,
            with_reasons(&error),
            format!(
                "make `{}` a folder of the account that hubgate runs as, mode 0700, with room on its disk",
                state.display()
            ),
        ),
    }
}

/// Files that others than their owner can read, and files of somebody else than the folder's owner.
fn open_modes(root: &Path) -> Vec<Finding> {
    let Ok(owner) = std::fs::metadata(root).map(|root| root.uid()) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, Ok(data)) = (entry.path(), entry.metadata()) else {
                continue;
            };
            if data.is_dir() {
                folders.push(path.clone());
            }
            let mode = data.permissions().mode() & 0o777;
            if !data.is_symlink() && mode & 0o077 != 0 {
                let found = format!("`{}` is open to others (mode {mode:03o})", path.display());
                let fix = format!(
                    "run `chmod go= '{}'`; hubgate mends it too when it reads it",
                    path.display()
                );
                findings.push(Finding::of(Level::Attention, DISK, found, fix));
            }
            if data.uid() != owner {
                let found = format!(
                    "`{}` belongs to user {}, the folder to user {owner}",
                    path.display(),
                    data.uid()
                );
                let fix = format!(
                    "run `chown -h --reference='{}' '{}'`",
                    root.display(),
                    path.display()
                );
                findings.push(Finding::of(Level::Broken, DISK, found, fix));
            }
        }
    }
    findings
}

fn kept(storage: &Storage, host: &Host) -> Finding {
    let about = host.as_str();
    match storage.load_now(host) {
        None => Finding::of(
            Level::Attention,
            about,
            "no certificate is kept",
            "the findings below and `hubgate certs show` say why; until there is one a self-signed one is served",
        ),
        Some(stored) => match verify::lasting(&stored.pair, std::slice::from_ref(host)) {
            Ok(()) => dates(
                about,
                stored.pair.leaf.not_before,
                stored.pair.leaf.not_after,
            ),
            Err(fault) => Finding::of(
                Level::Broken,
                about,
                fault.to_string(),
                "`hubgate certs renew` orders another",
            ),
        },
    }
}

/// By the part of the life that is left: a renewal is due at a third.
fn dates(about: &str, begin: OffsetDateTime, end: OffsetDateTime) -> Finding {
    let now = OffsetDateTime::now_utc();
    let (life, left) = (end - begin, end - now);
    let until = format!("the certificate lasts until {}", rfc3339(end));
    if begin > now {
        let fix = "set the clock right: `timedatectl` says whether it is synchronised";
        Finding::of(
            Level::Broken,
            about,
            format!(
                "the certificate begins at {}, later than now",
                rfc3339(begin)
            ),
            fix,
        )
    } else if left <= time::Duration::ZERO {
        let fix = "the findings below say why no other has come";
        Finding::of(
            Level::Broken,
            about,
            format!("the certificate expired at {}", rfc3339(end)),
            fix,
        )
    } else if left < life / 5 {
        let fix = "it should have been renewed at a third of its life; the findings below say why it was not";
        Finding::of(
            Level::Attention,
            about,
            format!("{until}: less than a fifth of its life"),
            fix,
        )
    } else {
        Finding::fine(about, until)
    }
}

/// What the process has met: failures, waits, certificates that are not shown.
fn process(look: &Look) -> Vec<Finding> {
    let Some(text) = ask(look, Method::GET, "/status") else {
        let found = format!(
            "no hubgate answers at `{}`",
            look.config.admin.socket.display()
        );
        let fix = "start it, or run this as root or as its user: without it nothing can be said about what the internet reaches";
        return vec![Finding::of(Level::Unknown, "process", found, fix)];
    };
    let Ok(report) = serde_json::from_str::<StatusReport>(&text) else {
        let found = "the running hubgate is of another version";
        return vec![Finding::of(
            Level::Unknown,
            "process",
            found,
            "restart it with this one",
        )];
    };
    let mut findings = vec![Finding::fine(
        "process",
        format!("hubgate {} runs", report.version),
    )];
    for row in report.status.certificates {
        if let Some(trouble) = row.trouble {
            let next = row
                .next_attempt
                .and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
            let next =
                next.map_or_else(String::new, |at| format!("; next attempt {}", rfc3339(at)));
            let found = format!("{trouble} ({} failures in a row{next})", row.failures);
            let fix = "mend what the authority names; a reload then tries sooner than the wait, within its limits";
            findings.push(Finding::of(Level::Attention, &row.host, found, fix));
        }
        if row.served_as_kept == Some(false) {
            let found = "clients are not shown the certificate that is kept";
            let fix = "`hubgate reload`, and a restart if that does not help";
            findings.push(Finding::of(Level::Broken, &row.host, found, fix));
        }
    }
    findings
}
