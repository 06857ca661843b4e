//! What a book of names does under a clock of the tests.
//!
//! Answers are handed in; nobody is asked.
#![allow(clippy::disallowed_methods, reason = "tests need a time to start from")]

use proptest::prelude::*;

use super::*;
use crate::dns::Family;
use crate::types::name::UpstreamName;

const SECOND: Duration = Duration::from_secs(1);

fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

fn plain() -> Upstream {
    Upstream::plain(UpstreamName::parse("u").unwrap(), [] as [SocketAddr; 0])
}

fn by_host(text: &str) -> Upstream {
    let one = NamedEndpoints {
        name: name(text),
        port: 80,
        weight: 3,
        backup: true,
        most: None,
        times: 1,
    };
    Upstream {
        named: vec![one],
        ..plain()
    }
}

fn by_service(text: &str) -> Upstream {
    Upstream {
        service: Some(name(text)),
        ..plain()
    }
}

fn found(hosts: &[u8], secs: u64) -> Looked {
    Looked::Host(Ok(Found {
        all: hosts.iter().map(|last| address(*last)).collect(),
        ttl: Duration::from_secs(secs),
        unknown: None,
    }))
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn empty() -> Looked {
    Looked::Host(Err(LookupError::Empty("none")))
}

fn failed() -> Looked {
    Looked::Host(Err(LookupError::Failed("SERVFAIL".to_owned())))
}

/// A book with one host, and a clock.
struct Scene {
    book: Book,
    upstream: Upstream,
    settings: config::Resolver,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        let (book, upstream, now) = (Book::default(), by_host("hub.test"), Instant::now());
        book.follow([&upstream].into_iter(), now);
        let settings = config::Resolver::default();
        Self {
            book,
            upstream,
            settings,
            now,
        }
    }

    /// Waits until the question is due, answers it, and says for how long it then waits.
    fn answer(&mut self, looked: Looked) -> (Change, Duration) {
        let query = Query::Host(name("hub.test"));
        self.now = self.now.max(self.book.next().unwrap());
        assert_eq!(self.book.due(9, self.now), std::slice::from_ref(&query));
        let change = self
            .book
            .take(&query, looked, &self.settings, 0.5, self.now);
        (change, self.book.next().unwrap() - self.now)
    }

    fn endpoints(&self) -> Vec<u8> {
        let (endpoints, _) = self.book.endpoints(&self.upstream);
        let last = |one: &config::Endpoint| match one.address.digest().ip() {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(_) => 6,
        };
        endpoints.iter().map(last).collect()
    }

    fn trouble(&self) -> Option<String> {
        self.book.standings(&self.upstream, self.now)[0]
            .trouble
            .clone()
    }
}

#[test]
fn an_answer_holds_as_long_as_it_says_within_bounds() {
    for (says, holds) in [(30, 30), (0, 5), (1 << 31, 300)] {
        let mut scene = Scene::new();
        let (change, wait) = scene.answer(found(&[1, 2], says));
        assert_eq!((change, scene.endpoints()), (Change::Changed, vec![1, 2]));
        // A little sooner, so that not all ask at once.
        assert_eq!(wait, Duration::from_secs(holds).mul_f64(0.95));
    }
}

#[test]
fn endpoints_have_what_was_configured_of_their_name() {
    let mut scene = Scene::new();
    scene.answer(found(&[1], 30));
    let expected = config::Endpoint {
        address: SocketAddr::new(address(1), 80).into(),
        weight: 3,
        backup: true,
        most: None,
        times: 1,
    };
    assert_eq!(
        scene.book.endpoints(&scene.upstream),
        (vec![expected], false)
    );
}

#[test]
fn what_was_known_stays_while_nobody_answers_who_is_asked_less_and_less() {
    let mut scene = Scene::new();
    scene.answer(found(&[1], 30));
    let mut waits = Vec::new();
    for round in 0..8 {
        let (change, wait) = scene.answer(failed());
        let told = matches!(change, Change::Failing(_));
        assert_eq!(told, round == 0, "it is told once: {change:?}");
        assert_eq!(scene.endpoints(), [1]);
        waits.push(wait.as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!(scene.trouble().as_deref(), Some("SERVFAIL"));
    assert_eq!(scene.answer(found(&[1], 30)).0, Change::Recovered);
    assert_eq!(scene.trouble(), None);
    assert_eq!(scene.answer(found(&[1], 30)).0, Change::None);
}

#[test]
fn emptiness_is_believed_when_it_was_said_long_and_often_enough() {
    let mut scene = Scene::new();
    scene.answer(found(&[1], 30));
    let (change, _) = scene.answer(empty());
    assert_eq!(change, Change::Distrusted("none".to_owned()));
    let since = scene.now;
    loop {
        let (change, _) = scene.answer(empty());
        if change == Change::Gone {
            break;
        }
        assert_eq!((change, scene.endpoints()), (Change::None, vec![1]));
    }
    assert!(scene.now - since >= scene.settings.empty_after);
    assert!(scene.endpoints().is_empty());
    assert_eq!(scene.answer(found(&[2], 30)).0, Change::Changed);
    assert_eq!(scene.endpoints(), [2]);
}

#[test]
fn a_failure_between_empty_answers_begins_the_wait_anew() {
    let mut scene = Scene::new();
    scene.settings.empty_after = Duration::ZERO;
    scene.answer(found(&[1], 30));
    for looked in [empty(), empty(), failed(), empty(), empty()] {
        scene.answer(looked);
        assert_eq!(scene.endpoints(), [1]);
    }
    assert_eq!(scene.answer(empty()).0, Change::Gone);
}

#[test]
fn a_family_that_cannot_be_found_out_about_keeps_its_addresses() {
    let mut scene = Scene::new();
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    let both = Found {
        all: vec![address(1), v6],
        ttl: 30 * SECOND,
        unknown: None,
    };
    scene.answer(Looked::Host(Ok(both.clone())));
    let half = Found {
        all: vec![address(2)],
        unknown: Some((Family::V6, "SERVFAIL".to_owned())),
        ..both
    };
    scene.answer(Looked::Host(Ok(half)));
    assert_eq!(scene.endpoints(), [2, 6]);
    assert_eq!(scene.trouble().as_deref(), Some("SERVFAIL"));
}

#[test]
fn a_service_leads_to_its_targets_with_weights_and_backups() {
    let (book, now) = (Book::default(), Instant::now());
    let (upstream, settings) = (
        by_service("_http._tcp.hub.test"),
        config::Resolver::default(),
    );
    let follow = || book.follow([&upstream].into_iter(), now);
    follow();
    let service = Query::Service(name("_http._tcp.hub.test"));
    assert_eq!(book.due(9, now), std::slice::from_ref(&service));
    let one = |priority, weight, target: &str| Service {
        priority,
        target: name(target),
        port: 8000 + priority,
        weight,
    };
    let all = vec![
        one(1, 60_000, "a.test."),
        one(1, 0, "b.test."),
        one(2, 600, "a.test."),
    ];
    let looked = Looked::Service(Ok(Found {
        all,
        ttl: 30 * SECOND,
        unknown: None,
    }));
    assert!(!book.is_settled());
    book.take(&service, looked, &settings, 0.0, now);
    follow();
    for (query, last) in book.due(9, now).iter().zip([1, 2]) {
        book.take(query, found(&[last], 30), &settings, 0.0, now);
    }
    assert!(book.is_settled());
    let (endpoints, _) = book.endpoints(&upstream);
    let told: Vec<_> = endpoints
        .iter()
        .map(|one| (one.address.to_string(), one.weight, one.backup))
        .collect();
    let expected = [
        ("192.0.2.1:8001", 255, false),
        ("192.0.2.2:8001", 1, false),
        ("192.0.2.1:8002", 2, true),
    ];
    assert_eq!(
        told,
        expected.map(|(at, weight, backup)| (at.to_owned(), weight, backup))
    );
}

#[test]
fn more_endpoints_than_can_be_are_cut_and_told() {
    let mut scene = Scene::new();
    let all: Vec<IpAddr> = (0..1_200_u32)
        .map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes()))
        .collect();
    let many = Found {
        all,
        ttl: SECOND,
        unknown: None,
    };
    scene.answer(Looked::Host(Ok(many)));
    let (endpoints, cut) = scene.book.endpoints(&scene.upstream);
    assert_eq!((endpoints.len(), cut), (MOST_ENDPOINTS, true));
}

#[test]
fn a_name_that_nobody_needs_is_forgotten_and_its_answer_is_lost() {
    let scene = Scene::new();
    let query = scene.book.due(9, scene.now).remove(0);
    scene.book.follow([].into_iter(), scene.now + 59 * SECOND);
    assert!(!scene.book.is_settled(), "it may be needed again");
    scene.book.follow([].into_iter(), scene.now + 60 * SECOND);
    let late = found(&[1], 30);
    let change = scene
        .book
        .take(&query, late, &scene.settings, 0.0, scene.now);
    assert_eq!((change, scene.book.next()), (Change::None, None));
}

proptest! {
    #[test]
    fn once_known_a_name_is_never_empty_before_its_time(
        answers in prop::collection::vec((0_u8..3, 0_u64..400), 1..60)
    ) {
        let mut scene = Scene::new();
        scene.answer(found(&[1], 1));
        let mut empty_since = None;
        for (kind, ttl) in answers {
            let change = scene.answer(match kind {
                0 => found(&[1, 2], ttl),
                1 => empty(),
                _ => failed(),
            }).0;
            empty_since = match kind {
                1 => empty_since.or(Some(scene.now)),
                _ => None,
            };
            if change == Change::Gone {
                prop_assert!(scene.now - empty_since.unwrap() >= scene.settings.empty_after);
                scene.answer(found(&[1], 1));
                empty_since = None;
            }
            prop_assert!(!scene.endpoints().is_empty());
            let wait = scene.book.next().unwrap() - scene.now;
            prop_assert!(wait <= scene.settings.max_ttl && wait > SECOND / 2);
        }
    }
}
