//! Private keys that are encrypted with a password: PKCS#8 by PBES2, and OpenSSL's older form inside of PEM.
//!
//! AES in CBC mode only, which is what OpenSSL 3 writes unless told otherwise. Pure; says whether a password opens a key no
//! further than that the padding fits: whoever reads what comes out finds out.
#![deny(clippy::disallowed_methods)]

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use rustls::pki_types::PrivateKeyDer;
use x509_parser::der_parser::ber::BerObject;
use x509_parser::der_parser::der::parse_der;

/// More rounds are no key but an attempt to keep somebody busy.
const MOST_ROUNDS: u32 = 10_000_000;

/// The label of encrypted PKCS#8.
const PKCS8: &str = "ENCRYPTED PRIVATE KEY";

/// An encrypted key, of which all but the password is known.
pub(super) struct EncryptedKey {
    label: String,
    cipher: &'static Algorithm,
    /// Of the cipher's key, in bytes.
    length: usize,
    iv: [u8; 16],
    derivation: Derivation,
    data: Vec<u8>,
}

/// How the cipher's key is made of a password.
enum Derivation {
    /// By PBKDF2.
    Pbkdf2(pbkdf2::Algorithm, Vec<u8>, NonZeroU32),
    /// One round of MD5 with the first half of the IV.
    Md5,
}

impl EncryptedKey {
    /// The encrypted key in a PEM text. Fails with what is not known of it.
    pub(super) fn find(text: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(text);
        let (label, fields, data) = sections(&text)
            .find(|(label, fields, _)| {
                *label == PKCS8 || fields.iter().any(|(name, _)| *name == "DEK-Info")
            })
            .ok_or("there is none")?;
        if label == PKCS8 {
            return pkcs8(&data);
        }
        let info = fields.iter().find(|(name, _)| *name == "DEK-Info");
        let info = info.map_or("", |(_, value)| *value);
        let (name, iv) = info.split_once(',').unwrap_or((info, ""));
        let (cipher, length) = match name {
            "AES-128-CBC" => (&AES_128, 16),
            "AES-192-CBC" => (&AES_192, 24),
            "AES-256-CBC" => (&AES_256, 32),
            other => return Err(format!("`{other}`")),
        };
        Ok(Self {
            label: label.to_owned(),
            cipher,
            length,
            iv: hex(iv).ok_or("its `DEK-Info`")?,
            derivation: Derivation::Md5,
            data,
        })
    }

    /// What this password makes of it; `None` where it is not the password.
    pub(super) fn open(&self, password: &[u8]) -> Option<PrivateKeyDer<'static>> {
        let mut key = vec![0; self.length];
        match &self.derivation {
            Derivation::Pbkdf2(algorithm, salt, rounds) => {
                pbkdf2::derive(*algorithm, *rounds, salt, password, &mut key);
            }
            Derivation::Md5 => by_md5(password, &self.iv[..8], &mut key),
        }
        let key = UnboundCipherKey::new(self.cipher, &key).ok()?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
        let mut data = self.data.clone();
        let iv = DecryptionContext::Iv128(FixedLength::from(self.iv));
        let opened = key.decrypt(&mut data, iv).ok()?.to_vec();
        match &*self.label {
            "RSA PRIVATE KEY" => Some(PrivateKeyDer::Pkcs1(opened.into())),
            "EC PRIVATE KEY" => Some(PrivateKeyDer::Sec1(opened.into())),
            _ => Some(PrivateKeyDer::Pkcs8(opened.into())),
        }
    }
}

/// A section of a PEM text: its label, its fields and what is in it.
type Section<'t> = (&'t str, Vec<(&'t str, &'t str)>, Vec<u8>);

fn sections(text: &str) -> impl Iterator<Item = Section<'_>> {
    text.split("-----BEGIN ").skip(1).filter_map(|section| {
        let (label, rest) = section.split_once("-----")?;
        let (inner, _) = rest.split_once("-----END ")?;
        let mut fields = Vec::new();
        let mut encoded = String::new();
        for line in inner.lines().map(str::trim) {
            match line.split_once(':') {
                Some((name, value)) => fields.push((name.trim(), value.trim())),
                None => encoded.push_str(line),
            }
        }
        Some((label, fields, STANDARD.decode(encoded).ok()?))
    })
}

fn pkcs8(data: &[u8]) -> Result<EncryptedKey, String> {
    let (_, whole) = parse_der(data).map_err(|error| error.to_string())?;
    let (algorithm, data) = two(&whole).ok_or("no PKCS#8")?;
    let (scheme, parameters) = two(algorithm).ok_or("no PKCS#8")?;
    if oid(scheme) != "1.2.840.113549.1.5.13" {
        return Err(format!("the scheme {}", oid(scheme)));
    }
    let (derivation, cipher) = two(parameters).ok_or("its parameters")?;
    let (function, parameters) = two(derivation).ok_or("its parameters")?;
    if oid(function) != "1.2.840.113549.1.5.12" {
        return Err(format!("the key derivation {}", oid(function)));
    }
    let (cipher, iv) = two(cipher).ok_or("its cipher")?;
    let (cipher, length) = match &*oid(cipher) {
        "2.16.840.1.101.3.4.1.2" => (&AES_128, 16),
        "2.16.840.1.101.3.4.1.22" => (&AES_192, 24),
        "2.16.840.1.101.3.4.1.42" => (&AES_256, 32),
        other => return Err(format!("the cipher {other}")),
    };
    let iv = iv.as_slice().ok().and_then(|iv| iv.try_into().ok());
    Ok(EncryptedKey {
        label: PKCS8.to_owned(),
        cipher,
        length,
        iv: iv.ok_or("its cipher's parameters")?,
        derivation: by_pbkdf2(parameters)?,
        data: data.as_slice().map_err(|_| "no PKCS#8")?.to_vec(),
    })
}

/// Salt, rounds, perhaps the key's length, perhaps the function.
fn by_pbkdf2(parameters: &BerObject<'_>) -> Result<Derivation, String> {
    let fault = "the key derivation's parameters";
    let all = parameters.as_sequence().map_err(|_| fault)?;
    let salt = all.first().and_then(|salt| salt.as_slice().ok());
    let rounds = all.get(1).and_then(|rounds| rounds.as_u32().ok());
    let function = all.iter().skip(2).find_map(|own| own.as_sequence().ok());
    let function = function.and_then(|own| own.first()).map(oid);
    let algorithm = match function.as_deref() {
        None | Some("1.2.840.113549.2.7") => pbkdf2::PBKDF2_HMAC_SHA1,
        Some("1.2.840.113549.2.9") => pbkdf2::PBKDF2_HMAC_SHA256,
        Some("1.2.840.113549.2.10") => pbkdf2::PBKDF2_HMAC_SHA384,
        Some("1.2.840.113549.2.11") => pbkdf2::PBKDF2_HMAC_SHA512,
        Some(other) => return Err(format!("the function {other}")),
    };
    let rounds = rounds.filter(|rounds| *rounds <= MOST_ROUNDS);
    let rounds = rounds.and_then(NonZeroU32::new);
    Ok(Derivation::Pbkdf2(
        algorithm,
        salt.ok_or(fault)?.to_vec(),
        rounds.ok_or(fault)?,
    ))
}

fn two<'o, 'a>(object: &'o BerObject<'a>) -> Option<(&'o BerObject<'a>, &'o BerObject<'a>)> {
    match object.as_sequence().ok()?.as_slice() {
        [first, second, ..] => Some((first, second)),
        _ => None,
    }
}

fn oid(object: &BerObject<'_>) -> String {
    let oid = object.as_oid();
    oid.map_or_else(|_| String::new(), |oid| oid.to_id_string())
}

/// OpenSSL's `EVP_BytesToKey` with MD5 and one round.
fn by_md5(password: &[u8], salt: &[u8], key: &mut [u8]) {
    let mut last: Vec<u8> = Vec::new();
    for part in key.chunks_mut(16) {
        let mut hash = Md5::new();
        hash.update(&last);
        hash.update(password);
        hash.update(salt);
        last = hash.finalize().to_vec();
        part.copy_from_slice(&last[..part.len()]);
    }
}

fn hex(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}
