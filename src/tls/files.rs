//! Certificates that the configuration names by file: loaded all together, or refused all together.
//!
//! Loading is for start and reload, where one bad pair refuses the configuration and every fault is told at once.
//! What changes afterwards is `watch`'s. Blocks on files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::warn;

use super::pem::{self, LoadError, Pair, Place};
use super::{Certificates, Origin};
use crate::config::PairFiles;
use crate::types::host::HostPattern;
use crate::types::pause::pause;

/// One pair of files and whom it is served for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSpec {
    /// The site's hosts.
    pub patterns: Vec<HostPattern>,
    /// Chains with their keys, one at least.
    pub files: Vec<PairFiles>,
}

impl FileSpec {
    /// The first chain, as in messages.
    pub(super) fn chain(&self) -> &Path {
        self.files
            .first()
            .map_or(Path::new(""), |files| &files.chain)
    }

    /// All that is to be read.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().flat_map(|files| {
            let all = [
                Some(&files.chain),
                Some(&files.key),
                files.passwords.as_ref(),
            ];
            all.into_iter().flatten().map(PathBuf::as_path)
        })
    }
}

/// Pairs read from files, every one of them good.
#[derive(Debug)]
pub struct FileCertificates {
    pub(super) loaded: Vec<Loaded>,
    pub(super) known: Known,
    /// With the chain each is about.
    doubts: Vec<(PathBuf, String)>,
}

/// A pair with the exact bytes it was made from, so that a change can be told from a touch.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) spec: FileSpec,
    pub(super) pair: Pair,
    pub(super) content: Arc<Content>,
}

/// The good pairs by the paths of chain and key, with what the files held. Reading is cheap beside checking a pair, so
/// what still holds the same bytes is not checked again, and sites that name the same files share a pair.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<Mutex<HashMap<Vec<PairFiles>, Good>>>);

type Good = (Arc<Content>, Pair);

/// What the files hold.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Content(Box<[Texts]>);

/// Chain, key and passwords.
type Texts = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);

impl FileCertificates {
    /// Reads every pair; fails with everything that is wrong with any of them.
    pub fn load(specs: Vec<FileSpec>) -> Result<Self, Vec<LoadError>> {
        Self::load_after(specs, &Known::default())
    }

    /// As [`Self::load`]; what `before` knows and has not changed is taken from there. Changes nothing in `before`.
    pub fn load_after(specs: Vec<FileSpec>, before: &Known) -> Result<Self, Vec<LoadError>> {
        let here = Known::default();
        let (mut loaded, mut errors) = (Vec::new(), Vec::new());
        for spec in specs {
            pause();
            let read = Content::read(&spec).and_then(|content| {
                let known = || here.get(&spec, &content);
                if let Some(known) = known().or_else(|| before.get(&spec, &content)) {
                    return Ok(known);
                }
                Ok((content.parse(&spec)?, Arc::new(content)))
            });
            match read {
                Ok((pair, content)) => {
                    here.put(&spec, &content, &pair);
                    loaded.push(Loaded {
                        spec,
                        pair,
                        content,
                    });
                }
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let doubts = loaded.iter().flat_map(|Loaded { spec, pair, .. }| {
            let doubts = doubts(spec, pair).into_iter();
            doubts.map(|doubt| (spec.chain().to_owned(), doubt))
        });
        Ok(Self {
            doubts: doubts.collect(),
            loaded,
            known: here,
        })
    }

    /// Serves the pairs, and warns of what is doubtful about them.
    pub fn insert_into(&self, certificates: &Certificates) {
        self.warn();
        // All at once: the table is copied each time that something is put in.
        certificates.insert_all(self.rows());
    }

    /// What is to be served for whom.
    pub fn rows(&self) -> impl Iterator<Item = (HostPattern, Pair, Origin)> {
        self.loaded
            .iter()
            .flat_map(|loaded| rows(&loaded.spec, &loaded.pair))
    }

    /// What is doubtful but served: keys that others can read, names not covered, dates that are past.
    pub fn doubts(&self) -> Vec<String> {
        self.doubts.iter().map(|(_, doubt)| doubt.clone()).collect()
    }

    /// Tells the log of the doubts.
    pub fn warn(&self) {
        for (chain, doubt) in &self.doubts {
            warn_of(&chain.display(), doubt);
        }
    }
}

impl Known {
    pub(super) fn put(&self, spec: &FileSpec, content: &Arc<Content>, pair: &Pair) {
        let good = (Arc::clone(content), pair.clone());
        self.0.lock().insert(spec.files.clone(), good);
    }

    fn get(&self, spec: &FileSpec, content: &Content) -> Option<(Pair, Arc<Content>)> {
        let known = self.0.lock();
        let (seen, pair) = known.get(&spec.files)?;
        (**seen == *content).then(|| (pair.clone(), Arc::clone(seen)))
    }
}

impl Content {
    pub(super) fn read(spec: &FileSpec) -> Result<Self, LoadError> {
        let texts = spec.files.iter().map(|files| {
            let passwords = files.passwords.as_deref().map(pem::read).transpose()?;
            Ok((pem::read(&files.chain)?, pem::read(&files.key)?, passwords))
        });
        texts.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn parse(&self, spec: &FileSpec) -> Result<Pair, LoadError> {
        let all = spec.files.iter().zip(&self.0);
        let all = all.map(|(files, (chain, key, passwords))| {
            pem::parse_files(files, (chain, key, passwords.as_deref()))
        });
        let all: Vec<Pair> = all.collect::<Result<_, _>>()?;
        Pair::of(all).ok_or_else(|| LoadError::NoCertificate {
            place: Place::Memory("the configuration"),
            found: "nothing".to_owned(),
        })
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the key.
        write!(f, "Content({} pairs)", self.0.len())
    }
}

pub(super) fn serve(certificates: &Certificates, spec: &FileSpec, pair: &Pair) {
    certificates.insert_all(rows(spec, pair));
}

fn rows(spec: &FileSpec, pair: &Pair) -> impl Iterator<Item = (HostPattern, Pair, Origin)> {
    spec.patterns
        .iter()
        .map(|pattern| (pattern.clone(), pair.clone(), Origin::Files))
}

pub(super) fn warn_of_doubts(spec: &FileSpec, pair: &Pair) {
    for doubt in doubts(spec, pair) {
        warn_of(&spec.chain().display(), &doubt);
    }
}

fn warn_of(chain: &std::path::Display<'_>, doubt: &str) {
    warn!(event = "certificate.doubtful", %chain, "{doubt}");
}

fn doubts(spec: &FileSpec, pair: &Pair) -> Vec<String> {
    let mut doubts = Vec::new();
    for files in &spec.files {
        let Ok(Some(mode)) = pem::exposed_mode(&files.key) else {
            continue;
        };
        let key = files.key.display();
        doubts.push(format!("the key `{key}` can be read by others than its owner (mode {mode:03o}); run `chmod 600 {key}`"));
    }
    for pattern in spec
        .patterns
        .iter()
        .filter(|pattern| pattern.site().is_none() && !pair.leaf.covers(pattern))
    {
        doubts.push(format!(
            "the certificate in `{}` does not name `{pattern}`, so browsers will refuse it there",
            spec.chain().display()
        ));
    }
    let now = time::OffsetDateTime::now_utc();
    for pair in pair.all() {
        if pair.leaf.not_after < now {
            doubts.push(format!(
                "the certificate in `{}` expired at {}",
                spec.chain().display(),
                pair.leaf.not_after
            ));
        }
        if pair.leaf.not_before > now {
            doubts.push(format!(
                "the certificate in `{}` is not valid before {}",
                spec.chain().display(),
                pair.leaf.not_before
            ));
        }
    }
    doubts
}
