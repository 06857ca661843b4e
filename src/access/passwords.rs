//! A file of names and hashes, as `htpasswd` writes it, and who has shown the right password for one of them.
//!
//! The file is read at the snapshot's making and by whoever follows it, never by a request. Slow hashes are worked out on
//! threads for what blocks, a few at once and a bounded number waiting; a password that was right is known again by a keyed
//! sum, so that a browser which sends it with each request costs one. Invariant: nothing kept here gives a password away.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tokio::sync::Semaphore;

use super::crypt::{self, Form};

/// A larger file holds no passwords.
const MOST_BYTES: u64 = 4 << 20;
/// Passwords that are known again.
const KNOWN: usize = 4096;
/// Slow hashes worked out at once, over all files.
const AT_ONCE: usize = 2;
/// Requests that wait for that; further ones are turned away.
const WAITING: usize = 64;

static HASHING: Semaphore = Semaphore::const_new(AT_ONCE);
static QUEUED: AtomicUsize = AtomicUsize::new(0);

/// One file.
#[derive(Debug)]
pub struct Passwords {
    path: PathBuf,
    users: ArcSwap<Result<Users, Unreadable>>,
    key: hmac::Key,
    known: Mutex<HashSet<[u8; 32]>>,
}

/// Hashes by name.
type Users = HashMap<Box<str>, Box<str>>;

/// Why a file says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// It is not there.
    pub missing: bool,
}

/// What a name and a password are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They belong together.
    Right,
    /// The password is another's.
    Wrong,
    /// The file has no such name.
    Stranger,
    /// Too many wait to be looked at.
    Busy,
    /// The file says nothing.
    Unreadable(Unreadable),
}

/// A name and a password as a request gives them.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: Box<str>,
    password: Box<[u8]>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.user)
    }
}

impl Credentials {
    /// Those of an `Authorization` field (RFC 7617); `None` for one that has none in it.
    pub fn of(authorization: &[u8]) -> Option<Self> {
        let (scheme, rest) = authorization.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let rest = rest.trim_ascii();
        // As nginx: the first `=` ends it, however many there are.
        let rest = rest.split(|byte| *byte == b'=').next()?;
        let decoded = lenient().decode(rest).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
        let user = String::from_utf8_lossy(user);
        (!user.is_empty()).then(|| Self {
            user: user.into(),
            password: password.into(),
        })
    }
}

impl Passwords {
    /// What the file at `path` holds now. Blocks.
    pub fn read(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            users: ArcSwap::from_pointee(users(path)),
            key: hmac::Key::new(hmac::HMAC_SHA256, &random()),
            known: Mutex::default(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it says nothing, if it does not.
    pub fn trouble(&self) -> Option<Unreadable> {
        self.users.load().as_ref().as_ref().err().copied()
    }

    /// Names whose passwords are kept in a form that is not known.
    pub fn unusable(&self) -> Vec<String> {
        let users = self.users.load();
        let all = users.iter().flatten();
        let unknown = all.filter(|(_, hash)| crypt::form(hash) == Form::Unknown);
        let mut names: Vec<_> = unknown.map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }

    /// Reads the file again; whether it says something new. Blocks.
    pub fn refresh(&self) -> bool {
        let fresh = users(&self.path);
        let new = **self.users.load() != fresh;
        if new {
            self.users.store(Arc::new(fresh));
        }
        new
    }

    /// What the credentials are worth now. Before they are worth nothing the file is asked whether it says something new.
    pub async fn look(self: &Arc<Self>, shown: &Credentials) -> Standing {
        let standing = self.known_of(shown).await;
        let is_final = matches!(standing, Standing::Right | Standing::Busy);
        match is_final || !self.refreshed().await {
            true => standing,
            false => self.known_of(shown).await,
        }
    }

    /// As [`Self::refresh`], among those that wait for a thread; false where too many do.
    async fn refreshed(self: &Arc<Self>) -> bool {
        let (Some(place), Ok(permit)) = (Place::take(), HASHING.acquire().await) else {
            return false;
        };
        let own = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let new = own.refresh();
            drop((permit, place));
            new
        });
        reading.await.unwrap_or(false)
    }

    async fn known_of(&self, shown: &Credentials) -> Standing {
        let hash = match self.users.load().as_ref() {
            Err(unreadable) => return Standing::Unreadable(*unreadable),
            Ok(users) => match users.get(&shown.user) {
                None => return Standing::Stranger,
                Some(hash) => hash.clone(),
            },
        };
        let standing = |right| {
            if right {
                Standing::Right
            } else {
                Standing::Wrong
            }
        };
        match crypt::form(&hash) {
            Form::Unknown => return Standing::Wrong,
            Form::Quick => return standing(crypt::matches(&hash, &shown.password)),
            Form::Slow => {}
        }
        let sum = self.sum(&hash, shown);
        if self.known().contains(&sum) {
            return Standing::Right;
        }
        let Some(right) = worked_out(hash, shown.password.clone()).await else {
            return Standing::Busy;
        };
        if right {
            let mut known = self.known();
            if known.len() >= KNOWN {
                known.clear();
            }
            known.insert(sum);
        }
        standing(right)
    }

    /// The hash is part of it: a changed password is a new one.
    fn sum(&self, hash: &str, shown: &Credentials) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [hash.as_bytes(), shown.user.as_bytes()] {
            context.update(part);
            context.update(&[0]);
        }
        context.update(&shown.password);
        let mut sum = [0; 32];
        sum.copy_from_slice(context.sign().as_ref());
        sum
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait, given back when it is dropped.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let taken = QUEUED.try_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < WAITING + AT_ONCE).then_some(waiting + 1)
        });
        taken.is_ok().then_some(Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        QUEUED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether the password belongs to the hash; `None` when too many wait to know.
async fn worked_out(hash: Box<str>, password: Box<[u8]>) -> Option<bool> {
    let place = Place::take()?;
    let permit = HASHING.acquire().await.ok()?;
    let working = tokio::task::spawn_blocking(move || {
        let right = crypt::matches(&hash, &password);
        // A client that leaves does not end the work, which counts until it is done.
        drop((permit, place));
        right
    });
    working.await.ok()
}

/// As in `htpasswd`'s files: `name:hash`, `name:hash:comment`, `# comment`. Of two with one name the first counts.
fn users(path: &Path) -> Result<Users, Unreadable> {
    let unreadable = |error: io::Error| Unreadable {
        missing: error.kind() == io::ErrorKind::NotFound,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = Vec::new();
    let read = file.take(MOST_BYTES + 1).read_to_end(&mut text);
    read.map_err(unreadable)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(Unreadable { missing: false });
    }
    Ok(parse(&String::from_utf8_lossy(&text)))
}

fn parse(text: &str) -> Users {
    let mut users = Users::new();
    for line in text.split(['\n', '\r']) {
        let Some((name, rest)) = line.split_once(':').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let hash = rest.split(':').next().unwrap_or_default();
        users.entry(name.into()).or_insert_with(|| hash.into());
    }
    users
}

/// Base64 as browsers, scripts and LDAP servers write it.
pub(super) fn lenient() -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&STANDARD, config)
}

fn random() -> [u8; 32] {
    let mut key = [0; 32];
    if aws_lc_rs::rand::fill(&mut key).is_err() {
        // Without the system's randomness there is no TLS either; sums stay in this process.
        fastrand::fill(&mut key);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_names_hashes_and_comments_and_the_first_of_two_counts() {
        let users =
            parse("# staff\nalice:{PLAIN}a\r\nbob:{PLAIN}b:Bob:x\nalice:{PLAIN}c\nnobody\n:x\n");
        assert_eq!(&*users["alice"], "{PLAIN}a");
        assert_eq!(&*users["bob"], "{PLAIN}b");
        assert!(!users.contains_key("nobody"));
    }

    #[test]
    fn credentials_are_read_as_nginx_reads_them() {
        let of = |text: &str| Credentials::of(text.as_bytes()).map(|own| (own.user, own.password));
        let alice = Some(("alice".into(), b"a:b".as_slice().into()));
        for text in [
            "Basic YWxpY2U6YTpi",
            "basic  YWxpY2U6YTpi ",
            "BASIC YWxpY2U6YTpi==",
        ] {
            assert_eq!(of(text), alice, "{text}");
        }
        for text in [
            "",
            "Basic",
            "Basic ",
            "Bearer YWxpY2U6YTpi",
            "Basic YWxpY2U=",
            "Basic OmE=",
            "Basic !",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        assert!(!format!("{:?}", Credentials::of(b"Basic YWxpY2U6YTpi")).contains("a:b"));
    }

    #[tokio::test]
    async fn a_changed_file_counts_at_once_for_whoever_was_not_let_in_and_else_once_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let alice = Credentials::of(b"Basic YWxpY2U6c2VjcmV0").unwrap();
        let passwords = Arc::new(Passwords::read(&path));
        let missing = Standing::Unreadable(Unreadable { missing: true });
        assert_eq!(passwords.look(&alice).await, missing);
        std::fs::write(&path, "alice:$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/\n").unwrap();
        assert_eq!(passwords.look(&alice).await, Standing::Right);
        assert!(!passwords.refresh());
        assert_eq!(passwords.known().len(), 1);
        assert_eq!(passwords.look(&alice).await, Standing::Right);
        std::fs::write(&path, "alice:$apr1$abcdefgh$2SrabkU2P4TUXsgT4z3OR0\n").unwrap();
        assert!(passwords.refresh());
        assert_eq!(passwords.look(&alice).await, Standing::Wrong);
        std::fs::write(&path, "bob:$y$j9T$x$y\n").unwrap();
        assert!(passwords.refresh());
        assert_eq!(passwords.look(&alice).await, Standing::Stranger);
        assert_eq!(passwords.unusable(), ["bob"]);
    }
}
