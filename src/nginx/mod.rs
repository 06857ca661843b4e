//! nginx's configuration: read as nginx reads it, understood as nginx understands it.
//!
//! [`read`] gives a [`Tree`] or nginx's own complaint; [`table`] knows every directive and what becomes of it. Pure
//! but for [`Disk`]. Nothing here runs: [`import`] turns what is found into hubgate's own configuration, and [`origin`]
//! does so for whoever reads one.

mod accounts;
mod addresses;
mod asked;
mod document;
mod fault;
mod files;
mod glob;
mod hashes;
mod hosts;
pub mod import;
mod judge;
mod lex;
mod lua;
mod meaning;
mod merged;
pub mod model;
mod modules;
mod moved;
pub mod origin;
mod paths;
mod read;
mod scope;
mod secured;
mod sense;
mod shared;
pub mod table;
pub mod text;
pub mod title;
mod together;
mod tree;
pub mod uri;
pub mod value;
mod workers;

pub use crate::types::pattern::{Captures, Pattern};
pub use asked::{Asked, Habits};
pub use document::document;
pub use fault::{At, Fault};
pub use files::{Disk, Files, Memory};
pub use moved::Moved;
pub use read::{Options, read};
pub use tree::{Block, Directive, Place, Tree, Word};

/// nginx's version whose language this is.
pub const UNDERSTOOD: &str = "1.22.1";
