//! Certificates and the TLS configurations that serve them.
//!
//! [`pem`] reads pairs, [`self_signed`] makes them, [`Certificates`] holds those being served, [`policies`] and
//! [`server_config`] serve from it, [`tickets`] lets clients resume, [`client`] knows them, `chain` and [`servers`] believe as OpenSSL, [`streams`] ends TLS at streams, [`watch`] keeps files up to date, [`verify`] says whether a pair is good for a host,
//! [`peek`] what a listener shows, [`key_log`] what it must not, [`unverified`] takes any. Orders are `acme`'s, sockets are `listener`'s. Invariant: a pair enters
//! [`Certificates`] only after its key was matched to its leaf, and leaves it only for another or by request.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

mod certificates;
mod chain;
pub mod client;
mod distinguished_name;
mod encrypted_key;
mod files;
pub mod key_log;
pub mod leaf;
pub mod names;
pub mod peek;
pub mod pem;
pub mod policies;
pub mod self_signed;
pub mod server_config;
pub mod servers;
mod signatures;
mod stamp;
pub mod stapling;
pub mod streams;
pub mod tickets;
pub mod unverified;
pub mod verify;
pub mod watch;

pub use certificates::{Certificates, Change, Origin, Served, UNRECOGNIZED_NAME};
pub use files::{FileCertificates, FileSpec, Known};

/// Makes aws-lc-rs the provider of every TLS configuration in this process. First thing in `main`; again is harmless.
pub fn install_provider() {
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS provider is already installed");
    }
}

/// The provider of every configuration: aws-lc-rs, X25519MLKEM768 (post-quantum) first among its key exchanges.
pub fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().map_or_else(
        || Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        Arc::clone,
    )
}
