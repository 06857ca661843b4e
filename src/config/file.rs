//! Fetches a configuration file: the only file of this module that touches the disk.
//!
//! Bounded in size, and every failure is a diagnostic like any other fault. What the text means is `parse`'s job.
#![allow(clippy::disallowed_methods, reason = "this file is the module's IO")]

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Report};
use super::parse::{Loaded, checked};
use super::schema::reader::Files;
use super::source::Source;
use crate::types::amount::ByteSize;

/// A configuration of this size is a mistake, and reading a device would never end.
const MOST_BYTES: u64 = 4 << 20;

/// Reads and checks the file at `path`. Relative paths in it start from its folder.
///
/// Fails with everything that is wrong with it; a file that cannot be read is one such fault.
pub fn read(path: &Path) -> Result<Loaded, Report> {
    load(&fetch(path)?)
}

/// Checks a configuration's text together with the error pages and the client authorities that it names.
///
/// Fails with everything that is wrong with either.
pub fn load(source: &Source) -> Result<Loaded, Report> {
    let now = time::OffsetDateTime::now_utc();
    checked(source, Files(Some((text_of, now))))
}

fn text_of(path: &Path, most: u64) -> Result<String, String> {
    let bytes = bytes_of(path, most).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Reads the file at `path` without looking at what it says.
///
/// Fails if it cannot be read, is larger than 4 MiB or is not UTF-8.
pub fn fetch(path: &Path) -> Result<Source, Report> {
    let name = path.display().to_string();
    let folder = std::path::absolute(path)
        .ok()
        .and_then(|path| path.parent().map(Path::to_path_buf))
        .unwrap_or_else(|| PathBuf::from("/"));
    let refuse = |text: &str, diagnostic| {
        Report::new(
            Source::new(name.as_str(), folder.as_path(), text),
            vec![diagnostic],
        )
    };
    let bytes = match bytes_of(path, MOST_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            let mut diagnostic =
                Diagnostic::whole("cannot-read", format!("cannot read `{name}`: {error}"));
            if error.kind() == io::ErrorKind::NotFound {
                diagnostic = diagnostic.hint("give the file with `-c FILE`");
            }
            return Err(refuse("", diagnostic));
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(name.as_str(), folder.as_path(), text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            let diagnostic = Diagnostic::error("not-utf8", at..at, "the file is not UTF-8 text");
            Err(refuse(&text, diagnostic.label("from here on")))
        }
    }
}

fn bytes_of(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let most = ByteSize(most);
        return Err(io::Error::other(format!("it is larger than {most}")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_a_fault_that_names_it() {
        let report = read(Path::new("/nonexistent/hubgate.toml")).unwrap_err();
        assert!(
            report
                .to_string()
                .contains("cannot read `/nonexistent/hubgate.toml`"),
            "{report}"
        );
    }

    #[test]
    fn a_file_that_is_not_utf8_is_refused_at_the_first_bad_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, b"[server]\nworkers = 1\n# \xff\n").unwrap();
        let report = read(&path).unwrap_err();
        assert!(report.to_string().contains("a.toml:3:3"), "{report}");
    }

    #[test]
    fn a_relative_certificate_is_beside_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let text = "[site.\"a.example\"]\ncertificate = { chain = \"c.pem\", key = \"k.pem\" }\n";
        std::fs::write(&path, text).unwrap();
        let config = read(&path).unwrap().config;
        let chain = folder.path().join("c.pem");
        let key = folder.path().join("k.pem");
        assert_eq!(
            config.sites[0].certificate,
            super::super::CertificateSource::Files(vec![super::super::PairFiles {
                chain,
                key,
                passwords: None,
            }])
        );
    }
}
