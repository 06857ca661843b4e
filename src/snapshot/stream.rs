//! Streams as they run, one for each that is configured.
//!
//! What most streams do not ask for stands behind one pointer that is not followed. Counts of sessions and of limits
//! outlive a generation; files of certificates are read with each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::guard::Limited;
use super::{BuildError, Parts};
use crate::config::{self, Config, Definitions, StreamAction, StreamMore};
use crate::observe::access_log::AccessLogHandle;
use crate::tls::policies::Ground;
use crate::tls::streams::{StreamServer, load};
use crate::types::name::UpstreamName;
use crate::upstream::group::Group;

/// A stream as it runs.
#[derive(Debug)]
pub struct RunningStream {
    /// What was configured.
    pub config: config::Stream,
    /// Its upstream; nobody where there is none, or not the same for all.
    pub group: Arc<Group>,
    /// Its log.
    pub access_log: AccessLogHandle,
    /// As in logs.
    pub name: Arc<str>,
    /// Its sessions of datagrams, over generations.
    pub sessions: Arc<AtomicUsize>,
    /// Variables that the configuration defines.
    pub definitions: Arc<Definitions>,
    /// What most do not do.
    pub special: Option<Box<SpecialStream>>,
}

/// What a stream does besides passing bytes on as they come.
#[derive(Debug, Default)]
pub struct SpecialStream {
    /// How many at once.
    pub limits: Option<Limited>,
    /// TLS is ended with it.
    pub tls: Option<StreamServer>,
    /// Whom its connections may be for, by name.
    pub groups: BTreeMap<UpstreamName, Arc<Group>>,
}

/// A place among the sessions of a stream, given back when this is dropped.
#[derive(Debug)]
#[must_use = "a dropped slot counts no session"]
pub struct Slot(Arc<AtomicUsize>);

impl Slot {
    /// One of `most`; `None` when all are taken.
    pub fn take(sessions: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let taken = sessions.try_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < most).then_some(open + 1)
        });
        taken.is_ok().then(|| Self(sessions.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'a> Parts<'a> {
    pub(super) fn stream(
        &mut self,
        stream: &'a config::Stream,
        (config, ground): (&Config, &Ground),
    ) -> Result<RunningStream, BuildError> {
        let name: Arc<str> = stream.name().into();
        let known = self.old.filter(|_| stream.udp.is_some()).and_then(|old| {
            let mut known = old.running_streams.iter();
            known.find(|known| known.name == name)
        });
        Ok(RunningStream {
            sessions: known.map_or_else(Arc::default, |known| known.sessions.clone()),
            config: stream.clone(),
            group: match stream.upstream() {
                Some(name) => self.group(name)?,
                None => self.nobody.clone(),
            },
            access_log: self.log(&stream.access_log)?,
            special: self.special(stream, &name, ground)?.map(Box::new),
            definitions: config.definitions.clone(),
            name,
        })
    }

    fn special(
        &self,
        stream: &config::Stream,
        name: &Arc<str>,
        ground: &Ground,
    ) -> Result<Option<SpecialStream>, BuildError> {
        let chooses = matches!(stream.action, StreamAction::Choose(..));
        let mut special = SpecialStream::default();
        if chooses {
            special.groups = self.groups.clone();
        }
        if let Some(more) = &stream.more {
            let limits = more.limits.as_ref();
            special.limits = limits.map(|limits| self.guarding.limited(limits));
            let tls = more.tls.as_ref().map(|tls| load(tls, ground)).transpose();
            special.tls = tls.map_err(|source| BuildError::Stream {
                name: name.clone(),
                source,
            })?;
        }
        // What is told apart at no cost needs none of it.
        let asks = |more: &StreamMore| {
            let plain = StreamMore {
                ends_with_endpoint: more.ends_with_endpoint,
                blind: more.blind,
                ..StreamMore::default()
            };
            *more != plain
        };
        let is = stream.more.as_deref().is_some_and(asks) || stream.upstream().is_none();
        Ok(is.then_some(special))
    }
}
