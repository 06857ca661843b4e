//! Certificates from an ACME authority (RFC 8555): tokens and orders, and the worker that carries them out.
