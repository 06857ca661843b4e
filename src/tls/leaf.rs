//! What a certificate says about itself: names, dates, serial number.
//!
//! Pure: DER in, values out. Whether a name or a date is good enough is the caller's to decide.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::types::host::{Host, HostPattern};

/// The facts of a leaf certificate that decide whether and how long it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Subject alternative names that are hosts, addresses included; a common name does not count (RFC 9525).
    pub names: Vec<HostPattern>,
    /// First moment of validity.
    pub not_before: OffsetDateTime,
    /// Last moment of validity.
    pub not_after: OffsetDateTime,
    /// Who signed it: the issuer's common name, or its organisation.
    pub issuer: String,
    /// The serial number in lower-case hexadecimal, as authorities list it.
    pub serial: String,
}

impl Leaf {
    /// Reads a certificate in DER; fails with a sentence when it is none.
    pub fn parse(der: &[u8]) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|e| e.to_string())?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|e| e.to_string())?
            .map(|extension| {
                extension
                    .value
                    .general_names
                    .iter()
                    .filter_map(host_of)
                    .collect()
            })
            .unwrap_or_default();
        Ok(Self {
            names,
            not_before: certificate.validity().not_before.to_datetime(),
            not_after: certificate.validity().not_after.to_datetime(),
            issuer: issuer_of(&certificate),
            serial: certificate
                .raw_serial()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        })
    }

    /// Whether clients asking for any host of `pattern` accept this certificate's names.
    pub fn covers(&self, pattern: &HostPattern) -> bool {
        self.names.iter().any(|name| match pattern {
            HostPattern::Exact(host) => name.matches(host),
            HostPattern::Wildcard(_) => name == pattern,
            HostPattern::Below(host) => *name == HostPattern::Wildcard(host.clone()),
            // Which hosts these stand for is not known.
            HostPattern::Starts(_) | HostPattern::Regex(_) | HostPattern::Nameless => true,
        })
    }
}

fn issuer_of(certificate: &X509Certificate<'_>) -> String {
    let issuer = certificate.issuer();
    let name = issuer
        .iter_common_name()
        .chain(issuer.iter_organization())
        .find_map(|name| name.as_str().ok());
    name.unwrap_or("unnamed").to_owned()
}

fn host_of(name: &GeneralName<'_>) -> Option<HostPattern> {
    match name {
        GeneralName::DNSName(text) => HostPattern::parse(text).ok(),
        GeneralName::IPAddress(bytes) => {
            let address = match bytes.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?),
                _ => IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?),
            };
            Host::parse(&address.to_string())
                .ok()
                .map(HostPattern::Exact)
        }
        _ => None,
    }
}
