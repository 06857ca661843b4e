//! `[why]`: what the process remembers of single requests, for `hubgate why`.
//!
//! Both keys bound something; zero turns it off.

use super::reader::{Reader, value};
use super::{Key, Kind, Table};
use crate::config::why::Why;

pub(in crate::config) static TABLE: Table = Table {
    header: "[why]",
    about: "What is remembered of single requests, for `hubgate why`. Takes effect at start.",
    keys: &[
        Key::new(
            "memory",
            Kind::Size(0, 1 << 30),
            "\"4MiB\"",
            "Memory for it, at most 2 KiB a request: every failure, and a quarter for samples of the rest.",
        ),
        Key::new(
            "sample",
            Kind::Count(0, 1_000_000_000),
            "100",
            "Every how manieth request that did not fail is remembered too; 0 remembers none.",
        ),
    ],
};

/// Reads the table.
pub(in crate::config) fn read(reader: &Reader<'_>) -> Option<Why> {
    let memory = reader.size("memory");
    let sample = reader.count("sample");
    Some(Why {
        memory: value(memory)?,
        sample: value(sample)?,
    })
}
