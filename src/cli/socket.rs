//! Finds the admin socket that a command should talk to.
//!
//! In order: `--socket`, `[admin].socket` of the configuration file, the default. The file is read loosely, for this one
//! key: a configuration that has faults must still lead to the process that can say which. Invariant: a file that was
//! named but gives no answer is an error, so that a command never talks to another process than was meant.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Door;

const DEFAULT_CONFIG: &str = "/etc/hubgate/hubgate.toml";
const DEFAULT_SOCKET: &str = "/run/hubgate/admin.sock";

/// A socket, and how it was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where to connect.
    pub(super) path: PathBuf,
    /// For messages: why this one.
    pub(super) origin: String,
}

/// Why there is no telling which socket is meant.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    /// The file named with `-c` cannot be read.
    #[error("cannot read `{file}`")]
    Read {
        /// The file.
        file: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The file named with `-c` is no TOML.
    #[error("`{file}` is not valid TOML, so it does not say where the socket is")]
    Syntax {
        /// The file.
        file: String,
        /// Where.
        source: Box<toml::de::Error>,
    },
}

/// The socket for what was typed.
pub(super) fn find(door: &Door) -> Result<Found, SocketError> {
    if let Some(path) = &door.socket {
        return Ok(Found {
            path: path.clone(),
            origin: "given with --socket".to_owned(),
        });
    }
    let config = door.config.as_deref();
    match configured(config.unwrap_or(Path::new(DEFAULT_CONFIG))) {
        Ok(found) => Ok(found),
        Err(error) if config.is_some() => Err(error),
        Err(SocketError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(
            default(&format!("the default; `{DEFAULT_CONFIG}` does not exist")),
        ),
        Err(error) => Ok(default(&format!("the default; {error}"))),
    }
}

fn configured(file: &Path) -> Result<Found, SocketError> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|source| SocketError::Read {
        file: name.clone(),
        source,
    })?;
    let table: toml::Table = text.parse().map_err(|source| SocketError::Syntax {
        file: name.clone(),
        source: Box::new(source),
    })?;
    let socket = table.get("admin").and_then(|admin| admin.get("socket"));
    Ok(match socket.and_then(toml::Value::as_str) {
        Some(socket) => Found {
            path: file.parent().unwrap_or(Path::new("")).join(socket),
            origin: format!("set in [admin].socket of `{name}`"),
        },
        None => default(&format!("the default; `{name}` sets no [admin].socket")),
    })
}

fn default(origin: &str) -> Found {
    Found {
        path: PathBuf::from(DEFAULT_SOCKET),
        origin: origin.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(config: &Path) -> Door {
        Door {
            socket: None,
            config: Some(config.to_owned()),
        }
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hubgate.toml");
        fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn a_faulty_configuration_still_leads_to_its_socket() {
        let (_dir, path) =
            file("[admin]\nsocket = \"/x/admin.sock\"\n[sevrer]\nworkers = \"many\"");
        assert_eq!(find(&door(&path)).unwrap().path, Path::new("/x/admin.sock"));
    }

    #[test]
    fn a_relative_socket_starts_from_the_files_folder() {
        let (dir, path) = file("admin.socket = \"run/admin.sock\"");
        assert_eq!(
            find(&door(&path)).unwrap().path,
            dir.path().join("run/admin.sock")
        );
    }

    #[test]
    fn a_named_file_that_gives_no_answer_is_not_replaced_by_the_default() {
        let (dir, path) = file("[admin");
        assert!(matches!(
            find(&door(&path)),
            Err(SocketError::Syntax { .. })
        ));
        assert!(matches!(
            find(&door(&dir.path().join("none"))),
            Err(SocketError::Read { .. })
        ));
    }

    #[test]
    fn the_flag_wins_over_the_file() {
        let (_dir, path) = file("[admin]\nsocket = \"/x/admin.sock\"");
        let door = Door {
            socket: Some(PathBuf::from("/y")),
            ..door(&path)
        };
        assert_eq!(find(&door).unwrap().path, Path::new("/y"));
    }
}
