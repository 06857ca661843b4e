//! The values of variables for one request: what texts of the configuration name as `$name`.
//!
//! Looks things up in the request's head and in what is known of its connection; computes nothing before it is asked.
//! What is only known when the answer is there belongs to the access log's record.

use std::net::IpAddr;
use std::time::SystemTime;

use http::header::{COOKIE, HOST, HeaderName, HeaderValue, REFERER};
use http::{HeaderMap, Version};
use pingora::http::RequestHeader;

use super::app::Facts;
use super::client_address;
use super::known::Known;
use super::proxied;
use super::trace::LimitedBy;
use crate::config::{Definitions, Lookup, Referers, Variable};
use crate::nginx::uri::Uri;
use crate::observe::access_log::{Clock, epoch};
use crate::observe::hostname::HOSTNAME;
use crate::router::{Seen, target};
use crate::snapshot::{RunningRoute, Snapshot};
use crate::tls::client::{Client as ClientOfTls, Shown};
use crate::types::address::THIS_HOST;
use crate::types::header::{X_FORWARDED_FOR, cookies_like};
use crate::types::host::Authority;

/// One request, as variables see it.
#[derive(Debug)]
pub struct Values<'a> {
    /// Its connection.
    pub facts: &'a Facts,
    /// The client, after `trusted_proxies` had their say.
    pub client: IpAddr,
    /// Its method.
    pub method: &'a str,
    /// Its target, raw.
    pub target: &'a [u8],
    /// Its version.
    pub version: Version,
    /// Its fields.
    pub fields: &'a HeaderMap,
    /// What it is for, where no field says so: over HTTP/2, with its port.
    pub authority: Option<&'a str>,
    /// Its host, without the port.
    pub host: &'a str,
    /// The site that matched.
    pub site: &'a str,
    /// The route that matched.
    pub route: &'a str,
    /// What finding the route told.
    pub seen: Option<&'a Seen>,
    /// `X-Request-ID`.
    pub id: &'a str,
    /// Where requests may come from.
    pub referers: Option<&'a Referers>,
    /// Variables that the configuration defines.
    pub definitions: Option<&'a Definitions>,
    /// What runs.
    pub snapshot: Option<&'a Snapshot>,
    /// The site, by its place in the snapshot.
    placed: Option<usize>,
    /// The route that matched, as it runs.
    pub running: Option<&'a RunningRoute>,
    /// Bytes of its body.
    pub body_received: u64,
    /// What limits said of it.
    pub limited: LimitedBy,
    /// The request's body, as far as it is kept.
    pub body: Option<Vec<u8>>,
    /// Who is asked, where a text says it.
    pub proxied_to: Option<Box<str>>,
    /// The answer, when there is one.
    pub known: Option<Known<'a>>,
}

/// The host that a request is for, as its head says.
pub fn host_of(head: &RequestHeader) -> Option<Authority> {
    let text = match head.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => head.headers.get(HOST).and_then(|value| value.to_str().ok()),
    };
    text.and_then(|text| Authority::parse_leniently(text).ok())
}

/// Where a request has come to: its site and its route, by their places in the snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// The site.
    pub site: Option<usize>,
    /// The route.
    pub route: Option<usize>,
    /// What finding it told.
    pub seen: Option<&'a Seen>,
}

/// In the place of the address of a program on a unix socket.
pub(super) const UNIX: &str = "unix:";

/// As it is written in `$server_protocol` and in logs.
pub fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

impl Lookup for Values<'_> {
    fn append(&self, variable: &Variable, out: &mut Vec<u8>) {
        let text = |out: &mut Vec<u8>, text: &str| out.extend_from_slice(text.as_bytes());
        let (path, query) = target::path_of(self.target);
        match variable {
            Variable::RemoteAddr if self.on_unix_socket() => text(out, UNIX),
            Variable::RemoteAddr => text(out, &self.client.to_string()),
            Variable::RemotePort if self.on_unix_socket() => {}
            Variable::RemotePort => text(out, &self.client_port().to_string()),
            Variable::BinaryRemoteAddr if self.on_unix_socket() => text(out, UNIX),
            Variable::BinaryRemoteAddr => match self.client {
                IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
                IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
            },
            Variable::TimeLocal => Clock::default().common(SystemTime::now(), out),
            Variable::TimeIso8601 => Clock::default().iso(SystemTime::now(), out),
            Variable::Msec => epoch(SystemTime::now(), out),
            Variable::Request => {
                text(out, self.method);
                out.push(b' ');
                out.extend_from_slice(self.target);
                out.push(b' ');
                text(out, protocol(self.version));
            }
            Variable::RequestMethod => text(out, self.method),
            Variable::RequestUri => out.extend_from_slice(self.target),
            Variable::Uri => out.extend_from_slice(self.uri().map_or(path, |uri| &uri.path)),
            Variable::Args => {
                let query = query.unwrap_or_default();
                out.extend_from_slice(self.uri().map_or(query, |uri| &uri.args));
            }
            Variable::IsArgs => {
                let is_empty = self
                    .uri()
                    .map_or(query.is_none_or(<[u8]>::is_empty), |uri| {
                        uri.args.is_empty()
                    });
                text(out, if is_empty { "" } else { "?" });
            }
            Variable::Argument(name) => {
                let query = query.unwrap_or_default();
                let query = self.uri().map_or(query, |uri| &uri.args);
                let found = argument(query, name);
                out.extend_from_slice(found.unwrap_or_default());
            }
            Variable::Cookie(name) => {
                let found = cookies_like(self.fields, name).next();
                out.extend_from_slice(found.unwrap_or_default());
            }
            Variable::RequestField(name) => self.field(name, out),
            Variable::RequestBody => {
                let before = || self.seen.and_then(|seen| seen.own("request_body"));
                out.extend_from_slice(self.body.as_deref().or_else(before).unwrap_or_default());
            }
            Variable::Never(_) => {}
            Variable::ServerProtocol => text(out, protocol(self.version)),
            Variable::Host if self.host.is_empty() => text(out, &self.first_host()),
            Variable::Host => text(out, self.host),
            Variable::ServerAddr => {
                let local = self.facts.local.map(|at| at.ip().to_string());
                let unix = self.facts.listener.as_ref().filter(|at| at.ip().is_none());
                let unix = || unix.map(ToString::to_string);
                text(out, &local.or_else(unix).unwrap_or_default());
            }
            Variable::ServerPort => {
                let local = self.facts.local;
                text(
                    out,
                    &local.map_or_else(String::new, |at| at.port().to_string()),
                );
            }
            Variable::InvalidReferer => {
                let value = self.fields.get(REFERER).map(HeaderValue::as_bytes);
                let valid = self.referers.is_none_or(|own| own.has(value));
                text(out, if valid { "" } else { "1" });
            }
            Variable::Site => text(out, self.server_name()),
            Variable::Route => text(out, self.route),
            Variable::Hostname => text(out, &HOSTNAME),
            Variable::Scheme => text(out, self.facts.scheme()),
            Variable::RequestId => text(out, self.id),
            Variable::ForwardedFor => {
                for value in self.fields.get_all(&X_FORWARDED_FOR) {
                    out.extend_from_slice(value.as_bytes());
                    text(out, ", ");
                }
                match self.on_unix_socket() {
                    true => text(out, UNIX),
                    false => text(out, &self.client.to_string()),
                }
            }
            Variable::TlsProtocol => text(out, self.facts.tls_version.unwrap_or_default()),
            Variable::ServerName => {
                let name = self.facts.server_name.as_ref();
                text(out, name.map_or("", |name| name.as_str()));
            }
            Variable::ProxyProtocol(fact) => {
                if let Some(proxied) = &self.facts.proxied {
                    proxied::append(proxied, *fact, out);
                }
            }
            Variable::ClientVerify => match &self.facts.client {
                ClientOfTls::Shown(shown) => text(out, &shown.verify),
                _ => text(out, if self.facts.is_tls { "NONE" } else { "" }),
            },
            Variable::ClientSubject => text(out, self.shown(|shown| &shown.subject)),
            Variable::ClientIssuer => text(out, self.shown(|shown| &shown.issuer)),
            Variable::ClientSerial => text(out, self.shown(|shown| &shown.serial)),
            Variable::ClientFingerprint => text(out, self.shown(|shown| &shown.sha1)),
            Variable::ClientSha256 => text(out, self.shown(|shown| &shown.fingerprint)),
            Variable::Capture(number) => {
                let taken = self.seen.map(|seen| seen.captures.group((*number).into()));
                out.extend_from_slice(taken.unwrap_or_default());
            }
            Variable::Own(name) => {
                let taken = self.seen.and_then(|seen| seen.own(name));
                let defined = self.definitions.and_then(|all| all.get(name));
                match (taken, defined) {
                    (Some(taken), _) => out.extend_from_slice(taken),
                    (None, Some(definition)) => definition.append(self, out),
                    (None, None) => {}
                }
            }
            // Known when the answer is, or named by what is not configured here.
            other => {
                if !self.of_connection(other, out)
                    && let Some(known) = &self.known
                {
                    known.append(other, out);
                }
            }
        }
    }
}

impl<'a> Values<'a> {
    /// Of the request with this head and raw target, for this host.
    pub fn new(
        (facts, snapshot): (&'a Facts, &'a Snapshot),
        (head, target): (&'a RequestHeader, &'a [u8]),
        host: &'a str,
        place: Place<'a>,
        id: &'a str,
    ) -> Self {
        let places = (place.site, place.route);
        let site = place.site.and_then(|site| snapshot.site_names.get(site));
        let route = place.route.and_then(|route| snapshot.routes.get(route));
        Self {
            facts,
            client: { place.seen }
                .and_then(|seen| seen.client)
                .unwrap_or_else(|| client_address::of(snapshot, places, facts, &head.headers)),
            method: head.method.as_str(),
            target,
            version: head.version,
            fields: &head.headers,
            authority: head.uri.authority().map(|authority| authority.as_str()),
            host,
            site: site.map_or("", |name| name),
            route: route.map_or("", |route| route.config.path.as_str()),
            seen: place.seen,
            id,
            referers: match (place.site, route) {
                (_, Some(route)) => route.config.referers.as_deref(),
                (Some(site), None) => {
                    let site = snapshot.config.sites.get(site);
                    site.and_then(|site| site.referers.as_deref())
                }
                (None, None) => None,
            },
            definitions: Some(&snapshot.config.definitions),
            snapshot: Some(snapshot),
            placed: place.site,
            running: route,
            body_received: 0,
            limited: LimitedBy::default(),
            body: None,
            proxied_to: None,
            known: None,
        }
    }

    /// The target as it was understood, where it was.
    fn uri(&self) -> Option<&'a Uri> {
        self.seen?.uri.as_ref()
    }

    /// What its site is called, or said to be.
    fn server_name(&self) -> &'a str {
        let sites = self.snapshot.map(|snapshot| &snapshot.config.sites);
        let site = sites.and_then(|sites| sites.get(self.placed?));
        site.and_then(|site| site.server_name.as_deref())
            .unwrap_or(self.site)
    }

    /// The first host of the site that got a request without one; nothing where it has none.
    #[cold]
    fn first_host(&self) -> String {
        let sites = self.snapshot.map(|snapshot| &snapshot.config.sites);
        let site = sites.and_then(|sites| sites.get(self.placed?));
        let host = site.and_then(|site| site.hosts.first());
        host.map(ToString::to_string).unwrap_or_default()
    }

    /// The client's port; where its address is taken from a field, that of the connection.
    pub(super) fn client_port(&self) -> u16 {
        let facts = self.facts;
        let proxied = facts.proxied.as_ref().map(|proxied| proxied.source);
        let named = proxied.filter(|source| source.ip() == self.client);
        named.unwrap_or(facts.peer).port()
    }

    /// Whether the client is a program on a unix socket that speaks for nobody else.
    pub(super) fn on_unix_socket(&self) -> bool {
        self.facts.peer == THIS_HOST && self.client == THIS_HOST.ip()
    }

    /// Of the client's certificate; nothing without one.
    fn shown(&self, of: impl FnOnce(&'a Shown) -> &'a str) -> &'a str {
        match &self.facts.client {
            ClientOfTls::Shown(shown) => of(shown),
            ClientOfTls::Unasked | ClientOfTls::Absent => "",
        }
    }

    /// The first field whose name would be this one if its `_` were `-`, as variables are named.
    #[cold]
    fn twin(&self, name: &HeaderName, out: &mut Vec<u8>) {
        let is_twin = |own: &HeaderName| {
            let dashed = |byte| if byte == b'_' { b'-' } else { byte };
            let own = own.as_str().bytes();
            own.len() == name.as_str().len() && own.map(dashed).eq(name.as_str().bytes())
        };
        let mut fields = self.fields.iter();
        if let Some((_, value)) = fields.find(|(own, _)| is_twin(own)) {
            out.extend_from_slice(value.as_bytes());
        }
    }

    /// A field's value; of several, all, as one list (RFC 9110 section 5.3).
    fn field(&self, name: &str, out: &mut Vec<u8>) {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return;
        };
        // RFC 6265 joins cookies in its own way.
        let between: &[u8] = if name == COOKIE { b"; " } else { b", " };
        let mut values = self.fields.get_all(&name).iter().peekable();
        if values.peek().is_none() {
            if let Some(authority) = self.authority.filter(|_| name == HOST) {
                return out.extend_from_slice(authority.as_bytes());
            }
            return self.twin(&name, out);
        }
        for (index, value) in values.enumerate() {
            if index > 0 {
                out.extend_from_slice(between);
            }
            out.extend_from_slice(value.as_bytes());
        }
    }
}

/// The value of the first parameter called `name`, its case ignored, as nginx does. Nothing is decoded.
fn argument<'a>(query: &'a [u8], name: &str) -> Option<&'a [u8]> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let (key, value) = pair.split_at_checked(name.len())?;
        let value = value.strip_prefix(b"=")?;
        key.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Text;

    fn facts() -> Facts {
        let [peer, local] = ["192.0.2.1:5555", "192.0.2.9:8443"].map(|at| at.parse().unwrap());
        Facts {
            tls_version: Some("TLSv1.3"),
            ..Facts::new(peer, Some(local), true)
        }
    }

    fn value(text: &str, target: &[u8]) -> String {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("x-a", "1"),
            ("x-a", "2"),
            ("cookie", "b=; c=3"),
            ("cookie", "b=4"),
            ("x-forwarded-for", "198.51.100.7"),
        ] {
            fields.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let facts = facts();
        let values = Values {
            facts: &facts,
            client: facts.peer.ip(),
            method: "GET",
            target,
            version: Version::HTTP_11,
            fields: &fields,
            authority: Some("h.test:8443"),
            host: "h.test",
            site: "*.test",
            route: "/",
            seen: None,
            id: "01",
            referers: None,
            definitions: None,
            snapshot: None,
            placed: None,
            running: None,
            body_received: 0,
            limited: LimitedBy::default(),
            body: None,
            proxied_to: None,
            known: None,
        };
        let text = Text::parse(text).unwrap();
        String::from_utf8(text.value(&values).into_owned()).unwrap()
    }

    #[test]
    fn a_target_is_named_whole_and_in_its_parts() {
        let text = "$request_method $request_uri $uri$is_args$args [$arg_b] [$arg_C] [$arg_d]";
        assert_eq!(
            value(text, b"/p%20q/?b=1%2F&c&C=3&b=2"),
            "GET /p%20q/?b=1%2F&c&C=3&b=2 /p%20q/?b=1%2F&c&C=3&b=2 [1%2F] [3] []"
        );
        assert_eq!(value("$uri$is_args$args", b"/p?"), "/p");
    }

    #[test]
    fn fields_cookies_and_the_connection_are_named() {
        assert_eq!(
            value(
                "$http_x_a; $http_cookie; $cookie_b $cookie_z; $http_host",
                b"/"
            ),
            "1, 2; b=; c=3; b=4; 4 ; h.test:8443"
        );
        assert_eq!(
            value(
                "$scheme://$host:$server_port $server_addr $server_name $ssl_protocol",
                b"/"
            ),
            "https://h.test:8443 192.0.2.9 *.test TLSv1.3"
        );
        assert_eq!(
            value("$proxy_add_x_forwarded_for $remote_port", b"/"),
            "198.51.100.7, 192.0.2.1 5555"
        );
    }

    #[test]
    fn a_connection_is_told_of_as_nginx_does() {
        let text = "$https|$http2|$pipe|$ssl_session_reused|$realip_remote_addr|$connection_requests|$ssl_cipher";
        assert_eq!(value(text, b"/"), "on||.|.|192.0.2.1|1|");
        // The line, and the fields with their colons and ends.
        assert_eq!(value("$request_length", b"/"), "95");
        assert_eq!(
            value("$content_type$remote_user$nginx_version", b"/"),
            "1.22.1"
        );
    }

    #[test]
    fn what_only_the_answer_knows_is_nothing_yet() {
        assert_eq!(value("[$status$upstream_addr$1]", b"/"), "[]");
    }
}
