//! What tells without reading it that a file holds what it held: which file it is, its size and its times.
//!
//! Invariant: a stamp is trusted only where the file had rested for a while when it was read. One that has just been
//! written may be written again within one tick of its file system's clock, and look the same.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

/// For so long: some file systems count in seconds.
const REST: Duration = Duration::from_secs(2);

/// A file's state when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// File system and file.
    file: (u64, u64),
    size: u64,
    /// When its contents changed, and when it did, in seconds and nanoseconds.
    times: [(i64, i64); 2],
    mode: u32,
}

impl Stamp {
    /// That of a file that is open; `None` where it has not rested.
    pub(super) fn rested(found: &Metadata, now: SystemTime) -> Option<Self> {
        let times = [
            (found.mtime(), found.mtime_nsec()),
            (found.ctime(), found.ctime_nsec()),
        ];
        let now = now.duration_since(UNIX_EPOCH).ok()?;
        let latest = now.checked_sub(REST)?;
        let latest = (
            i64::try_from(latest.as_secs()).ok()?,
            i64::from(latest.subsec_nanos()),
        );
        times.iter().all(|time| *time < latest).then_some(Self {
            file: (found.dev(), found.ino()),
            size: found.size(),
            times,
            mode: found.mode(),
        })
    }

    /// Whether the file at `path` is still what it was. Asks servers of files, too.
    pub(super) fn holds(&self, path: &Path) -> bool {
        let asked = statx(
            CWD,
            path,
            AtFlags::STATX_FORCE_SYNC,
            StatxFlags::BASIC_STATS,
        );
        let Ok(found) = asked else {
            return false;
        };
        let time = |time: rustix::fs::StatxTimestamp| (time.tv_sec, i64::from(time.tv_nsec));
        let device = rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor);
        *self
            == Self {
                file: (device, found.stx_ino),
                size: found.stx_size,
                times: [time(found.stx_mtime), time(found.stx_ctime)],
                mode: u32::from(found.stx_mode),
            }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Instant;

    use super::*;

    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(3600)
    }

    #[test]
    fn a_file_that_was_just_written_is_not_told_by_its_stamp() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let found = file.as_file().metadata().unwrap();
        assert_eq!(Stamp::rested(&found, SystemTime::now()), None);
        assert_eq!(Stamp::rested(&found, UNIX_EPOCH), None);
        let stamp = Stamp::rested(&found, later()).unwrap();
        assert!(stamp.holds(file.path()));
    }

    #[test]
    fn whatever_becomes_of_a_file_its_stamp_no_longer_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "one").unwrap();
        let stamp = || Stamp::rested(&fs::metadata(&path).unwrap(), later()).unwrap();
        let changes: [fn(&Path); 5] = [
            |path| fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap(),
            |path| fs::write(path, "four").unwrap(),
            |path| {
                fs::write(path.with_extension("new"), "four").unwrap();
                fs::rename(path.with_extension("new"), path).unwrap();
            },
            |path| {
                // Another content of the same length, and the old times.
                let times = fs::metadata(path).unwrap();
                fs::write(path, "five").unwrap();
                let times = fs::FileTimes::new().set_modified(times.modified().unwrap());
                fs::File::options()
                    .write(true)
                    .open(path)
                    .unwrap()
                    .set_times(times)
                    .unwrap();
            },
            |path| fs::remove_file(path).unwrap(),
        ];
        for change in changes {
            let before = stamp();
            assert!(before.holds(&path));
            let late = Instant::now() + Duration::from_secs(10);
            // The clock of some file systems goes on every few milliseconds only.
            while before.holds(&path) {
                assert!(Instant::now() < late);
                change(&path);
            }
        }
    }
}
