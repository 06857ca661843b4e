//! An error with everything that led to it, as one line for a log or a person.
//!
//! Each level of an error says only its own part; this is where they are put together, once, at the edge.
#![deny(clippy::disallowed_methods)]

/// The error and its sources, each after a colon.
pub fn with_reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        text.push_str(": ");
        text.push_str(&reason.to_string());
        source = reason.source();
    }
    text
}
