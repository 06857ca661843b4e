//! Bodies take a few buffers of memory however large they are: whoever does not read stalls whoever sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::hubgate::HOST;
use crate::support::message::{Framing, Kind};
use crate::support::{Client, Conn, DEADLINE, Hubgate, Upstream};

const MIB: usize = 1024 * 1024;

/// Counts a chunked or sized body without keeping it, and answers with the count.
fn count_body(conn: &mut Conn) {
    while let Ok(head) = conn.head() {
        let mut count = 0;
        match head.framing(Kind::Request).unwrap() {
            Framing::Length(length) => {
                while count < length {
                    let Ok(piece) = conn.some() else { return };
                    count += piece.len();
                }
            }
            _ => {
                while let Ok(Some(piece)) = conn.chunk(&mut Vec::new()) {
                    count += piece.len();
                }
            }
        }
        let text = count.to_string();
        conn.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        ));
    }
}

/// Fails when `work` makes the process grow by more than a few buffers.
#[track_caller]
fn in_bounded_memory(hubgate: &Hubgate, work: impl FnOnce()) {
    let before = hubgate.resident();
    std::thread::scope(|scope| {
        let done = Arc::new(AtomicUsize::new(0));
        let seen = done.clone();
        let watch = scope.spawn(move || {
            let mut peak = 0;
            while seen.load(Ordering::SeqCst) == 0 {
                peak = peak.max(hubgate.resident());
                std::thread::sleep(Duration::from_millis(2));
            }
            peak
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(1, Ordering::SeqCst);
        let peak = watch.join().unwrap();
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
        let grown = peak.saturating_sub(before);
        assert!(grown < 24 * MIB, "grew by {} MiB", grown / MIB);
    });
}

#[test]
fn an_upload_of_64_mib_takes_a_few_buffers_of_memory() {
    let upstream = Upstream::start(count_body);
    let toml = crate::support::hubgate::one_site(upstream.addr, "body_limit = \"none\"");
    let hubgate = Hubgate::start(&toml);
    let piece = vec![b'x'; MIB];
    for mut client in [hubgate.plain(), hubgate.tls()] {
        in_bounded_memory(&hubgate, || {
            client.send(format!(
                "PUT / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: {}\r\n\r\n",
                64 * MIB
            ));
            for _ in 0..64 {
                client.send(&piece);
            }
            assert_eq!(client.response().text(), (64 * MIB).to_string());
        });
    }
    let mut h2 = hubgate.h2();
    in_bounded_memory(&hubgate, || {
        let mut stream = h2.open(h2.request("PUT", "/"), false);
        for i in 1..=64 {
            stream.send(&piece, i == 64);
        }
        assert_eq!(stream.whole().unwrap().text(), (64 * MIB).to_string());
    });
}

#[test]
fn a_download_of_64_mib_takes_a_few_buffers_of_memory() {
    let upstream = Upstream::start(|conn| {
        let piece = vec![b'x'; MIB];
        while conn.request().is_some() {
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                64 * MIB
            ));
            for _ in 0..64 {
                if conn.try_send(&piece).is_err() {
                    return;
                }
            }
        }
    });
    let hubgate = Hubgate::before(upstream.addr);
    for mut client in [hubgate.plain(), hubgate.tls()] {
        in_bounded_memory(&hubgate, || {
            let response = client.get(HOST, "/");
            assert_eq!(
                (response.body.bytes.len(), response.complete),
                (64 * MIB, Ok(()))
            );
        });
    }
    let mut h2 = hubgate.h2();
    in_bounded_memory(&hubgate, || assert_eq!(h2.get("/").body.len(), 64 * MIB));
}

/// Waits until a counter stands still, and returns where.
fn where_it_stalls(count: &AtomicUsize) -> usize {
    let (mut last, mut since) = (0, Instant::now());
    let start = Instant::now();
    while since.elapsed() < Duration::from_millis(500) {
        let now = count.load(Ordering::SeqCst);
        if now != last || now == 0 {
            (last, since) = (now, Instant::now());
        }
        assert!(
            start.elapsed() < DEADLINE,
            "still moving after {last} bytes"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    last
}

/// An upstream that sends 64 MiB and counts what it could send.
fn fire_hose(sent: &Arc<AtomicUsize>) -> Upstream {
    let sent = sent.clone();
    Upstream::start(move |conn| {
        let piece = vec![b'x'; 64 * 1024];
        if conn.request().is_some() {
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                64 * MIB
            ));
            for _ in 0..1024 {
                if conn.try_send(&piece).is_err() {
                    return;
                }
                sent.fetch_add(piece.len(), Ordering::SeqCst);
            }
            conn.request();
        }
    })
}

#[test]
fn an_http1_client_that_does_not_read_stalls_the_upstream_and_loses_nothing() {
    let sent = Arc::new(AtomicUsize::new(0));
    let upstream = fire_hose(&sent);
    let hubgate = Hubgate::before(upstream.addr);
    let mut client = Client::plain_with_small_window(hubgate.http);
    client.send("GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n");
    let stalled = where_it_stalls(&sent);
    assert!(
        stalled < 24 * MIB,
        "{} MiB were taken for a client that reads nothing",
        stalled / MIB
    );
    let response = client.response();
    assert_eq!(
        (response.body.bytes.len(), response.complete),
        (64 * MIB, Ok(()))
    );
}

#[test]
fn an_http2_stream_that_is_not_read_stalls_its_upstream_and_not_its_neighbours() {
    let sent = Arc::new(AtomicUsize::new(0));
    let hose = fire_hose(&sent);
    let small = Upstream::saying("ok");
    let toml = crate::support::hubgate::one_site(hose.addr, "")
        + &format!(
            "[[site.\"hub.test\".route]]\nexact = \"/small\"\nupstream = \"small\"\n[upstream.small]\nendpoints = [\"{}\"]\n",
            small.addr
        );
    let hubgate = Hubgate::start(&toml);
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(1 << 24);
    let mut h2 = crate::support::H2::connect_with(hubgate.https, HOST, builder);
    let mut stream = h2.open(h2.request("GET", "/"), true);
    assert_eq!(stream.head().unwrap().0, 200);
    let stalled = where_it_stalls(&sent);
    assert!(
        stalled < 24 * MIB,
        "{} MiB were taken for a stream that is not read",
        stalled / MIB
    );
    assert_eq!(h2.get("/small").text(), "ok");
    let mut count = 0;
    while let Some(piece) = stream.chunk() {
        count += piece.unwrap().len();
    }
    assert_eq!(count, 64 * MIB);
}

#[test]
fn an_upstream_that_does_not_read_stalls_the_uploading_client() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::start(move |conn| {
        let head = conn.head().unwrap();
        wait.lock().unwrap().recv_timeout(DEADLINE).unwrap();
        let Framing::Length(length) = head.framing(Kind::Request).unwrap() else {
            panic!("not sized")
        };
        let mut count = 0;
        while count < length {
            count += conn.some().unwrap().len();
        }
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let hubgate = Hubgate::start(&crate::support::hubgate::one_site(
        upstream.addr,
        "body_limit = \"none\"",
    ));
    let mut client = hubgate.plain();
    client.send(format!(
        "PUT / HTTP/1.1\r\nHost: hub.test\r\nContent-Length: {}\r\n\r\n",
        64 * MIB
    ));
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let mut tcp = client.tcp().try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        for _ in 0..1024 {
            std::io::Write::write_all(&mut tcp, &[b'x'; 64 * 1024]).unwrap();
            counter.fetch_add(64 * 1024, Ordering::SeqCst);
        }
    });
    let stalled = where_it_stalls(&sent);
    assert!(
        stalled < 24 * MIB,
        "{} MiB were taken for an upstream that reads nothing",
        stalled / MIB
    );
    go.send(()).unwrap();
    assert_eq!(client.response().text(), "ok");
    writer.join().unwrap();
}
