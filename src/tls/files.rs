//! Certificates that the configuration names by file: loaded all together, or refused all together.
//!
//! Loading is for start and reload, where one bad pair refuses the configuration and every fault is told at once.
//! What changes afterwards is `watch`'s. Blocks on files.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tracing::warn;

use super::pem::{self, LoadError, Pair, Place};
use super::stamp::Stamp;
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

/// The good pairs by the paths of chain and key, with what the files held. What still holds the same bytes is not checked
/// again, files that nobody has touched are not even read, and sites that name the same files share a pair.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<Mutex<HashMap<Vec<PairFiles>, Good>>>);

type Good = (Arc<Content>, Pair);

/// What the files hold.
pub(super) struct Content(Box<[Texts]>);

/// Chain, key and passwords.
type Texts = (Text, Text, Option<Text>);

/// A file's text, and how it is known without reading that it is the same.
struct Text {
    bytes: Vec<u8>,
    stamp: Option<Stamp>,
    /// Others may do this with the file.
    mode: u32,
}

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
            let known = here.get(&spec).or_else(|| before.get(&spec));
            match Content::good(&spec, known, SystemTime::now()) {
                Ok((content, pair)) => {
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
        let doubts = loaded.iter().flat_map(
            |Loaded {
                 spec,
                 pair,
                 content,
             }| {
                pause();
                let doubts = doubts(spec, pair, content).into_iter();
                doubts.map(|doubt| (spec.chain().to_owned(), doubt))
            },
        );
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

    fn get(&self, spec: &FileSpec) -> Option<Good> {
        self.0.lock().get(&spec.files).cloned()
    }
}

impl Content {
    /// What the files hold now, with its pair: what is `known`, where that has not changed.
    fn good(spec: &FileSpec, known: Option<Good>, now: SystemTime) -> Result<Good, LoadError> {
        let Some(known) = known else {
            let content = Self::read(spec, now)?;
            let pair = content.parse(spec)?;
            return Ok((Arc::new(content), pair));
        };
        if known.0.holds(spec) {
            return Ok(known);
        }
        let content = Self::read(spec, now)?;
        let pair = match content.says_as(&known.0) {
            true => known.1,
            false => content.parse(spec)?,
        };
        Ok((Arc::new(content), pair))
    }

    pub(super) fn read(spec: &FileSpec, now: SystemTime) -> Result<Self, LoadError> {
        let read = |path: &PathBuf| Text::read(path, now);
        let texts = spec.files.iter().map(|files| {
            let passwords = files.passwords.as_ref().map(read).transpose()?;
            Ok((read(&files.chain)?, read(&files.key)?, passwords))
        });
        texts.collect::<Result<_, _>>().map(Self)
    }

    /// Whether nobody has touched the files since: without reading them.
    pub(super) fn holds(&self, spec: &FileSpec) -> bool {
        let mut all = self.0.iter().zip(&spec.files);
        self.0.len() == spec.files.len()
            && all.all(|((chain, key, passwords), files)| {
                let passwords = match (passwords, &files.passwords) {
                    (Some(text), Some(path)) => text.holds(path),
                    (None, None) => true,
                    _ => false,
                };
                passwords && chain.holds(&files.chain) && key.holds(&files.key)
            })
    }

    /// Whether it is the same bytes.
    pub(super) fn says_as(&self, other: &Self) -> bool {
        self.texts().eq(other.texts())
    }

    fn texts(&self) -> impl Iterator<Item = (&[u8], &[u8], Option<&[u8]>)> {
        self.0.iter().map(|(chain, key, passwords)| {
            let passwords = passwords.as_ref().map(|text| &*text.bytes);
            (&*chain.bytes, &*key.bytes, passwords)
        })
    }

    pub(super) fn parse(&self, spec: &FileSpec) -> Result<Pair, LoadError> {
        let all = spec.files.iter().zip(self.texts());
        let all = all.map(|(files, texts)| pem::parse_files(files, texts));
        let all: Vec<Pair> = all.collect::<Result<_, _>>()?;
        Pair::of(all).ok_or_else(|| LoadError::NoCertificate {
            place: Place::Memory("the configuration"),
            found: "nothing".to_owned(),
        })
    }
}

impl Text {
    fn read(path: &Path, now: SystemTime) -> Result<Self, LoadError> {
        let (bytes, found) = pem::read_found(path)?;
        Ok(Self {
            bytes,
            stamp: Stamp::rested(&found, now),
            mode: found.mode() & 0o777,
        })
    }

    fn holds(&self, path: &Path) -> bool {
        self.stamp.is_some_and(|stamp| stamp.holds(path))
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

pub(super) fn warn_of_doubts(spec: &FileSpec, pair: &Pair, content: &Content) {
    for doubt in doubts(spec, pair, content) {
        warn_of(&spec.chain().display(), &doubt);
    }
}

fn warn_of(chain: &std::path::Display<'_>, doubt: &str) {
    warn!(event = "certificate.doubtful", %chain, "{doubt}");
}

fn doubts(spec: &FileSpec, pair: &Pair, content: &Content) -> Vec<String> {
    let mut doubts = Vec::new();
    for (files, (_, text, _)) in spec.files.iter().zip(&content.0) {
        let mode = text.mode;
        if mode & 0o044 == 0 {
            continue;
        }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::tls::self_signed;

    #[test]
    fn files_that_nobody_touched_are_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = self_signed::generate_pem(&[HostPattern::parse("a.test").unwrap()]).unwrap();
        fs::write(at("a.pem"), made.chain.as_bytes()).unwrap();
        fs::write(at("a.key"), made.key.as_bytes()).unwrap();
        let spec = FileSpec {
            patterns: Vec::new(),
            files: vec![PairFiles {
                chain: at("a.pem"),
                key: at("a.key"),
                passwords: None,
            }],
        };
        let later = SystemTime::now() + Duration::from_secs(3600);
        let first = Content::good(&spec, None, later).unwrap();
        let again = Content::good(&spec, Some(first.clone()), later).unwrap();
        assert!(Arc::ptr_eq(&first.0, &again.0), "it was read");
        // Another file with the same bytes is read, and its pair is the same.
        fs::write(at("new"), made.key.as_bytes()).unwrap();
        fs::rename(at("new"), at("a.key")).unwrap();
        let touched = Content::good(&spec, Some(first.clone()), later).unwrap();
        assert!(!Arc::ptr_eq(&first.0, &touched.0));
        assert!(Arc::ptr_eq(&first.1.key, &touched.1.key));
        // What has just been written is read each time.
        let fresh = Content::good(&spec, Some(first.clone()), SystemTime::now()).unwrap();
        let again = Content::good(&spec, Some(fresh.clone()), SystemTime::now()).unwrap();
        assert!(!Arc::ptr_eq(&fresh.0, &again.0));
        fs::write(at("a.key"), "nothing").unwrap();
        assert!(Content::good(&spec, Some(first), later).is_err());
    }
}
