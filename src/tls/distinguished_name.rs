//! Distinguished names as text (RFC 4514, which RFC 2253 became): the last part first, `CN=alice,OU=staff,O=Example`.
//!
//! Pure. What a certificate says about itself was chosen by whoever asked for it: the text has printable ASCII only, with
//! everything else escaped, so that it can stand in a header field and in a log. Invariant: two names with different
//! values never have the same text.
#![deny(clippy::disallowed_methods)]

use std::fmt::Write as _;

use x509_parser::asn1_rs::ToDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Names of attributes that everybody knows (RFC 4514 section 3 and OpenSSL's); others are shown by number.
static KNOWN: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.42", "GN"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// The name as text.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let mut out = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (index, part) in parts.into_iter().rev().enumerate() {
        if index > 0 {
            out.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                out.push('+');
            }
            put(attribute, &mut out);
        }
    }
    out
}

/// The name in one line, the first part first, as OpenSSL had it once: `/C=DE/O=Example/CN=alice`.
pub(super) fn one_line(name: &X509Name<'_>) -> String {
    let mut out = String::new();
    for attribute in name.iter_attributes() {
        let number = attribute.attr_type().to_id_string();
        let known = KNOWN.iter().find(|(known, _)| *known == number);
        out.push('/');
        out.push_str(known.map_or(&number, |(_, name)| name));
        out.push('=');
        for byte in attribute.as_slice() {
            match byte {
                b' '..=b'~' => out.push(char::from(*byte)),
                // Writing to a string cannot fail.
                _ => drop(write!(out, "\\x{byte:02X}")),
            }
        }
    }
    out
}

fn put(attribute: &AttributeTypeAndValue<'_>, out: &mut String) {
    let number = attribute.attr_type().to_id_string();
    let known = KNOWN.iter().find(|(known, _)| *known == number);
    let value = attribute.as_str().ok().filter(|_| known.is_some());
    out.push_str(known.map_or(&number, |(_, name)| name));
    out.push('=');
    match value {
        Some(value) => escape(value, out),
        // The whole value in BER (RFC 4514 section 2.4).
        None => {
            out.push('#');
            let value = attribute.attr_value().to_der_vec();
            put_hex(&value.unwrap_or_default(), out);
        }
    }
}

fn escape(value: &str, out: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' ' if at == 0 || at == last => out.push_str("\\ "),
            b'#' if at == 0 => out.push_str("\\#"),
            0x20..=0x7e => out.push(char::from(byte)),
            other => {
                out.push('\\');
                put_hex(&[other], out);
            }
        }
    }
}

fn put_hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _written = write!(out, "{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
    use x509_parser::prelude::{FromDer, X509Certificate};

    fn named(parts: &[(DnType, &str)]) -> String {
        let mut name = DistinguishedName::new();
        for (kind, value) in parts {
            name.push(kind.clone(), *value);
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = name;
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        text(
            X509Certificate::from_der(certificate.der())
                .unwrap()
                .1
                .subject(),
        )
    }

    #[test]
    fn in_one_line_the_first_part_comes_first_and_nothing_ends_the_line() {
        let mut name = DistinguishedName::new();
        name.push(DnType::CountryName, "DE");
        name.push(DnType::CommonName, "a\r\nö");
        let mut params = CertificateParams::default();
        params.distinguished_name = name;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let parsed = X509Certificate::from_der(certificate.der()).unwrap().1;
        let line = one_line(parsed.subject());
        assert_eq!(line, "/C=DE/CN=a\\x0D\\x0A\\xC3\\xB6");
    }

    #[test]
    fn the_last_part_comes_first_by_its_short_name() {
        let name = named(&[
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Example"),
            (DnType::CommonName, "alice"),
        ]);
        assert_eq!(name, "CN=alice,O=Example,C=DE");
    }

    #[test]
    fn nothing_in_a_name_can_end_a_line_or_pass_for_another_part() {
        let odd = named(&[(DnType::CommonName, "a\r\nX: y,CN=root\0\"")]);
        assert_eq!(odd, "CN=a\\0D\\0AX: y\\,CN=root\\00\\\"");
        assert_eq!(
            named(&[(DnType::CommonName, " Zoë ")]),
            "CN=\\ Zo\\C3\\AB\\ "
        );
        assert_eq!(named(&[(DnType::CommonName, "#1")]), "CN=\\#1");
    }

    #[test]
    fn an_attribute_that_nobody_knows_is_shown_by_its_number_and_bytes() {
        let unknown = DnType::CustomDnType(vec![1, 2, 3, 4]);
        assert_eq!(named(&[(unknown, "x")]), "1.2.3.4=#0C0178");
    }
}
