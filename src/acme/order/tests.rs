//! Tests of `order`: what follows on what, with the authority's answers as values.
//!
//! Nothing waits and nothing is sent.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::*;

const NOW: OffsetDateTime = time::macros::datetime!(2026-11-21 07:00:00 UTC);

fn goal() -> Goal {
    Goal {
        identifier: identifier(&Host::parse("a.test").unwrap()),
        challenge: ChallengeType::Http01,
        replaces: Some(CertificateIdentifier {
            authority_key_identifier: Cow::Borrowed("aki"),
            serial: Cow::Borrowed("serial"),
        }),
        profile: Some("shortlived".to_owned()),
        profile_required: false,
    }
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer {
        status,
        location: (status == 201).then(|| "order/1".to_owned()),
        body: body.to_string().into(),
        ..Answer::default()
    }
}

fn state(status: &str) -> Answer {
    let mut body = json!({"status": status, "authorizations": ["authz/1"], "finalize": "fin/1"});
    if status == "valid" {
        body["certificate"] = "cert/1".into();
    }
    answer(200, &body)
}

fn placed(status: &str) -> Answer {
    Answer {
        status: 201,
        location: Some("order/1".to_owned()),
        ..state(status)
    }
}

fn problem(status: u16, word: &str) -> Answer {
    let kind = format!("urn:ietf:params:acme:error:{word}");
    answer(status, &json!({"type": kind, "detail": "no"}))
}

fn authorization(status: &str) -> Answer {
    answer(
        200,
        &json!({
            "identifier": {"type": "dns", "value": "a.test"},
            "status": status,
            "challenges": [
                {"type": "dns-01", "url": "c/d", "token": "d", "status": status},
                {"type": "http-01", "url": "c/h", "token": "h", "status": status},
            ],
        }),
    )
}

fn take(order: &mut Order, answer: &Answer) {
    order.answered(answer, NOW, 0).unwrap();
}

/// An order that waits for its challenge.
fn pending() -> Order {
    let mut order = Order::new(goal());
    take(&mut order, &placed("pending"));
    take(&mut order, &authorization("pending"));
    order.published();
    take(&mut order, &answer(200, &json!({})));
    order
}

fn look(order: &mut Order) {
    while let Action::Wait(_) = order.next() {
        order.waited();
    }
    assert_eq!(order.next(), Action::Look);
}

#[test]
fn an_order_goes_from_its_placing_to_its_chain() {
    let mut order = Order::new(goal());
    assert_eq!(order.next(), Action::Place(goal()));
    take(&mut order, &placed("pending"));
    assert_eq!(order.url(), Some("order/1"));
    assert_eq!(order.next(), Action::Authorization(0));
    take(&mut order, &authorization("pending"));
    let Action::Publish(wanted) = order.next() else {
        panic!("{:?}", order.next())
    };
    assert_eq!(
        wanted[0].token, "h",
        "published before the authority is told"
    );
    order.published();
    assert_eq!(order.next(), Action::Ready("c/h".to_owned()));
    take(&mut order, &answer(200, &json!({})));
    look(&mut order);
    take(&mut order, &state("ready"));
    assert_eq!(order.next(), Action::Finalize);
    take(&mut order, &state("processing"));
    look(&mut order);
    take(&mut order, &state("valid"));
    assert_eq!(order.next(), Action::Download);
    take(
        &mut order,
        &Answer {
            status: 200,
            body: "chain".into(),
            ..Answer::default()
        },
    );
    assert_eq!(order.next(), Action::Take("chain".to_owned()));
}

#[test]
fn a_replacement_the_authority_will_not_have_is_dropped_once() {
    for (status, word) in [
        (409, "alreadyReplaced"),
        (404, "malformed"),
        (400, "malformed"),
    ] {
        let mut order = Order::new(goal());
        take(&mut order, &problem(status, word));
        let Action::Place(next) = order.next() else {
            panic!("{:?}", order.next())
        };
        assert!(next.replaces.is_none());
        assert!(order.answered(&problem(status, word), NOW, 0).is_err());
    }
}

#[test]
fn an_unknown_profile_is_dropped_unless_it_is_required() {
    let mut order = Order::new(goal());
    take(&mut order, &problem(400, "invalidProfile"));
    let Action::Place(next) = order.next() else {
        panic!("{:?}", order.next())
    };
    assert!(next.profile.is_none());
    let required = Goal {
        profile_required: true,
        ..goal()
    };
    let failure = Order::new(required)
        .answered(&problem(400, "invalidProfile"), NOW, 0)
        .unwrap_err();
    assert_eq!(failure.class, Class::Input);
}

#[test]
fn an_answer_to_a_placed_order_that_cannot_be_read_leads_to_no_second_order() {
    let mut order = Order::new(goal());
    take(
        &mut order,
        &Answer {
            body: "{".into(),
            ..placed("pending")
        },
    );
    assert_eq!(order.next(), Action::Look);
}

#[test]
fn a_lost_answer_to_finalize_is_looked_for_in_the_order() {
    let mut order = pending();
    look(&mut order);
    take(&mut order, &state("ready"));
    order.lost(&Lost::new("reset")).unwrap();
    look(&mut order);
    let mut done = order.clone();
    take(&mut done, &state("valid"));
    assert_eq!(done.next(), Action::Download);
    let failure = order.answered(&state("ready"), NOW, 0).unwrap_err();
    assert_eq!(failure.class, Class::CaUnavailable);
    assert_eq!(failure.order, crate::acme::failure::OrderFate::Lives);
}

#[test]
fn a_challenge_the_authority_may_not_have_heard_of_is_told_again() {
    for refused in [None, Some(problem(400, "badNonce"))] {
        let mut order = Order::new(goal());
        take(&mut order, &placed("pending"));
        take(&mut order, &authorization("pending"));
        order.published();
        match refused {
            None => order.lost(&Lost::new("reset")).unwrap(),
            Some(answer) => take(&mut order, &answer),
        }
        take(&mut order, &state("pending"));
        assert_eq!(order.next(), Action::Authorization(0));
        take(&mut order, &authorization("pending"));
        order.published();
        assert_eq!(order.next(), Action::Ready("c/h".to_owned()));
    }
}

#[test]
fn single_failures_while_waiting_are_sat_out_but_not_for_ever() {
    let mut order = pending();
    let mut waited = Duration::ZERO;
    let failure = loop {
        match order.next() {
            Action::Wait(wait) => {
                waited += wait;
                order.waited();
            }
            _ => {
                if let Err(failure) = order.lost(&Lost::new("reset")) {
                    break failure;
                }
            }
        }
    };
    assert!(
        waited <= PATIENCE && waited > PATIENCE - LONGEST_PAUSE,
        "{waited:?}"
    );
    assert_eq!(failure.order, crate::acme::failure::OrderFate::Lives);
}

#[test]
fn the_authoritys_pace_is_kept_within_bounds() {
    let wait = |retry_after: &str| {
        let mut order = pending();
        look(&mut order);
        let told = Answer {
            retry_after: Some(retry_after.to_owned()),
            ..state("pending")
        };
        take(&mut order, &told);
        order.next()
    };
    assert_eq!(wait("3"), Action::Wait(Duration::from_secs(3)));
    assert_eq!(wait("0"), Action::Wait(Duration::from_secs(1)));
    assert_eq!(wait("600"), Action::Wait(LONGEST_PAUSE));
}

#[test]
fn an_invalid_order_says_what_its_challenge_says() {
    let mut order = pending();
    look(&mut order);
    take(&mut order, &state("invalid"));
    assert_eq!(order.next(), Action::Authorization(0));
    let mut why: Value = serde_json::from_slice(&authorization("invalid").body).unwrap();
    why["challenges"][1]["error"] =
        json!({"type": "urn:ietf:params:acme:error:dns", "detail": "NXDOMAIN"});
    let failure = order.answered(&answer(200, &why), NOW, 0).unwrap_err();
    assert_eq!(failure.class, Class::Validation);
    assert!(failure.detail.contains("NXDOMAIN"), "{}", failure.detail);
    assert_eq!(failure.order, crate::acme::failure::OrderFate::Dead);
}

#[test]
fn an_order_the_authority_has_forgotten_is_begun_anew_and_one_it_cannot_show_now_is_not() {
    let resume = || Order::resume(goal(), "order/1".to_owned());
    let fate = |answer: &Answer| resume().answered(answer, NOW, 0).unwrap_err().order;
    use crate::acme::failure::OrderFate::{Forgotten, Lives};
    assert_eq!(fate(&problem(404, "malformed")), Forgotten);
    assert_eq!(fate(&state("invalid")), Forgotten);
    assert_eq!(fate(&problem(500, "serverInternal")), Lives);
    assert_eq!(fate(&problem(429, "rateLimited")), Lives);
    let lost = resume().lost(&Lost::new("reset")).unwrap_err();
    assert_eq!(lost.order, Lives);
}

#[test]
fn a_resumed_order_is_told_again_only_what_it_does_not_know() {
    let mut order = Order::resume(goal(), "order/1".to_owned());
    take(&mut order, &state("pending"));
    let mut told: Value = serde_json::from_slice(&authorization("pending").body).unwrap();
    told["challenges"][1]["status"] = "processing".into();
    take(&mut order, &answer(200, &told));
    assert!(matches!(order.next(), Action::Publish(wanted) if wanted.len() == 1));
    order.published();
    assert_eq!(order.next(), Action::Look);
    take(&mut order, &state("ready"));
    assert_eq!(order.next(), Action::Finalize);
}
