//! Lines that are more than bytes at the end of one file: with the name of their file, as datagrams, compressed.
//!
//! A sink's batch is bytes; what has to be told apart in it comes in frames: the lengths of a name and of a text, and
//! both. Invariant: a batch holds whole frames, for a sink takes each in one piece.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::output::{FileOutput, Output};
use crate::config::Text;

/// Puts `text` for `name` behind what is in `out`.
pub fn frame(name: &[u8], text: &[u8], out: &mut Vec<u8>) {
    for part in [name, text] {
        let length = u32::try_from(part.len()).unwrap_or(0);
        out.extend_from_slice(&length.to_be_bytes());
    }
    for part in [name, text] {
        // What does not fit in a number fits in no queue either.
        if u32::try_from(part.len()).is_ok() {
            out.extend_from_slice(part);
        }
    }
}

/// The names and texts of a batch.
pub fn frames(mut batch: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (name, rest) = batch.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_first_chunk::<4>()?;
        let (name, rest) = rest.split_at_checked(u32::from_be_bytes(*name) as usize)?;
        let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*text) as usize)?;
        batch = rest;
        Some((name, text))
    })
}

/// Whether lines may be written to a file of that name: variables of clients lead nowhere else.
pub fn is_sound(name: &[u8]) -> bool {
    let path = Path::new(std::ffi::OsStr::from_bytes(name));
    let up = path.components().any(|part| part == Component::ParentDir);
    !name.contains(&0) && path.is_absolute() && !up
}

/// Appends each line to the file that its frame names. A file is open only while lines are written to it, so whoever
/// renames one need not say so.
#[derive(Debug)]
pub struct ChosenFiles(String);

impl ChosenFiles {
    /// Of the files that `text` names.
    pub fn new(text: &Text) -> Self {
        Self(text.to_string())
    }
}

impl Output for ChosenFiles {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        let mut files: BTreeMap<&[u8], Vec<u8>> = BTreeMap::new();
        for (name, line) in frames(batch) {
            files.entry(name).or_default().extend_from_slice(line);
        }
        let mut failed = Ok(());
        for (name, lines) in files {
            let path = Path::new(std::ffi::OsStr::from_bytes(name));
            let written = FileOutput::open(path).and_then(|mut file| file.write(&lines));
            failed = failed.and(written);
        }
        failed
    }

    fn reopen(&mut self) {}

    fn name(&self) -> String {
        self.0.clone()
    }
}

/// Appends each batch as a member of a compressed file (RFC 1952).
#[derive(Debug)]
pub struct GzipFile(FileOutput);

impl GzipFile {
    /// Fails when the file cannot be opened for appending.
    pub fn open(path: &Path) -> io::Result<Self> {
        FileOutput::open(path).map(Self)
    }
}

impl Output for GzipFile {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(batch)?;
        self.0.write(&encoder.finish()?)
    }

    fn reopen(&mut self) {
        self.0.reopen();
    }

    fn name(&self) -> String {
        self.0.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in() {
        let mut batch = Vec::new();
        frame(b"/a", b"one\ntwo\n", &mut batch);
        frame(b"", b"", &mut batch);
        frame(b"/b", b"three", &mut batch);
        let all: Vec<_> = frames(&batch).collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"/a", b"one\ntwo\n"), (b"", b""), (b"/b", b"three")];
        assert_eq!(all, expected);
    }

    #[test]
    fn each_line_gets_to_its_file_and_none_leaves_by_dots() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).as_os_str().as_bytes().to_vec();
        let mut batch = Vec::new();
        frame(&path("a"), b"1\n", &mut batch);
        frame(&path("b"), b"2\n", &mut batch);
        frame(&path("a"), b"3\n", &mut batch);
        ChosenFiles(String::new()).write(&batch).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((read("a").as_str(), read("b").as_str()), ("1\n3\n", "2\n"));
        for (name, sound) in [
            ("/a/b", true),
            ("/a/../b", false),
            ("b", false),
            ("/a\0", false),
        ] {
            assert_eq!(is_sound(name.as_bytes()), sound, "{name:?}");
        }
    }

    #[test]
    fn a_compressed_log_is_one_that_gzip_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.gz");
        let mut file = GzipFile::open(&path).unwrap();
        file.write(b"one\n").unwrap();
        file.write(b"two\n").unwrap();
        let mut text = String::new();
        let mut reader = flate2::read::MultiGzDecoder::new(std::fs::File::open(&path).unwrap());
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }
}
