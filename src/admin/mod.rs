//! The operator's door: status, metrics and reload over a unix socket; status and metrics over loopback HTTP.
