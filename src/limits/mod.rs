//! Bounds on what clients may take: connections in total and per client.
