//! What one decision of a request costs: `cargo bench`, or `cargo bench -- router` for some of them.
//!
//! For work on one of these functions. Whether a request became cheaper is said by `bench/instructions` and
//! `bench/compare`, since caches here are always warm. Memory comes from the allocator that the product has.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]

mod access_log;
mod balance;
mod filters;
mod limits;
mod router;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}
