//! The load that `wrk` and `h2load` cannot make, and the origin that answers it.
//!
//! `load origin` serves an echo WebSocket, an event stream and a sink for uploads; every other word is a generator for
//! one row of `bench/compare`. A generator writes `ready` when its connections stand and it is warm; what it counts
//! lies between that line and the line of JSON that ends it, so that whoever reads both knows what the proxy spent in
//! between. One thread: generator and origin share a core. Durations are seconds, times in the JSON milliseconds.

mod args;
mod client;
mod events;
mod frames;
mod handshakes;
mod idle;
mod latency;
mod origin;
mod pace;
mod report;
mod upload;
mod websocket;

use std::io;
use std::process::ExitCode;

use args::Args;

const USAGE: &str = "\
load origin     --listen IP:PORT
load websocket  --connect IP:PORT [--tls] [--connections N] [--size BYTES] [--seconds S] [--warm S]
load events     --connect IP:PORT [--tls] [--connections N] [--seconds S] [--warm S]
load latency    --connect IP:PORT [--tls] [--connections N] --rate N [--seconds S] [--warm S] [--path /6]
load handshakes --connect IP:PORT [--connections N] [--seconds S] [--warm S] [--path /6]
load upload     --connect IP:PORT [--tls] [--connections N] [--size BYTES] [--seconds S] [--warm S]
load idle       --connect IP:PORT [--tls] [--websocket] [--connections N] [--path /6]     until its input ends";

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(what) => {
            eprintln!("{what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load {}: {error}", args.word);
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        match args.word.as_str() {
            "origin" => origin::serve(args).await,
            "websocket" => websocket::run(args).await,
            "events" => events::run(args).await,
            "latency" => latency::run(args).await,
            "handshakes" => handshakes::run(args).await,
            "upload" => upload::run(args).await,
            "idle" => idle::run(args).await,
            word => Err(io::Error::other(format!("unknown word `{word}`\n{USAGE}"))),
        }
    })
}
