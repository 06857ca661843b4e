//! Finds a request's line in the access logs that a configuration names, rotated ones included.
//!
//! Reads at most [`MOST_BYTES`] from the end of each file, a megabyte at a time, newest file first, and stops when it has
//! the request. Compressed files are named, not read. A log whose form has no request id is named too.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::line;
use crate::config::{AccessLogFormat, Config, Variable};
use crate::observe::history::Told;

/// Of one file.
const MOST_BYTES: u64 = 1 << 30;
/// Of one log: itself and what it was rotated to.
const MOST_FILES: usize = 8;
const CHUNK: usize = 1 << 20;
/// Requests that a part of an id may mean before the search ends.
const MOST_FOUND: usize = 10;

/// What was looked in.
#[derive(Debug, Default)]
pub(super) struct Searched {
    found: Vec<Told>,
    pub(super) files: Vec<PathBuf>,
    /// Files that could not be read, with why.
    pub(super) unread: Vec<String>,
    /// Logs without request ids.
    pub(super) nameless: Vec<PathBuf>,
}

impl Searched {
    /// What was found: the request, or the ids of several that it could be.
    pub(super) fn take(&mut self) -> (Vec<Told>, Vec<String>) {
        let found = std::mem::take(&mut self.found);
        let mut ids: Vec<_> = found.iter().map(|told| told.request_id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        match ids.len() {
            0 | 1 => (found, Vec::new()),
            _ => (Vec::new(), ids),
        }
    }
}

/// Looks for `asked`, an id or its beginning or end.
pub(super) fn search(config: &Config, asked: &str) -> Searched {
    let mut searched = Searched::default();
    for (path, format) in logs(config) {
        if !has_ids(format) {
            searched.nameless.push(path.to_owned());
            continue;
        }
        for file in generations(path) {
            let compressed = ["gz", "xz", "zst", "bz2"];
            let ending = file.extension().and_then(|ending| ending.to_str());
            if ending.is_some_and(|ending| compressed.contains(&ending)) {
                let name = file.display();
                searched.unread.push(format!("{name} is compressed"));
                continue;
            }
            match look(&file, format, asked, &mut searched.found) {
                Ok(()) => searched.files.push(file),
                Err(error) => {
                    let name = file.display();
                    searched.unread.push(format!("{name}: {error}"));
                }
            }
            if !searched.found.is_empty() {
                return searched;
            }
        }
    }
    searched
}

/// The logs' files, each once, with their form.
fn logs(config: &Config) -> BTreeMap<&Path, &AccessLogFormat> {
    let sites = config.sites.iter().flat_map(|site| {
        let routes = site.routes.iter().map(|route| &route.access_log);
        std::iter::once(&site.access_log).chain(routes)
    });
    std::iter::once(&config.access_log)
        .chain(sites)
        .filter_map(|log| Some((log.target.file()?, &log.format)))
        .collect()
}

fn has_ids(format: &AccessLogFormat) -> bool {
    match format {
        AccessLogFormat::Json => true,
        AccessLogFormat::Combined => false,
        AccessLogFormat::Template(parts) => {
            parts.variables().any(|named| *named == Variable::RequestId)
        }
    }
}

/// The file, then what it was rotated to (`FILE.1`, `FILE-20261121`), newest first.
fn generations(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().and_then(|folder| fs::read_dir(folder).ok());
    let is_rotated = |other: &str| {
        let rest = other.strip_prefix(&*name);
        rest.is_some_and(|rest| rest.starts_with(['.', '-']))
    };
    let mut rotated: Vec<(SystemTime, PathBuf)> = folder
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| is_rotated(&entry.file_name().to_string_lossy()))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    rotated.sort_by(|a, b| b.cmp(a));
    let rotated = rotated.into_iter().map(|(_, path)| path);
    std::iter::once(path.to_owned())
        .chain(rotated)
        .take(MOST_FILES)
        .collect()
}

/// Adds what one file knows.
fn look(
    path: &Path,
    format: &AccessLogFormat,
    asked: &str,
    found: &mut Vec<Told>,
) -> io::Result<()> {
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(MOST_BYTES)))?;
    let finder = memchr::memmem::Finder::new(asked);
    let mut buffer = Vec::with_capacity(2 * CHUNK);
    let mut source = file.take(MOST_BYTES);
    loop {
        let read = (&mut source).take(CHUNK as u64).read_to_end(&mut buffer)?;
        let whole = match read {
            0 => buffer.len(),
            _ => memchr::memrchr(b'\n', &buffer).map_or(0, |at| at + 1),
        };
        let mut from = 0;
        while let Some(at) = finder.find(&buffer[from..whole]).map(|at| from + at) {
            let start = memchr::memrchr(b'\n', &buffer[..at]).map_or(0, |at| at + 1);
            let end = memchr::memchr(b'\n', &buffer[at..whole]).map_or(whole, |n| at + n);
            if let Some(mut told) = line::read(&buffer[start..end], format)
                && is_meant(&told.request_id, asked)
            {
                told.source = path.display().to_string();
                found.push(told);
                if found.len() >= MOST_FOUND {
                    return Ok(());
                }
            }
            from = end;
        }
        buffer.drain(..whole);
        // A line of this length is none of ours.
        if buffer.len() > CHUNK {
            buffer.clear();
        }
        if read == 0 {
            return Ok(());
        }
    }
}

/// As the process takes ids: whole, or at least four characters of its beginning or end.
fn is_meant(id: &str, asked: &str) -> bool {
    id == asked || (asked.len() >= 4 && (id.starts_with(asked) || id.ends_with(asked)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};

    fn config(folder: &Path, format: &str) -> Config {
        let text = format!(
            "[access_log]\ntarget = \"a.log\"\n{format}\n[[site.\"a.example\".route]]\npath = \"/\"\nupstream = \"u\"\n\
             [upstream.u]\nendpoints = [\"192.0.2.1:80\"]\n"
        );
        parse(&Source::new("c.toml", folder, text)).unwrap().config
    }

    #[test]
    fn a_line_is_found_wherever_it_is_in_a_large_file_and_in_a_rotated_one() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "format = \"$request_id $status\"");
        let mut text = String::new();
        for n in 0..200_000 {
            text.push_str(&format!("id-{n:08} 200\n"));
        }
        fs::write(folder.path().join("a.log.1"), &text).unwrap();
        fs::write(folder.path().join("a.log"), "new-1 502\nnew-22").unwrap();
        for (asked, status) in [
            ("id-00000000", 200),
            ("id-00123456", 200),
            ("id-00199999", 200),
            ("new-1", 502),
        ] {
            let (found, _) = search(&config, asked).take();
            assert_eq!(found.len(), 1, "{asked}");
            assert_eq!(
                (found[0].request_id.as_str(), found[0].status),
                (asked, status)
            );
        }
        assert_eq!(search(&config, "00123456").take().0.len(), 1);
        let (found, candidates) = search(&config, "id-0000000").take();
        assert_eq!((found.len(), candidates.len()), (0, 10));
    }

    #[test]
    fn a_log_without_ids_and_one_that_cannot_be_read_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let searched = search(&config(folder.path(), ""), "abcd");
        assert_eq!(searched.nameless, [folder.path().join("a.log")]);
        let json = config(folder.path(), "format = \"json\"");
        fs::write(folder.path().join("a.log.2.gz"), "").unwrap();
        let searched = search(&json, "abcd");
        assert_eq!(searched.unread.len(), 2, "{:?}", searched.unread);
    }
}
