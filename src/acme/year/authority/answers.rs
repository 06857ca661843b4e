//! What the authority in memory answers, as documents of RFC 8555 and RFC 9773.
//!
//! Counts nothing and, but for accounts, changes nothing.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{State, token};
use crate::acme::answer::Answer;

pub(super) fn directory() -> Value {
    json!({
        "newNonce": "https://ca.test/nonce",
        "newAccount": "https://ca.test/account",
        "newOrder": "https://ca.test/new-order",
        "renewalInfo": "https://ca.test/ari",
    })
}

pub(super) fn register(state: &mut State, body: &[u8]) -> Answer {
    let jwk = part(body, "protected")["jwk"].to_string();
    let count = state.accounts.len();
    let is_new = !state.accounts.contains_key(&jwk) && jwk != "null";
    let number = match jwk == "null" {
        true => 0, // an update by an account that is known
        false => *state.accounts.entry(jwk).or_insert(count),
    };
    Answer {
        location: Some(format!("https://ca.test/account/{number}")),
        ..ok(if is_new { 201 } else { 200 }, &json!({"status": "valid"}))
    }
}

pub(super) fn order_state(state: &State, index: usize) -> Value {
    let order = &state.orders[index];
    let status = match (&order.chain, order.valid) {
        (Some(_), _) => "valid",
        (None, true) => "ready",
        (None, false) => "pending",
    };
    let mut value = json!({
        "status": status,
        "authorizations": [format!("https://ca.test/authz/{index}")],
        "finalize": format!("https://ca.test/finalize/{index}"),
    });
    if let Some(replaces) = &order.replaces {
        value["replaces"] = replaces.as_str().into();
    }
    if order.chain.is_some() {
        value["certificate"] = format!("https://ca.test/certificate/{index}").into();
    }
    value
}

pub(super) fn authorization(state: &State, index: usize) -> Value {
    let order = &state.orders[index];
    let status = if order.valid { "valid" } else { "pending" };
    json!({
        "identifier": {"type": "dns", "value": order.host},
        "status": status,
        "challenges": [{"type": "http-01", "url": format!("https://ca.test/challenge/{index}"), "token": token(index), "status": status}],
    })
}

pub(super) fn chain(state: &State, index: usize) -> Answer {
    Answer {
        body: state.orders[index].chain.clone().unwrap_or_default().into(),
        ..ok(200, &Value::Null)
    }
}

pub(super) fn window(state: &State, id: &str) -> Answer {
    let Some((start, end)) = state.windows.get(id) else {
        return problem(404, "malformed", "no such certificate");
    };
    let text = |at: &OffsetDateTime| at.format(&Rfc3339).unwrap();
    let mut answer = ok(
        200,
        &json!({"suggestedWindow": {"start": text(start), "end": text(end)}}),
    );
    answer.retry_after = Some("21600".to_owned());
    answer
}

pub(super) fn part(body: &[u8], name: &str) -> Value {
    let body: Value = serde_json::from_slice(body).unwrap();
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(body[name].as_str().unwrap())
        .unwrap();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

pub(super) fn ok(status: u16, body: &Value) -> Answer {
    Answer {
        status,
        body: body.to_string().into(),
        ..Answer::default()
    }
}

pub(super) fn problem(status: u16, word: &str, detail: &str) -> Answer {
    let kind = format!("urn:ietf:params:acme:error:{word}");
    ok(
        status,
        &json!({"type": kind, "detail": detail, "status": status}),
    )
}
