//! The full effective configuration as TOML that loads to an equal one.
//!
//! Relative paths come out as they were resolved. Comments say what a preset stands for, and which of its values the
//! route overrides.

use super::access_log::AccessLog;
use super::model::{Config, Route, Site};
use super::preset;
use super::show::{self, Entry, quoted};
use super::show_definition;
use super::validate::key_text;

/// Prints every key with the value in force.
pub fn explain(config: &Config) -> String {
    let mut out =
        String::from("# The effective configuration: every key with the value in force.\n");
    section(&mut out, "[server]", show::server(&config.server));
    section(&mut out, "[listen]", show::listen(&config.listen));
    section(&mut out, "[limits]", show::limits(&config.limits));
    section(&mut out, "[timeouts]", show::timeouts(&config.timeouts));
    section(&mut out, "[tls]", show::tls(&config.tls));
    section(&mut out, "[log]", show::log(&config.log));
    section(
        &mut out,
        "[access_log]",
        show::access_log(&config.access_log),
    );
    section(
        &mut out,
        "[error_pages]",
        show::error_pages(&config.error_pages),
    );
    section(&mut out, "[admin]", show::admin(&config.admin));
    section(&mut out, "[why]", show::why(&config.why));
    section(&mut out, "[acme]", show::acme(&config.acme));
    for site in &config.sites {
        explain_site(&mut out, site, config);
    }
    for (name, zone) in &config.rates {
        let head = format!("[rate.{}]", key_text(name));
        section(&mut out, &head, show::rate(zone));
    }
    for (name, zone) in &config.concurrency {
        let head = format!("[concurrency.{}]", key_text(name));
        section(&mut out, &head, show::concurrency(zone));
    }
    for stream in &config.streams {
        section(&mut out, "[[stream]]", show::stream(stream));
        if stream.access_log != config.access_log {
            let entries = own_log(&stream.access_log, &config.access_log);
            section(&mut out, "[stream.access_log]", entries);
        }
    }
    for upstream in config.upstreams.values() {
        let head = format!("[upstream.{}]", key_text(upstream.name.as_str()));
        section(&mut out, &head, show::upstream(upstream));
    }
    section(&mut out, "[resolver]", show::resolver(&config.resolver));
    for (name, definition) in config.definitions.iter() {
        let head = format!("[{}.{name}]", show_definition::word(definition));
        section(&mut out, &head, show_definition::definition(definition));
    }
    out
}

/// A log that is not what it could inherit, and no part of it inherited.
fn own_log(own: &AccessLog, inherited: &AccessLog) -> Vec<Entry> {
    let mut entries = show::access_log(own);
    if own.events.is_empty() && !inherited.events.is_empty() {
        entries.push(("events", "[]".to_owned()));
    }
    entries
}

fn explain_site(out: &mut String, site: &Site, inherited: &Config) {
    let path = format!("site.{}", quoted(site.name()));
    section(out, &format!("[{path}]"), show::site(site));
    if site.access_log != inherited.access_log {
        section(
            out,
            &format!("[{path}.access_log]"),
            own_log(&site.access_log, &inherited.access_log),
        );
    }
    if site.error_pages != inherited.error_pages {
        section(
            out,
            &format!("[{path}.error_pages]"),
            show::error_pages(&site.error_pages),
        );
    }
    if site.tls != inherited.tls {
        let mut entries = show::tls(&site.tls);
        entries.retain(|(key, _)| *key != "ticket_rotation");
        section(out, &format!("[{path}.tls]"), entries);
    }
    for route in &site.routes {
        let mut outer = site.outer(route);
        let inherited = outer.map_or(&site.access_log, |outer| &outer.access_log);
        let mut path = format!("{path}.route");
        while let Some(around) = outer {
            path.push_str(".route");
            outer = site.outer(around);
        }
        out.push_str(&format!("\n[[{path}]]\n"));
        lines(out, marked(route));
        if route.access_log != *inherited {
            let entries = own_log(&route.access_log, inherited);
            section(out, &format!("[{path}.access_log]"), entries);
        }
    }
}

/// A route's entries; those that a preset sets say so.
fn marked(route: &Route) -> Vec<Entry> {
    let mut entries = show::route(route);
    let Some(chosen) = route.preset else {
        return entries;
    };
    let plain = preset::values(None);
    let given = preset::values(Some(chosen));
    let plain = show::preset_keys(plain.body_limit, &plain.timeouts);
    let given = show::preset_keys(given.body_limit, &given.timeouts);
    for (key, value) in &mut entries {
        let of = |values: &[Entry]| {
            values
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value.clone())
        };
        let (Some(given), Some(plain)) = (of(&given), of(&plain)) else {
            continue;
        };
        if *value != given {
            value.push_str(&format!("  # instead of the preset's {given}"));
        } else if given != plain {
            value.push_str(&format!("  # from the preset; {plain} without one"));
        }
    }
    entries
}

fn section(out: &mut String, head: &str, entries: Vec<Entry>) {
    out.push_str(&format!("\n{head}\n"));
    lines(out, entries);
}

fn lines(out: &mut String, entries: Vec<Entry>) {
    for (key, value) in entries {
        out.push_str(&format!("{key} = {value}\n"));
    }
}
