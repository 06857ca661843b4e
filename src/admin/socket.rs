//! Puts the admin socket into the file system, so that only its owner can ever connect.
//!
//! It is bound under a temporary name, closed to others (0600), then renamed into place: there is no moment at which
//! it is open to more. A socket that nobody listens on is replaced; one that answers is left alone and reported.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process answers there.
    #[error("`{path}` is in use: another hubgate runs with this admin socket")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket is there.
    #[error("`{path}` exists and is no socket")]
    NotASocket {
        /// What is in the way.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A listening admin socket; its file is removed when this is dropped, unless another took its place.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: (u64, u64),
}

impl AdminSocket {
    /// Listens at `path`. Makes the folder it is in (but not that one's parents) when it is missing, for its owner.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| BindError::Io {
                action,
                path,
                source,
            }
        };
        make_way(path)?;
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        {
            fs::create_dir(folder).map_err(failed("make the folder", folder))?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
                .map_err(failed("set the mode of", folder))?;
        }
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        remove(&temporary).map_err(failed("remove", &temporary))?;
        let listener = UnixListener::bind(&temporary).map_err(failed("listen on", &temporary))?;
        let placed = place(&temporary, path);
        if placed.is_err() {
            remove(&temporary).map_err(failed("remove", &temporary))?;
        }
        let inode = placed.map_err(failed("listen on", path))?;
        listener
            .set_nonblocking(true)
            .map_err(failed("listen on", path))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            inode,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A second handle to the same socket, for tokio. Fails when the process has no file descriptor left.
    pub(super) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let ours = identity(&self.path).is_ok_and(|found| found == self.inode);
        if ours && let Err(error) = remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the admin socket");
        }
    }
}

/// Says whether `path` may be replaced: nothing is there, or a socket without a listener.
fn make_way(path: &Path) -> Result<(), BindError> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket {
            path: path.to_owned(),
        });
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindError::InUse {
            path: path.to_owned(),
        }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(source) => Err(BindError::Io {
            action: "look behind",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Closes the socket at `temporary` to others and moves it to `path`; gives its device and inode.
fn place(temporary: &Path, path: &Path) -> io::Result<(u64, u64)> {
    fs::set_permissions(temporary, fs::Permissions::from_mode(0o600))?;
    let inode = identity(temporary)?;
    fs::rename(temporary, path)?;
    Ok(inode)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|data| (data.dev(), data.ino()))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_can_open_the_socket_and_it_goes_with_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/admin.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn a_live_socket_is_left_alone_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let _first = AdminSocket::bind(&path).unwrap();
        let error = AdminSocket::bind(&path).unwrap_err();
        assert!(
            matches!(&error, BindError::InUse { path: named } if *named == path),
            "{error}"
        );
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_stale_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _socket = AdminSocket::bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(
            AdminSocket::bind(&path),
            Err(BindError::NotASocket { .. })
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn dropping_does_not_remove_the_socket_of_a_successor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let first = AdminSocket::bind(&path).unwrap();
        fs::rename(&path, dir.path().join("old")).unwrap();
        let _second = AdminSocket::bind(&path).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
    }
}
