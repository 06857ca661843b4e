//! What hubgate tells about itself: causes, metrics, the event log and the access log.
//!
//! Nothing here decides anything about traffic, and nothing on the request path waits for a disk.

pub mod access_log;
pub mod cause;
pub mod count;
pub mod events;
pub mod frames;
pub mod history;
pub mod hostname;
pub mod log;
pub mod metrics;
pub mod nginx_lines;
pub mod open;
pub mod output;
pub mod reasons;
pub mod sink;
pub mod syslog;
pub mod targets;
