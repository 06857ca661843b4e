//! Where an nginx configuration's files come from: the disk, or memory for tests and fuzzing.
//!
//! Reading and globbing only; what a path is relative to is for `read`. Every file has a bound.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::glob;

/// The largest file that is read.
const FILE_BYTES: u64 = 64 << 20;

/// What `read` needs of a file system.
pub trait Files {
    /// The whole of a file.
    ///
    /// # Errors
    /// As the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The paths that a pattern with `*`, `?` or `[..]` stands for, in the order of their bytes.
    fn glob(&self, pattern: &str) -> Vec<PathBuf>;
}

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(FILE_BYTES + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(bytes)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::from(match pattern.starts_with('/') {
            true => "/",
            false => "",
        })];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            found = found.iter().flat_map(|at| step(at, part)).collect();
        }
        found.sort();
        found
    }
}

/// What `part` of a pattern stands for in a folder.
fn step(folder: &Path, part: &str) -> Vec<PathBuf> {
    if !glob::is_pattern(part) {
        let path = folder.join(part);
        return match fs::symlink_metadata(&path) {
            Ok(_) => vec![path],
            Err(_) => Vec::new(),
        };
    }
    let here = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    // A folder that cannot be read holds nothing that matches, as for nginx.
    let Ok(entries) = fs::read_dir(here) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    names
        .filter(|name| glob::matches(part.as_bytes(), name.as_encoded_bytes()))
        .map(|name| folder.join(name))
        .collect()
}

/// Files in memory, by path.
#[derive(Clone, Debug, Default)]
pub struct Memory(pub BTreeMap<PathBuf, Vec<u8>>);

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let missing = || io::Error::from_raw_os_error(2);
        self.0.get(path).cloned().ok_or_else(missing)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let parts: Vec<&str> = pattern.split('/').collect();
        let matching = |path: &&PathBuf| {
            let path = path.to_string_lossy();
            let names: Vec<&str> = path.split('/').collect();
            names.len() == parts.len()
                && parts
                    .iter()
                    .zip(names)
                    .all(|(part, name)| glob::matches(part.as_bytes(), name.as_bytes()))
        };
        self.0.keys().filter(matching).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_the_files_of_a_folder_in_order_without_hidden_ones() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".hidden.conf", "c.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = Disk.glob(&format!("{}/*.conf", folder.path().display()));
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, ["a.conf", "b.conf"]);
        assert!(Disk.glob("/no/such/folder/*.conf").is_empty());
    }
}
