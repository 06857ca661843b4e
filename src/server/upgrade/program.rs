//! Which file to start as the successor: the one that was started as this process, by its path.
//!
//! Found out at the start: a package replaces the file, and then `/proc/self/exe` names one that is gone. The path that
//! was typed is kept where it leads to the file that runs, so that a link which comes to point elsewhere is followed.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::nginx::title;

/// How this process was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Program {
    /// Absolute.
    pub(super) file: PathBuf,
}

impl Program {
    /// Of this process. To be called at its start.
    pub(in crate::server) fn own() -> io::Result<Self> {
        let runs = env::current_exe()?;
        let called = env::args_os().next().unwrap_or_default();
        let typed = title::typed(&called);
        let folder = env::current_dir().unwrap_or_default();
        let path = env::var_os("PATH").unwrap_or_default();
        let file = candidates(typed, &folder, &path)
            .into_iter()
            .find(|candidate| fs::canonicalize(candidate).is_ok_and(|real| real == runs));
        Ok(Self {
            file: file.unwrap_or(runs),
        })
    }

    /// Another file, as an operator wishes.
    pub(in crate::server) fn at(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
        }
    }
}

/// Where a shell would look for what was typed.
fn candidates(typed: &OsStr, folder: &Path, path: &OsStr) -> Vec<PathBuf> {
    let typed = Path::new(typed);
    match typed.components().count() {
        0 => Vec::new(),
        1 if !typed.has_root() => env::split_paths(path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(typed))
            .collect(),
        _ => vec![folder.join(typed)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_in_the_path_and_a_path_is_not() {
        let found = |typed: &str| {
            let path = OsStr::new("/usr/bin:bin:/opt");
            candidates(OsStr::new(typed), Path::new("/home/a"), path)
        };
        assert_eq!(
            found("hubgate"),
            [Path::new("/usr/bin/hubgate"), Path::new("/opt/hubgate")]
        );
        assert_eq!(found("bin/hubgate"), [Path::new("/home/a/bin/hubgate")]);
        assert_eq!(found("/x/hubgate"), [Path::new("/x/hubgate")]);
        assert!(found("").is_empty());
    }

    #[test]
    fn the_own_program_is_an_absolute_path_to_a_file() {
        let own = Program::own().unwrap();
        assert!(own.file.is_absolute() && own.file.is_file());
    }
}
