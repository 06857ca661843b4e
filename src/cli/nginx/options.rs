//! nginx's options, read as nginx reads them: letters that may be run together, values that may follow at once.
//!
//! Also what they leave out: the prefix and the files of Debian's package. Invariant: the first wrong one is told.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Where files that are named relatively are.
pub(super) const PREFIX: &str = "/usr/share/nginx/";
pub(super) const FILE: &str = "/etc/nginx/nginx.conf";
pub(super) const ERROR_LOG: &str = "/var/log/nginx/error.log";

/// What was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) version: bool,
    pub(super) configure: bool,
    pub(super) help: bool,
    pub(super) test: bool,
    pub(super) dump: bool,
    pub(super) quiet: bool,
    pub(super) globals: String,
    /// `stop`, `quit`, `reopen` or `reload`.
    pub(super) signal: Option<String>,
    prefix: Option<PathBuf>,
    file: Option<PathBuf>,
    error_log: Option<PathBuf>,
}

impl Options {
    /// The prefix.
    pub(super) fn prefix(&self) -> PathBuf {
        self.prefix.clone().unwrap_or(PathBuf::from(PREFIX))
    }

    /// The configuration's main file.
    pub(super) fn file(&self) -> PathBuf {
        let file = self.file.as_deref().unwrap_or(Path::new(FILE));
        self.prefix().join(file)
    }

    /// The first error log; `None` is standard error.
    pub(super) fn error_log(&self) -> Option<PathBuf> {
        let file = self.error_log.as_deref().unwrap_or(Path::new(ERROR_LOG));
        let none = [Path::new("stderr"), Path::new("")];
        (!none.contains(&file)).then(|| self.prefix().join(file))
    }
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// nginx's sentence about the first that is wrong.
pub(super) fn parse(arguments: &[OsString]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(letters) = argument.as_bytes().strip_prefix(b"-") else {
            return Err(format!("invalid option: \"{}\"", argument.display()));
        };
        for (at, letter) in letters.iter().enumerate() {
            match letter {
                b'?' | b'h' => (options.version, options.help) = (true, true),
                b'v' => options.version = true,
                b'V' => (options.version, options.configure) = (true, true),
                b't' => options.test = true,
                b'T' => (options.test, options.dump) = (true, true),
                b'q' => options.quiet = true,
                b'p' | b'c' | b'e' | b'g' | b's' => {
                    let beside = letters.get(at + 1..).filter(|beside| !beside.is_empty());
                    let value = beside.map(OsStr::from_bytes);
                    let value = value.or_else(|| rest.next().map(OsString::as_os_str));
                    // Scripts give an empty variable; without a file or with none to log to it is as if it was not there.
                    let may_be_empty = matches!(letter, b'g' | b'e' | b's');
                    let value = value.filter(|value| may_be_empty || !value.is_empty());
                    options.take(*letter, value)?;
                    break;
                }
                other => {
                    return Err(format!("invalid option: \"{}\"", char::from(*other)));
                }
            }
        }
    }
    Ok(options)
}

impl Options {
    fn take(&mut self, letter: u8, value: Option<&OsStr>) -> Result<(), String> {
        let missing = |what: &str| format!("option \"-{}\" requires {what}", char::from(letter));
        match letter {
            b'p' => {
                let mut prefix = value
                    .ok_or(missing("directory name"))?
                    .to_owned()
                    .into_vec();
                if prefix.last() != Some(&b'/') {
                    prefix.push(b'/');
                }
                self.prefix = Some(OsString::from_vec(prefix).into());
            }
            b'c' => self.file = Some(value.ok_or(missing("file name"))?.into()),
            b'e' => self.error_log = Some(value.ok_or(missing("file name"))?.into()),
            b'g' => {
                let value = value.ok_or(missing("parameter"))?;
                self.globals = value.to_string_lossy().into_owned();
            }
            _ => {
                let value = value.ok_or(missing("parameter"))?.to_string_lossy();
                if !["stop", "quit", "reopen", "reload"].contains(&&*value) {
                    return Err(format!("invalid option: \"-s {value}\""));
                }
                self.signal = Some(value.into_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Options, String> {
        let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        parse(&words)
    }

    #[test]
    fn directives_and_an_error_log_may_be_empty_texts() {
        let words = ["-g", "", "-e", ""].map(OsString::from);
        let options = parse(&words).unwrap();
        assert_eq!(options.globals, "");
        assert_eq!(options.error_log(), None);
        let signal = ["-s", ""].map(OsString::from);
        let refused = "invalid option: \"-s \"".to_owned();
        assert_eq!(parse(&signal), Err(refused));
    }

    #[test]
    fn letters_run_together_and_values_may_follow_at_once() {
        let options = of("-tq -p/x -cnginx.conf -e stderr -gdaemon").unwrap();
        assert!(options.test && options.quiet && !options.dump);
        assert_eq!(options.file(), Path::new("/x/nginx.conf"));
        assert_eq!(options.error_log(), None);
        assert_eq!(options.globals, "daemon");
        assert_eq!(of("").unwrap().file(), Path::new(FILE));
        assert_eq!(
            of("-p /x/ -e a.log").unwrap().error_log(),
            Some("/x/a.log".into())
        );
    }

    #[test]
    fn what_is_wrong_is_said_in_nginxs_words() {
        for (line, said) in [
            ("-x", "invalid option: \"x\""),
            ("foo", "invalid option: \"foo\""),
            ("-c", "option \"-c\" requires file name"),
            ("-p", "option \"-p\" requires directory name"),
            ("-g", "option \"-g\" requires parameter"),
            ("-s foo", "invalid option: \"-s foo\""),
        ] {
            assert_eq!(of(line).unwrap_err(), said);
        }
    }
}
