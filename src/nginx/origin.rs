//! Where a configuration comes from: a file of hubgate's, or nginx's, written as [`Asked::name`] does.
//!
//! nginx's is imported in memory each time it is read, so that a reload takes what its files say then. All who read a
//! configuration by its path come here.

use std::path::Path;

use super::import::{Imported, import_as};
use super::{Asked, Disk, Fault, Options, Tree, accounts, hosts, modules, read as read_tree};
use crate::config::{self, Diagnostic, Loaded, Report, Source};

/// Reads the configuration that a path stands for, without looking at what it says.
///
/// # Errors
/// As [`config::fetch`]; what nginx would refuse is told in its words.
pub fn fetch(path: &Path) -> Result<Source, Report> {
    let Some(asked) = Asked::by_name(path) else {
        return config::fetch(path);
    };
    match served(&asked) {
        Ok(tree) => Ok(written(&tree, &asked)),
        Err(refused) => Err(report(&refused.0, &asked)),
    }
}

/// Checks what [`tree`] has read, for whoever is to serve it.
///
/// # Errors
/// As [`read`].
pub fn loaded(tree: Tree, asked: &Asked) -> Result<Loaded, Report> {
    let tree = sought(tree).map_err(|refused| report(&refused.0, asked))?;
    config::load(&written(&tree, asked))
}

/// A tree as hubgate's configuration, with what nginx warns of and what came of moving listeners.
fn written(tree: &Tree, asked: &Asked) -> Source {
    let imported = import_as(tree, asked);
    let warnings = tree.warnings.iter().map(ToString::to_string);
    let moved = imported.report.advice.iter();
    let moved = moved.filter(|(about, _)| about.starts_with("--at "));
    let moved = moved.map(|(about, text)| format!("{about}: {text}"));
    let notes = warnings.chain(moved).collect();
    Source::new(name(asked), folder(asked), imported.toml).with_notes(notes)
}

fn report(fault: &Fault, asked: &Asked) -> Report {
    Report::new(
        Source::new(name(asked), folder(asked), ""),
        vec![Diagnostic::whole("nginx", refusal(fault))],
    )
}

fn name(asked: &Asked) -> String {
    format!("nginx:{}", asked.main.display())
}

fn folder(asked: &Asked) -> &Path {
    asked.main.parent().unwrap_or(Path::new("/"))
}

/// Reads and checks the configuration that a path stands for.
///
/// # Errors
/// As [`fetch`] and [`config::load`].
pub fn read(path: &Path) -> Result<Loaded, Report> {
    config::load(&fetch(path)?)
}

/// Imports nginx's main file from the disk, on whatever machine: beside it what nginx would say of a host that has no
/// address here.
///
/// # Errors
/// nginx's sentence.
pub fn imported(asked: &Asked) -> Result<(Imported, Option<String>), String> {
    let tree = tree(asked).map_err(|refused| refusal(&refused.0))?;
    let unresolved = hosts::found(&tree).err();
    let unresolved = unresolved.map(|fault| refusal(&fault));
    Ok((import_as(&tree, asked), unresolved))
}

fn refusal(fault: &Fault) -> String {
    format!("nginx: [emerg] {fault}")
}

/// Reads nginx's main file from the disk as whoever serves it, or tests it as `nginx` does: hosts that nginx looks up
/// have to have addresses, and `user` an account.
///
/// # Errors
/// As [`tree`].
pub fn served(asked: &Asked) -> Result<Tree, Box<(Fault, Tree)>> {
    sought(tree(asked)?)
}

/// A tree whose hosts and account are there.
fn sought(mut tree: Tree) -> Result<Tree, Box<(Fault, Tree)>> {
    match accounts::found(&tree).and_then(|()| hosts::found(&tree)) {
        Ok(known) => {
            hosts::settle(&mut tree.directives, &known);
            Ok(tree)
        }
        Err(fault) => Err(Box::new((fault, tree))),
    }
}

/// Reads nginx's main file from the disk. Directives of modules that nobody knows are kept for the report; whoever calls
/// hubgate as `nginx` is told of them as nginx would, unless the configuration loads modules.
///
/// # Errors
/// What nginx would not take, and the tree up to there. A host that has no address is no reason here: [`served`].
pub fn tree(asked: &Asked) -> Result<Tree, Box<(Fault, Tree)>> {
    let read = |keep_unknown| {
        let options = Options {
            globals: asked.globals.clone(),
            keep_unknown,
        };
        read_tree(&Disk, &asked.main, &options)
    };
    if asked.habits.is_none() {
        return read(true);
    }
    let warned = |mut tree: Tree| {
        let warning = accounts::warning(&tree);
        tree.warnings.splice(..0, warning);
        tree
    };
    let refused = match read(false) {
        Ok(tree) => return Ok(warned(tree)),
        Err(refused) => refused,
    };
    match modules::loads_foreign(&refused.1.directives) {
        true => read(true).map(warned),
        false => Err(Box::new((refused.0, warned(refused.1)))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Habits;
    use super::*;

    #[test]
    fn an_nginx_configuration_is_read_as_hubgates_own() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("nginx.conf");
        let text = "events {} http { server { server_name a.example.org; location / { proxy_pass http://127.0.0.1:9; } } }";
        std::fs::write(&main, text).unwrap();
        let config = read(&Asked::of(folder.path()).name()).unwrap().config;
        assert_eq!(config.sites[0].name(), "a.example.org");
        std::fs::write(&main, "http {").unwrap();
        let report = read(&Asked::of(&main).name()).unwrap_err().to_string();
        assert!(
            report.contains("unexpected end of file, expecting \"}\" in"),
            "{report}"
        );
    }

    #[test]
    fn called_as_nginx_a_word_that_is_no_directive_is_refused_unless_modules_are_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("nginx.conf");
        let asked = Asked {
            habits: Some(Habits::default()),
            ..Asked::of(&main)
        };
        std::fs::write(&main, "events {}\nlua_thing on;\n").unwrap();
        let fault = tree(&asked).unwrap_err().0.to_string();
        assert!(
            fault.starts_with("unknown directive \"lua_thing\" in /"),
            "{fault}"
        );
        std::fs::write(&main, "load_module m.so;\nevents {}\nlua_thing on;\n").unwrap();
        assert!(tree(&asked).is_ok());
    }

    #[test]
    fn with_nginxs_habits_it_says_where_the_pid_and_the_errors_are() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("nginx.conf");
        std::fs::write(
            &main,
            "events {}\nhttp { access_log off; server { return 204; } }",
        )
        .unwrap();
        let asked = Asked {
            prefix: Some(folder.path().join("p")),
            globals: "pid run/a.pid; error_log e.log notice; worker_shutdown_timeout 7s;"
                .to_owned(),
            habits: Some(Habits::default()),
            ..Asked::of(&main)
        };
        let config = read(&asked.name()).unwrap().config;
        let prefix = folder.path().join("p");
        assert_eq!(config.server.pid_file, Some(prefix.join("run/a.pid")));
        let [log] = &*config.log.logs else {
            panic!("{:?}", config.log);
        };
        assert_eq!(log.target.file(), Some(&*prefix.join("e.log")));
        assert_eq!(log.level, config::LogLevel::Notice);
        assert_eq!(config.server.drain_timeout.as_secs(), 7);
        assert_eq!(config.admin.socket, prefix.join("run/a.hubgate.sock"));
    }
}
