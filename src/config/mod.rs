//! What a configuration means: [`Config`], typed and checked, with every default filled in.
//!
//! `schema` says what may be typed, `validate` turns it into this or into all its faults at once, `diagnostic` and
//! `render` show them. Invariant: a `Config` that exists can be run; nothing later finds fault with its contents
//! (files it names are read by whoever uses them).
#![deny(clippy::disallowed_methods)]

mod model;

pub use model::*;
