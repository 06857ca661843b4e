//! What an unfit chain means for its order; whether it is fit is `tls::verify`'s.
//!
//! Pure. What is refused here is never written and never served; the reason decides whether the order is asked again.
#![deny(clippy::disallowed_methods)]

use rcgen::KeyPair;
use time::OffsetDateTime;

use super::failure::Failure;
use super::schedule::Class;
use crate::tls::pem::{Pair, load_pair_from_memory};
use crate::tls::verify::{self, CLOCK_SLACK, Fault};
use crate::types::host::Host;

const STEP: &str = "verify";

/// The pair, when the chain is for this key, this host and now. `skew` is how far the authority's clock is ahead.
pub(super) fn check(
    chain: &str,
    key: &KeyPair,
    host: &Host,
    now: OffsetDateTime,
    skew: Option<time::Duration>,
) -> Result<Pair, Failure> {
    let pair = load_pair_from_memory(chain.as_bytes(), key.serialize_pem().as_bytes())
        .map_err(|error| Failure::new(STEP, Class::CaUnavailable, error.to_string()))?;
    match verify::new(&pair, std::slice::from_ref(host), now) {
        Ok(()) => return Ok(pair),
        Err(fault @ (Fault::Name(_) | Fault::Chain(_))) => {
            return Err(Failure::new(STEP, Class::CaUnavailable, fault.to_string()));
        }
        Err(Fault::NotYet(_) | Fault::Expired(_)) => {}
    }
    let text = format!(
        "the certificate is valid from {} to {}, but this machine's clock says {now}",
        pair.leaf.not_before, pair.leaf.not_after
    );
    if skew.is_some_and(|skew| skew.abs() > CLOCK_SLACK) {
        // The order is kept: once the clock is right, the same certificate is fetched again.
        let text =
            format!("{text}, and the authority's clock something else; check this machine's clock");
        return Err(Failure::new(STEP, Class::Clock, text));
    }
    Err(Failure::new(STEP, Class::Validation, text).dead())
}
