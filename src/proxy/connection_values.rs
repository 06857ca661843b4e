//! What variables tell of a request's connection, of its client's certificate and of its route's files.
//!
//! Asked for by few configurations, and computed when it is. What stands in the request itself is `values`'.

use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::AUTHORIZATION;
use time::OffsetDateTime;
use time::macros::format_description;

use super::known::{number, seconds};
use super::pace;
use super::standing::Standing;
use super::values::{UNIX, Values};
use crate::access::passwords::Credentials;
use crate::config::{FilesPlace, Lookup as _, RouteAction, Variable};
use crate::nginx::UNDERSTOOD as VERSION;
use crate::tls::client::{Client, Shown};
use crate::transport::now;
use crate::types::address::THIS_HOST;

/// What the field line begins with that tells an upstream of a certificate.
const ESCAPED: &[u8] = b"ssl-client-cert: ";

impl Values<'_> {
    /// Appends the value of `variable`. False when it is about something else.
    pub(super) fn of_connection(&self, variable: &Variable, out: &mut Vec<u8>) -> bool {
        let facts = self.facts;
        let text = |out: &mut Vec<u8>, text: &str| out.extend_from_slice(text.as_bytes());
        let link = facts.link.as_deref();
        let standing = |out: &mut Vec<u8>, of: fn(Standing) -> u64| {
            if let Some(metrics) = &facts.metrics {
                number(out, of(Standing::of(metrics)));
            }
        };
        match variable {
            Variable::RemoteUser => {
                let shown = self.fields.get(AUTHORIZATION);
                let shown = shown.and_then(|shown| Credentials::of(shown.as_bytes()));
                text(out, shown.as_ref().map_or("", |shown| &shown.user));
            }
            Variable::Https => text(out, if facts.is_tls { "on" } else { "" }),
            Variable::Http2 => {
                let is_h2 = self.version == http::Version::HTTP_2;
                let name = if facts.is_tls { "h2" } else { "h2c" };
                text(out, if is_h2 { name } else { "" });
            }
            Variable::ConnectionsActive => standing(out, |standing| standing.active),
            Variable::ConnectionsReading => standing(out, |standing| standing.reading),
            Variable::ConnectionsWriting => standing(out, |standing| standing.writing),
            Variable::ConnectionsWaiting => standing(out, |standing| standing.waiting),
            Variable::PeerAddr => match &facts.proxied {
                Some(proxied) => text(out, &proxied.sender.ip().to_string()),
                None if facts.peer == THIS_HOST => text(out, UNIX),
                None => text(out, &facts.peer_text),
            },
            Variable::Connection => number(out, facts.number),
            Variable::ConnectionRequests => number(out, link.map_or(1, |link| link.requests())),
            Variable::ConnectionTime => {
                seconds(out, Some(now().saturating_duration_since(facts.began)));
            }
            Variable::LimitRate => number(out, pace::set(self.seen).unwrap_or(0)),
            Variable::TcpInfo(fact) => {
                if let Some(known) = link.and_then(|link| link.tcp_info(*fact)) {
                    number(out, known.into());
                }
            }
            Variable::Pid => number(out, std::process::id().into()),
            Variable::Pipe => {
                let together = link.is_some_and(|link| link.is_pipelined());
                text(out, if together { "p" } else { "." });
            }
            Variable::NginxVersion => text(out, VERSION),
            Variable::RequestLength => {
                let head = link.and_then(|link| link.head_size());
                let head = head.unwrap_or_else(|| self.head_size());
                number(out, head + self.body_received);
            }
            Variable::BytesSent => {
                let body = self.known.as_ref().map_or(0, |known| known.body);
                number(out, link.and_then(|link| link.given()).unwrap_or(body));
            }
            Variable::TlsCipher => text(out, facts.cipher.unwrap_or_default()),
            Variable::TlsCurve => text(out, facts.curve.unwrap_or_default()),
            Variable::TlsCiphers => {
                text(out, (facts.offered.as_ref()).map_or("", |one| &one.suites))
            }
            Variable::TlsCurves => {
                text(out, (facts.offered.as_ref()).map_or("", |one| &one.groups))
            }
            Variable::TlsReused if facts.is_tls => text(out, if facts.resumed { "r" } else { "." }),
            Variable::TlsAlpn => text(out, facts.alpn.unwrap_or_default()),
            Variable::RateStatus => text(out, self.limited.rate.unwrap_or_default()),
            Variable::ConcurrencyStatus => text(out, self.limited.concurrency.unwrap_or_default()),
            Variable::DocumentRoot | Variable::RealRoot | Variable::RequestFilename => {
                self.of_files(variable, out);
            }
            Variable::ProxyHost | Variable::ProxyPort => self.of_upstream(variable, out),
            Variable::ClientEscaped
            | Variable::ClientPem
            | Variable::ClientTabbed
            | Variable::ClientNotBefore
            | Variable::ClientNotAfter
            | Variable::ClientSubjectLegacy
            | Variable::ClientIssuerLegacy
            | Variable::ClientRemaining => {
                if let Client::Shown(shown) = &facts.client {
                    return certificate(shown, variable, out);
                }
            }
            _ => return false,
        }
        true
    }

    /// Bytes of the head as HTTP/1.1 would write it.
    fn head_size(&self) -> u64 {
        let fields = self.fields.iter();
        let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + 4);
        let line = self.method.len() + self.target.len() + 12;
        (line + fields.sum::<usize>() + 2) as u64
    }

    fn of_files(&self, variable: &Variable, out: &mut Vec<u8>) {
        let Some(RouteAction::Files(files)) = self.running.map(|route| &route.config.action) else {
            return;
        };
        let (FilesPlace::Root(folder) | FilesPlace::Alias(folder)) = &files.place;
        let folder = folder.value(self);
        match variable {
            Variable::DocumentRoot => out.extend_from_slice(&folder),
            Variable::RealRoot => {
                let path = std::path::Path::new(std::ffi::OsStr::from_bytes(&folder));
                let real = std::fs::canonicalize(path);
                out.extend(
                    real.map_or_else(|_| Vec::new(), |real| real.into_os_string().into_vec()),
                );
            }
            _ => {
                let mut path = Vec::new();
                self.append(&Variable::Uri, &mut path);
                let prefix = match &files.place {
                    FilesPlace::Alias(_) => {
                        let below = files.below.as_ref();
                        below
                            .map_or(self.route.len(), |below| below.len())
                            .min(path.len())
                    }
                    FilesPlace::Root(_) => 0,
                };
                out.extend_from_slice(&folder);
                out.extend_from_slice(path.get(prefix..).unwrap_or_default());
            }
        }
    }

    /// nginx names what `proxy_pass` does: an upstream, or an address.
    fn of_upstream(&self, variable: &Variable, out: &mut Vec<u8>) {
        let Some(route) = self.running.filter(|route| route.config.action.forwards()) else {
            return;
        };
        if let Some(said) = &self.proxied_to {
            let port = said
                .rsplit_once(':')
                .and_then(|(_, port)| port.parse().ok());
            return match variable {
                Variable::ProxyPort => number(out, port.unwrap_or(80)),
                _ => out.extend_from_slice(said.as_bytes()),
            };
        }
        let upstream = &route.group.config;
        let port = match (&*upstream.endpoints, upstream.tls.is_some()) {
            ([one], _) if upstream.named.is_empty() => one.address.ip().map(|at| at.port()),
            _ => None,
        };
        let usual = if upstream.tls.is_some() { 443 } else { 80 };
        match (variable, port) {
            (Variable::ProxyPort, port) => number(out, port.unwrap_or(usual).into()),
            (_, Some(_)) => {
                let address = upstream
                    .endpoints
                    .first()
                    .map(|one| one.address.to_string());
                out.extend(address.unwrap_or_default().into_bytes());
            }
            (_, None) => out.extend_from_slice(upstream.name.as_str().as_bytes()),
        }
    }
}

/// Appends what `variable` says of a client's certificate. False when it is about something else.
pub(crate) fn certificate(shown: &Shown, variable: &Variable, out: &mut Vec<u8>) -> bool {
    let line = shown.certificate_line.trim_ascii_end();
    let escaped = line.strip_prefix(ESCAPED).unwrap_or_default();
    match variable {
        Variable::ClientEscaped => out.extend_from_slice(escaped),
        Variable::ClientPem => out.extend(decoded(escaped)),
        Variable::ClientTabbed => {
            let pem = decoded(escaped);
            for (index, line) in pem
                .trim_ascii_end()
                .split(|byte| *byte == b'\n')
                .enumerate()
            {
                out.extend_from_slice(if index > 0 { b"\n\t" } else { b"" });
                out.extend_from_slice(line);
            }
        }
        Variable::ClientNotBefore => out.extend(date(shown.not_before).into_bytes()),
        Variable::ClientNotAfter => out.extend(date(shown.not_after).into_bytes()),
        Variable::ClientSubjectLegacy | Variable::ClientIssuerLegacy => {
            let (subject, issuer) = shown.one_lines().unwrap_or_default();
            let is_subject = matches!(variable, Variable::ClientSubjectLegacy);
            out.extend(if is_subject { subject } else { issuer }.into_bytes());
        }
        Variable::ClientRemaining => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let left = shown
                .not_after
                .saturating_sub(since.unwrap_or_default().as_secs());
            number(out, left / 86_400);
        }
        _ => return false,
    }
    true
}

/// What was escaped, byte by byte.
pub(super) fn decoded(escaped: &[u8]) -> Vec<u8> {
    let mut parts = escaped.split(|byte| *byte == b'%');
    let mut out = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let (byte, rest) = part.split_at(part.len().min(2));
        let byte = std::str::from_utf8(byte).ok();
        out.extend(byte.and_then(|byte| u8::from_str_radix(byte, 16).ok()));
        out.extend_from_slice(rest);
    }
    out
}

/// As OpenSSL writes it.
fn date(seconds: u64) -> String {
    let form = format_description!(
        "[month repr:short] [day padding:space] [hour]:[minute]:[second] [year] GMT"
    );
    let at = i64::try_from(seconds).ok();
    let at = at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    at.and_then(|at| at.format(&form).ok()).unwrap_or_default()
}
