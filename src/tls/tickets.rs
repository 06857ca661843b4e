//! Session tickets (RFC 5077, RFC 8446 section 4.6.1): the keys they are sealed with, and their rotation.
//!
//! One ring of secrets serves the process, and can be handed to the one that follows it. What seals for a policy is
//! derived from them together with the policy's mark, so that sessions never cross from one mark to another: that is what
//! ends resumption when an authority for client certificates changes. A policy may have secrets of its own, which several
//! machines share and nothing rotates. Invariant: a ticket is taken for at most three rotations after its secret was made,
//! or, where that is shared, after it was sealed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{hkdf, rand};
use parking_lot::Mutex;
use rustls::server::ProducesTickets;

/// Says whose tickets are whose.
pub type Mark = [u8; 32];

const SECRET: usize = 32;
/// Of a ticket, so that its key is found without trying all.
const NAME: usize = 16;
/// Of a moment, in a ticket that several machines take.
const TIME: usize = 8;
/// A secret seals for one rotation, and is taken for two more.
const LIFE: u64 = 3;
/// Tickets are told to live for so many rotations.
const TOLD: u64 = 2;
/// More than there ever are; bounds what is imported.
const MOST: usize = 8;
const FORMAT: u8 = 1;

/// The ring.
pub struct TicketKeys {
    /// Newest first; never empty.
    ring: ArcSwap<Ring>,
    /// In milliseconds; one for all rings of a process.
    rotation: Arc<AtomicU64>,
    turning: Mutex<()>,
    /// Whether others have the same secrets: they stay, and tickets say when they were sealed.
    shared: bool,
}

type Ring = Vec<Secret>;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Secret {
    bytes: [u8; SECRET],
    /// Milliseconds since 1970.
    made: u64,
}

/// A secret that several machines have: a digest of what the file with it holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SharedSecret([u8; SECRET]);

impl SharedSecret {
    /// Bytes that a file holds, as OpenSSL's tickets have them.
    pub const LENGTHS: [usize; 2] = [48, 80];

    /// Of a file's bytes; `None` when it holds no key.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if !Self::LENGTHS.contains(&bytes.len()) {
            return None;
        }
        let digest = digest(&SHA256, bytes);
        Some(Self(digest.as_ref().try_into().ok()?))
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the secret.
        f.write_str("SharedSecret")
    }
}

impl TicketKeys {
    /// A ring with one new secret. Fails only when there is no randomness.
    pub fn new(rotation: Duration) -> Result<Arc<Self>, rustls::Error> {
        let first = Secret::new(now()).ok_or(rustls::Error::FailedToGetRandomBytes)?;
        Ok(Arc::new(Self {
            ring: ArcSwap::from_pointee(vec![first]),
            rotation: Arc::new(AtomicU64::new(millis(rotation))),
            turning: Mutex::new(()),
            shared: false,
        }))
    }

    /// A ring of these secrets, the first to seal with, whose tickets live as long as those of this one.
    pub fn sharing<'a>(&self, secrets: impl Iterator<Item = &'a SharedSecret>) -> Arc<Self> {
        let secrets = secrets.map(|secret| Secret {
            bytes: secret.0,
            made: 0,
        });
        Arc::new(Self {
            ring: ArcSwap::from_pointee(secrets.collect()),
            rotation: Arc::clone(&self.rotation),
            turning: Mutex::new(()),
            shared: true,
        })
    }

    /// Rotates at this pace from now on.
    pub fn rotate_every(&self, rotation: Duration) {
        self.rotation.store(millis(rotation), Ordering::Relaxed);
    }

    /// The secrets with their ages, for a process that takes over. Not to be written to a disk.
    pub fn export(&self) -> Vec<u8> {
        let ring = self.ring.load();
        let mut bytes = vec![FORMAT];
        for secret in ring.iter().take(MOST) {
            bytes.extend_from_slice(&secret.made.to_be_bytes());
            bytes.extend_from_slice(&secret.bytes);
        }
        bytes
    }

    /// Takes over what another process exported, its newest secret as the one to seal with. False, and nothing changes,
    /// when the bytes are not an export.
    pub fn import(&self, bytes: &[u8]) -> bool {
        let Some((&FORMAT, rest)) = bytes.split_first() else {
            return false;
        };
        let (chunks, []) = rest.as_chunks::<{ 8 + SECRET }>() else {
            return false;
        };
        let read = |chunk: &[u8; 8 + SECRET]| {
            let (made, bytes) = chunk.split_at(8);
            Some(Secret {
                made: u64::from_be_bytes(made.try_into().ok()?),
                bytes: bytes.try_into().ok()?,
            })
        };
        let Some(mut ring) = chunks.iter().map(read).collect::<Option<Ring>>() else {
            return false;
        };
        if ring.is_empty() || ring.len() > MOST {
            return false;
        }
        ring.sort_by_key(|secret| std::cmp::Reverse(secret.made));
        let _turning = self.turning.lock();
        self.ring.store(Arc::new(ring));
        true
    }

    fn rotation(&self) -> u64 {
        self.rotation.load(Ordering::Relaxed)
    }

    /// The ring as it is at `now`, turned first if it is time.
    fn at(&self, now: u64) -> Arc<Ring> {
        let ring = self.ring.load_full();
        let is_due = |ring: &Ring| {
            let newest = ring.first().map_or(0, |secret| secret.made);
            now.saturating_sub(newest) >= self.rotation()
        };
        if self.shared || !is_due(&ring) {
            return ring;
        }
        let _turning = self.turning.lock();
        let ring = self.ring.load_full();
        // Without randomness the old one has to do.
        let Some(next) = Secret::new(now).filter(|_| is_due(&ring)) else {
            return ring;
        };
        let mut turned = vec![next];
        let old = ring.iter().take(MOST - 1);
        turned.extend(old.filter(|secret| secret.is_taken(now, self.rotation())));
        let turned = Arc::new(turned);
        self.ring.store(Arc::clone(&turned));
        turned
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never a secret.
        write!(f, "TicketKeys({})", self.ring.load().len())
    }
}

impl Secret {
    fn new(made: u64) -> Option<Self> {
        let mut bytes = [0; SECRET];
        rand::fill(&mut bytes).ok()?;
        Some(Self { bytes, made })
    }

    fn is_taken(&self, now: u64, rotation: u64) -> bool {
        now.saturating_sub(self.made) < rotation.saturating_mul(LIFE)
    }
}

/// Seals tickets of one mark.
pub struct Ticketer {
    keys: Arc<TicketKeys>,
    mark: Mark,
    derived: ArcSwap<Derived>,
}

/// What follows from a ring for one mark.
struct Derived {
    of: Arc<Ring>,
    /// In the order of the ring.
    seals: Vec<Seal>,
}

struct Seal {
    name: [u8; NAME],
    key: LessSafeKey,
    made: u64,
}

impl Ticketer {
    /// Seals with `keys` for `mark`.
    pub fn new(keys: Arc<TicketKeys>, mark: Mark) -> Self {
        let derived = Derived::new(keys.at(now()), &mark);
        Self {
            keys,
            mark,
            derived: ArcSwap::from_pointee(derived),
        }
    }

    fn at(&self, now: u64) -> Arc<Derived> {
        let ring = self.keys.at(now);
        let derived = self.derived.load_full();
        if Arc::ptr_eq(&ring, &derived.of) {
            return derived;
        }
        let derived = Arc::new(Derived::new(ring, &self.mark));
        self.derived.store(Arc::clone(&derived));
        derived
    }

    fn seal(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        let derived = self.at(now);
        let seal = derived.seals.first()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let tag = AES_256_GCM.tag_len();
        let mut ticket = Vec::with_capacity(NAME + NONCE_LEN + TIME + plain.len() + tag);
        ticket.extend_from_slice(&seal.name);
        ticket.extend_from_slice(&nonce);
        if self.keys.shared {
            ticket.extend_from_slice(&now.to_be_bytes());
        }
        ticket.extend_from_slice(plain);
        let body = ticket.get_mut(NAME + NONCE_LEN..)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(seal.name);
        let tag = seal.key.seal_in_place_separate_tag(nonce, aad, body).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let derived = self.at(now);
        let seal = derived.seals.iter().find(|seal| seal.name == *name)?;
        let life = self.keys.rotation().saturating_mul(LIFE);
        let is_old = |made: u64| now.saturating_sub(made) >= life;
        if !self.keys.shared && is_old(seal.made) {
            return None;
        }
        let mut bytes = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = seal.key.open_in_place(nonce, Aad::from(name), &mut bytes);
        let length = opened.ok()?.len();
        bytes.truncate(length);
        if self.keys.shared {
            let made = u64::from_be_bytes(*bytes.first_chunk::<TIME>()?);
            if is_old(made) {
                return None;
            }
            bytes.drain(..TIME);
        }
        Some(bytes)
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        let seconds = self.keys.rotation().saturating_mul(TOLD) / 1000;
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, now())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, now())
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticketer")
    }
}

impl Derived {
    fn new(of: Arc<Ring>, mark: &Mark) -> Self {
        let seals = of.iter().filter_map(|secret| Seal::new(secret, mark));
        Self {
            seals: seals.collect(),
            of,
        }
    }
}

impl Seal {
    fn new(secret: &Secret, mark: &Mark) -> Option<Self> {
        let secrets = hkdf::Salt::new(hkdf::HKDF_SHA256, b"hubgate tickets").extract(&secret.bytes);
        let mut bytes = [0; NAME + 32];
        let info = [&mark[..]];
        secrets
            .expand(&info, Length)
            .and_then(|made| made.fill(&mut bytes))
            .ok()?;
        let (name, key) = bytes.split_first_chunk::<NAME>()?;
        Some(Self {
            name: *name,
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?),
            made: secret.made,
        })
    }
}

/// Of a name and a key.
struct Length;

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        NAME + 32
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    millis(since.unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn keys() -> Arc<TicketKeys> {
        TicketKeys::new(Duration::from_millis(HOUR)).unwrap()
    }

    #[test]
    fn a_ticket_is_opened_for_three_rotations_and_not_longer() {
        let ticketer = Ticketer::new(keys(), [0; 32]);
        let start = now();
        let ticket = ticketer.seal(b"session", start).unwrap();
        for hours in [0, 1, 2] {
            // Others are sealed meanwhile, which turns the ring.
            assert!(ticketer.seal(b"other", start + hours * HOUR).is_some());
            let opened = ticketer.open(&ticket, start + hours * HOUR);
            assert_eq!(opened.as_deref(), Some(&b"session"[..]), "{hours}");
        }
        assert_eq!(ticketer.open(&ticket, start + 3 * HOUR), None);
        assert!(ticketer.keys.ring.load().len() <= 4);
    }

    #[test]
    fn a_ticket_of_one_mark_is_nothing_to_another() {
        let keys = keys();
        let ours = Ticketer::new(keys.clone(), [1; 32]);
        let others = Ticketer::new(keys, [2; 32]);
        let ticket = ours.encrypt(b"session").unwrap();
        assert_eq!(others.decrypt(&ticket), None);
        assert_eq!(ours.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
    }

    #[test]
    fn machines_with_the_same_secrets_open_each_others_tickets_for_as_long() {
        let secret = |byte: u8| SharedSecret::of(&[byte; 48]).unwrap();
        let of = |secrets: &[SharedSecret]| Ticketer::new(keys().sharing(secrets.iter()), [0; 32]);
        let (first, second) = (of(&[secret(1), secret(2)]), of(&[secret(3), secret(1)]));
        let start = now();
        let ticket = first.seal(b"session", start).unwrap();
        for ticketer in [&first, &second] {
            for hours in [0, 2] {
                let opened = ticketer.open(&ticket, start + hours * HOUR);
                assert_eq!(opened.as_deref(), Some(&b"session"[..]), "{hours}");
            }
            assert_eq!(ticketer.open(&ticket, start + 3 * HOUR), None);
        }
        let others = second.seal(b"session", start).unwrap();
        assert_eq!(first.open(&others, start), None);
        assert_eq!(of(&[secret(2)]).open(&ticket, start), None);
        assert!(SharedSecret::of(&[0; 80]).is_some());
        assert!(SharedSecret::of(&[0; 49]).is_none());
    }

    #[test]
    fn what_was_changed_or_cut_is_not_opened() {
        let ticketer = Ticketer::new(keys(), [0; 32]);
        let ticket = ticketer.encrypt(b"session").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(ticketer.decrypt(&changed), None, "{at}");
            assert_eq!(ticketer.decrypt(&ticket[..at]), None, "{at}");
        }
    }

    #[test]
    fn a_process_that_takes_over_opens_the_tickets_of_the_one_before() {
        let before = Ticketer::new(keys(), [0; 32]);
        let ticket = before.encrypt(b"session").unwrap();
        let after = keys();
        let ticketer = Ticketer::new(after.clone(), [0; 32]);
        assert_eq!(ticketer.decrypt(&ticket), None);
        assert!(after.import(&before.keys.export()));
        assert_eq!(ticketer.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(after.export(), before.keys.export());
    }

    #[test]
    fn what_is_no_export_changes_nothing() {
        let keys = keys();
        let before = keys.export();
        let long = [&[FORMAT][..], &[0; 40 * (MOST + 1)]].concat();
        for bytes in [&b""[..], b"\x01", b"\x02abc", &before[..20], &long] {
            assert!(!keys.import(bytes));
        }
        assert_eq!(keys.export(), before);
    }
}
