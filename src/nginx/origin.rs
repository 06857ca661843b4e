//! Where a configuration comes from: a file of hubgate's, or nginx's, written `nginx:PATH`.
//!
//! nginx's is imported in memory each time it is read, so that a reload takes what its files say then. All who read a
//! configuration by its path come here.

use std::path::{Path, PathBuf};

use super::import::{Imported, import};
use super::{Disk, Options, read as read_tree};
use crate::config::{self, Diagnostic, Loaded, Report, Source};

/// Before the path of an nginx configuration.
const MARK: &str = "nginx:";

/// The name of an nginx configuration where one of hubgate's is expected. A folder stands for its `nginx.conf`.
pub fn of_nginx(path: &Path) -> PathBuf {
    let path = match path.is_dir() {
        true => path.join("nginx.conf"),
        false => path.to_path_buf(),
    };
    let path = std::path::absolute(&path).unwrap_or(path);
    let mut name = std::ffi::OsString::from(MARK);
    name.push(path);
    PathBuf::from(name)
}

/// Reads the configuration that a path stands for, without looking at what it says.
///
/// # Errors
/// As [`config::fetch`]; what nginx would refuse is told in its words.
pub fn fetch(path: &Path) -> Result<Source, Report> {
    let Some(main) = path.to_str().and_then(|path| path.strip_prefix(MARK)) else {
        return config::fetch(path);
    };
    let main = Path::new(main);
    let folder = main.parent().unwrap_or(Path::new("/"));
    let name = path.display().to_string();
    match imported(main) {
        Ok(imported) => Ok(Source::new(name, folder, imported.toml)),
        Err(refusal) => Err(Report::new(
            Source::new(name, folder, ""),
            vec![Diagnostic::whole("nginx", refusal)],
        )),
    }
}

/// Reads and checks the configuration that a path stands for.
///
/// # Errors
/// As [`fetch`] and [`config::load`].
pub fn read(path: &Path) -> Result<Loaded, Report> {
    config::load(&fetch(path)?)
}

/// Imports nginx's main file from the disk. Directives of modules that nobody knows are kept for the report.
///
/// # Errors
/// nginx's sentence.
pub fn imported(main: &Path) -> Result<Imported, String> {
    let options = Options {
        globals: String::new(),
        keep_unknown: true,
    };
    match read_tree(&Disk, main, &options) {
        Ok(tree) => Ok(import(&tree)),
        Err(refused) => Err(format!("nginx: [emerg] {}", refused.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_nginx_configuration_is_read_as_hubgates_own() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("nginx.conf");
        let text = "events {} http { server { server_name a.example.org; location / { proxy_pass http://127.0.0.1:9; } } }";
        std::fs::write(&main, text).unwrap();
        let config = read(&of_nginx(folder.path())).unwrap().config;
        assert_eq!(config.sites[0].name(), "a.example.org");
        std::fs::write(&main, "http {").unwrap();
        let report = read(&of_nginx(&main)).unwrap_err().to_string();
        assert!(
            report.contains("unexpected end of file, expecting \"}\" in"),
            "{report}"
        );
    }
}
