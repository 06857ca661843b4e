//! Sockets: bind, accept, TLS handshake, and the guarded stream that every request is read from.
