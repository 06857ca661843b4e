//! Tests of `renewal`: what windows and dates mean for when a certificate is renewed.
//!
//! Times are values; nothing waits and nothing is sent.

use super::*;
use proptest::prelude::*;
use time::format_description::well_known::Rfc3339;

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

fn leaf(life: i64) -> Leaf {
    Leaf {
        names: Vec::new(),
        not_before: at(0),
        not_after: at(life),
        serial: "01".to_owned(),
        issuer: String::new(),
    }
}

const DAY: i64 = 86_400;

fn told(start: &str, end: &str, retry_after: Option<&str>) -> Result<Answer, Lost> {
    Ok(Answer {
        status: 200,
        retry_after: retry_after.map(str::to_owned),
        body: serde_json::json!({"suggestedWindow": {"start": start, "end": end}})
            .to_string()
            .into(),
        ..Answer::default()
    })
}

fn fold_at(renewal: &mut Renewal, answer: &Result<Answer, Lost>, now: i64, jitter: f64) -> Told {
    let (leaf, delays) = (leaf(90 * DAY), Delays::default());
    fold(renewal, &leaf, answer, &delays, at(now), jitter)
}

#[test]
fn certificates_of_every_life_are_renewed_in_time_without_the_authoritys_wish() {
    for (life, due_at) in [
        (90 * DAY, 60 * DAY),
        (64 * DAY, 64 * DAY / 3 * 2),
        (45 * DAY, 30 * DAY),
        (160 * 3600, 80 * 3600),
    ] {
        let due = due(&leaf(life), at(0), None, 0.0);
        assert_eq!(
            due,
            Due {
                at: at(due_at),
                why: Why::Life
            },
            "{life}"
        );
        assert!(due.at < emergency_at(&leaf(life)));
    }
    assert_eq!(emergency_at(&leaf(90 * DAY)), at(81 * DAY));
    assert_eq!(emergency_at(&leaf(160 * 3600)), at(144 * 3600));
}

#[test]
fn one_moment_is_drawn_for_a_window_and_kept_while_it_stays() {
    let mut renewal = Renewal::new("01");
    let window = told("1970-03-01T00:00:00Z", "1970-03-03T00:00:00Z", Some("7200"));
    assert_eq!(fold_at(&mut renewal, &window, 0, 0.5), Told::Moved);
    let first = due(&leaf(90 * DAY), at(0), Some(&renewal), 0.9);
    assert_eq!(first.why, Why::Window);
    assert_eq!(first.at.date(), time::macros::date!(1970 - 03 - 02));
    assert_eq!(fold_at(&mut renewal, &window, 9000, 0.1), Told::Same);
    assert_eq!(due(&leaf(90 * DAY), at(0), Some(&renewal), 0.2), first);
    let moved = told("1970-01-01T00:00:00Z", "1970-01-01T01:00:00Z", None);
    assert_eq!(fold_at(&mut renewal, &moved, 9000, 0.1), Told::Moved);
    assert!(due(&leaf(90 * DAY), at(0), Some(&renewal), 0.2).at < at(3600));
    assert_eq!(
        due(
            &Leaf {
                serial: "02".to_owned(),
                ..leaf(90 * DAY)
            },
            at(0),
            Some(&renewal),
            0.0
        )
        .why,
        Why::Life,
        "another certificate's window"
    );
}

#[test]
fn the_time_to_ask_again_stays_between_an_hour_and_a_day() {
    let mut renewal = Renewal::new("01");
    let mut poll = |retry: Option<&str>| {
        let answer = told("1970-03-01T00:00:00Z", "1970-03-03T00:00:00Z", retry);
        fold_at(&mut renewal, &answer, 0, 0.0);
        renewal.poll_unix_ms / 1000
    };
    assert_eq!(poll(None), 6 * 3600);
    assert_eq!(poll(Some("0")), 3600);
    assert_eq!(poll(Some("31536000")), DAY);
    assert_eq!(poll(Some("7200")), 7200);
}

#[test]
fn a_window_that_makes_no_sense_leaves_the_decision_to_the_dates() {
    let mut renewal = Renewal::new("01");
    let good = told("1970-03-01T00:00:00Z", "1970-03-03T00:00:00Z", None);
    for bad in [
        told("1971-01-01T00:00:00Z", "1971-01-02T00:00:00Z", None),
        told("1970-03-03T00:00:00Z", "1970-03-01T00:00:00Z", None),
        told("tomorrow", "1970-03-01T00:00:00Z", None),
        Ok(Answer {
            status: 200,
            body: "{".into(),
            ..Answer::default()
        }),
        Ok(Answer {
            status: 404,
            ..Answer::default()
        }),
    ] {
        fold_at(&mut renewal, &good, 0, 0.5);
        assert!(matches!(
            fold_at(&mut renewal, &bad, 5, 0.5),
            Told::Nothing(_)
        ));
        assert_eq!(
            due(&leaf(90 * DAY), at(0), Some(&renewal), 0.0).why,
            Why::Life
        );
        assert!(renewal.silent_since_unix_ms.is_some());
    }
    fold_at(&mut renewal, &good, 0, 0.5);
    fold_at(&mut renewal, &Err(Lost::new("reset")), 5, 0.5);
    assert_eq!(
        due(&leaf(90 * DAY), at(0), Some(&renewal), 0.0).why,
        Why::Window,
        "no answer is not another answer"
    );
}

#[test]
fn a_window_later_than_the_emergency_does_not_count_then() {
    let mut renewal = Renewal::new("01");
    let late = told("1970-03-31T00:00:00Z", "1970-05-31T00:00:00Z", None);
    fold_at(&mut renewal, &late, 0, 0.5);
    let due = due(&leaf(90 * DAY), at(0), Some(&renewal), 0.0);
    assert_eq!(
        due,
        Due {
            at: at(81 * DAY),
            why: Why::Emergency
        }
    );
}

proptest! {
    #[test]
    fn no_window_plans_a_renewal_for_after_the_emergency(start in 0i64..400 * DAY, length in 1i64..400 * DAY, life in 3600i64..400 * DAY, jitter in 0.0f64..1.0) {
        let (leaf, delays) = (leaf(life), Delays::default());
        let text = |seconds| at(seconds).format(&Rfc3339).unwrap();
        let mut renewal = Renewal::new("01");
        fold(&mut renewal, &leaf, &told(&text(start), &text(start + length), None), &delays, at(0), jitter);
        prop_assert!(due(&leaf, at(0), Some(&renewal), jitter).at <= emergency_at(&leaf));
    }
}
