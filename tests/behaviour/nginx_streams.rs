//! Where an nginx configuration's streams go: targets in variables, hashes of any text, upstreams of which nobody is up,
//! tries, rates. The real nginx and hubgate, called as `nginx`, are asked the same.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::nginx_compare::{NGINX, serve};
use crate::support::ports::free_addr;
use crate::support::{DEADLINE, eventually};

const CONF: &str = r#"
events {}
stream {
    map $server_port $who {
        @0@ 127.0.0.1:@one@;
        @1@ two;
        default 0;
    }
    map $server_port $rate { default 1k; }
    log_format tries "$status $upstream_addr";
    access_log off;
    upstream two { server 127.0.0.1:@two@; }
    upstream hashed {
        hash "$remote_addr $server_port";
        server 127.0.0.1:@one@;
        server 127.0.0.1:@two@;
        server 127.0.0.1:@three@;
    }
    upstream gone { server 127.0.0.1:@one@ down; }
    upstream tried {
        server 127.0.0.1:@dead@ max_fails=0;
        server 127.0.0.1:@dead2@ max_fails=0;
        server 127.0.0.1:@three@ backup;
    }
    server { listen 127.0.0.1:@0@; listen 127.0.0.1:@1@; listen 127.0.0.1:@2@; proxy_pass $who; }
    server { listen 127.0.0.1:@3@; set $port @three@; proxy_pass 127.0.0.1:$port; }
    server { listen 127.0.0.1:@4@; proxy_pass $remote_addr:@two@; }
    server { listen 127.0.0.1:@5@; proxy_pass hashed; }
    server { listen 127.0.0.1:@6@; proxy_pass gone; }
    server { listen 127.0.0.1:@7@; proxy_pass tried; access_log all.log tries; }
    server { listen 127.0.0.1:@8@; proxy_pass tried; proxy_next_upstream_tries 2; access_log two.log tries; }
    server { listen 127.0.0.1:@9@; return "[$ssl_preread_server_name]\nmore"; }
    server { listen 127.0.0.1:@10@; proxy_pass two; proxy_download_rate $rate; }
    server { listen 127.0.0.1:@11@ udp; proxy_pass 127.0.0.1:@sink@; proxy_responses 0; access_log udp.log tries; }
}
"#;

/// Says its name, and 3,000 bytes, and waits for the client to go.
fn endpoint(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            std::thread::spawn(move || {
                let said = format!("{name:-<3000}");
                // Whoever has gone has seen enough.
                tcp.write_all(said.as_bytes()).ok();
                tcp.read_to_end(&mut Vec::new()).ok();
            });
        }
    });
    addr
}

fn connect(at: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(at).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp
}

/// The first bytes, as many as all names are long, or what there is.
fn begin(tcp: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut some = [0; 5];
    while all.len() < 5 {
        match tcp.read(&mut some) {
            Ok(count @ 1..) => all.extend_from_slice(&some[..count]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&all).chars().take(5).collect()
}

/// What is seen of these streams.
fn all(program: &Path, folder: &Path, ends: &[(&str, u16)]) -> Vec<String> {
    let listens: Vec<_> = (0..12).map(|_| free_addr()).collect();
    let mut conf = CONF.to_owned();
    for (name, port) in ends {
        conf = conf.replace(&format!("@{name}@"), &port.to_string());
    }
    for (index, addr) in listens.iter().enumerate() {
        conf = conf.replace(&format!("@{index}@"), &addr.port().to_string());
    }
    fs::write(folder.join("nginx.conf"), conf).unwrap();
    let _running = serve(program, folder, listens[0]);
    let mut seen: Vec<String> = Vec::new();
    for index in [0, 1, 2, 3, 4, 6, 7, 8, 9] {
        seen.push(format!("{index}: {}", begin(&mut connect(listens[index]))));
    }
    let mut held: Vec<_> = (0..4).map(|_| connect(listens[5])).collect();
    let mut whom: Vec<_> = held.iter_mut().map(begin).collect();
    whom.dedup();
    seen.push(format!("one key, {} endpoint", whom.len()));
    let started = Instant::now();
    let mut slow = connect(listens[10]);
    slow.read_exact(&mut [0; 2500]).unwrap();
    seen.push(format!(
        "slow: {}",
        started.elapsed() >= Duration::from_secs(1)
    ));
    drop(slow);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"x", listens[11]).unwrap();
    for name in ["all.log", "two.log", "udp.log"] {
        let lines = || fs::read_to_string(folder.join(name)).unwrap_or_default();
        eventually(name, || lines().ends_with('\n'));
        let mut line = lines();
        for (name, port) in ends {
            line = line.replace(&port.to_string(), name);
        }
        // Who is first is chance's.
        seen.push(format!("{name}: {}", line.replace("dead2", "dead")));
    }
    seen
}

#[test]
fn streams_of_an_nginx_configuration_go_where_nginx_has_them_go() {
    assert!(
        Path::new(NGINX).exists(),
        "no nginx: run `tests/install.sh test`"
    );
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ends = [
        ("one", endpoint("one").port()),
        ("two", endpoint("two").port()),
        ("three", endpoint("three").port()),
        ("dead", free_addr().port()),
        ("dead2", free_addr().port()),
        ("sink", sink.local_addr().unwrap().port()),
    ];
    let (theirs, ours) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let link = ours.path().join("nginx");
    symlink(env!("CARGO_BIN_EXE_hubgate"), &link).unwrap();
    let nginx = all(Path::new(NGINX), theirs.path(), &ends);
    let hubgate = all(&link, ours.path(), &ends);
    let differ: Vec<_> = nginx.iter().zip(&hubgate).filter(|(a, b)| a != b).collect();
    assert!(differ.is_empty(), "{differ:#?}\n{nginx:#?}");
}
