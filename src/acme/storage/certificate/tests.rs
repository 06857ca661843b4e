//! Tests of `certificate`: damage, crashes and old generations.
//!
//! Pairs are self-signed with the generation's own key.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::file_store::FileStore;
use super::*;
use crate::acme::schedule::Class;
use crate::acme::storage::{Backoff, Failures};

fn host() -> Host {
    Host::parse("a.test").unwrap()
}

fn dir(root: &tempfile::TempDir) -> CertificateDir {
    let store = FileStore::new(root.path().to_owned());
    CertificateDir::new(Arc::new(store), Key::of("certs").join("a.test"))
}

fn folder(root: &tempfile::TempDir) -> PathBuf {
    root.path().join("certs/a.test")
}

fn chain_for(key: &KeyPair, name: &str) -> String {
    rcgen::CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .self_signed(key)
        .unwrap()
        .pem()
}

/// Stores a generation as an order would, and gives its serial number.
async fn store(dir: &CertificateDir) -> String {
    let (generation, key) = dir.begin(&host()).await.unwrap();
    let order = Order::new("https://ca.test/dir", "acct", "order", generation);
    dir.save_record(&order).await.unwrap();
    dir.complete(
        &order,
        &chain_for(&key, "a.test"),
        OffsetDateTime::UNIX_EPOCH,
    )
    .await
    .unwrap();
    dir.clear_record::<Order>().await;
    dir.load(&host()).await.unwrap().pair.leaf.serial.clone()
}

#[tokio::test]
async fn the_current_generation_is_loaded_and_two_old_ones_are_kept() {
    let root = tempfile::tempdir().unwrap();
    let dir = dir(&root);
    assert!(dir.load(&host()).await.is_none());
    let mut serials = Vec::new();
    for _ in 0..5 {
        serials.push(store(&dir).await);
    }
    let loaded = dir.load(&host()).await.unwrap();
    assert_eq!(loaded.pair.leaf.serial, serials[4]);
    assert_eq!(loaded.directory.as_deref(), Some("https://ca.test/dir"));
    let mut kept = dir.generations().await;
    kept.sort_unstable();
    assert_eq!(kept, [3, 4, 5]);
}

#[tokio::test]
async fn a_damaged_generation_is_set_aside_and_the_one_before_it_is_served() {
    for damage in ["chain.pem", "key.pem"] {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(&root);
        let first = store(&dir).await;
        store(&dir).await;
        fs::write(folder(&root).join("current").join(damage), "cut").unwrap();
        assert_eq!(
            dir.load(&host()).await.unwrap().pair.leaf.serial,
            first,
            "{damage}"
        );
        let bad = fs::read_dir(folder(&root))
            .unwrap()
            .flatten()
            .any(|e| e.file_name().to_string_lossy().starts_with("bad-g000002"));
        assert!(bad, "{damage}");
    }
}

#[tokio::test]
async fn a_lost_pointer_or_meta_file_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let dir = dir(&root);
    let serial = store(&dir).await;
    fs::remove_file(folder(&root).join("current/meta.json")).unwrap();
    fs::remove_file(folder(&root).join("current")).unwrap();
    let loaded = dir.load(&host()).await.unwrap();
    assert_eq!(
        (loaded.pair.leaf.serial.clone(), loaded.directory),
        (serial, None)
    );
    let target = fs::read_link(folder(&root).join("current")).unwrap();
    assert_eq!(target.to_str(), Some("g000001"), "the pointer is mended");
}

#[tokio::test]
async fn a_generation_without_a_chain_is_not_loaded_and_goes_when_the_next_begins() {
    let root = tempfile::tempdir().unwrap();
    let dir = dir(&root);
    let serial = store(&dir).await;
    let (second, _) = dir.begin(&host()).await.unwrap();
    assert_eq!(dir.load(&host()).await.unwrap().pair.leaf.serial, serial);
    assert!(dir.key(second).await.is_some());
    let (again, _) = dir.begin(&host()).await.unwrap();
    assert_eq!((second, again), (2, 2));
}

#[tokio::test]
async fn a_certificate_for_another_host_is_never_loaded() {
    let root = tempfile::tempdir().unwrap();
    let dir = dir(&root);
    let (generation, key) = dir.begin(&host()).await.unwrap();
    let order = Order::new("d", "a", "o", generation);
    dir.complete(
        &order,
        &chain_for(&key, "b.test"),
        OffsetDateTime::UNIX_EPOCH,
    )
    .await
    .unwrap();
    assert!(dir.load(&host()).await.is_none());
}

#[tokio::test]
async fn a_key_that_others_can_read_is_mended() {
    let root = tempfile::tempdir().unwrap();
    let dir = dir(&root);
    store(&dir).await;
    let key = folder(&root).join("current/key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(dir.load(&host()).await.is_some());
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test]
async fn failures_are_counted_by_class_and_only_at_their_own_directory() {
    let root = tempfile::tempdir().unwrap();
    let dir = dir(&root);
    let now = OffsetDateTime::UNIX_EPOCH;
    let mut backoff = Backoff::default();
    let here = backoff
        .at
        .entry("https://ca.test/dir".to_owned())
        .or_insert_with(Failures::none);
    assert_eq!(here.count(Class::Validation, "validate", "no", now), 1);
    assert_eq!(here.count(Class::CaUnavailable, "order", "down", now), 1);
    assert_eq!(here.count(Class::Validation, "validate", "no", now), 2);
    dir.save_record(&backoff).await.unwrap();
    let read: Backoff = dir.record().await.unwrap();
    assert_eq!(read, backoff);
    assert_eq!(read.at.get("https://other.test/dir"), None);
    dir.clear_record::<Backoff>().await;
    assert_eq!(dir.record::<Backoff>().await, None);
}
