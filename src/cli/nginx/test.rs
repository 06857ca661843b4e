//! `nginx -t` and `-T`: whether the configuration would be served, and all its files.
//!
//! What nginx would take and hubgate would not, and what hubgate does not carry over, is said as well: the first is an
//! error, the others are warnings with their lines.

use std::collections::BTreeSet;
use std::fs;

use super::options::Options;
use super::words::{Fault, Words};
use super::{files, refused, secrets};
use crate::cli::{complain, print};
use crate::config::{self, CertificateSource, Config, Paint, Source};
use crate::nginx::import::{Fate, import_as};
use crate::nginx::{Asked, At, Tree};
use crate::observe::reasons::with_reasons;
use crate::tls::pem::load_files;

/// Says what is to be said.
pub(super) fn run(
    options: &Options,
    asked: &Asked,
    tree: &Tree,
    words: &Words,
) -> Result<(), Fault> {
    let file = options.file();
    let folder = file.parent().unwrap_or(&file);
    let absolute = std::path::absolute(folder).unwrap_or(folder.to_path_buf());
    for warning in secrets::tried(tree, &absolute)? {
        words.say("warn", &warning);
    }
    well_formed(options, words);
    // About the whole, so it has been read.
    for warning in tree.warnings.iter().filter(|own| own.at == At::Nowhere) {
        words.say("warn", &warning.to_string());
    }
    let imported = import_as(tree, asked);
    let source = Source::new("nginx", folder, &*imported.toml);
    let loaded = config::load(&source);
    let loaded = loaded.map_err(|report| refused(&report.render(Paint::Plain)))?;
    certificates(&loaded.config)?;
    files::made(options, tree)?;
    files::bound(&loaded.config)?;
    let lost = imported.report.lines.iter();
    for line in lost.filter(|line| line.fate == Fate::Lost && !options.quiet) {
        let name = line.directive.split(' ').next().unwrap_or_default();
        complain(&format!(
            "nginx: [warn] \"{name}\" is not carried: {} in {}\n",
            line.text, line.place
        ));
    }
    if !options.quiet {
        words.tell(&format!(
            "configuration file {} test is successful",
            file.display()
        ));
    }
    if options.dump {
        dump(tree)?;
    }
    Ok(())
}

/// Says that the file could be read.
pub(super) fn well_formed(options: &Options, words: &Words) {
    if !options.quiet {
        words.tell(&format!(
            "the configuration file {} syntax is ok",
            options.file().display()
        ));
    }
}

/// Whether there is what TLS is to show.
fn certificates(config: &Config) -> Result<(), Fault> {
    let of_sites = config
        .sites
        .iter()
        .filter_map(|site| match &site.certificate {
            CertificateSource::Files(files) => Some(files),
            _ => None,
        });
    let of_streams = config.streams.iter().filter_map(|stream| {
        let more = stream.more.as_ref()?;
        more.tls.as_ref().map(|tls| &tls.pairs)
    });
    for files in of_sites.chain(of_streams).flatten() {
        load_files(files).map_err(|error| {
            let chain = files.chain.display();
            let reason = with_reasons(&error);
            Fault::emerg(format!("cannot load certificate \"{chain}\": {reason}"))
        })?;
    }
    Ok(())
}

/// Prints each file once, as it is.
fn dump(tree: &Tree) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for name in tree.files.iter().filter(|name| *name != "command line") {
        if !seen.insert(name) {
            continue;
        }
        let text = fs::read(name).map_err(|error| {
            Fault::emerg(format!(
                "open() \"{name}\" failed ({})",
                super::words::system(&error)
            ))
        })?;
        print(&format!(
            "# configuration file {name}:\n{}\n",
            String::from_utf8_lossy(&text)
        ));
    }
    Ok(())
}
