//! The admin socket: a unix socket that only its owner can ever connect to (0600).
//!
//! How it comes into the file system and leaves it is `transport`'s.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::transport::socket_file::{Access, SocketFile, SocketFileError};

const OWNER_ALONE: Access = Access {
    mode: 0o600,
    user: None,
    group: None,
};
/// Connections that wait for an accept.
const BACKLOG: i32 = 128;

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process answers there.
    #[error("`{0}` is in use: another hubgate runs with this admin socket")]
    InUse(std::path::PathBuf),
    /// It cannot be had.
    #[error(transparent)]
    File(SocketFileError),
}

/// A listening admin socket; its file is removed when this is dropped, unless another took its place.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    /// What stands for it in the file system.
    pub file: SocketFile,
}

impl AdminSocket {
    /// Listens at `path`. Makes the folder it is in (but not that one's parents) when it is missing, for its owner.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let (socket, file) =
            SocketFile::listen(path, OWNER_ALONE, BACKLOG).map_err(|error| match error {
                SocketFileError::InUse { path } => BindError::InUse(path),
                error => BindError::File(error),
            })?;
        let listener = socket.into();
        Ok(Self { listener, file })
    }

    /// The socket that another process listened with at `path`. Fails when its file is gone.
    pub fn take_over(listener: UnixListener, path: &Path) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let file = SocketFile::take_over(path)?;
        Ok(Self { listener, file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// A second handle to the same socket, for tokio. Fails when the process has no file descriptor left.
    pub fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn only_the_owner_can_open_the_socket_and_a_second_hubgate_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/admin.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let error = AdminSocket::bind(&path).unwrap_err().to_string();
        assert!(error.contains("another hubgate"), "{error}");
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }
}
