//! The stand-in hub that `hubgate demo` puts behind a real configuration.
