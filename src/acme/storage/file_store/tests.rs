//! Tests of `file_store`, and of what every store promises.
//!
//! [`keeps_the_promises`] is for the store of a cluster too.

use futures_util::FutureExt;

use super::*;

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("ready when first polled")
}

fn store() -> (tempfile::TempDir, FileStore) {
    let root = tempfile::tempdir().unwrap();
    let store = FileStore::new(root.path().join("acme"));
    (root, store)
}

/// What [`Store`] says, tried.
fn keeps_the_promises(store: &dyn Store) {
    let (folder, key) = (Key::of("a"), Key::of("a").join("x"));
    let put = |key: &Key, text: &str, expect: Expect<'_>| {
        now(store.put(key, text.as_bytes(), expect, None))
    };
    assert_eq!(now(store.get(&key)).unwrap(), None);
    assert_eq!(now(store.list(&folder)).unwrap(), []);
    let first = put(&key, "1", Expect::Absent).unwrap();
    let value = now(store.get(&key)).unwrap().unwrap();
    assert_eq!((value.bytes, value.version), (b"1".to_vec(), first.clone()));
    let conflict = |result: Result<Version, StoreError>| {
        assert!(
            matches!(result, Err(StoreError::Conflict { .. })),
            "{result:?}"
        );
    };
    conflict(put(&key, "2", Expect::Absent));
    let second = put(&key, "2", Expect::At(&first)).unwrap();
    conflict(put(&key, "3", Expect::At(&first)));
    conflict(put(&Key::of("none"), "3", Expect::At(&first)));
    put(&key, "3", Expect::Any).unwrap();
    assert!(matches!(
        now(store.delete(&key, Expect::At(&second), None)),
        Err(StoreError::Conflict { .. })
    ));
    let deep = folder.join("b").join("y");
    put(&deep, "y", Expect::Any).unwrap();
    put(&folder.join("current"), "b", Expect::Any).unwrap();
    assert_eq!(
        now(store.list(&folder)).unwrap(),
        [deep.clone(), folder.join("current"), key.clone()]
    );
    let pointer = now(store.get(&folder.join("current"))).unwrap().unwrap();
    assert_eq!(pointer.bytes, b"b");
    now(store.set_aside(&deep, "a test"));
    now(store.delete(&key, Expect::Any, None)).unwrap();
    now(store.delete(&key, Expect::Any, None)).unwrap();
    assert_eq!(now(store.list(&folder)).unwrap(), [folder.join("current")]);

    let held = now(store.lease("a.test")).unwrap().unwrap();
    assert!(
        now(store.lease("a.test")).unwrap().is_none(),
        "one at a time"
    );
    assert!(
        now(store.lease("b.test")).unwrap().is_some(),
        "another name"
    );
    now(store.put(&key, b"4", Expect::Any, Some(&held))).unwrap();
    drop(held);
    now(store.lease("a.test")).unwrap().unwrap();
}

#[test]
fn a_folder_keeps_every_promise_of_a_store() {
    let (_root, store) = store();
    keeps_the_promises(&store);
}

#[test]
fn a_write_under_a_lease_that_went_to_another_is_refused() {
    let (_root, store) = store();
    let held = now(store.lease("a.test")).unwrap().unwrap();
    // As if the lock had been broken by hand and taken by another process.
    fs::remove_file(store.lock_path("a.test")).unwrap();
    for _ in 0..held.fence + 1 {
        drop(now(store.lease("a.test")).unwrap().unwrap());
    }
    let late = now(store.put(&Key::of("x"), b"1", Expect::Any, Some(&held)));
    assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
    let late = now(store.delete(&Key::of("x"), Expect::Any, Some(&held)));
    assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
}

#[test]
fn writers_that_come_together_take_turns_and_only_one_is_first() {
    let (_root, store) = store();
    let won: usize = std::thread::scope(|scope| {
        let write = |number: u8| now(store.put(&Key::of("x"), &[number], Expect::Absent, None));
        let threads: Vec<_> = (0..8)
            .map(|number| scope.spawn(move || write(number)))
            .collect();
        threads
            .into_iter()
            .map(|thread| usize::from(thread.join().unwrap().is_ok()))
            .sum()
    });
    assert_eq!(won, 1);
}

#[test]
fn a_check_sweeps_what_a_crash_left_and_says_what_is_in_the_way() {
    let (root, store) = store();
    now(store.put(&Key::of("a").join("b").join("x"), b"1", Expect::Any, None)).unwrap();
    let left = store.root.join("a/b/.new-x");
    fs::write(&left, "half").unwrap();
    store.check().unwrap();
    assert!(!left.exists());
    assert_eq!(now(store.list(&Key::of("probe"))).unwrap(), []);
    let blocked = FileStore::new(root.path().join("file/acme"));
    fs::write(root.path().join("file"), "in the way").unwrap();
    let error = blocked.check().unwrap_err();
    assert!(error.to_string().contains("file/acme"), "{error}");
}

#[tokio::test]
async fn a_change_by_another_process_is_told() {
    let (_root, store) = store();
    let key = Key::of("certs").join("a.test").join("current");
    store.put(&key, b"g1", Expect::Any, None).await.unwrap();
    let mut changes = store.watch(std::slice::from_ref(&key)).await;
    let other = store.clone();
    let written = tokio::spawn(async move { other.put(&key, b"g2", Expect::Any, None).await });
    tokio::time::timeout(Duration::from_secs(10), changes.next())
        .await
        .unwrap();
    written.await.unwrap().unwrap();
}
