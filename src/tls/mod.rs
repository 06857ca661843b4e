//! Certificates and the TLS configurations that serve them.
