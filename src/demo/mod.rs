//! The stand-in hub that `hubgate demo` puts behind a real configuration.
//!
//! It does what is hard to proxy in JupyterHub and BinderHub, and nothing else: it shows the request that arrived, streams
//! events, takes uploads, answers late and echoes WebSockets, below `/jupyterhub/` and `/binderhub/` alike. Listens on
//! loopback only. Printing and starting hubgate itself is `cli::demo`'s business.

mod answers;
mod configuration;
mod server;
mod websocket;

pub use configuration::{Ports, config};
pub use server::Hub;
