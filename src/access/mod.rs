//! Who is let in: what rules say of an address, and whether a password is the right one.
//!
//! Decisions over values; the one file they need, [`passwords::Passwords`] keeps in memory. What a refused client is
//! told is `proxy`'s, when the file is read again `server`'s.

mod crypt;
mod des_crypt;
pub mod passwords;
pub mod rules;
