//! A line of each format, from the record to the writer's queue, and a log that is off.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use divan::{Bencher, black_box};
use http::{HeaderMap, HeaderValue, header};
use hubgate::config::{AccessLog, AccessLogFormat, LogTarget};
use hubgate::observe::access_log::{AccessLogHandle, AccessLogs, Record};
use hubgate::observe::metrics::Metrics;

fn write(bencher: Bencher<'_, '_>, log: &AccessLogHandle) {
    let mut fields = HeaderMap::new();
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    fields.insert(header::USER_AGENT, HeaderValue::from_static(agent));
    let client = SocketAddr::from(([192, 0, 2, 7], 50_000));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let record = Record {
        method: "GET",
        target: b"/hub/api/users/student-17?token=secret",
        scheme: "https",
        host: Some("hub.example.org"),
        status: 200,
        body_sent: 6,
        duration: Duration::from_micros(1_234),
        request_id: "0123456789abcdef0123456789abcdef",
        site: Some("hub.example.org"),
        route: Some("/hub/"),
        upstream: Some("hub"),
        endpoint: Some(SocketAddr::from(([127, 0, 0, 1], 8_000)).into()),
        upstream_status: Some(200),
        ..Record::new(time, client, &fields)
    };
    bencher.bench_local(|| log.write(black_box(&record)));
}

fn to_nowhere(format: AccessLogFormat) -> AccessLogHandle {
    let log = AccessLog {
        target: LogTarget::File(PathBuf::from("/dev/null")),
        format,
        redact: vec!["token".to_owned()],
        ..AccessLog::off()
    };
    let logs = AccessLogs::new(&Metrics::new());
    let handle = logs.handle(&log).unwrap();
    logs.start_writers().unwrap();
    handle
}

#[divan::bench]
fn off(bencher: Bencher<'_, '_>) {
    write(bencher, &AccessLogHandle::off());
}

#[divan::bench]
fn combined(bencher: Bencher<'_, '_>) {
    write(bencher, &to_nowhere(AccessLogFormat::Combined));
}

#[divan::bench]
fn json(bencher: Bencher<'_, '_>) {
    write(bencher, &to_nowhere(AccessLogFormat::Json));
}
