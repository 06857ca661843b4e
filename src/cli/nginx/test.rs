//! `nginx -t` and `-T`: whether the configuration would be served, and all its files.
//!
//! What nginx would take and hubgate would not, and what hubgate does not carry over, is said as well: the first is an
//! error, the others are warnings with their lines.

use std::collections::BTreeSet;
use std::fs;

use super::options::Options;
use super::refused;
use super::words::{Fault, Words};
use crate::cli::{complain, print};
use crate::config::{self, Paint, Source};
use crate::nginx::import::{Fate, import_as};
use crate::nginx::{Asked, Tree};

/// Says what is to be said.
pub(super) fn run(
    options: &Options,
    asked: &Asked,
    tree: &Tree,
    words: &Words,
) -> Result<(), Fault> {
    let file = options.file();
    if !options.quiet {
        words.tell(&format!(
            "the configuration file {} syntax is ok",
            file.display()
        ));
    }
    let imported = import_as(tree, asked);
    let folder = file.parent().unwrap_or(&file);
    let source = Source::new("nginx", folder, &*imported.toml);
    config::load(&source).map_err(|report| refused(&report.render(Paint::Plain)))?;
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
