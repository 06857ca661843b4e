//! What a package brings besides the program is what the program says: manual pages and completions of shells.
//!
//! `HUBGATE_BLESS=1` writes them anew, together with the reference. groff is asked where it is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap_complete::{Shell, generate};

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging")
        .join(name)
}

#[track_caller]
fn is_kept(name: &str, fresh: &str) {
    let path = packaging(name);
    if std::env::var_os("HUBGATE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == fresh,
        "{} is not what the code says: run `HUBGATE_BLESS=1 cargo test --test config_reference`",
        path.display()
    );
}

/// Has groff format a page; it must have nothing to say about it.
fn formatted(page: &str) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), page).unwrap();
    let groff = Command::new("groff")
        .args(["-ww", "-man", "-Tascii", "-P-cbou"])
        .arg(file.path())
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&groff.stderr).into_owned();
    assert!(groff.status.success() && said.is_empty(), "{said}");
    Some(String::from_utf8(groff.stdout).unwrap())
}

#[test]
fn the_page_of_the_commands_is_what_may_be_typed() {
    let page = hubgate::cli::manual_page();
    is_kept("man/hubgate.8", &page);
    if let Some(text) = formatted(&page) {
        for wanted in ["-c, --config FILE", "hubgate certs renew", "Exit codes"] {
            assert_eq!(text.contains(wanted), wanted != "Exit codes", "{wanted}");
        }
    }
}

#[test]
fn the_page_of_the_configuration_is_what_the_schema_says() {
    let page = hubgate::config::manual_page();
    is_kept("man/hubgate.toml.5", &page);
    if let Some(text) = formatted(&page) {
        for wanted in ["drain_timeout", "[[site.\"hub.example.org\".route]]"] {
            assert!(text.contains(wanted), "{wanted}");
        }
    }
}

#[test]
fn completions_are_those_of_what_may_be_typed() {
    for (shell, name) in [
        (Shell::Bash, "hubgate.bash"),
        (Shell::Zsh, "_hubgate"),
        (Shell::Fish, "hubgate.fish"),
    ] {
        let mut fresh = Vec::new();
        generate(shell, &mut hubgate::cli::command(), "hubgate", &mut fresh);
        is_kept(
            &format!("completions/{name}"),
            &String::from_utf8(fresh).unwrap(),
        );
    }
}

#[test]
fn the_configurations_of_the_package_and_the_image_load() {
    for name in ["deb/hubgate.toml", "container/hubgate.toml"] {
        let loaded = hubgate::config::read(&packaging(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // Where the hub is, nobody can say for the operator.
        let said = loaded.report.to_string();
        assert_eq!(said.matches("warning[").count(), 1, "{said}");
        assert!(said.contains("warning[no-route]"), "{said}");
    }
}
