//! The process: workers, reload, signals, stop.
