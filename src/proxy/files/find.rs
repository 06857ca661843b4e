//! Looks for the file that a path stands for, in nginx's order: what is tried, then a folder's index, then the file.
//!
//! Blocks on the disk; holds no more of it than one descriptor. What is found is `super`'s to send. Invariant: no name
//! with a `..` segment is looked for, wherever it came from.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{FileType, Stat};

use super::listing::{self, Entry};
use super::open::Folder;
use crate::config::Links;
use crate::observe::access_log::sentence::quoted;

/// Files up to this size are read at once, while a thread is at it.
const SMALL: u64 = 64 * 1024;

/// What is looked for; texts have their values.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The folder.
    pub root: Vec<u8>,
    /// How many bytes of the path the folder stands for; `None`: the path is below it.
    pub alias: Option<usize>,
    /// `$uri`.
    pub path: Vec<u8>,
    /// Names looked for in a folder.
    pub index: Vec<Vec<u8>>,
    /// What is looked for in place of the path; `None` without `try`.
    pub attempts: Option<Vec<Tried>>,
    /// Whether a folder without an index is listed.
    pub list: bool,
    /// Where links may lead.
    pub links: Links,
    /// What the method may do.
    pub method: Method,
    /// Whether a small file is read at once.
    pub eager: bool,
    /// Whether its compressed form is looked for; and if so, whether it is wanted.
    pub packed: Option<bool>,
}

/// A path that is looked for in place of the request's.
#[derive(Clone, Debug)]
pub struct Tried {
    /// It.
    pub path: Vec<u8>,
    /// Whether it has to be a folder.
    pub folder: bool,
    /// Whether it is the same for every request: nginx then takes it for a name below an alias.
    pub fixed: bool,
}

/// What a method may do with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read them.
    Reads,
    /// Be sent on from a folder; nginx lets POST.
    Passes,
    /// Nothing.
    Other,
}

/// What was found.
#[derive(Debug)]
pub enum Found {
    /// A file.
    File(Opened),
    /// A folder, at a path without its slash.
    Slash(Vec<u8>),
    /// A folder's contents.
    Listing(Vec<u8>, Vec<Entry>),
    /// Another path, whose route is looked for anew.
    Find(Vec<u8>),
    /// Nothing that was tried.
    Nothing,
    /// No such file.
    Missing,
    /// One that is not to be read.
    Forbidden,
    /// A file that does not take this method.
    Method,
    /// The disk failed.
    Failed(io::Error),
}

/// A file that is open.
#[derive(Debug)]
pub struct Opened {
    /// To be read.
    pub file: File,
    /// Its bytes.
    pub length: u64,
    /// Seconds since 1970.
    pub modified: i64,
    /// The path that led to it.
    pub path: Vec<u8>,
    /// All of it, when it is small and was to be read at once.
    pub bytes: Option<Vec<u8>>,
    /// Whether there is a compressed form; and if so, whether this is it.
    pub packed: Option<bool>,
}

impl Wanted {
    /// The name of what is wanted, as in sentences of the log.
    pub fn named(&self) -> String {
        let rest = self.path.get(self.alias.unwrap_or(0)..);
        let name = [&self.root, rest.unwrap_or_default()].concat();
        let in_folder = self.path.ends_with(b"/");
        let index = self.index.last().filter(|_| in_folder);
        let name = [&name[..], index.map_or(&b""[..], |index| &index[..])].concat();
        quoted(&String::from_utf8_lossy(&name))
    }

    /// Looks.
    pub fn look(self) -> Found {
        self.found().unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidFilename => Found::Missing,
            io::ErrorKind::PermissionDenied | io::ErrorKind::CrossesDevices => Found::Forbidden,
            _ => match error.raw_os_error() {
                Some(libc::ELOOP | libc::EMLINK | libc::EXDEV) => Found::Forbidden,
                Some(libc::ENAMETOOLONG) => Found::Missing,
                _ => Found::Failed(error),
            },
        })
    }

    fn found(mut self) -> io::Result<Found> {
        if let Some(attempts) = self.attempts.take() {
            match self.first_of(attempts) {
                Some(path) => self.path = path,
                None => return Ok(Found::Nothing),
            }
        }
        if self.method == Method::Other {
            return Ok(Found::Method);
        }
        match self.path.ends_with(b"/") {
            true => self.in_folder(),
            false => self.file(),
        }
    }

    /// The first path that is there. What cannot be looked at is not there.
    fn first_of(&self, attempts: Vec<Tried>) -> Option<Vec<u8>> {
        attempts.into_iter().find_map(|tried| {
            let folder = tried.folder;
            let path = self.as_path(tried);
            let stat = self.stat(&path).ok()?;
            (is_folder(&stat) == folder).then_some(path)
        })
    }

    /// What was tried as a path of the site.
    fn as_path(&self, tried: Tried) -> Vec<u8> {
        let name = tried.path;
        let prefix = self.alias.and_then(|count| self.path.get(..count));
        match prefix {
            Some(prefix) if tried.fixed || !name.starts_with(prefix) => [prefix, &name].concat(),
            None if !name.starts_with(b"/") => [b"/", &name[..]].concat(),
            _ => name,
        }
    }

    fn in_folder(&self) -> io::Result<Found> {
        let mut there = false;
        for name in &self.index {
            if name.starts_with(b"/") {
                return Ok(Found::Find(name.clone()));
            }
            let path = [&self.path[..], name].concat();
            match self.stat(&path) {
                Ok(_) => return Ok(Found::Find(path)),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                // Without the folder there is nothing at all, whatever else it should be looked for in.
                Err(_) if !there => {
                    self.stat(&self.path)?;
                    there = true;
                }
                Err(_) => {}
            }
        }
        if !there {
            self.stat(&self.path)?;
        }
        // With it, nothing to see.
        if !self.list || self.method != Method::Reads {
            return Ok(Found::Forbidden);
        }
        let (folder, rest) = self.place(&self.path)?;
        let entries = listing::entries(folder.folder(&rest)?)?;
        Ok(Found::Listing(self.path.clone(), entries))
    }

    fn file(self) -> io::Result<Found> {
        let mut other = None;
        if let Some(wanted) = self.packed.filter(|_| self.method == Method::Reads) {
            let name = [&self.path, &b".gz"[..]].concat();
            let found = self
                .place(&name)
                .and_then(|(folder, rest)| folder.file(&rest));
            match found {
                Ok((file, stat)) if wanted => return self.opened(file, &stat, Some(true)),
                Ok(_) => other = Some(false),
                Err(_) => {}
            }
        }
        let stat = self.stat(&self.path)?;
        if is_folder(&stat) {
            return Ok(Found::Slash(self.path));
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(Found::Missing);
        }
        if self.method != Method::Reads {
            return Ok(Found::Method);
        }
        let (folder, rest) = self.place(&self.path)?;
        let (file, stat) = folder.file(&rest)?;
        self.opened(file, &stat, other)
    }

    fn opened(self, file: File, stat: &Stat, packed: Option<bool>) -> io::Result<Found> {
        let length = u64::try_from(stat.st_size).unwrap_or_default();
        let bytes = match self.eager && length <= SMALL {
            true => {
                let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
                file.read_exact_at(&mut bytes, 0)?;
                Some(bytes)
            }
            false => None,
        };
        Ok(Found::File(Opened {
            file,
            length,
            modified: stat.st_mtime,
            path: self.path,
            bytes,
            packed,
        }))
    }

    fn stat(&self, path: &[u8]) -> io::Result<Stat> {
        let (folder, rest) = self.place(path)?;
        folder.stat(&rest)
    }

    /// The folder that is opened for a path, and the name below it.
    fn place(&self, path: &[u8]) -> io::Result<(Folder, Vec<u8>)> {
        let (folder, rest) = match self.alias {
            None => (&self.root[..], path),
            Some(count) => {
                let rest = path.get(count..).ok_or(io::ErrorKind::NotFound)?;
                if rest.is_empty() || !(self.root.ends_with(b"/") || rest.starts_with(b"/")) {
                    return self.beside(rest);
                }
                (&self.root[..], rest)
            }
        };
        let first = rest.iter().position(|byte| *byte != b'/');
        let rest = first.map_or(&b""[..], |first| &rest[first..]);
        refuse_parents(rest)?;
        Ok((Folder::open(folder, self.links)?, rest.to_vec()))
    }

    /// What an alias without a slash makes of a name that goes on without one: the two are one name.
    fn beside(&self, rest: &[u8]) -> io::Result<(Folder, Vec<u8>)> {
        let end = self.root.iter().rposition(|byte| *byte == b'/');
        let (folder, name) = self.root.split_at(end.map_or(0, |end| end + 1));
        let rest = [name, rest].concat();
        refuse_parents(&rest)?;
        Ok((Folder::open(folder, self.links)?, rest))
    }
}

fn refuse_parents(path: &[u8]) -> io::Result<()> {
    match path.split(|byte| *byte == b'/').any(|own| own == b"..") {
        true => Err(io::ErrorKind::NotFound.into()),
        false => Ok(()),
    }
}

fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}
