//! `openssl s_client`: what another implementation says of a handshake.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// What `s_client` printed, both streams.
pub struct Said(pub String);

/// A handshake with `addr` by `s_client` with further arguments, cut at blanks; then `send`, and the end of its input.
#[track_caller]
pub fn s_client(addr: SocketAddr, name: &str, more: &str, send: &str) -> Said {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &addr.to_string()]);
    // Else it would leave at the end of its input, before the answer.
    if send.starts_with("GET ") {
        command.arg("-ign_eof");
    }
    match name {
        "" => command.arg("-noservername"),
        name => command.args(["-servername", name]),
    };
    let mut child = command
        .args(more.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is needed for this test");
    let mut input = child.stdin.take().unwrap();
    // It may have ended already, with what there is to see.
    input.write_all(send.as_bytes()).ok();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    Said(String::from_utf8_lossy(&text).into_owned())
}

/// A request whose answer ends the connection, so that `s_client` sees all of it.
pub fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

impl Said {
    /// Whether the handshake came to its end.
    pub fn is_done(&self) -> bool {
        self.0.contains("Cipher is") && !self.0.contains("Cipher is (NONE)")
    }

    /// What follows `label` on its line.
    pub fn of(&self, label: &str) -> Option<&str> {
        let mut lines = self.0.lines();
        let line = lines.find(|line| line.trim_start().starts_with(label))?;
        Some(line.trim_start()[label.len()..].trim())
    }

    #[track_caller]
    pub fn says(&self, text: &str) {
        assert!(self.0.contains(text), "`{text}` in\n{}", self.0);
    }
}
