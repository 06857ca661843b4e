//! The life of a request: checks, routing, forwarding, tunnels, answers of our own.
