//! What a generator writes: `ready`, then one line of JSON.

use std::cell::Cell;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Tells whoever measures that what is counted begins now.
pub fn ready() -> io::Result<()> {
    line("ready")
}

/// Lets the warm-up pass, then opens the counted time, and closes it when it is over; its length in seconds.
pub async fn count_while(open: &Cell<bool>, times: (Duration, Duration)) -> io::Result<f64> {
    tokio::time::sleep(times.0).await;
    open.set(true);
    let began = Instant::now();
    ready()?;
    tokio::time::sleep(times.1).await;
    open.set(false);
    Ok(began.elapsed().as_secs_f64())
}

/// Ends the counted time.
pub fn done(value: &Value) -> io::Result<()> {
    line(&value.to_string())
}

fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// How long things took: microseconds up to a minute, to three digits.
pub struct Times(Histogram<u64>);

impl Times {
    /// None yet.
    pub fn new() -> io::Result<Self> {
        Histogram::new_with_bounds(1, 60_000_000, 3)
            .map(Self)
            .map_err(io::Error::other)
    }

    /// One more; beyond a minute counts as a minute.
    pub fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(micros.max(1));
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Percentiles in milliseconds.
    pub fn json(&self) -> Value {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e3;
        json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p99.9": at(0.999), "max": self.0.max() as f64 / 1e3})
    }
}
