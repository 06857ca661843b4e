//! Commands: arguments to actions to exit codes. The only place that prints.

pub mod check;
