//! Opens what is below a folder, and nothing else.
//!
//! The folder is held by a descriptor and the kernel resolves names below it (`openat2`), so that no link and no race
//! leads out, unless the configuration lets links lead anywhere. Blocks. Invariant: what is given to be read is a regular
//! file, and opening it never waits (for the other end of a FIFO, for a device).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::config::Links;

/// Tries when the kernel saw a rename while it resolved a name.
const TRIES: usize = 16;

/// A folder that files are served from.
#[derive(Debug)]
pub struct Folder {
    root: OwnedFd,
    links: Links,
}

impl Folder {
    /// Opens it, by a path that is the operator's.
    pub fn open(path: &[u8], links: Links) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { root, links })
    }

    /// What is at `path` below it, without opening it.
    pub fn stat(&self, path: &[u8]) -> io::Result<Stat> {
        let found = self.at(path, OFlags::PATH)?;
        Ok(rustix::fs::fstat(found)?)
    }

    /// The file at `path`, and what it is; fails as if it were not there when it is no regular file.
    pub fn file(&self, path: &[u8]) -> io::Result<(File, Stat)> {
        let file = self.at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stat = rustix::fs::fstat(&file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok((File::from(file), stat)),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The folder at `path`, to be listed.
    pub fn folder(&self, path: &[u8]) -> io::Result<OwnedFd> {
        self.at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn at(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let path = match path {
            b"" => b".",
            _ if path.contains(&0) => return Err(io::ErrorKind::NotFound.into()),
            _ => path,
        };
        let flags = flags | OFlags::CLOEXEC;
        let resolve = match self.links {
            Links::Inside => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
            Links::Refuse => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
            Links::Follow => {
                return Ok(rustix::fs::openat(&self.root, path, flags, Mode::empty())?);
            }
        };
        for _ in 0..TRIES {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                // A kernel before 5.6, or a filter that does not know the call.
                Err(Errno::NOSYS | Errno::PERM) => {
                    return Ok(step_by_step(&self.root, path, flags)?);
                }
                other => return Ok(other?),
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }
}

/// As `openat2` that refuses links: one segment after the other.
fn step_by_step(root: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut at = root
        .as_fd()
        .try_clone_to_owned()
        .map_err(|_| Errno::MFILE)?;
    let mut segments = path.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        if segment == b".." {
            return Err(Errno::XDEV);
        }
        let last = segments.peek().is_none();
        let how = match last {
            true => flags,
            false => OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        };
        let segment = if segment.is_empty() { b"." } else { segment };
        at = rustix::fs::openat(&at, segment, how | OFlags::NOFOLLOW, Mode::empty())?;
        // By `O_PATH` a link itself can be opened.
        if FileType::from_raw_mode(rustix::fs::fstat(&at)?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("www/d")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        fs::write(dir.path().join("www/d/a"), "a").unwrap();
        symlink("d/a", dir.path().join("www/in")).unwrap();
        symlink("../secret", dir.path().join("www/out")).unwrap();
        symlink("/etc/passwd", dir.path().join("www/far")).unwrap();
        symlink("..", dir.path().join("www/d/up")).unwrap();
        dir
    }

    fn text(folder: &Folder, path: &str) -> Option<String> {
        let mut text = String::new();
        let (mut file, _) = folder.file(path.as_bytes()).ok()?;
        file.read_to_string(&mut text).unwrap();
        Some(text)
    }

    #[test]
    fn nothing_outside_the_folder_is_opened() {
        let dir = tree();
        let root = dir.path().join("www");
        let open = |links| Folder::open(root.as_os_str().as_bytes(), links).unwrap();
        let (inside, follow, refuse) = (
            open(Links::Inside),
            open(Links::Follow),
            open(Links::Refuse),
        );
        for (path, where_from) in [
            ("d/a", [true, true, true]),
            ("in", [true, true, false]),
            ("d/up/d/a", [true, true, false]),
            ("out", [false, true, false]),
            ("far", [false, true, false]),
            ("../secret", [false, true, false]),
            ("/etc/passwd", [false, true, false]),
            ("d", [false, false, false]),
            ("nothing", [false, false, false]),
        ] {
            for (folder, opened) in [&inside, &follow, &refuse].into_iter().zip(where_from) {
                assert_eq!(text(folder, path).is_some(), opened, "{path} {folder:?}");
            }
        }
    }

    #[test]
    fn without_the_call_links_are_refused_as_well() {
        let dir = tree();
        let root =
            Folder::open(dir.path().join("www").as_os_str().as_bytes(), Links::Refuse).unwrap();
        for (path, opened) in [
            (&b"d/a"[..], true),
            (b"d//a", true),
            (b"in", false),
            (b"d/up/in", false),
            (b"d/up", false),
            (b"../secret", false),
        ] {
            for flags in [OFlags::RDONLY, OFlags::PATH] {
                let got = step_by_step(&root.root, path, flags | OFlags::CLOEXEC);
                assert_eq!(got.is_ok(), opened, "{path:?}");
            }
        }
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let dir = tree();
        let root = dir.path().join("www");
        let fifo = root.join("fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let folder = Folder::open(root.as_os_str().as_bytes(), Links::Inside).unwrap();
        let error = folder.file(b"fifo").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
