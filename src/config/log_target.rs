//! Where lines of logs go: files, standard streams, and syslog servers (RFC 3164 as nginx writes it).
//!
//! As they are written and as they are read; opening and writing is `observe`'s.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::text::Text;

/// Where lines of a log go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogTarget {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to this file, opened again on SIGUSR1.
    File(PathBuf),
    /// Appended to this file, compressed.
    Gzip(PathBuf),
    /// Appended to the file that this text names for each request.
    Chosen(Text),
    /// Sent to a server, a line a datagram.
    Syslog(Syslog),
}

/// A syslog server, and how it is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Syslog {
    /// Who is told.
    pub server: SyslogServer,
    /// The facility's number, 0 to 23.
    pub facility: u8,
    /// The severity's number, 0 to 7: of access logs; events have their own.
    pub severity: u8,
    /// Who tells it.
    pub tag: Box<str>,
    /// Whether it is told by which host.
    pub hostname: bool,
}

/// Where a syslog server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SyslogServer {
    /// For UDP.
    Udp(SocketAddr),
    /// For datagrams of this host.
    Unix(PathBuf),
}

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv",
    "ftp", "ntp", "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];
const SEVERITIES: [&str; 8] = [
    "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
];
const LOCAL7: u8 = 23;
const INFO: u8 = 6;
const PORT: u16 = 514;
/// RFC 3164, 4.1.3.
const LONGEST_TAG: usize = 32;

impl Syslog {
    /// Reads what follows `syslog:`. Fails in nginx's words.
    pub fn parse(words: &str) -> Result<Self, String> {
        let mut server = None;
        let mut syslog = Self {
            server: SyslogServer::Unix(PathBuf::new()),
            facility: LOCAL7,
            severity: INFO,
            tag: "nginx".into(),
            hostname: true,
        };
        for word in words.split(',') {
            match word.split_once('=') {
                Some(("server", text)) => server = Some(SyslogServer::parse(text)?),
                Some(("facility", name)) => {
                    syslog.facility = number("facility", &FACILITIES, name)?
                }
                Some(("severity", name)) => {
                    syslog.severity = number("severity", &SEVERITIES, name)?
                }
                Some(("tag", tag)) => syslog.tag = tag_of(tag)?.into(),
                None if word == "nohostname" => syslog.hostname = false,
                _ => return Err(format!("unknown syslog parameter \"{word}\"")),
            }
        }
        syslog.server = server.ok_or("no syslog server specified")?;
        Ok(syslog)
    }
}

fn number(what: &str, names: &[&str], name: &str) -> Result<u8, String> {
    let at = names.iter().position(|known| *known == name);
    at.and_then(|at| u8::try_from(at).ok())
        .ok_or_else(|| format!("unknown syslog {what} \"{name}\""))
}

fn tag_of(tag: &str) -> Result<&str, String> {
    if tag.len() > LONGEST_TAG {
        return Err("syslog tag length exceeds 32".to_owned());
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match tag.bytes().all(fits) {
        true => Ok(tag),
        false => {
            Err("syslog \"tag\" only allows alphanumeric characters and underscore".to_owned())
        }
    }
}

impl SyslogServer {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        let ip = |host: &str| match host {
            "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            host => host.trim_matches(['[', ']']).parse().ok(),
        };
        let bare = ip(text).map(|ip| SocketAddr::new(ip, PORT));
        let whole = bare.or_else(|| {
            let (host, port) = text.rsplit_once(':')?;
            Some(SocketAddr::new(ip(host)?, port.parse().ok()?))
        });
        whole
            .map(Self::Udp)
            .ok_or_else(|| format!("the syslog server \"{text}\" is not an address"))
    }
}

impl fmt::Display for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |names: &'static [&'static str], at: u8| {
            names.get(usize::from(at)).copied().unwrap_or_default()
        };
        match &self.server {
            SyslogServer::Udp(address) => write!(f, "syslog:server={address}")?,
            SyslogServer::Unix(path) => write!(f, "syslog:server=unix:{}", path.display())?,
        }
        if self.facility != LOCAL7 {
            write!(f, ",facility={}", name(&FACILITIES, self.facility))?;
        }
        if self.severity != INFO {
            write!(f, ",severity={}", name(&SEVERITIES, self.severity))?;
        }
        if &*self.tag != "nginx" {
            write!(f, ",tag={}", self.tag)?;
        }
        match self.hostname {
            true => Ok(()),
            false => f.write_str(",nohostname"),
        }
    }
}

impl LogTarget {
    /// The file whose lines are text, if there is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Gzip(path) => write!(f, "gzip:{}", path.display()),
            Self::Chosen(text) => write!(f, "{text}"),
            Self::Syslog(syslog) => write!(f, "{syslog}"),
        }
    }
}

/// A log of events, in the form of nginx's error log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ErrorLog {
    /// Where its lines go.
    pub target: LogTarget,
    /// The least grave that is told.
    pub level: LogLevel,
}

/// How grave an event is, in nginx's words; the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// The process cannot go on.
    Emerg,
    /// To be mended at once.
    Alert,
    /// Critical.
    Crit,
    /// What a request failed of.
    Error,
    /// What is likely to fail.
    Warn,
    /// What is normal and worth telling.
    Notice,
    /// What is normal.
    Info,
    /// For developers.
    Debug,
}

impl LogLevel {
    /// All of them, the gravest first.
    pub const ALL: [Self; 8] = [
        Self::Emerg,
        Self::Alert,
        Self::Crit,
        Self::Error,
        Self::Warn,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    /// By its word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.as_str() == word)
    }

    /// As nginx writes it.
    pub fn as_str(self) -> &'static str {
        SEVERITIES.get(self as usize).copied().unwrap_or("debug")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syslog_server_is_read_as_it_is_written() {
        for text in [
            "server=192.0.2.1:514",
            "server=[2001:db8::1]:5140,facility=user,severity=alert,tag=SEE_this,nohostname",
            "server=unix:/dev/log,tag=edge",
        ] {
            let syslog = Syslog::parse(text).unwrap();
            assert_eq!(syslog.to_string(), format!("syslog:{text}"));
        }
        let bare = Syslog::parse("severity=debug,server=192.0.2.1").unwrap();
        assert_eq!(
            bare.to_string(),
            "syslog:server=192.0.2.1:514,severity=debug"
        );
    }

    #[test]
    fn what_is_no_syslog_server_is_refused_in_nginxs_words() {
        for (text, expected) in [
            ("facility=user", "no syslog server specified"),
            (
                "server=192.0.2.1,facility=x",
                "unknown syslog facility \"x\"",
            ),
            (
                "server=192.0.2.1,severity=x",
                "unknown syslog severity \"x\"",
            ),
            ("server=192.0.2.1,x=y", "unknown syslog parameter \"x=y\""),
            (
                "server=192.0.2.1,tag=a-b",
                "syslog \"tag\" only allows alphanumeric characters and underscore",
            ),
        ] {
            assert_eq!(Syslog::parse(text).unwrap_err(), expected, "{text}");
        }
    }
}
