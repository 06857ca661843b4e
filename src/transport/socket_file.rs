//! Puts a unix socket into the file system, never more open than it is meant to be.
//!
//! It is bound under a temporary name, given its permissions and its owner, then renamed into place. A socket that
//! nobody listens on is replaced; one that answers is left alone and reported. Invariant: a file is removed only while it
//! is the one that was put there.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketFileError {
    /// Another process answers there.
    #[error("`{path}` is in use: another process answers there")]
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

/// Who may connect.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Permissions.
    pub mode: u32,
    /// The owner's number; `None` leaves it.
    pub user: Option<u32>,
    /// The group's.
    pub group: Option<u32>,
}

/// The file of a socket that was put there; it goes when this is dropped, unless another took its place or was given it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
    /// Whether another process listens there now.
    given_away: AtomicBool,
}

impl SocketFile {
    /// Listens at `path`, with room for `backlog` waiting connections. Makes the folder it is in (but not that one's
    /// parents) when it is missing.
    pub fn listen(
        path: &Path,
        access: Access,
        backlog: i32,
    ) -> Result<(Socket, Self), SocketFileError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| SocketFileError::Io {
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
        let socket = listen(&temporary, backlog).map_err(failed("listen on", &temporary))?;
        let placed = place(&temporary, path, access);
        if placed.is_err() {
            remove(&temporary).map_err(failed("remove", &temporary))?;
        }
        let file = Self {
            inode: placed.map_err(failed("listen on", path))?,
            path: path.to_owned(),
            given_away: AtomicBool::new(false),
        };
        Ok((socket, file))
    }

    /// The file of a socket that another process listened with, which it stays until [`SocketFile::give_away`] says otherwise.
    /// Fails when it is gone, or is something else.
    pub fn take_over(path: &Path) -> io::Result<Self> {
        match fs::symlink_metadata(path)?.file_type().is_socket() {
            true => Ok(Self {
                inode: identity(path)?,
                path: path.to_owned(),
                given_away: AtomicBool::new(true),
            }),
            false => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Leaves the file to another process, or takes that back.
    pub fn give_away(&self, given: bool) {
        self.given_away.store(given, Ordering::Relaxed);
    }

    /// Removes the file, unless another took its place or was given it.
    pub fn remove(&self) {
        let ours = !self.given_away.load(Ordering::Relaxed)
            && identity(&self.path).is_ok_and(|found| found == self.inode);
        if ours && let Err(error) = remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the socket other permissions and owners.
    pub fn open_to(&self, access: Access) -> io::Result<()> {
        match identity(&self.path)? == self.inode {
            true => open_to(&self.path, access),
            false => Err(ErrorKind::NotFound.into()),
        }
    }
}

/// Takes a listening socket that is of no more use out of the file system. Whoever waits in its queue is turned away.
pub fn retire(socket: &Socket, path: &Path) {
    // Nobody answers then, unless the file is another socket's by now.
    let removed = socket
        .shutdown(Shutdown::Both)
        .and_then(|()| make_unused(path));
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "cannot remove the socket");
    }
}

/// Removes a socket that nobody answers at.
fn make_unused(path: &Path) -> io::Result<()> {
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => remove(path),
        _ => Ok(()),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Says whether `path` may be replaced: nothing is there, or a socket without a listener.
fn make_way(path: &Path) -> Result<(), SocketFileError> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(SocketFileError::NotASocket {
            path: path.to_owned(),
        });
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketFileError::InUse {
            path: path.to_owned(),
        }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(source) => Err(SocketFileError::Io {
            action: "look behind",
            path: path.to_owned(),
            source,
        }),
    }
}

/// A socket that nobody can connect to before it has its permissions: its mode is 0600 from the beginning.
fn listen(temporary: &Path, backlog: i32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(temporary)?)?;
    fs::set_permissions(temporary, fs::Permissions::from_mode(0o600))?;
    socket.listen(backlog)?;
    Ok(socket)
}

/// Opens the socket at `temporary` as wanted and moves it to `path`; gives its device and inode.
fn place(temporary: &Path, path: &Path, access: Access) -> io::Result<(u64, u64)> {
    open_to(temporary, access)?;
    let inode = identity(temporary)?;
    fs::rename(temporary, path)?;
    Ok(inode)
}

fn open_to(path: &Path, access: Access) -> io::Result<()> {
    if access.user.is_some() || access.group.is_some() {
        chown(path, access.user, access.group)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(access.mode))
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
    use std::os::unix::net::UnixListener;

    const ACCESS: Access = Access {
        mode: 0o640,
        user: None,
        group: None,
    };

    fn listen(path: &Path) -> Result<(Socket, SocketFile), SocketFileError> {
        SocketFile::listen(path, ACCESS, 16)
    }

    #[test]
    fn the_socket_has_its_mode_and_goes_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/http.sock");
        let (socket, file) = listen(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        UnixStream::connect(&path).unwrap();
        file.open_to(Access {
            mode: 0o600,
            ..ACCESS
        })
        .unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop((socket, file));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn a_live_socket_is_left_alone_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http.sock");
        let _first = listen(&path).unwrap();
        let error = listen(&path).unwrap_err();
        assert!(
            matches!(&error, SocketFileError::InUse { path: named } if *named == path),
            "{error}"
        );
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_file_in_the_way_never() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http.sock");
        drop(UnixListener::bind(&path).unwrap());
        let held = listen(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(held);
        fs::write(&path, "precious").unwrap();
        let error = listen(&path).unwrap_err();
        assert!(matches!(error, SocketFileError::NotASocket { .. }));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_socket_of_no_more_use_goes_unless_another_listens_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http.sock");
        let (socket, file) = listen(&path).unwrap();
        file.give_away(true);
        drop(file);
        // As it is kept by a service manager: several descriptors.
        let kept = socket.try_clone().unwrap();
        retire(&socket, &path);
        assert!(!path.exists());
        let _another = listen(&path).unwrap();
        retire(&kept, &path);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn dropping_does_not_remove_the_socket_of_a_successor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http.sock");
        let first = listen(&path).unwrap();
        fs::rename(&path, dir.path().join("old")).unwrap();
        let _second = listen(&path).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
    }
}
