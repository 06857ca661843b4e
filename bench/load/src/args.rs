//! What the command line says: one word, then `--key value` pairs and bare flags.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

const FLAGS: &[&str] = &["tls", "websocket"];
const KEYS: &[&str] = &[
    "listen",
    "connect",
    "connections",
    "size",
    "seconds",
    "warm",
    "rate",
    "path",
];

/// The word that chooses what to do, and its settings.
pub struct Args {
    /// `origin`, `latency`, ...
    pub word: String,
    settings: HashMap<String, String>,
}

impl Args {
    /// Refuses keys it does not know and keys without a value.
    pub fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, String> {
        let word = given.next().ok_or("which one?")?;
        let mut settings = HashMap::new();
        while let Some(name) = given.next() {
            let key = name.strip_prefix("--").unwrap_or_default();
            let value = if FLAGS.contains(&key) {
                String::new()
            } else if KEYS.contains(&key) {
                given
                    .next()
                    .ok_or_else(|| format!("`{name}` needs a value"))?
            } else {
                return Err(format!("unknown `{name}`"));
            };
            settings.insert(key.to_owned(), value);
        }
        Ok(Self { word, settings })
    }

    /// Whether a flag was given.
    pub fn has(&self, flag: &str) -> bool {
        self.settings.contains_key(flag)
    }

    /// A setting, or its default.
    pub fn get<T: FromStr>(&self, key: &str, default: T) -> io::Result<T> {
        match self.settings.get(key) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| io::Error::other(format!("`--{key} {text}` cannot be"))),
        }
    }

    /// An address that must be given.
    pub fn address(&self, key: &str) -> io::Result<SocketAddr> {
        self.settings
            .get(key)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| io::Error::other(format!("`--{key} IP:PORT` is needed")))
    }

    /// How long to warm up, and how long to count.
    pub fn times(&self) -> io::Result<(Duration, Duration)> {
        let warm = Duration::from_secs_f64(self.get("warm", 0.3)?);
        Ok((warm, Duration::from_secs_f64(self.get("seconds", 2.0)?)))
    }
}
