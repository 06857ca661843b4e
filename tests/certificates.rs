//! Certificate files: which are taken, which are refused, and how their changes are followed.
//!
//! Files are made here, by openssl where the form of a key matters.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "a broken assumption should stop the test"
)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hubgate::config::PairFiles;
use hubgate::tls::pem::{LoadError, load_pair};
use hubgate::tls::watch::{FileWatch, Worker};
use hubgate::tls::{Certificates, FileCertificates, FileSpec, Origin, self_signed};
use hubgate::types::host::HostPattern;
use support::{events, eventually};
use tempfile::TempDir;

const HOST: &str = "hub.test";

fn files(chain: PathBuf, key: PathBuf) -> Vec<PairFiles> {
    let passwords = None;
    vec![PairFiles {
        chain,
        key,
        passwords,
    }]
}

fn setup() -> TempDir {
    events::keep();
    hubgate::tls::install_provider();
    TempDir::new().unwrap()
}

fn pattern() -> HostPattern {
    HostPattern::parse(HOST).unwrap()
}

/// A new pair for [`HOST`] in PEM.
fn pair() -> (String, String) {
    let made = self_signed::generate_pem(&[pattern()]).unwrap();
    (made.chain, made.key)
}

/// Writes a new pair in place, and gives its serial number.
fn write(chain: &Path, key: &Path) -> String {
    let (chain_text, key_text) = pair();
    fs::write(chain, chain_text).unwrap();
    fs::write(key, key_text).unwrap();
    fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
    serial(chain, key)
}

fn serial(chain: &Path, key: &Path) -> String {
    load_pair(chain, key).unwrap().leaf.serial.clone()
}

/// Files under watch, as the server has them.
struct Watched {
    chain: PathBuf,
    key: PathBuf,
    certificates: Arc<Certificates>,
    watch: Option<FileWatch>,
    runtime: tokio::runtime::Runtime,
}

impl Watched {
    #[track_caller]
    fn start(chain: PathBuf, key: PathBuf) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let certificates = Certificates::new();
        let spec = FileSpec {
            patterns: vec![pattern()],
            files: files(chain.clone(), key.clone()),
        };
        let files = FileCertificates::load(vec![spec]).unwrap();
        files.insert_into(&certificates);
        let watch = {
            let _inside = runtime.enter();
            files.watch(Arc::clone(&certificates))
        };
        Self {
            chain,
            key,
            certificates,
            watch: Some(watch),
            runtime,
        }
    }

    /// As a reload does: loads the files, lets `meanwhile` happen, and goes on with a new watch.
    fn reload(&mut self, meanwhile: impl FnOnce(&Self)) {
        let watch = self.watch.take().unwrap();
        let spec = FileSpec {
            patterns: vec![pattern()],
            files: files(self.chain.clone(), self.key.clone()),
        };
        let files = FileCertificates::load_after(vec![spec], watch.known()).unwrap();
        meanwhile(self);
        let folders = watch.end();
        files.insert_into(&self.certificates);
        let _inside = self.runtime.enter();
        let worker: Worker = |work| drop(tokio::task::spawn_blocking(work));
        let certificates = Arc::clone(&self.certificates);
        self.watch = Some(files.watch_by(worker, certificates, Some(folders)));
    }

    fn served(&self) -> String {
        self.certificates
            .get(&pattern())
            .unwrap()
            .leaf
            .serial
            .clone()
    }

    #[track_caller]
    fn comes_to_serve(&self, serial: &str) {
        eventually("the new certificate is served", || self.served() == serial);
        assert_eq!(
            self.certificates.get(&pattern()).unwrap().origin,
            Origin::Files
        );
    }
}

#[track_caller]
fn openssl(dir: &TempDir, arguments: &str) {
    let status = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(
        status.status.success(),
        "{arguments}: {}",
        String::from_utf8_lossy(&status.stderr)
    );
}

#[test]
fn pkcs8_sec1_and_pkcs1_keys_are_taken() {
    let dir = setup();
    let request = "-nodes -days 30 -subj /CN=hub.test -addext subjectAltName=DNS:hub.test -keyout key.pem -out chain.pem";
    openssl(&dir, &format!("req -x509 -newkey rsa:2048 {request}"));
    openssl(&dir, "rsa -in key.pem -traditional -out pkcs1.pem");
    openssl(
        &dir,
        &format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 {}",
            request
                .replace("key.pem", "ec.pem")
                .replace("chain.pem", "ec-chain.pem")
        ),
    );
    openssl(&dir, "ec -in ec.pem -out sec1.pem");
    openssl(
        &dir,
        &format!(
            "req -x509 -newkey ed25519 {}",
            request
                .replace("key.pem", "ed.pem")
                .replace("chain.pem", "ed-chain.pem")
        ),
    );
    openssl(
        &dir,
        "rsa -in key.pem -aes128 -passout pass:x -out locked.pem",
    );
    let load = |chain: &str, key: &str| load_pair(&dir.path().join(chain), &dir.path().join(key));
    for (chain, key, label) in [
        ("chain.pem", "key.pem", "BEGIN PRIVATE KEY"),
        ("chain.pem", "pkcs1.pem", "BEGIN RSA PRIVATE KEY"),
        ("ec-chain.pem", "sec1.pem", "BEGIN EC PRIVATE KEY"),
        ("ec-chain.pem", "ec.pem", "BEGIN PRIVATE KEY"),
        ("ed-chain.pem", "ed.pem", "BEGIN PRIVATE KEY"),
    ] {
        assert!(
            fs::read_to_string(dir.path().join(key))
                .unwrap()
                .contains(label),
            "{key}"
        );
        let pair = load(chain, key).unwrap_or_else(|error| panic!("{key}: {error}"));
        assert!(pair.leaf.covers(&pattern()), "{key}");
    }
    assert!(matches!(
        load("chain.pem", "sec1.pem"),
        Err(LoadError::Mismatch { .. })
    ));
    assert!(matches!(
        load("chain.pem", "locked.pem"),
        Err(LoadError::Encrypted { .. })
    ));
}

#[test]
fn every_bad_pair_is_told_at_once_with_its_file() {
    let dir = setup();
    let at = |name: &str| dir.path().join(name);
    write(&at("a.pem"), &at("a.key"));
    write(&at("b.pem"), &at("b.key"));
    fs::write(at("empty.pem"), "").unwrap();
    let spec = |chain: &str, key: &str| FileSpec {
        patterns: vec![pattern()],
        files: files(at(chain), at(key)),
    };
    let specs = vec![
        spec("a.pem", "a.key"),
        spec("a.pem", "b.key"),
        spec("empty.pem", "b.key"),
        spec("none.pem", "b.key"),
    ];
    let errors: Vec<String> = FileCertificates::load(specs)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(
        errors[0].contains("b.key") && errors[0].contains("does not belong"),
        "{}",
        errors[0]
    );
    assert!(
        errors[1].contains("empty.pem") && errors[1].contains("empty"),
        "{}",
        errors[1]
    );
    assert!(errors[2].contains("none.pem"), "{}", errors[2]);
}

#[test]
fn only_what_changed_is_loaded_again() {
    let dir = setup();
    let at = |name: &str| dir.path().join(name);
    let (stays, changes) = (pattern(), HostPattern::parse("b.test").unwrap());
    let spec = |pattern: &HostPattern, name: &str| FileSpec {
        patterns: vec![pattern.clone()],
        files: files(
            at(name).with_extension("pem"),
            at(name).with_extension("key"),
        ),
    };
    let specs = || vec![spec(&stays, "a"), spec(&changes, "b")];
    write(&at("a.pem"), &at("a.key"));
    write(&at("b.pem"), &at("b.key"));
    let (before, after) = (Certificates::new(), Certificates::new());
    let first = FileCertificates::load(specs()).unwrap();
    first.insert_into(&before);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let watch = {
        let _inside = runtime.enter();
        first.watch(Arc::clone(&before))
    };
    let known = watch.known().clone();
    drop(watch);
    write(&at("b.pem"), &at("b.key"));
    let second = FileCertificates::load_after(specs(), &known).unwrap();
    second.insert_into(&after);
    let leaf = |from: &Certificates, of: &HostPattern| from.get(of).unwrap().leaf;
    assert!(Arc::ptr_eq(&leaf(&before, &stays), &leaf(&after, &stays)));
    assert_ne!(
        leaf(&before, &changes).serial,
        leaf(&after, &changes).serial
    );
}

#[test]
fn sites_that_name_the_same_files_share_a_pair() {
    let dir = setup();
    let at = |name: &str| dir.path().join(name);
    write(&at("a.pem"), &at("a.key"));
    let other = HostPattern::parse("b.test").unwrap();
    let spec = |pattern: &HostPattern| FileSpec {
        patterns: vec![pattern.clone()],
        files: files(at("a.pem"), at("a.key")),
    };
    let certificates = Certificates::new();
    let files = FileCertificates::load(vec![spec(&pattern()), spec(&other)]).unwrap();
    files.insert_into(&certificates);
    let leaf = |of: &HostPattern| certificates.get(of).unwrap().leaf;
    assert!(Arc::ptr_eq(&leaf(&pattern()), &leaf(&other)));
}

#[test]
fn a_rewrite_in_place_is_picked_up() {
    let dir = setup();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    write(&chain, &key);
    let watched = Watched::start(chain, key);
    for _ in 0..3 {
        watched.comes_to_serve(&write(&watched.chain, &watched.key));
    }
}

#[test]
fn what_changes_while_a_reload_is_made_and_after_it_is_picked_up() {
    let dir = setup();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    write(&chain, &key);
    let mut watched = Watched::start(chain, key);
    for _ in 0..3 {
        let mut serial = String::new();
        watched.reload(|watched| serial = write(&watched.chain, &watched.key));
        watched.comes_to_serve(&serial);
        watched.reload(|_| {});
        watched.comes_to_serve(&write(&watched.chain, &watched.key));
    }
}

#[test]
fn a_rename_over_the_files_is_picked_up() {
    let dir = setup();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    write(&chain, &key);
    let watched = Watched::start(chain, key);
    let (new_chain, new_key) = (dir.path().join("chain.new"), dir.path().join("key.new"));
    let serial = write(&new_chain, &new_key);
    fs::rename(&new_chain, &watched.chain).unwrap();
    fs::rename(&new_key, &watched.key).unwrap();
    watched.comes_to_serve(&serial);
}

#[test]
fn a_flipped_symlink_is_picked_up_as_kubernetes_mounts_it() {
    let dir = setup();
    let at = |name: &str| dir.path().join(name);
    let generation = |name: &str| {
        fs::create_dir(at(name)).unwrap();
        write(&at(name).join("tls.crt"), &at(name).join("tls.key"))
    };
    generation("..1");
    symlink("..1", at("..data")).unwrap();
    symlink("..data/tls.crt", at("tls.crt")).unwrap();
    symlink("..data/tls.key", at("tls.key")).unwrap();
    let watched = Watched::start(at("tls.crt"), at("tls.key"));
    for number in 2..5 {
        let serial = generation(&format!("..{number}"));
        symlink(format!("..{number}"), at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        fs::remove_dir_all(at(&format!("..{}", number - 1))).unwrap();
        watched.comes_to_serve(&serial);
    }
}

#[test]
fn a_symlink_into_another_folder_is_followed_as_certbot_lays_it_out() {
    let dir = setup();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("archive/hub")).unwrap();
    fs::create_dir_all(at("live/hub")).unwrap();
    let generation = |number: u32| {
        let serial = write(
            &at(&format!("archive/hub/fullchain{number}.pem")),
            &at(&format!("archive/hub/privkey{number}.pem")),
        );
        for name in ["fullchain", "privkey"] {
            let link = at(&format!("live/hub/{name}.pem"));
            if link.exists() {
                fs::remove_file(&link).unwrap();
            }
            symlink(format!("../../archive/hub/{name}{number}.pem"), link).unwrap();
        }
        serial
    };
    generation(1);
    let watched = Watched::start(at("live/hub/fullchain.pem"), at("live/hub/privkey.pem"));
    watched.comes_to_serve(&generation(2));
    // The file that the link leads to is rewritten where it lies.
    watched.comes_to_serve(&write(
        &at("archive/hub/fullchain2.pem"),
        &at("archive/hub/privkey2.pem"),
    ));
}

/// Puts a file in the place of another at one stroke: one that is being written is empty for a moment, of which may be warned.
fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    let next = path.with_extension("next");
    fs::write(&next, bytes).unwrap();
    fs::rename(next, path).unwrap();
}

#[test]
fn a_half_written_or_mismatched_pair_keeps_the_last_good_one_and_warns_once() {
    let dir = setup();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    let first = write(&chain, &key);
    let watched = Watched::start(chain, key);
    let name = dir.path().to_str().unwrap();
    let (new_chain, new_key) = pair();
    put(&watched.chain, &new_chain[..new_chain.len() / 2]);
    eventually("the cut chain is warned of", || {
        events::count(&["WARN", "certificate.kept", "damaged PEM", name]) == 1
    });
    assert_eq!(watched.served(), first);
    put(&watched.chain, &new_chain);
    eventually("the other's key is warned of", || {
        events::count(&["WARN", "certificate.kept", "does not belong", name]) == 1
    });
    assert_eq!(watched.served(), first);
    fs::remove_file(&watched.key).unwrap();
    eventually("the missing key is warned of", || {
        events::count(&["WARN", "certificate.kept", "cannot read", name]) == 1
    });
    assert_eq!(watched.served(), first);
    // A touch is no change: nothing is said twice.
    fs::write(dir.path().join("other"), "x").unwrap();
    put(&watched.key, &new_key);
    watched.comes_to_serve(&serial(&watched.chain, &watched.key));
    assert_eq!(events::count(&["WARN", "certificate.kept", name]), 3);
    assert_eq!(events::count(&["INFO", "certificate.reloaded", name]), 1);
}

#[test]
fn a_key_that_others_can_read_is_warned_about_and_served() {
    let dir = setup();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    let first = write(&chain, &key);
    let name = dir.path().to_str().unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    let watched = Watched::start(chain, key);
    assert_eq!(watched.served(), first);
    assert_eq!(
        events::count(&[
            "WARN",
            "certificate.doubtful",
            "mode 640",
            "chmod 600",
            name
        ]),
        1
    );
    let (new_chain, new_key) = pair();
    fs::write(&watched.chain, new_chain).unwrap();
    fs::write(&watched.key, new_key).unwrap();
    eventually("it is warned about again with the new key", || {
        events::count(&["WARN", "mode 640", name]) >= 2
    });
}

#[test]
fn a_certificate_without_the_sites_name_is_warned_about() {
    let dir = setup();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    write(&chain, &key);
    let spec = FileSpec {
        patterns: vec![pattern(), HostPattern::parse("*.hub.test").unwrap()],
        files: files(chain, key),
    };
    let doubts = FileCertificates::load(vec![spec]).unwrap().doubts();
    assert_eq!(doubts.len(), 1, "{doubts:?}");
    assert!(doubts[0].contains("`*.hub.test`"), "{doubts:?}");
}

#[test]
fn nothing_is_swapped_in_after_the_watch_was_dropped() {
    let dir = setup();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    let first = write(&chain, &key);
    let watched = Watched::start(chain.clone(), key.clone());
    let certificates = Arc::clone(&watched.certificates);
    drop(watched);
    let still = Watched::start(chain.clone(), key.clone());
    still.comes_to_serve(&write(&chain, &key)); // another watch has seen it: the dropped one would have, too
    std::thread::sleep(Duration::from_millis(50)); // and a moment for a wrong one to follow
    assert_eq!(certificates.get(&pattern()).unwrap().leaf.serial, first);
}

#[test]
fn an_encrypted_key_is_opened_by_one_of_the_passwords() {
    let dir = TempDir::new().unwrap();
    let request = "-nodes -keyout key.pem -out chain.pem -subj /CN=hub.test -days 2";
    openssl(&dir, &format!("req -x509 -newkey rsa:2048 {request}"));
    for (name, how) in [
        ("aes256", "pkcs8 -topk8 -v2 aes-256-cbc"),
        (
            "aes128",
            "pkcs8 -topk8 -v2 aes-128-cbc -v2prf hmacWithSHA512",
        ),
        ("aes192", "rsa -traditional -aes192"),
        ("des", "pkcs8 -topk8 -v2 des3"),
        ("old", "rsa -traditional -des3"),
    ] {
        openssl(
            &dir,
            &format!("{how} -in key.pem -passout pass:open -out {name}"),
        );
    }
    fs::write(dir.path().join("passwords"), "wrong\nopen\n").unwrap();
    fs::write(dir.path().join("none"), "wrong\n").unwrap();
    let load = |key: &str, passwords: &str| {
        hubgate::tls::pem::load_files(&PairFiles {
            chain: dir.path().join("chain.pem"),
            key: dir.path().join(key),
            passwords: Some(dir.path().join(passwords)),
        })
    };
    for key in ["key.pem", "aes256", "aes128", "aes192"] {
        load(key, "passwords").unwrap();
    }
    for key in ["aes256", "aes192"] {
        let error = load(key, "none").unwrap_err();
        assert!(matches!(error, LoadError::Password { .. }), "{error}");
    }
    for key in ["des", "old"] {
        let error = load(key, "passwords").unwrap_err();
        assert!(
            matches!(error, LoadError::UnknownEncryption { .. }),
            "{error}"
        );
    }
}

#[test]
fn of_several_certificates_a_client_gets_the_one_it_can_check_and_of_one_kind_the_last() {
    use rustls::SignatureScheme::{ECDSA_NISTP256_SHA256, ED25519, RSA_PSS_SHA256};
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let curve = "ec -pkeyopt ec_paramgen_curve:prime256v1";
    for (name, kind) in [("a", curve), ("b", "rsa:2048"), ("c", curve)] {
        let files = format!("-nodes -keyout {name}.key -out {name}.pem -subj /CN={name}");
        openssl(&dir, &format!("req -x509 -newkey {kind} {files} -days 2"));
    }
    let all = ["a", "b", "c"].map(|name| {
        let (chain, key) = (at(&format!("{name}.pem")), at(&format!("{name}.key")));
        load_pair(&chain, &key).unwrap()
    });
    let serial = |name: &str| {
        load_pair(&at(&format!("{name}.pem")), &at(&format!("{name}.key")))
            .unwrap()
            .leaf
            .serial
            .clone()
    };
    let whole = hubgate::tls::pem::Pair::of(all.to_vec()).unwrap();
    for (schemes, name) in [
        (vec![RSA_PSS_SHA256, ECDSA_NISTP256_SHA256], "b"),
        (vec![ECDSA_NISTP256_SHA256, RSA_PSS_SHA256], "c"),
        (vec![ED25519], "c"),
    ] {
        let key = whole.for_client(&schemes);
        let leaf = hubgate::tls::pem::Leaf::parse(&key.cert[0]).unwrap();
        assert_eq!(leaf.serial, serial(name), "{schemes:?}");
    }
    assert_eq!(whole.all().count(), 2);
}
