//! `hubgate certs import`: takes over pairs that something else has ordered, so that nothing is ordered before it is due.
//!
//! Reads only where it takes from. A pair is taken for each host of the configuration that wants one by ACME and that it
//! names, after the same checks as a new one, unless what is kept lasts longer. A running process notices and serves
//! it; what root writes belongs to the state directory's owner.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use time::OffsetDateTime;

use super::Import;
use crate::acme::storage::Storage;
use crate::cli::{complain, exit, print};
use crate::config::{CertificateSource, Config, Paint};
use crate::observe::reasons::with_reasons;
use crate::tls::pem::{Pair, load_pair};
use crate::tls::verify;
use crate::types::host::{Host, HostPattern};

/// Folders below the one that was named: Caddy has `certificates/AUTHORITY/NAME/`.
const DEPTH: usize = 4;
/// More files than any such folder has.
const MOST_FILES: usize = 20_000;

/// What became of one host.
#[derive(Debug, Serialize)]
struct Row {
    host: String,
    /// The chain's file.
    from: PathBuf,
    taken: bool,
    /// Why not, or until when it lasts.
    note: String,
}

/// Imports. Gives the exit code: 1 when nothing was there to take.
pub(super) fn run(import: &Import) -> u8 {
    crate::tls::install_provider();
    let config = match crate::nginx::origin::read(&import.file.config) {
        Ok(loaded) => loaded.config,
        Err(report) => {
            complain(&report.render(Paint::Plain));
            return exit::REFUSED;
        }
    };
    let hosts = wanted(&config);
    if hosts.is_empty() {
        complain(
            "hubgate certs import: no site has `certificate = \"acme\"`; files named in the configuration are served as they are\n",
        );
        return exit::REFUSED;
    }
    let candidates = match (&import.folder, &import.chain, &import.key) {
        (_, Some(chain), Some(key)) => vec![(chain.clone(), key.clone())],
        (Some(folder), _, _) => found(folder),
        _ => Vec::new(),
    };
    let storage = Storage::new(&config.server.state_dir);
    if !import.plan
        && let Err(error) = storage.check()
    {
        complain(&format!("hubgate certs import: {}\n", with_reasons(&error)));
        return exit::UNREACHABLE;
    }
    let mut rows = Vec::new();
    for (chain, key) in candidates {
        match load_pair(&chain, &key) {
            Ok(pair) => take(import, &storage, &hosts, &chain, &key, &pair, &mut rows),
            Err(error) => complain(&format!("hubgate certs import: {}\n", with_reasons(&error))),
        }
    }
    report(import, &hosts, &rows);
    match rows.iter().any(|row| row.taken) {
        true => exit::OK,
        false => exit::REFUSED,
    }
}

fn wanted(config: &Config) -> BTreeSet<Host> {
    let sites = config.sites.iter();
    let acme = sites.filter(|site| site.certificate == CertificateSource::Acme);
    acme.flat_map(|site| site.hosts.iter().filter_map(HostPattern::exact).cloned())
        .collect()
}

fn take(
    import: &Import,
    storage: &Storage,
    hosts: &BTreeSet<Host>,
    chain: &Path,
    key: &Path,
    pair: &Pair,
    rows: &mut Vec<Row>,
) {
    let named = |host: &&Host| pair.leaf.covers(&HostPattern::Exact((*host).clone()));
    for host in hosts.iter().filter(named) {
        let kept = storage.current_leaf(host).map(|leaf| leaf.not_after);
        let now = OffsetDateTime::now_utc();
        let outcome = match verify::new(pair, std::slice::from_ref(host), now) {
            Err(fault) => Err(fault.to_string()),
            Ok(()) if kept.is_some_and(|kept| kept >= pair.leaf.not_after) => {
                Err("what is kept lasts as long or longer".to_owned())
            }
            Ok(()) if import.plan => Ok(()),
            Ok(()) => read_and_keep(storage, host, chain, key),
        };
        rows.push(Row {
            host: host.to_string(),
            from: chain.to_owned(),
            taken: outcome.is_ok(),
            note: match outcome {
                Ok(()) => format!("valid until {}", pair.leaf.not_after),
                Err(reason) => reason,
            },
        });
    }
}

fn read_and_keep(storage: &Storage, host: &Host, chain: &Path, key: &Path) -> Result<(), String> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| with_reasons(&error));
    let (chain, key) = (read(chain)?, read(key)?);
    storage
        .import_now(host, &chain, &key)
        .map_err(|error| with_reasons(&error))
}

fn report(import: &Import, hosts: &BTreeSet<Host>, rows: &[Row]) {
    if import.json {
        match serde_json::to_string_pretty(rows) {
            Ok(text) => print(&format!("{text}\n")),
            Err(error) => complain(&format!("hubgate certs import: {error}\n")),
        }
        return;
    }
    for row in rows {
        let what = match (row.taken, import.plan) {
            (true, true) => "would be taken",
            (true, false) => "taken",
            (false, _) => "left",
        };
        let from = row.from.display();
        print(&format!("{}  {what} from {from}: {}\n", row.host, row.note));
    }
    let without = |host: &&Host| !rows.iter().any(|row| row.host == host.as_str());
    for host in hosts.iter().filter(without) {
        print(&format!("{host}  nothing found\n"));
    }
    if !import.plan && rows.iter().any(|row| row.taken) {
        print("where hubgate runs already, it serves them within seconds\n");
    }
}

/// Pairs of files in a folder: each chain with the key that goes by its name.
///
/// certbot's `live/` leads by symlinks to the newest; its `archive/` holds every old one and is left out, as are files
/// that only hold a part of a chain.
fn found(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut pairs = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            complain(&format!(
                "hubgate certs import: cannot read `{}`\n",
                folder.display()
            ));
            continue;
        };
        for entry in entries.flatten() {
            seen += 1;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && depth < DEPTH && !matches!(&*name, "archive" | "accounts") {
                folders.push((path, depth + 1));
            } else if let Some(key) = key_of(&path, &name) {
                pairs.push((path, key));
            }
            if seen > MOST_FILES {
                return pairs;
            }
        }
    }
    pairs.sort();
    pairs
}

fn key_of(chain: &Path, name: &str) -> Option<PathBuf> {
    let key = match name.rsplit_once('.')? {
        ("fullchain", "pem") => chain.with_file_name("privkey.pem"),
        ("cert" | "chain" | "privkey", "pem") => return None, // certbot's parts
        (stem, "crt") => chain.with_file_name(format!("{stem}.key")),
        (stem, "pem") => chain.with_file_name(format!("{stem}.key")),
        _ => return None,
    };
    key.is_file().then_some(key)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn touch(root: &Path, names: &[&str]) {
        for name in names {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
    }

    fn chains(root: &Path) -> Vec<String> {
        let relative = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
        found(root)
            .iter()
            .map(|(chain, key)| format!("{} {}", relative(chain), relative(key)))
            .collect()
    }

    #[test]
    fn certbots_live_folder_is_taken_and_its_archive_is_not() {
        let root = tempfile::tempdir().unwrap();
        touch(
            root.path(),
            &[
                "live/a.test/fullchain.pem",
                "live/a.test/privkey.pem",
                "live/a.test/cert.pem",
                "live/a.test/chain.pem",
                "archive/a.test/fullchain1.pem",
                "archive/a.test/privkey1.pem",
                "accounts/x/private_key.json",
            ],
        );
        assert_eq!(
            chains(root.path()),
            ["live/a.test/fullchain.pem live/a.test/privkey.pem"]
        );
    }

    #[test]
    fn caddys_storage_is_found_authority_by_authority() {
        let root = tempfile::tempdir().unwrap();
        let folder = "certificates/acme-v02.api.letsencrypt.org-directory/a.test";
        let names = ["a.test.crt", "a.test.key", "a.test.json"];
        let names = names.map(|name| format!("{folder}/{name}"));
        touch(root.path(), &names.each_ref().map(String::as_str));
        assert_eq!(
            chains(root.path()),
            [format!("{folder}/a.test.crt {folder}/a.test.key")]
        );
    }
}
