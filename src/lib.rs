//! hubgate: the edge in front of a BinderHub / JupyterHub cluster. This page is the map.
//!
//! # Layers
//!
//! A module imports its own layer's listed names and anything lower; `tests/architecture.rs` checks it.
//!
//! | layer | modules | what they are |
//! |---|---|---|
//! | 1 | [`types`] | values: names, hosts, paths, amounts |
//! | 2 | [`config`], [`nginx`], [`observe`], [`dns`], [`transport`], [`watch`] | what is wanted; what nginx was told; what is told; what names stand for; connections as bytes; files that change |
//! | 3 | [`router`], [`limits`], [`tls`], [`upstream`], [`acme`], [`access`] | decisions, and the certificates and connections they are about |
//! | 4 | [`snapshot`] | one configuration generation, ready to run |
//! | 5 | [`listener`], [`proxy`], [`stream`], [`admin`] | sockets, requests, connections passed on, the operator |
//! | 6 | [`server`] | the process: workers, reload, stop |
//! | 7 | [`cli`], [`demo`] | commands, and the hub that `hubgate demo` shows |
//!
//! # Words
//!
//! listener, site (a set of hosts), route, upstream (named group), endpoint (one address), tunnel (an upgraded
//! connection), stream (connections passed on unopened), certificate, challenge, order, snapshot, generation, drain, cause.

pub mod access;
pub mod acme;
pub mod admin;
pub mod cli;
pub mod config;
pub mod demo;
pub mod dns;
pub mod limits;
pub mod listener;
pub mod nginx;
pub mod observe;
pub mod proxy;
pub mod router;
pub mod server;
pub mod snapshot;
pub mod stream;
pub mod tls;
pub mod transport;
pub mod types;
pub mod upstream;
pub mod watch;
