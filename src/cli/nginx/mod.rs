//! nginx's command line, for whoever calls hubgate by the name `nginx`: unit files, hooks, monitoring.
//!
//! Does in nginx's order what nginx does: options, the error log, the configuration, then a test, a signal or the server.
//! Exit codes are nginx's: 0 or 1. Invariant: a configuration that is refused has touched no file but the error log.

mod daemon;
mod files;
mod options;
mod secrets;
mod signal;
mod test;
mod version;
mod words;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use self::daemon::Stage;
use self::options::{Options, parse};
use self::words::{Fault, Words};
use super::complain;
use crate::config::{Loaded, Paint};
use crate::nginx::{Asked, At, Habits, Tree, origin, title};
use crate::server::apart;

const OK: u8 = 0;
const FAILED: u8 = 1;

/// Whether these arguments, the program's name first, call for nginx: all but those by which a running process starts
/// its successor.
pub(super) fn is_meant(arguments: &[OsString]) -> bool {
    let called = arguments
        .first()
        .map(|first| Path::new(title::typed(first)));
    let called = called.and_then(Path::file_name);
    called == Some(OsStr::new("nginx")) && arguments.get(1).is_none_or(|first| first != "run")
}

/// Does what nginx would. Gives the exit code.
pub(super) fn run(arguments: &[OsString]) -> u8 {
    let stage = Stage::of(arguments);
    let rest = arguments.get(1..).unwrap_or_default();
    let options = match parse(rest) {
        Ok(options) => options,
        Err(text) => {
            complain(&format!("nginx: {text}\n"));
            return FAILED;
        }
    };
    if options.version {
        complain(&version::text(&options));
        if !options.test {
            return OK;
        }
    }
    let words = Words::open(&options);
    match act(&options, &words, stage, rest) {
        Ok(()) => OK,
        Err(fault) => {
            if !fault.text.is_empty() {
                words.say(fault.level, &fault.text);
            }
            if options.test {
                words.tell(&format!(
                    "configuration file {} test failed",
                    options.file().display()
                ));
            }
            FAILED
        }
    }
}

fn act(options: &Options, words: &Words, stage: Stage, rest: &[OsString]) -> Result<(), Fault> {
    let asked = asked(options, &stage);
    if !options.test && options.signal.is_none() {
        return begin(&asked, options, words, (stage, rest));
    }
    let tree = origin::served(&asked).map_err(|refused| {
        let (fault, tree) = *refused;
        warn(words, &tree);
        // About the whole, so it has been read.
        if options.test && fault.at == At::Nowhere && tree.is_read() {
            test::well_formed(options, words);
        }
        of_fault(&fault)
    })?;
    let later = |warning: &&crate::nginx::Fault| options.test && warning.at == At::Nowhere;
    for warning in tree.warnings.iter().filter(|warning| !later(warning)) {
        words.say("warn", &warning.to_string());
    }
    match &options.signal {
        Some(name) if !options.test => {
            words.say("notice", "signal process started");
            signal::send(name, &pid_file(options, &tree))
        }
        _ => test::run(options, &asked, &tree, words),
    }
}

/// What has been read for a start.
struct Read {
    /// The warnings are in it, and what was not refused.
    tree: Tree,
    /// `None` where another process is to serve, which reads it then.
    outcome: Result<Option<Loaded>, Fault>,
}

/// Begins to serve, or has another process do so. Hosts are looked up once, by the process that serves.
fn begin(
    asked: &Asked,
    options: &Options,
    words: &Words,
    (stage, rest): (Stage, &[OsString]),
) -> Result<(), Fault> {
    daemon::entitle(stage, rest);
    let first = stage != Stage::Daemon;
    let Read { tree, outcome } = apart(|| match origin::tree(asked) {
        Err(refused) => Read {
            outcome: Err(of_fault(&refused.0)),
            tree: refused.1,
        },
        Ok(tree) => {
            let warnings = tree.warnings.clone();
            let outcome = match first && daemon::is_wanted(&tree) {
                true => Ok(None),
                false => { origin::loaded(tree, asked).map(Some) }
                    .map_err(|report| refused(&report.render(Paint::Plain))),
            };
            let tree = Tree {
                warnings,
                ..Tree::default()
            };
            Read { tree, outcome }
        }
    });
    // The process that is left behind has no terminal to say it again to.
    if first {
        warn(words, &tree);
    }
    match outcome? {
        None => daemon::start(rest),
        Some(loaded) => serve((asked, loaded), options, stage),
    }
}

fn warn(words: &Words, tree: &Tree) {
    for warning in &tree.warnings {
        words.say("warn", &warning.to_string());
    }
}

fn of_fault(fault: &crate::nginx::Fault) -> Fault {
    Fault {
        level: fault.level(),
        ..Fault::emerg(fault.to_string())
    }
}

/// The configuration that the options name, as the process will read it.
fn asked(options: &Options, stage: &Stage) -> Asked {
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    let tested = options.test || options.signal.is_some();
    Asked {
        moved: Vec::new(),
        // Messages name the file as it was typed; a process that stays names it from anywhere.
        main: match tested {
            true => options.file(),
            false => absolute(options.file()),
        },
        prefix: Some(absolute(options.prefix())),
        globals: options.globals.clone(),
        habits: Some(Habits {
            error_log: options.error_log().map(absolute),
            daemon: *stage == Stage::Daemon,
        }),
        kept: false,
    }
}

fn pid_file(options: &Options, tree: &Tree) -> PathBuf {
    options
        .prefix()
        .join(crate::nginx::import::pid_file(&tree.directives))
}

fn serve((asked, loaded): (&Asked, Loaded), options: &Options, stage: Stage) -> Result<(), Fault> {
    let channel = stage
        .leave_terminal()
        .map_err(|error| Fault::emerg(format!("cannot leave the terminal: {error}")))?;
    let log = options.error_log();
    let ready = move || {
        if let Some(channel) = channel {
            channel.ready(log.as_deref());
        }
    };
    crate::server::run_read(&asked.name(), loaded, ready).map_err(|error| refused(error.message()))
}

/// hubgate's refusal in one sentence.
fn refused(text: &str) -> Fault {
    Fault::emerg(words::of_refusal(text))
}
