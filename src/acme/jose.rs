//! Signed requests (RFC 8555 section 6.2), for the two that the crate makes only with a key of its own: registering an
//! account, with its binding to one that exists elsewhere (section 7.3.4), and giving it another key (section 7.3.5).
//!
//! JWS in flattened JSON with an account's P-256 key. Knows no network.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// An account's key.
pub(super) struct AccountKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    jwk: Value,
}

/// The key cannot be used, or this machine has no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account's key cannot sign")]
pub(super) struct CannotSign;

/// Who signs: an account that has a URL, or a key that asks for one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signer<'a> {
    Account(&'a str),
    Key,
}

/// An account elsewhere that ours is to be bound to; the key is the secret one.
pub(super) struct ExternalAccount<'a> {
    pub(super) key_id: &'a str,
    pub(super) hmac_key: &'a [u8],
}

impl AccountKey {
    /// From PKCS#8 DER.
    pub(super) fn new(pkcs8: &[u8]) -> Result<Self, CannotSign> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .map_err(|_| CannotSign)?;
        // An uncompressed point: 4, x, y.
        let point = pair.public_key().as_ref();
        let (Some(x), Some(y)) = (point.get(1..33), point.get(33..65)) else {
            return Err(CannotSign);
        };
        Ok(Self {
            jwk: json!({"crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y)}),
            pair,
            random: SystemRandom::new(),
        })
    }

    /// A request's body, or what is to be sent within one, which has no nonce.
    pub(super) fn sign(
        &self,
        signer: Signer<'_>,
        nonce: Option<&str>,
        url: &str,
        payload: &Value,
    ) -> Result<Value, CannotSign> {
        let mut header = json!({"alg": "ES256", "url": url});
        if let Some(nonce) = nonce {
            header["nonce"] = nonce.into();
        }
        match signer {
            Signer::Account(id) => header["kid"] = id.into(),
            Signer::Key => header["jwk"] = self.jwk.clone(),
        }
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(payload.to_string().as_bytes())
        );
        let signature = self
            .pair
            .sign(&self.random, signed.as_bytes())
            .map_err(|_| CannotSign)?;
        Ok(flattened(&signed, signature.as_ref()))
    }

    /// What the account's next key signs so that the account is given it (RFC 8555 section 7.3.5); the whole is then signed
    /// by `self`, its key so far.
    pub(super) fn hand_over(
        &self,
        next: &Self,
        account: &str,
        key_change: &str,
    ) -> Result<Value, CannotSign> {
        let payload = json!({"account": account, "oldKey": self.jwk});
        next.sign(Signer::Key, None, key_change, &payload)
    }

    /// The value of `externalAccountBinding`, for registering at `new_account`.
    pub(super) fn bind(&self, external: &ExternalAccount<'_>, new_account: &str) -> Value {
        let header = json!({"alg": "HS256", "kid": external.key_id, "url": new_account});
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(self.jwk.to_string().as_bytes())
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, external.hmac_key);
        flattened(&signed, hmac::sign(&key, signed.as_bytes()).as_ref())
    }
}

/// Base64url without padding, as everything in ACME.
fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A secret as authorities hand it out: base64url or base64, padded or not. `None` when it is neither.
pub(super) fn decode_secret(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .or_else(|_| BASE64_STANDARD.decode(text))
        .ok()?;
    (!bytes.is_empty()).then_some(bytes)
}

fn flattened(signed: &str, signature: &[u8]) -> Value {
    let (protected, payload) = signed.split_once('.').unwrap_or((signed, ""));
    json!({"protected": protected, "payload": payload, "signature": encode(signature)})
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    fn key() -> AccountKey {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        AccountKey::new(&pair.serialize_der()).unwrap()
    }

    fn part(body: &Value, name: &str) -> Value {
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(body[name].as_str().unwrap())
            .unwrap();
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    }

    #[test]
    fn a_request_is_signed_over_its_header_and_payload() {
        let key = key();
        let body = key
            .sign(Signer::Account("acct"), Some("n"), "u", &json!({"a": 1}))
            .unwrap();
        assert_eq!(
            part(&body, "protected"),
            json!({"alg": "ES256", "nonce": "n", "url": "u", "kid": "acct"})
        );
        assert_eq!(part(&body, "payload"), json!({"a": 1}));
        let signed = format!(
            "{}.{}",
            body["protected"].as_str().unwrap(),
            body["payload"].as_str().unwrap()
        );
        let signature = BASE64_URL_SAFE_NO_PAD
            .decode(body["signature"].as_str().unwrap())
            .unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.pair.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .unwrap();
    }

    #[test]
    fn a_key_that_asks_for_an_account_shows_itself_and_its_binding_names_it_too() {
        let key = key();
        let body = key.sign(Signer::Key, Some("n"), "u", &json!({})).unwrap();
        let jwk = part(&body, "protected")["jwk"].clone();
        let external = ExternalAccount {
            key_id: "kid-1",
            hmac_key: b"secret",
        };
        let binding = key.bind(&external, "new-account");
        assert_eq!(part(&binding, "payload"), jwk);
        assert_eq!(part(&binding, "protected")["kid"], "kid-1");
    }

    #[test]
    fn the_next_key_names_the_account_and_the_key_before_it_and_carries_no_nonce() {
        let (old, next) = (key(), key());
        let body = old.hand_over(&next, "acct", "key-change").unwrap();
        let header = json!({"alg": "ES256", "url": "key-change", "jwk": next.jwk});
        assert_eq!(part(&body, "protected"), header);
        let payload = json!({"account": "acct", "oldKey": old.jwk});
        assert_eq!(part(&body, "payload"), payload);
    }

    #[test]
    fn secrets_are_read_as_either_kind_of_base64() {
        assert_eq!(decode_secret("-_8=\n"), Some(vec![0xfb, 0xff]));
        assert_eq!(decode_secret("-_8"), Some(vec![0xfb, 0xff]));
        assert_eq!(decode_secret("+/8="), Some(vec![0xfb, 0xff]));
        assert_eq!(decode_secret("not base64!"), None);
        assert_eq!(decode_secret(""), None);
    }
}
