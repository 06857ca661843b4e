//! What is asked of nginx on its command line, as far as its configuration depends on it.
//!
//! Has a name, so that a reload, a check and the successor at an upgrade read the same configuration by what they take
//! for a path: `nginx:PATH`, or `nginx:{..}` when there is more to it. Invariant: a name stands for what it was made of.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Moved;

/// Before what is nginx's.
const MARK: &str = "nginx:";

/// Which configuration of nginx's, and read how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The main file.
    pub main: PathBuf,
    /// What relative paths of logs and files start from; the main file's folder by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<PathBuf>,
    /// The directives of `-g`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub globals: String,
    /// Listeners that are to be somewhere else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<Moved>,
    /// How the process is to behave, when it was called as `nginx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub habits: Option<Habits>,
    /// Whether the result becomes a file of hubgate's own, so that nginx's affairs are to be hubgate's. No part of the name:
    /// who runs from nginx's files keeps nothing.
    #[serde(skip)]
    pub kept: bool,
}

/// nginx's habits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Habits {
    /// Where errors are logged when the configuration does not say; standard error for none.
    pub error_log: Option<PathBuf>,
    /// Whether the process has left its terminal.
    pub daemon: bool,
}

impl Asked {
    /// nginx's main file, or the folder of an `nginx.conf`, and nothing else.
    pub fn of(path: &Path) -> Self {
        let path = match path.is_dir() {
            true => path.join("nginx.conf"),
            false => path.to_path_buf(),
        };
        Self {
            main: std::path::absolute(&path).unwrap_or(path),
            ..Self::default()
        }
    }

    /// The same, with these listeners somewhere else.
    #[must_use]
    pub fn moved(self, moved: Vec<Moved>) -> Self {
        Self { moved, ..self }
    }

    /// The same, to be kept in a file.
    #[must_use]
    pub fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    /// What stands for it where a configuration's path is expected.
    pub fn name(&self) -> PathBuf {
        let plain = Self {
            main: self.main.clone(),
            ..Self::default()
        };
        let more = match *self == plain {
            true => None,
            // Paths that are no text cannot be written so; they are read as they would be without the rest.
            false => serde_json::to_string(self).ok(),
        };
        let mut name = std::ffi::OsString::from(MARK);
        match more {
            Some(more) => name.push(more),
            None => name.push(&self.main),
        }
        PathBuf::from(name)
    }

    /// What a name stands for; `None` for the path of a file of hubgate's.
    pub fn by_name(name: &Path) -> Option<Self> {
        let name = name.to_str()?.strip_prefix(MARK)?;
        match serde_json::from_str(name) {
            Ok(asked) => Some(asked),
            Err(_) => Some(Self {
                main: PathBuf::from(name),
                ..Self::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_what_it_was_made_of() {
        let plain = Asked::of(Path::new("/etc/nginx/a.conf"));
        assert_eq!(plain.name(), Path::new("nginx:/etc/nginx/a.conf"));
        let more = Asked {
            globals: "pid /x; # \"y\"".to_owned(),
            prefix: Some("/p/".into()),
            habits: Some(Habits::default()),
            moved: vec!["80=8080".parse().unwrap()],
            ..plain.clone()
        };
        for asked in [plain, more] {
            assert_eq!(Asked::by_name(&asked.name()), Some(asked));
        }
        assert_eq!(Asked::by_name(Path::new("/etc/hubgate.toml")), None);
    }
}
