//! The configuration of `hubgate demo`: real TOML, written for a reader who wants to learn from it.
//!
//! Pure: addresses in, text out. Invariant: it is one that `hubgate check` accepts.
#![deny(clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::path::Path;

/// The loopback ports hubgate listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Plain HTTP.
    pub http: u16,
    /// TLS.
    pub https: u16,
    /// The status page.
    pub admin: u16,
    /// Also listen on `[::1]`.
    pub ipv6: bool,
}

/// A configuration for `localhost` in front of the stand-in hub at `hub`; the admin socket and the state go to `folder`.
pub fn config(hub: SocketAddr, ports: Ports, folder: &Path) -> String {
    let Ports {
        http, https, admin, ..
    } = ports;
    let listen = |port: u16| match ports.ipv6 {
        true => format!("[\"127.0.0.1:{port}\", \"[::1]:{port}\"]"),
        false => format!("[\"127.0.0.1:{port}\"]"),
    };
    format!(
        r#"# What `hubgate demo` runs. Edit it while it runs: `hubgate reload` with the socket below reads it again, and open
# WebSockets stay open.

[server]
state_dir = {state}
drain_timeout = "3s"

[listen]
http = {listen_http}     # answers challenges, redirects the rest
https = {listen_https}

[admin]
socket = {socket}
listen = "127.0.0.1:{admin}"

[access_log]
target = "stdout"

[site."localhost"]
aliases = ["127.0.0.1", "::1"]
default = true
certificate = "self-signed"     # a real host leaves this out and gets one by ACME

  [[site."localhost".route]]
  path = "/jupyterhub/"
  preset = "jupyterhub"
  upstream = "hub"

  [[site."localhost".route]]
  path = "/binderhub/"
  preset = "binderhub"
  upstream = "hub"

  [[site."localhost".route]]
  exact = "/"
  upstream = "hub"

[upstream.hub]
endpoints = ["{hub}"]
"#,
        state = quoted(&folder.join("state")),
        socket = quoted(&folder.join("admin.sock")),
        listen_http = listen(http),
        listen_https = listen(https),
    )
}

/// A path as a TOML basic string.
fn quoted(path: &Path) -> String {
    let mut text = String::from("\"");
    for c in path.to_string_lossy().chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => text.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: Ports = Ports {
        http: 8080,
        https: 8443,
        admin: 9180,
        ipv6: true,
    };

    #[test]
    fn it_is_accepted_without_a_warning() {
        for ipv6 in [true, false] {
            let text = config(
                ([127, 0, 0, 1], 4000).into(),
                Ports { ipv6, ..PORTS },
                Path::new("/tmp/x"),
            );
            let loaded =
                crate::config::parse(&crate::config::Source::new("demo", "/tmp/x", text)).unwrap();
            assert!(
                loaded.report.is_empty(),
                "{}",
                loaded.report.render(crate::config::Paint::Plain)
            );
        }
    }

    #[test]
    fn it_is_toml_whatever_the_folder_is_called() {
        for folder in ["/tmp/x", "/tmp/a \"b\"\\c\n"] {
            let text = config(([127, 0, 0, 1], 4000).into(), PORTS, Path::new(folder));
            let parsed: toml::Table = text.parse().unwrap();
            let socket = parsed["admin"]["socket"].as_str().unwrap();
            assert_eq!(Path::new(socket), Path::new(folder).join("admin.sock"));
        }
    }

    #[test]
    fn both_presets_lead_to_the_stand_in_hub() {
        let text = config(([127, 0, 0, 1], 4000).into(), PORTS, Path::new("/tmp/x"));
        let parsed: toml::Table = text.parse().unwrap();
        assert_eq!(
            parsed["upstream"]["hub"]["endpoints"][0].as_str(),
            Some("127.0.0.1:4000")
        );
        let routes = parsed["site"]["localhost"]["route"].as_array().unwrap();
        let presets: Vec<_> = routes
            .iter()
            .filter_map(|route| route.get("preset")?.as_str())
            .collect();
        assert_eq!(presets, ["jupyterhub", "binderhub"]);
    }

    #[test]
    fn without_ipv6_only_ipv4_is_listened_on() {
        let ports = Ports {
            ipv6: false,
            ..PORTS
        };
        let text = config(([127, 0, 0, 1], 4000).into(), ports, Path::new("/tmp/x"));
        assert!(!text.contains("[::1]"));
    }
}
