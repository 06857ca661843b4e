//! A new configuration for the running process: diff, plan, apply; all or nothing.
//!
//! Everything that can fail happens in [`Draft::new`], which takes its time: reading, checking, loading certificates,
//! opening logs; and in [`Draft::finish`]: binding sockets. They change nothing that runs; dropping what they give undoes
//! it. [`Prepared::apply`] cannot fail.

use std::collections::HashMap;
use std::sync::Arc;

use super::background::{discard, retire};
use super::certificates;
use super::descriptors::room_for;
use super::kept;
use super::names;
use super::process::{Listening, Process};
use crate::acme::Settings as AcmeSettings;
use crate::admin::ReloadReport;
use crate::config::{self, Config, Listener, Paint, Plan, SocketOptions, Source};
use crate::listener::accept::ListenerKey;
use crate::listener::bind::{Carried, bind};
use crate::nginx::origin;
use crate::observe::metrics::ListenerKind;
use crate::observe::reasons::with_reasons;
use crate::snapshot::{BuildError, Snapshot};
use crate::tls::watch::FileWatch;

/// What a configuration asks for, as far as it can be made without binding sockets.
pub(super) struct Draft {
    snapshot: Result<Snapshot, BuildError>,
    certificates: Result<certificates::Prepared, Vec<String>>,
    changes: Vec<String>,
    warnings: Vec<String>,
    faults: Vec<String>,
}

/// A change that is ready to be applied.
pub(super) struct Prepared {
    snapshot: Snapshot,
    certificates: certificates::Prepared,
    bound: Vec<(ListenerKey, Listening)>,
    changes: Vec<String>,
    warnings: Vec<String>,
}

/// Why a configuration was refused: text for a terminal, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) String);

/// What the configuration file holds now, or why it cannot be read.
pub(super) fn fetch(process: &Process) -> Result<Source, Refused> {
    origin::fetch(&process.config_path).map_err(|report| Refused(report.render(Paint::Plain)))
}

/// Checks a configuration and says what it would change.
pub(super) fn check(
    process: &Process,
    source: &Source,
) -> Result<(Config, Plan, Vec<String>), Refused> {
    let loaded = config::load(source).map_err(|report| Refused(report.render(Paint::Plain)))?;
    let mut warnings = source.notes().to_vec();
    if !loaded.report.is_empty() {
        warnings.push(loaded.report.render(Paint::Plain));
    }
    let running = process.shared.snapshot.load();
    let plan = config::diff(&running.config, &loaded.config);
    Ok((loaded.config, plan, warnings))
}

/// The listeners a configuration asks for.
pub(super) fn wanted(config: &Config) -> Vec<(ListenerKey, &Listener)> {
    let sites = [
        (ListenerKind::Http, &config.listen.http),
        (ListenerKind::Https, &config.listen.https),
    ];
    let mut all = Vec::new();
    for (kind, listeners) in sites {
        all.extend((listeners.iter()).map(|one| ((one.address.clone(), kind), one)));
    }
    for stream in &config.streams {
        let (listener, _) = stream.listener(&config.listen);
        if stream.udp.is_none() && config.listen.https_at(&listener.address).is_some() {
            continue;
        }
        let kind = match stream.udp {
            Some(_) => ListenerKind::Udp,
            None => ListenerKind::Stream,
        };
        let key = (listener.address.clone(), kind);
        match all.iter_mut().find(|(known, _)| *known == key) {
            None => all.push((key, listener)),
            // Streams of one address: one of them says how its sockets are made.
            Some((_, known)) if *known.options == SocketOptions::default() => *known = listener,
            Some(_) => {}
        }
    }
    all
}

/// What sockets of this kind carry.
pub(super) fn carried(kind: ListenerKind) -> Carried {
    match kind {
        ListenerKind::Udp => Carried::Datagrams,
        _ => Carried::Connections,
    }
}

impl Draft {
    /// Makes what the text asks for.
    pub(super) fn new(process: &Process, source: &Source) -> Result<Self, Refused> {
        let (config, plan, warnings) = check(process, source)?;
        let mut faults = Vec::new();
        let known = process.known_files();
        let certificates = certificates::prepare(&config, &process.certificates, &known);
        let settings = AcmeSettings::new(&config);
        if let Err(error) = settings.check() {
            faults.push(with_reasons(&error));
        }
        if let Ok(prepared) = &certificates
            && let Err(error) = settings.check_storage(&prepared.acme_hosts)
        {
            faults.push(format!(
                "certificates cannot be kept: {}",
                with_reasons(&error)
            ));
        }
        if let Err(error) = process.log.check(&config.log) {
            faults.push(with_reasons(&error));
        }
        let running = process.shared.snapshot.load_full();
        let now = crate::transport::now();
        let (logs, ground) = (&process.access_logs, &process.ground);
        let snapshot = Snapshot::build(Arc::new(config), Some(&running), logs, ground, now);
        Ok(Self {
            snapshot,
            certificates,
            changes: plan.changes.iter().map(ToString::to_string).collect(),
            warnings,
            faults,
        })
    }

    /// Gives names that are new a moment to be looked up.
    pub(super) async fn settle(&self) {
        if let Ok(snapshot) = &self.snapshot {
            names::settle(snapshot).await;
        }
    }

    /// Does the rest, which is quick.
    pub(super) fn finish(mut self, process: &Process) -> Result<Prepared, Refused> {
        let bound = match &self.snapshot {
            Ok(snapshot) => bind_new(process, &snapshot.config, &mut self.faults),
            Err(error) => {
                self.faults.push(with_reasons(error));
                Vec::new()
            }
        };
        match (self.snapshot, self.certificates) {
            (Ok(snapshot), Ok(certificates)) if self.faults.is_empty() => {
                self.warnings.extend(certificates.doubts());
                Ok(Prepared {
                    snapshot,
                    certificates,
                    bound,
                    changes: self.changes,
                    warnings: self.warnings,
                })
            }
            (_, certificates) => {
                self.faults.extend(certificates.err().unwrap_or_default());
                let lines: String = self
                    .faults
                    .iter()
                    .map(|fault| format!("error: {fault}\n"))
                    .collect();
                Err(Refused(lines))
            }
        }
    }
}

impl Prepared {
    /// What it would change.
    pub(super) fn into_report(self, process: &Process) -> ReloadReport {
        let generation = process.shared.snapshot.load().generation + 1;
        let (changes, warnings) = (self.changes, self.warnings);
        discard((self.snapshot, self.certificates));
        ReloadReport {
            generation,
            changes,
            warnings,
        }
    }

    /// Starts what writes the logs that are new. Their threads are scheduled as the caller's is: not for one that steps back.
    pub(super) fn start_logs(&self, process: &Process) -> Result<(), Refused> {
        let started = process.access_logs.start_writers();
        started.map_err(|error| {
            Refused(format!(
                "error: cannot start the writer of an access log: {error}\n"
            ))
        })
    }

    /// Has the event log be as it asks for; on the same terms as [`Self::start_logs`].
    pub(super) fn apply_log(&self, process: &Process) {
        if let Err(error) = process.log.configure(&self.snapshot.config.log) {
            tracing::error!(error = %with_reasons(&error), "the event log stays as it was");
        }
    }

    /// Puts all else into effect. Gives what changed in words, and what the operator should look at.
    pub(super) fn apply(mut self, process: &Process) -> (Vec<String>, Vec<String>) {
        let config = self.snapshot.config.clone();
        let limits = &config.limits;
        let (room, doubt) = room_for(limits.connections);
        process.caps.set(room, limits.connections_per_client);
        self.warnings.extend(doubt);
        let hosts = self.certificates.acme_hosts.clone();
        let generation = self.snapshot.generation;
        {
            let mut state = process.state.lock();
            // The old watch ends first: it must not put back what the new configuration took away.
            let before = state.files.take().map(FileWatch::end);
            let (files, change) = self.certificates.apply(&process.certificates, before);
            state.files = Some(files);
            discard(change);
            process.session_keys.give_to(&self.snapshot);
            process
                .ground
                .tickets
                .rotate_every(config.tls.ticket_rotation);
            let old = process.shared.replace(self.snapshot);
            retire(old, Snapshot::take_apart);
            let wanted: HashMap<_, _> = wanted(&config).into_iter().collect();
            let gone: Vec<ListenerKey> = state
                .listeners
                .keys()
                .filter(|key| !wanted.contains_key(*key))
                .cloned()
                .collect();
            for key in gone {
                kept::let_go(&process.notify, &key);
                state.unlisten(&key);
            }
            for (key, listening) in &mut state.listeners {
                let wanted = wanted.get(key).copied();
                self.warnings
                    .extend(wanted.and_then(|wanted| follow(listening, wanted, key.1)));
            }
            for (key, listening) in self.bound {
                kept::keep(&process.notify, &key, &listening);
                state.listen(key, listening);
            }
        }
        process.acme.reconfigure(AcmeSettings::new(&config), hosts);
        let metrics = &process.shared.metrics;
        metrics.config_generation.set(generation);
        metrics.reloads_done.inc();
        (self.changes, self.warnings)
    }
}

/// Binds the listeners that are not there yet. An address that changes its kind keeps its sockets.
fn bind_new(
    process: &Process,
    config: &Config,
    faults: &mut Vec<String>,
) -> Vec<(ListenerKey, Listening)> {
    let state = process.state.lock();
    let mut fresh = Vec::new();
    for (key, listener) in wanted(config) {
        if state.listeners.contains_key(&key) {
            continue;
        }
        let (address, kind) = &key;
        // An address that changes its kind keeps its sockets, and with them who waits to be accepted.
        let held = ListenerKind::ALL
            .into_iter()
            .filter(|other| other != kind && carried(*other) == carried(*kind))
            .filter(|_| address.is_fixed())
            .find_map(|other| state.listeners.get(&(address.clone(), other)));
        let bound = match held {
            Some(listening) => listening
                .bound
                .duplicate()
                .map_err(|error| error.to_string()),
            None => bind(listener, carried(*kind), state.workers.len())
                .map_err(|error| format!("{} ({})", with_reasons(&error), error.hint())),
        };
        let listener = listener.clone();
        match bound {
            Ok(bound) => fresh.push((key, Listening { listener, bound })),
            Err(fault) => faults.push(fault),
        }
    }
    fresh
}

/// Gives sockets that stay their new options; says what is not to be changed while they are in use.
fn follow(listening: &mut Listening, wanted: &Listener, kind: ListenerKind) -> Option<String> {
    if listening.listener.options == wanted.options {
        return None;
    }
    let can = wanted.options.can_follow(&listening.listener.options);
    let followed = listening.bound.follow(wanted, carried(kind));
    listening.listener = wanted.clone();
    match followed {
        Err(error) => Some(format!(
            "`{}` keeps its options: {}",
            wanted.address,
            with_reasons(&error)
        )),
        Ok(()) if !can => Some(format!(
            "`interface`, `reuse_port` and `ipv6_only` of `{}` take effect at the next start",
            wanted.address
        )),
        Ok(()) => None,
    }
}
