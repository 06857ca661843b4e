//! A file of endpoints in TOML: `endpoints` as an upstream has it, and nothing else.
//!
//! Pure. The same reader and the same faults as for the configuration; names are for that alone, since a file is how others
//! say what a name would.

use toml::de::DeTable;

use super::balancing::Endpoint;
use super::diagnostic::{Diagnostic, Report, Severity, Sink};
use super::own_names::OwnNames;
use super::schema::balancing::endpoints_of_file;
use super::schema::reader::{At, Context, Files};
use super::source::Source;
use super::syntax;
use super::validate::each_once;

/// Takes the endpoints of a file, which may be none. Fails with everything that is wrong with it.
pub fn endpoints(source: &Source) -> Result<Vec<Endpoint>, Report> {
    let (document, errors) = DeTable::parse_recoverable(source.text());
    let (sink, own) = (Sink::default(), OwnNames::default());
    let context = Context {
        source,
        sink: &sink,
        files: Files::default(),
        own: &own,
    };
    let found = endpoints_of_file(document.get_ref(), context).unwrap_or_default();
    let addresses = found.iter().map(|at| At {
        value: at.value.address,
        span: at.span.clone(),
    });
    each_once(&addresses.collect::<Vec<_>>(), &sink, |again, _| {
        let message = format!("endpoint `{}` is there twice", again.value);
        Diagnostic::error("duplicate-endpoint", again.span.clone(), message)
    });
    let mut diagnostics = syntax::faults(source, &errors);
    // What is missing may only be unreadable.
    if diagnostics.is_empty() {
        diagnostics = sink.into_inner();
    }
    match diagnostics
        .iter()
        .any(|one| one.severity == Severity::Error)
    {
        false => Ok(found.into_iter().map(|at| at.value).collect()),
        true => Err(Report::new(source.clone(), diagnostics)),
    }
}
