//! Requests that an access log tells of: the combined form of both servers, or JSON lines as hubgate writes them.
//!
//! Logs hold no bodies, so only methods without one are asked again. Combined lines do not name the host: the first
//! server's first name is taken. Lines that tell of no request are counted and told.

use serde_json::Value;

use super::exchange::Request;
use super::generated::Server;

const METHODS: &[&str] = &["GET", "HEAD", "OPTIONS"];

/// What a line tells.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    host: Option<String>,
    method: String,
    target: String,
    agent: Option<String>,
    referrer: Option<String>,
}

/// The requests of a log, and what is left out.
pub(super) fn requests(text: &str, servers: &[Server]) -> (Vec<Request>, Vec<String>) {
    let (mut requests, mut left) = (Vec::new(), 0_usize);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let request = line_of(line).and_then(|line| request(line, servers));
        match request {
            Some(request) => requests.push(request),
            None => left += 1,
        }
    }
    let note = format!("{left} lines are not asked: no request, a body, or no server for it");
    (requests, if left > 0 { vec![note] } else { Vec::new() })
}

fn request(line: Line, servers: &[Server]) -> Option<Request> {
    if !METHODS.contains(&&*line.method) || !line.target.starts_with('/') {
        return None;
    }
    let bare = line
        .host
        .as_deref()
        .map(|host| host.split(':').next().unwrap_or(host));
    let named =
        |server: &&Server| bare.is_some_and(|host| server.hosts().iter().any(|own| own == host));
    let server = servers.iter().find(named).or(servers.first())?;
    let (pair, tls) = server.pair()?;
    let fields = [("User-Agent", line.agent), ("Referer", line.referrer)];
    let fields = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    Some(Request {
        pair,
        tls,
        host: line.host.or_else(|| server.hosts().first().cloned())?,
        method: line.method,
        target: line.target,
        fields: fields.collect(),
        body: "",
    })
}

fn line_of(line: &str) -> Option<Line> {
    let said = |text: &str| (text != "-" && !text.is_empty()).then(|| text.to_owned());
    if let Ok(Value::Object(object)) = serde_json::from_str(line) {
        let text = |names: &[&str]| {
            let found = names.iter().find_map(|name| object.get(*name)?.as_str());
            found.and_then(said)
        };
        return Some(Line {
            host: text(&["host", "http_host"]),
            method: text(&["method", "request_method"])?,
            target: text(&["uri", "request_uri", "target"])?,
            agent: text(&["user_agent", "http_user_agent"]),
            referrer: text(&["referer", "referrer", "http_referer"]),
        });
    }
    let mut quoted = line.split('"').skip(1).step_by(2);
    let mut words = quoted.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let referrer = quoted.next().and_then(said);
    let agent = quoted.next().and_then(said);
    Some(Line {
        host: None,
        method,
        target,
        agent,
        referrer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_line_tell_the_request() {
        let combined =
            r#"127.0.0.1 - - [21/Nov/2026:20:00:00 +0000] "GET /a?b HTTP/1.1" 200 5 "-" "curl/8""#;
        let line = line_of(combined).unwrap();
        assert_eq!((&*line.method, &*line.target), ("GET", "/a?b"));
        assert_eq!(
            (line.agent.as_deref(), line.referrer),
            (Some("curl/8"), None)
        );
        let json =
            line_of(r#"{"method":"HEAD","uri":"/x","host":"a.example.org:81","status":200}"#);
        assert_eq!(json.unwrap().host.as_deref(), Some("a.example.org:81"));
        assert_eq!(line_of("nothing"), None);
    }
}
