//! The container file is honest: what it copies is there, it builds with the toolchain that is wanted, and what it starts
//! listens on the ports it exposes, as a user that can.
//!
//! What it makes is shown by tests/container/run (`make container-test`), which needs root and a clean Debian.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::Table;

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(source(path)).unwrap()
}

/// Its instructions, as words; continued lines are one.
fn instructions() -> Vec<Vec<String>> {
    let lines: Vec<String> = text("packaging/container/Containerfile")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(ToOwned::to_owned)
        .collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let words = |line: &str| line.split_whitespace().map(ToOwned::to_owned).collect();
    joined
        .lines()
        .map(words)
        .filter(|words: &Vec<_>| !words.is_empty())
        .collect()
}

/// What follows `word`, wherever it stands.
fn all(word: &str) -> Vec<Vec<String>> {
    let of = instructions().into_iter().filter(|line| line[0] == word);
    of.map(|line| line[1..].to_vec()).collect()
}

/// Whether `.dockerignore` keeps a path out of the build.
fn ignored(path: &str) -> bool {
    let path = Path::new(path);
    text(".dockerignore")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .any(|line| match line.strip_prefix("**/") {
            Some(name) => path.iter().any(|part| part == name),
            None => path.starts_with(line),
        })
}

#[test]
fn everything_it_copies_is_there_and_gets_into_the_build() {
    for copy in all("COPY") {
        let (from, to) = (&copy[copy.len() - 2], &copy[copy.len() - 1]);
        match copy[0].strip_prefix("--from=") {
            Some(stage) => {
                let stages = all("FROM");
                assert!(stages.iter().any(|from| from.last().unwrap() == stage));
                let workdir = &all("WORKDIR")[0][0];
                assert_eq!(*from, format!("{workdir}/target/release/hubgate"));
            }
            None if from == "." => assert_eq!(to, "."),
            None => {
                assert!(source(from).is_file(), "{from}");
                assert!(!ignored(from), "{from}");
            }
        }
    }
    let needed = [
        "Cargo.toml",
        "Cargo.lock",
        "src/main.rs",
        "conf/reference.toml",
        "bench/micro/main.rs",
    ];
    for path in needed {
        assert!(source(path).exists() && !ignored(path), "{path}");
    }
    for path in ["target/release/hubgate", ".git/HEAD", "fuzz/target/x"] {
        assert!(ignored(path), "{path}");
    }
}

#[test]
fn it_builds_with_the_toolchain_that_the_crate_wants() {
    let crates: Table = text("Cargo.toml").parse().unwrap();
    let wanted = crates["package"]["rust-version"].as_str().unwrap();
    let first = all("FROM")[0][0].clone();
    let tag = first.split(':').nth(1).unwrap().to_owned();
    assert_eq!(tag.split('-').next(), Some(wanted), "{first}");
    // Both stages are the same Debian, so that the program finds the C library that it was linked with.
    for from in all("FROM") {
        assert!(from[0].contains("bookworm"), "{from:?}");
    }
}

#[test]
fn its_configuration_listens_on_what_it_exposes_and_needs_no_privilege() {
    let config: Table = text("packaging/container/hubgate.toml").parse().unwrap();
    let mut ports: Vec<u16> = ["http", "https"]
        .iter()
        .flat_map(|kind| config["listen"][*kind].as_array().unwrap())
        .map(|address| {
            let address = address.as_str().unwrap();
            address.rsplit(':').next().unwrap().parse().unwrap()
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    let exposed: Vec<u16> = all("EXPOSE")[0]
        .iter()
        .map(|port| port.parse().unwrap())
        .collect();
    assert_eq!(ports, exposed);
    assert!(ports.iter().all(|port| *port >= 1024));
    let done = Command::new(env!("CARGO_BIN_EXE_hubgate"))
        .args(["check", "-c"])
        .arg(source("packaging/container/hubgate.toml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}

#[test]
fn its_user_is_a_number_that_owns_what_is_written_to() {
    let user = all("USER")[0][0].clone();
    let (uid, gid) = user.split_once(':').unwrap();
    assert!(uid.parse::<u32>().unwrap() > 0 && gid.parse::<u32>().unwrap() > 0);
    let prepared = all("RUN").last().unwrap().join(" ");
    // Without a number of its own the group gets whichever is free.
    for part in [
        format!("groupadd --gid {gid} hubgate"),
        format!("--uid {uid} --gid {gid} "),
    ] {
        assert!(prepared.contains(&part), "{part}: {prepared}");
    }
    let volume = &all("VOLUME")[0][0];
    for folder in [volume.as_str(), "/run/hubgate"] {
        assert!(
            prepared
                .split("&&")
                .any(|step| step.contains("install -d -o hubgate -g hubgate")
                    && step.trim_end().ends_with(folder)),
            "{folder}: {prepared}"
        );
    }
    let line = all("ENTRYPOINT")[0].join(" ");
    assert_eq!(line, "[\"hubgate\"]");
}
