//! A failed handshake in the words of somebody who has to mend it.
//!
//! Pure: takes what rustls says and whom was asked for. rustls' own words stay where they are as good.
#![deny(clippy::disallowed_methods)]

use std::io;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};
use time::OffsetDateTime;

/// Why a handshake failed, for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// Its certificate is over.
    #[error("its certificate expired{0}")]
    Expired(String),
    /// Its certificate has not begun.
    #[error("its certificate is not valid yet{0}; the clock here may be wrong")]
    NotYet(String),
    /// Its certificate is for others.
    #[error("its certificate does not name `{wanted}`, only {found}")]
    Name {
        /// Whom was asked for.
        wanted: String,
        /// Whom it names.
        found: String,
    },
    /// Nobody known signed it.
    #[error("its certificate is signed by an authority that is not trusted here{0}")]
    Issuer(&'static str),
    /// Something else is wrong with its certificate.
    #[error("its certificate is refused: {0}")]
    Certificate(String),
    /// It wants to know who asks.
    #[error("it wants a client certificate, and there is none: `client_certificate`")]
    ClientCertificate,
    /// It refuses.
    #[error("it ended the handshake with the alert `{0}`")]
    Alert(String),
    /// It does not speak TLS.
    #[error("what it says is not TLS; perhaps this is its port for plain HTTP")]
    NotTls,
    /// It speaks none of what is offered.
    #[error(
        "it does not agree to the protocol that is offered by ALPN; `protocol` of the upstream says which"
    )]
    NoAgreement,
    /// It left.
    #[error("it closed the connection in the middle of the handshake")]
    Closed,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl TlsFault {
    /// What `error` means, after `wanted` was asked for; `private` when the roots come from a `ca_file`.
    pub fn of(error: &io::Error, wanted: &str, private: bool) -> Self {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>());
        match tls {
            Some(Error::InvalidCertificate(fault)) => certificate(fault, wanted, private),
            Some(Error::AlertReceived(AlertDescription::CertificateRequired)) => {
                Self::ClientCertificate
            }
            Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
                Self::NoAgreement
            }
            Some(Error::AlertReceived(alert)) => Self::Alert(format!("{alert:?}")),
            Some(Error::InvalidMessage(_)) => Self::NotTls,
            Some(other) => Self::Other(other.to_string()),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            None => Self::Other(error.to_string()),
        }
    }
}

fn certificate(fault: &CertificateError, wanted: &str, private: bool) -> TlsFault {
    match fault {
        CertificateError::Expired => TlsFault::Expired(String::new()),
        CertificateError::ExpiredContext { not_after, .. } => {
            TlsFault::Expired(date(" at ", *not_after))
        }
        CertificateError::NotValidYet => TlsFault::NotYet(String::new()),
        CertificateError::NotValidYetContext { not_before, .. } => {
            TlsFault::NotYet(date(", only from ", *not_before))
        }
        CertificateError::NotValidForName => TlsFault::Name {
            wanted: wanted.to_owned(),
            found: "others".to_owned(),
        },
        CertificateError::NotValidForNameContext { presented, .. } => TlsFault::Name {
            wanted: wanted.to_owned(),
            found: match presented.as_slice() {
                [] => "nobody".to_owned(),
                names => names
                    .iter()
                    .take(8)
                    .map(|name| format!("`{}`", plain(name)))
                    .collect::<Vec<_>>()
                    .join(", "),
            },
        },
        CertificateError::UnknownIssuer => TlsFault::Issuer(match private {
            true => ": none of `ca_file`",
            false => ": give its root as `ca_file`",
        }),
        other => TlsFault::Certificate(other.to_string()),
    }
}

/// `DnsName("a.test")` without its wrapping.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"')
}

fn date(before: &str, at: UnixTime) -> String {
    let date = OffsetDateTime::UNIX_EPOCH.checked_add(
        Duration::from_secs(at.as_secs())
            .try_into()
            .unwrap_or_default(),
    );
    date.map(|date| format!("{before}{date}"))
        .unwrap_or_default()
}
