//! Access logs as nginx writes them for the same directives: variables of all phases, several logs, conditions, escapes.

use std::fs;
use std::path::Path;

use crate::support::hubgate::HOST;
use crate::support::nginx::{Nginx, assert_carried, imported};
use crate::support::{Client, Upstream, eventually};

/// What both say of the same requests; times are compared by their form.
const FORMATS: &str = r#"
log_format all '$request_method $uri $status b=$body_bytes_sent s=$bytes_sent l=$request_length u=$remote_user
 c=$connection_requests p=$pipe done=$request_completion https=[$https] ct=$content_type cl=$content_length
 us=$upstream_status ul=$upstream_response_length ur=$upstream_bytes_received uh=$upstream_http_x_a uc=$upstream_cookie_c
 st=$sent_http_content_type sl=$sent_http_content_length sa=$sent_http_x_added host=$host real=$realip_remote_addr set=$mine';
log_format times '$request_time $upstream_connect_time $upstream_header_time $upstream_response_time $connection_time $msec $time_iso8601';
log_format json escape=json '{"q":"$arg_q","agent":"$http_user_agent","none":"$http_x_none"}';
log_format bare escape=none '$http_user_agent|$http_x_none|';
map $status $failed { ~^[45] 1; default 0; }
"#;

fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("www")).unwrap();
    fs::write(dir.join("www/file.txt"), "file\n").unwrap();
}

fn lines(dir: &Path, name: &str, count: usize) -> Vec<String> {
    let read = || fs::read_to_string(dir.join(name)).unwrap_or_default();
    eventually("the lines are written", || read().lines().count() >= count);
    read().lines().map(str::to_owned).collect()
}

/// Digits as `0`, and as many as there are as one.
fn form(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if c != '0' || !out.ends_with('0') {
            out.push(c);
        }
    }
    out
}

#[test]
fn the_lines_of_access_logs_are_nginx_s() {
    let behind = Upstream::start(|conn| {
        while let Some(head) = conn.request() {
            let answer = match head.target().ends_with(b"fail") {
                true => "HTTP/1.1 503 No\r\nX-A: 2\r\nContent-Length: 2\r\n\r\nno",
                false => {
                    "HTTP/1.1 200 OK\r\nX-A: 1\r\nSet-Cookie: c=d; Path=/\r\nContent-Type: text/x\r\nContent-Length: 5\r\n\r\nhello"
                }
            };
            conn.send(answer);
        }
    });
    let format = FORMATS.replace("\n ", " ");
    let block = format!(
        r#"{format}
        server {{ listen @LISTEN@; server_name {HOST}; root www; set $mine "m$arg_q";
            access_log logs/all.log all; access_log logs/times.log times; access_log logs/failed.log all if=$failed;
            location /up {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Connection ""; add_header X-Added $upstream_http_x_a; }}
            location /none {{ access_log off; return 200 n; }}
            location /own {{ access_log logs/json.log json; access_log logs/bare.log bare; return 201 "own $connection_requests $pipe $request_length"; }}
            location /put {{ return 403; }}
        }}"#,
        behind.addr
    );
    let logs = |dir: &Path| {
        tree(dir);
        fs::create_dir_all(dir.join("logs")).unwrap();
    };
    let Some(nginx) = Nginx::start(&block, logs) else {
        return;
    };
    let (ours, report) = imported(&block, logs);
    assert_carried(&report);
    let requests = [
        "GET /file.txt?q=1 HTTP/1.1\r\nAuthorization: Basic YWxpY2U6eA==\r\n",
        "GET /up?q=%22 HTTP/1.1\r\nUser-Agent: a\"b\\c\r\n",
        "GET /up/fail HTTP/1.1\r\nContent-Type: a/b\r\n",
        "HEAD /up HTTP/1.1\r\n",
        "GET /own?q=%22 HTTP/1.1\r\nUser-Agent: a\"b\\c\r\n",
        "GET /none HTTP/1.1\r\n",
        "GET /missing HTTP/1.1\r\n",
        "GET /own HTTP/1.1\r\n",
    ];
    let ask = |mut client: Client| {
        let answers = requests.iter().map(|request| {
            let text = format!("{request}Host: {HOST}\r\n\r\n");
            client.exchange(&text).text()
        });
        answers.collect::<Vec<_>>()
    };
    let (theirs_said, ours_said) = (ask(nginx.client()), ask(Client::plain(ours.http)));
    for place in [4, 7] {
        assert_eq!(ours_said[place], theirs_said[place]);
    }
    let (there, here) = (nginx.dir.path(), ours.dir.path());
    for (name, count) in [
        ("json", 2),
        ("bare", 2),
        ("failed", 2),
        ("all", 5),
        ("times", 5),
    ] {
        let file = format!("logs/{name}.log");
        let (theirs, ours) = (lines(there, &file, count), lines(here, &file, count));
        assert_eq!(theirs.len(), count, "{name}: {theirs:?}");
        assert_eq!(ours.len(), count, "{name}: {ours:?}");
        for (theirs, ours) in theirs.iter().zip(&ours) {
            match name {
                "times" => assert_eq!(form(ours), form(theirs)),
                // The pages of errors are each one's own, and so is what else the answers' heads say.
                _ => {
                    let own = |line: &str| -> Vec<String> {
                        let words = line.split(' ');
                        let sizes = ["s=", "sl=", "ur="];
                        let bodies = ["b=", "st=", "charset="];
                        let page = line.contains(" 404 ");
                        words
                            .filter(|word| !sizes.iter().any(|own| word.starts_with(own)))
                            .filter(|word| !page || !bodies.iter().any(|own| word.starts_with(own)))
                            .map(str::to_owned)
                            .collect()
                    };
                    assert_eq!(own(ours), own(theirs), "{name}");
                }
            }
        }
    }
}

#[test]
fn bytes_are_counted_as_they_go_over_the_wire() {
    let block = format!(
        "log_format sizes '$bytes_sent $request_length $pipe'; server {{ listen @LISTEN@; server_name {HOST}; \
         access_log logs/sizes.log sizes; location / {{ return 200 OK; }} }}"
    );
    let logs = |dir: &Path| fs::create_dir_all(dir.join("logs")).unwrap();
    let (ours, report) = imported(&block, logs);
    assert_carried(&report);
    let mut client = Client::plain(ours.http);
    let request = format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    client.send(format!("{request}{request}"));
    let answers = [client.response(), client.response()];
    let all = lines(ours.dir.path(), "logs/sizes.log", 2);
    for (line, (answer, pipe)) in all.iter().zip(answers.iter().zip([".", "p"])) {
        let sent = answer.head.raw.len() + answer.body.bytes.len();
        assert_eq!(*line, format!("{sent} {} {pipe}", request.len()));
    }
}
