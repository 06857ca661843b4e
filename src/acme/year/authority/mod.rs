//! An authority in memory, behind the same [`Transport`] as a real one: accounts, orders, certificates with renewal
//! windows, and Let's Encrypt's limits, each breach of which is noted.

mod answers;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Method;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData, SerialNumber,
    SignatureAlgorithm,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

use self::answers::{
    authorization, chain, directory, ok, order_state, part, problem, register, window,
};
use crate::acme::answer::{Answer, Lost};
use crate::acme::challenge::Tokens;
use crate::acme::client::Transport;
use crate::acme::clock::Clock;
use crate::acme::keys;
use crate::types::host::Host;

pub(super) const DAY: Duration = Duration::days(1);
/// The 60 days without an answer, and the 30 with nothing but refusals, in days since the start.
const OUTAGE: (i64, i64) = (100, 160);
const REFUSALS: (i64, i64) = (220, 250);

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) orders: u64,
    pub(super) issued: u64,
    pub(super) accounts: usize,
    pub(super) renewal_information: u64,
    pub(super) in_outage: u64,
    pub(super) refused: u64,
    pub(super) lost: BTreeSet<&'static str>,
    pub(super) exceeded: Vec<String>,
}

pub(super) struct Simulated {
    clock: Arc<dyn Clock>,
    tokens: Tokens,
    start: OffsetDateTime,
    issuer: Issuer<'static, KeyPair>,
    root: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counts: Counts,
    accounts: HashMap<String, usize>,
    orders: Vec<Order>,
    /// By the id renewal information is asked for.
    windows: HashMap<String, (OffsetDateTime, OffsetDateTime)>,
    replaced: BTreeSet<String>,
    /// When orders and certificates came, for the limits.
    placed: Vec<OffsetDateTime>,
    issued: BTreeMap<String, Vec<OffsetDateTime>>,
}

struct Order {
    host: String,
    valid: bool,
    replaces: Option<String>,
    chain: Option<String>,
}

/// How long a host's certificates live, by its name.
pub(super) fn life_of(host: &str) -> Duration {
    match host.split('-').next() {
        Some("d90") => Duration::days(90),
        Some("d45") => Duration::days(45),
        _ => Duration::hours(160),
    }
}

/// A public key as it came in a request.
struct PublicKey(Vec<u8>);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl Simulated {
    pub(super) fn new(clock: Arc<dyn Clock>, tokens: Tokens, start: OffsetDateTime) -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().pem();
        Self {
            clock,
            tokens,
            start,
            issuer: Issuer::new(params, key),
            root,
            state: Mutex::default(),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let state = self.state.lock().unwrap();
        Counts {
            accounts: state.accounts.len(),
            ..state.counts.clone()
        }
    }

    fn day(&self, now: OffsetDateTime) -> i64 {
        (now - self.start).whole_days()
    }

    /// Since when orders are answered and not refused; `None` while they are.
    pub(super) fn works_since(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let day = self.day(now);
        let within = |(from, to): (i64, i64)| (from..to).contains(&day);
        if within(OUTAGE) || within(REFUSALS) {
            return None;
        }
        let ends = [0, OUTAGE.1, REFUSALS.1];
        let last = ends.into_iter().filter(|end| *end <= day).max()?;
        Some(self.start + DAY * last as i32)
    }

    /// Each kind of answer is lost once, on a day of its own; what was asked for is done all the same.
    fn loses(&self, state: &mut State, kind: &'static str, now: OffsetDateTime) -> bool {
        let kinds = [
            "directory",
            "nonce",
            "account",
            "order",
            "look",
            "authz",
            "challenge",
            "finalize",
            "certificate",
            "ari",
        ];
        let index = kinds.iter().position(|one| *one == kind).unwrap_or(0) as i64;
        let from = if kind == "account" { 0 } else { 10 + index * 7 };
        self.day(now) >= from && state.counts.lost.insert(kind)
    }

    fn answer(&self, method: &Method, url: &str, body: Option<&[u8]>) -> Result<Answer, Lost> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        state.counts.requests += 1;
        if (OUTAGE.0..OUTAGE.1).contains(&self.day(now)) {
            state.counts.in_outage += 1;
            return Err(Lost::new("connection refused"));
        }
        let path = url.strip_prefix("https://ca.test/").unwrap_or(url);
        let (kind, rest) = path.split_once('/').unwrap_or((path, ""));
        let payload = body.map(|body| part(body, "payload")).unwrap_or_default();
        let index: usize = rest.parse().unwrap_or(0);
        let (kind, answer) = match (method, kind) {
            (_, "directory") => ("directory", ok(200, &directory())),
            (_, "nonce") => ("nonce", ok(200, &json!({}))),
            (_, "account") => ("account", register(&mut state, body.unwrap_or_default())),
            (_, "new-order") => ("order", self.place(&mut state, &payload, now)),
            (_, "order") => ("look", ok(200, &order_state(&state, index))),
            (_, "authz") => ("authz", ok(200, &authorization(&state, index))),
            (_, "challenge") => ("challenge", self.validate(&mut state, index)),
            (_, "finalize") => ("finalize", self.issue(&mut state, index, &payload, now)),
            (_, "certificate") => ("certificate", chain(&state, index)),
            (_, "ari") => {
                state.counts.renewal_information += 1;
                ("ari", window(&state, rest))
            }
            _ => ("", problem(404, "malformed", "no such thing")),
        };
        if self.loses(&mut state, kind, now) {
            return Err(Lost::new("connection reset"));
        }
        Ok(answer)
    }

    fn place(&self, state: &mut State, payload: &Value, now: OffsetDateTime) -> Answer {
        let host = payload["identifiers"][0]["value"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        if (REFUSALS.0..REFUSALS.1).contains(&self.day(now)) {
            state.counts.refused += 1;
            let text = "too many new orders (300) from this account in the last 3h0m0s";
            let mut refused = problem(429, "rateLimited", text);
            refused.retry_after = Some("3600".to_owned());
            return refused;
        }
        let replaces = payload["replaces"].as_str().unwrap_or("");
        if !replaces.is_empty() && !state.replaced.insert(replaces.to_owned()) {
            return problem(409, "alreadyReplaced", "already has a replacement order");
        }
        let replaces = Some(replaces.to_owned()).filter(|id| !id.is_empty());
        state.counts.orders += 1;
        state.placed.push(now);
        let recent = state
            .placed
            .iter()
            .filter(|at| now - **at < Duration::hours(3))
            .count();
        if recent > 300 {
            state.counts.exceeded.push(format!("orders at {now}"));
        }
        state.orders.push(Order {
            host,
            valid: false,
            replaces,
            chain: None,
        });
        let index = state.orders.len() - 1;
        Answer {
            location: Some(format!("https://ca.test/order/{index}")),
            ..ok(201, &order_state(state, index))
        }
    }

    fn validate(&self, state: &mut State, index: usize) -> Answer {
        let order = &mut state.orders[index];
        let host = Host::parse(&order.host).unwrap();
        order.valid = self.tokens.lookup(&host, &token(index)).is_some();
        assert!(
            order.valid,
            "the token is there before the authority is told"
        );
        ok(200, &authorization(state, index)["challenges"][0])
    }

    fn issue(
        &self,
        state: &mut State,
        index: usize,
        payload: &Value,
        now: OffsetDateTime,
    ) -> Answer {
        let csr = BASE64_URL_SAFE_NO_PAD
            .decode(payload["csr"].as_str().unwrap())
            .unwrap();
        let (_, request) = X509CertificationRequest::from_der(&csr).unwrap();
        let info = &request.certification_request_info;
        let key = PublicKey(info.subject_pki.subject_public_key.data.to_vec());
        let host = state.orders[index].host.clone();
        let life = life_of(&host);
        let mut params = CertificateParams::new(vec![host.clone()]).unwrap();
        params.not_before = now;
        params.not_after = now + life;
        params.serial_number = Some(SerialNumber::from((index as u64) + 0x0100_0000));
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let part = if life < DAY * 10 { 0.5 } else { 2.0 / 3.0 };
        let middle = now + life * part;
        let id = keys::certificate_id(leaf.der()).unwrap().to_string();
        state
            .windows
            .insert(id, (middle - life * 0.01, middle + life * 0.01));
        self.check_limits(state, index, now);
        state.counts.issued += 1;
        state.orders[index].chain = Some(format!("{}{}", leaf.pem(), self.root));
        ok(200, &order_state(state, index))
    }

    /// Five of one set and fifty of one domain in seven days, unless the order replaces.
    fn check_limits(&self, state: &mut State, index: usize, now: OffsetDateTime) {
        if state.orders[index].replaces.is_some() {
            return;
        }
        let host = state.orders[index].host.clone();
        for (key, most) in [(host, 5), ("example.test".to_owned(), 50)] {
            let times = state.issued.entry(key.clone()).or_default();
            times.push(now);
            if times.iter().filter(|at| now - **at < DAY * 7).count() > most {
                state.counts.exceeded.push(format!("{key} at {now}"));
            }
        }
    }
}

#[async_trait]
impl Transport for Simulated {
    async fn send(&self, method: Method, url: &str, body: Option<Vec<u8>>) -> Result<Answer, Lost> {
        let mut answer = self.answer(&method, url, body.as_deref())?;
        answer.nonce = Some("nonce".to_owned());
        Ok(answer)
    }
}

fn token(index: usize) -> String {
    format!("token-number-{index:010}")
}
