//! One configuration generation, immutable, ready to run.
