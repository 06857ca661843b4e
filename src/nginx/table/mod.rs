//! Every directive of nginx 1.22: where it may stand, how many words it takes, how it is inherited and what becomes of it.
//!
//! One table, one line a directive, one file a family of nginx's modules. The reader's refusals, the model's inheritance,
//! the import's report and `docs/nginx.md` are all made from it, so that none can say something else.
#![deny(clippy::disallowed_methods)]

mod access;
mod content;
mod core;
mod filters;
mod grpc;
mod log;
mod mail;
mod main;
mod others;
mod proxy;
mod rewrite;
mod rule;
mod stream;
mod tls;
mod upstream;
pub mod variables;

use std::collections::HashMap;
use std::sync::LazyLock;

pub use rule::{Arity, Context, Contexts, Fate, Form, Inherit, Rule};

/// A family of modules and its directives.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// As in documents.
    pub title: &'static str,
    /// In the order of their names.
    pub rules: &'static [Rule],
}

/// Every directive, in the order of `docs/nginx.md`.
pub static FAMILIES: &[Family] = &[
    family("Process and events", main::RULES),
    family("HTTP core", core::RULES),
    family("Proxy", proxy::RULES),
    family("gRPC", grpc::RULES),
    family("Upstreams", upstream::RULES),
    family("TLS and HTTP/2", tls::RULES),
    family("Access, passwords and limits", access::RULES),
    family("Rewriting, variables and maps", rewrite::RULES),
    family("Files and other content", content::RULES),
    family("What is done to answers", filters::RULES),
    family("Logs", log::RULES),
    family("Streams", stream::RULES),
    family("FastCGI, uwsgi, SCGI and memcached", others::RULES),
    family("Mail", mail::RULES),
];

static BY_NAME: LazyLock<HashMap<&'static str, Vec<&'static Rule>>> = LazyLock::new(|| {
    let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
    for rule in FAMILIES.iter().flat_map(|family| family.rules) {
        by_name.entry(rule.name).or_default().push(rule);
    }
    by_name
});

const fn family(title: &'static str, rules: &'static [Rule]) -> Family {
    Family { title, rules }
}

/// The rows of a name: one for each group of contexts where it means something else. None for a name nobody knows.
pub fn rules(name: &str) -> impl Iterator<Item = &'static Rule> {
    BY_NAME.get(name).into_iter().flatten().copied()
}

/// What a name means in a context.
pub fn rule(name: &str, context: Context) -> Option<&'static Rule> {
    rules(name).find(|rule| rule.contexts.has(context))
}

/// The context that a directive's braces open; `None` for those that hold no directives.
pub fn inner(context: Context, name: &str) -> Option<Context> {
    Some(match (name, context) {
        ("events", Context::Main) => Context::Events,
        ("http", Context::Main) => Context::Http,
        ("stream", Context::Main) => Context::Stream,
        ("mail", Context::Main) => Context::Mail,
        ("server", Context::Http) => Context::Server,
        ("server", Context::Stream) => Context::StreamServer,
        ("server", Context::Mail) => Context::MailServer,
        ("upstream", Context::Http) => Context::Upstream,
        ("upstream", Context::Stream) => Context::StreamUpstream,
        ("location", Context::Server | Context::Location) => Context::Location,
        ("limit_except", Context::Location) => Context::LimitExcept,
        ("if", Context::Server) => Context::ServerIf,
        ("if", Context::Location) => Context::LocationIf,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_one_thing_in_each_context() {
        for context in Context::ALL {
            for (name, rows) in BY_NAME.iter() {
                let here = rows.iter().filter(|rule| rule.contexts.has(context));
                assert!(here.count() <= 1, "{name} in {context:?}");
            }
        }
    }

    #[test]
    fn each_family_is_in_the_order_of_names_and_each_row_says_its_fate() {
        for family in FAMILIES {
            for pair in family.rules.windows(2) {
                assert!(pair[0].name <= pair[1].name, "{}", pair[1].name);
            }
            for rule in family.rules {
                let (Fate::Carried(text) | Fate::NotNeeded(text) | Fate::Lost(text)) = rule.fate;
                assert!(!text.is_empty() && !text.contains('|'), "{}", rule.name);
                assert!(rule.contexts.iter().next().is_some(), "{}", rule.name);
            }
        }
    }
}
