//! What an nginx configuration means: servers, listeners, names, locations, and what counts in each.
//!
//! Borrows from the [`Tree`](super::Tree). Invariant: nothing here decides what hubgate does; it is nginx's own meaning.

mod location;
mod places;
mod proxy;
mod scope;

pub use location::{Location, Locations};
pub(in crate::nginx) use location::{Mark, head};
pub use places::{Found, Kind, Place, Places};
pub use proxy::{Address, Pass};
pub use scope::Scope;
