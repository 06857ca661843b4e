//! What a preset stands for: documented values for a kind of upstream, each with its reason.
//!
//! A route's own keys override them. Streaming, raw targets, `Host` with its port and the forwarded fields are the
//! same for every route and need no preset.

use std::time::Duration;

use super::model::{Preset, RouteTimeouts};
use crate::types::amount::ByteSize;

/// The words a route can write.
pub(super) const NAMES: &[&str] = &["jupyterhub", "binderhub"];

/// What a route gets for the keys it does not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// Largest request body; `None` is no limit.
    pub body_limit: Option<ByteSize>,
    /// Time limits towards the upstream.
    pub timeouts: RouteTimeouts,
}

impl Preset {
    /// Takes the word as typed.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "jupyterhub" => Some(Self::JupyterHub),
            "binderhub" => Some(Self::BinderHub),
            _ => None,
        }
    }

    /// The word as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::JupyterHub => "jupyterhub",
            Self::BinderHub => "binderhub",
        }
    }
}

/// The values of a preset, or those of a route without one.
pub fn values(preset: Option<Preset>) -> Values {
    let plain = Values {
        // Generous for forms and APIs, and a bound on what a stranger can push at an unknown upstream.
        body_limit: Some(ByteSize(64 << 20)),
        timeouts: RouteTimeouts {
            connect: Duration::from_secs(5),
            tls: Duration::from_secs(5),
            response: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            send: None,
            tunnel_handshake: Duration::from_secs(30),
            tunnel_idle: HOUR,
            total: None,
        },
    };
    match preset {
        None => plain,
        // Both serve the same two things: files of any size through the hub, and streams that stay silent for long.
        Some(Preset::JupyterHub | Preset::BinderHub) => Values {
            // Jupyter Server takes 512 MB; every edge limit in front of it has been reported as a fault.
            body_limit: None,
            timeouts: RouteTimeouts {
                // Spawns and nbconvert to PDF take minutes before the first byte.
                response: Duration::from_secs(600),
                // Event streams say something every 8 s (spawn progress) or 25 s (builds); silence of an hour is death.
                idle: HOUR,
                // Kernel sockets ping every 30 s, but proxied apps such as desktops do not ping at all.
                tunnel_idle: HOUR,
                ..plain.timeouts
            },
        },
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_preset() {
        for name in NAMES {
            assert_eq!(Preset::parse(name).map(Preset::name), Some(*name));
        }
    }

    #[test]
    fn a_hub_has_no_body_limit_and_no_short_limit() {
        for preset in [Preset::JupyterHub, Preset::BinderHub] {
            let values = values(Some(preset));
            assert_eq!(values.body_limit, None);
            assert!(values.timeouts.response >= Duration::from_secs(600));
            assert!(values.timeouts.idle >= HOUR && values.timeouts.tunnel_idle >= HOUR);
        }
    }
}
