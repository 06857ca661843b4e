//! Claims about how heads are scanned.
//!
//! Apart from `head` because that file is long enough.

use super::*;
use proptest::prelude::*;

const LIMITS: HeadLimits = HeadLimits {
    size: 1024,
    fields: 5,
    bare_lf: false,
    as_nginx: false,
    buffers: None,
};

fn scan(bytes: &[u8]) -> Result<HeadProgress, HeadFault> {
    HeadScanner::new(LIMITS).feed(bytes)
}

#[test]
fn an_ordinary_head_ends_where_its_body_begins() {
    let head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n";
    let mut bytes = head.to_vec();
    bytes.extend_from_slice(b"abc");
    assert_eq!(scan(&bytes), Ok(HeadProgress::Complete(head.len())));
}

#[test]
fn heads_that_parsers_read_differently_are_refused() {
    for head in [
        "GET / HTTP/1.1\nHost: x\n\n",
        "GET / HTTP/1.1\r\nHost: x\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\tHTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost x\r\n\r\n",
    ] {
        assert!(
            matches!(scan(head.as_bytes()), Err(HeadFault::Malformed(_))),
            "{head:?}"
        );
    }
}

#[test]
fn lines_may_end_with_lf_alone_where_that_is_allowed_in_any_segmentation() {
    let limits = HeadLimits {
        bare_lf: true,
        as_nginx: false,
        ..LIMITS
    };
    let head = b"GET / HTTP/1.1\nHost: x\r\nA: b\n\n";
    for cut in 0..head.len() {
        let mut scanner = HeadScanner::new(limits);
        let (first, rest) = head.split_at(cut);
        assert_eq!(scanner.feed(first), Ok(HeadProgress::Partial));
        let complete = Ok(HeadProgress::Complete(rest.len()));
        assert_eq!(scanner.feed(rest), complete, "cut at {cut}");
    }
    let bare = HeadScanner::new(limits).feed(b"GET / HTTP/1.1\nHost: x\rA: b\n\n");
    assert!(matches!(bare, Err(HeadFault::Malformed(_))));
}

#[test]
fn as_nginx_a_host_in_the_target_is_hidden_in_any_segmentation_and_single_fields_are_refused_twice()
{
    let limits = HeadLimits {
        as_nginx: true,
        ..LIMITS
    };
    let line = b"GET http://h:1/ HTTP/1.1\r\n";
    for cut in b"GET h".len()..line.len() {
        let mut scanner = HeadScanner::new(limits);
        let (first, rest) = line.split_at(cut);
        assert_eq!(scanner.feed(first), Ok(HeadProgress::Partial));
        assert!(scanner.hides_target(), "cut at {cut}");
        assert_eq!(scanner.feed(rest), Ok(HeadProgress::Partial));
        assert!(scanner.hides_target() && !scanner.has_plain_line());
        assert_eq!(scanner.odd_target(), Some(&b"http://h:1/"[..]));
    }
    let head = b"GET /a:b HTTP/1.1\r\nHost: x\r\nIf-Range: a\r\nX: a\r\nif-range: b\r\n\r\n";
    let mut scanner = HeadScanner::new(limits);
    assert!(matches!(scanner.feed(head), Err(HeadFault::Malformed(_))));
    assert!(!scanner.hides_target() && scanner.has_plain_line());
    assert!(scan(head).is_ok());
}

#[test]
fn what_begins_with_no_method_is_refused_before_its_line_ends() {
    let fed = |as_nginx: bool, bytes: &[u8]| {
        let limits = HeadLimits { as_nginx, ..LIMITS };
        HeadScanner::new(limits).feed(bytes)
    };
    for as_nginx in [false, true] {
        for bytes in [&b"\x16\x03\x01\x02"[..], b"(", b"GE\0", b"GET\t/"] {
            let refused = fed(as_nginx, bytes);
            assert!(matches!(refused, Err(HeadFault::Malformed(_))), "{bytes:?}");
        }
        for bytes in [
            &b""[..],
            b"\r",
            b"\r\n",
            b"\r\nGE",
            b"GET",
            b"GET \x16",
            b"A_B-C",
        ] {
            assert_eq!(fed(as_nginx, bytes), Ok(HeadProgress::Partial), "{bytes:?}");
        }
    }
    for line in [&b"get"[..], b"get / HTTP/1.1\r\n", b"G3T / HTTP/1.1\r\n"] {
        assert_eq!(fed(false, line), Ok(HeadProgress::Partial));
        assert!(matches!(fed(true, line), Err(HeadFault::Malformed(_))));
    }
}

#[test]
fn other_codings_and_versions_are_named_as_such() {
    for coding in [
        "gzip",
        "chunked, chunked",
        "xchunked",
        "identity",
        "chunked,",
        "",
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {coding}\r\n\r\n");
        assert_eq!(scan(head.as_bytes()), Err(HeadFault::Coding), "{coding}");
    }
    assert_eq!(scan(b"PRI * HTTP/2.0\r\n\r\n"), Err(HeadFault::Version));
}

#[test]
fn a_missing_or_second_host_is_refused() {
    assert_eq!(scan(b"GET / HTTP/1.1\r\n\r\n"), Err(HeadFault::HostMissing));
    assert_eq!(
        scan(b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
        Err(HeadFault::HostRepeated)
    );
    assert!(scan(b"GET / HTTP/1.0\r\n\r\n").is_ok());
}

#[test]
fn limits_say_which_part_is_too_long() {
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(2000));
    assert_eq!(scan(long.as_bytes()), Err(HeadFault::TargetTooLong));
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n",
        "a".repeat(2000)
    );
    assert_eq!(scan(long.as_bytes()), Err(HeadFault::TooLarge));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(5));
    assert_eq!(scan(many.as_bytes()), Err(HeadFault::TooManyFields));
}

proptest! {
    #[test]
    fn the_answer_does_not_depend_on_how_the_bytes_are_cut(
        head in "(GET|POST) /[a-z]{0,3}( |  )HTTP/1.[012](\r\n|\n)(Host: x(\r\n|\n|\r)|Content-Length: 1(\r\n)| y(\r\n)|Transfer-Encoding: chunked(\r\n)){0,4}(\r\n|\n)[a-z\r\n]{0,4}",
        cuts in proptest::collection::vec(1usize..7, 1..40),
    ) {
        let bytes = head.as_bytes();
        let whole = scan(bytes);
        let mut scanner = HeadScanner::new(LIMITS);
        let mut at = 0;
        let mut cut = Ok(HeadProgress::Partial);
        for size in cuts.iter().cycle() {
            if at >= bytes.len() { break; }
            let end = (at + size).min(bytes.len());
            cut = scanner.feed(&bytes[at..end]).map(|progress| match progress {
                HeadProgress::Complete(n) => HeadProgress::Complete(at + n),
                partial => partial,
            });
            if cut != Ok(HeadProgress::Partial) { break; }
            at = end;
        }
        prop_assert_eq!(cut.is_err(), whole.is_err());
        if whole.is_ok() { prop_assert_eq!(cut, whole); }
    }

    #[test]
    fn no_bytes_make_the_scanner_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(scan(&bytes).is_ok() || scan(&bytes).is_err());
    }
}
