//! Which site and which route a request belongs to.
