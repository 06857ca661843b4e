//! The process: workers, reload, signals, stop.
//!
//! `start` makes everything in an order in which nothing has to be undone, `run` runs it; `worker` is one thread that serves
//! connections; `process` is what runs and the one place that changes it; `reload` prepares a change completely before
//! any of it is applied; `background` keeps that out of the way of requests; `watch` says when the file may have changed; `stop` drains. Exit codes: 0 stopped as asked, 1
//! configuration refused, 3 could not start.

mod background;
mod certificates;
mod client_trust;
mod control;
mod descriptors;
mod habits;
mod health;
mod kept;
mod named_files;
mod names;
mod notify;
mod open;
mod orders;
mod overrides;
mod password_files;
mod pid_file;
mod privileges;
mod process;
mod reload;
mod run;
mod self_check;
mod session_key;
mod signals;
mod start;
mod start_error;
mod stop;
mod told;
mod upgrade;
mod upstream_files;
mod upstreams;
mod watch;
mod watchdog;
mod worker;

pub use background::apart;
pub use run::{How, run, run_read};
pub use start_error::StartError;
