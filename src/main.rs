//! The binary: hands the arguments to the library and its answer to the system.
//!
//! mimalloc serves small short-lived buffers from many threads better than the system's allocator, and musl's is slow.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hubgate::cli::run(std::env::args_os())
}
