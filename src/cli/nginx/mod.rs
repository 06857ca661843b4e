//! nginx's command line, for whoever calls hubgate by the name `nginx`: unit files, hooks, monitoring.
//!
//! Does in nginx's order what nginx does: options, the error log, the configuration, then a test, a signal or the server.
//! Exit codes are nginx's: 0 or 1. Invariant: a configuration that is refused has touched no file but the error log.

mod daemon;
mod files;
mod options;
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
use crate::config::Paint;
use crate::nginx::{Asked, At, Habits, Tree, origin};
use crate::server::How;

const OK: u8 = 0;
const FAILED: u8 = 1;

/// Whether these arguments, the program's name first, call for nginx: all but those by which a running process starts
/// its successor.
pub(super) fn is_meant(arguments: &[OsString]) -> bool {
    let called = arguments.first().map(Path::new).and_then(Path::file_name);
    called == Some(OsStr::new("nginx")) && arguments.get(1).is_none_or(|first| first != "run")
}

/// Does what nginx would. Gives the exit code.
pub(super) fn run(arguments: &[OsString]) -> u8 {
    let stage = Stage::of(arguments);
    let rest = arguments.get(stage.skipped()..).unwrap_or_default();
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
    let read = match options.test || options.signal.is_some() {
        true => origin::served(&asked),
        false => origin::tree(&asked),
    };
    // The process that is left behind has no terminal to say it again to.
    let once = stage == Stage::First;
    let warn = |tree: &Tree| {
        for warning in tree.warnings.iter().filter(|_| once) {
            words.say("warn", &warning.to_string());
        }
    };
    let tree = read.map_err(|refused| {
        let (fault, tree) = *refused;
        warn(&tree);
        // About the whole, so it has been read.
        if options.test && fault.at == At::Nowhere && tree.is_read() {
            test::well_formed(options, words);
        }
        Fault {
            level: fault.level(),
            ..Fault::emerg(fault.to_string())
        }
    })?;
    warn(&tree);
    if options.test {
        return test::run(options, &asked, &tree, words);
    }
    if let Some(name) = &options.signal {
        words.say("notice", "signal process started");
        return signal::send(name, &pid_file(options, &tree));
    }
    // Everything that a terminal is to be told comes before the process leaves it.
    origin::read(&asked.name()).map_err(|report| refused(&report.render(Paint::Plain)))?;
    match stage {
        Stage::First if daemon::is_wanted(&tree) => daemon::start(rest),
        stage => serve(&asked, options, stage),
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
            daemon: *stage != Stage::First,
        }),
    }
}

fn pid_file(options: &Options, tree: &Tree) -> PathBuf {
    options
        .prefix()
        .join(crate::nginx::import::pid_file(&tree.directives))
}

fn serve(asked: &Asked, options: &Options, stage: Stage) -> Result<(), Fault> {
    let channel = stage
        .leave_terminal()
        .map_err(|error| Fault::emerg(format!("cannot leave the terminal: {error}")))?;
    let log = options.error_log();
    let ready = move || {
        if let Some(channel) = channel {
            channel.ready(log.as_deref());
        }
    };
    crate::server::run(&asked.name(), How::Fresh, None, ready)
        .map_err(|error| refused(error.message()))
}

/// hubgate's refusal in one sentence.
fn refused(text: &str) -> Fault {
    Fault::emerg(words::of_refusal(text))
}
