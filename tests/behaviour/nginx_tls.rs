//! TLS of an nginx configuration: which certificate a client is shown, who is let in, and what is spoken. The real nginx
//! and hubgate, called as `nginx`, are asked the same by `openssl s_client`.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::nginx_compare::{NGINX, serve};
use crate::support::openssl::{get, s_client};
use crate::support::ports::free_addr;

const CONF: &str = r#"
events {}
http {
    access_log off;
    ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen @A@ ssl;
        server_name kinds.test;
        ssl_certificate ec.crt;
        ssl_certificate_key ec.key;
        ssl_certificate rsa.crt;
        ssl_certificate_key rsa.key;
        return 200 "kinds $ssl_client_verify|";
    }
    server { listen @A@ ssl; server_name on.test; ssl_verify_client on; return 200 "on|"; }
    server { listen @A@ ssl; server_name may.test; ssl_verify_client optional; return 200 "may $ssl_client_verify|"; }
    server {
        listen @B@ ssl;
        server_name asks.test;
        ssl_certificate rsa.crt;
        ssl_certificate_key rsa.key;
        ssl_verify_client optional;
        ssl_client_certificate ec.crt;
        return 200 "asks $ssl_client_verify $ssl_client_fingerprint|";
    }
    server { listen @B@ ssl; server_name on.test; ssl_verify_client on; return 200 "on $ssl_client_verify|"; }
    server { listen @B@ ssl; server_name off.test; return 200 "off|"; }
    server {
        listen @C@ ssl;
        server_name locked.test;
        ssl_certificate rsa.crt;
        ssl_certificate_key locked.key;
        ssl_password_file passwords;
        ssl_protocols TLSv1.2;
        ssl_ecdh_curve secp384r1;
        ssl_ciphers ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-SHA;
        return 200 "$ssl_protocol $ssl_cipher $ssl_curve|";
    }
}
"#;

/// Where, by which name, and with what of `s_client`.
const ASKED: &[(usize, &str, &str)] = &[
    (0, "kinds.test", "-sigalgs RSA-PSS+SHA256:RSA+SHA256"),
    (0, "kinds.test", "-sigalgs ECDSA+SHA256"),
    (0, "kinds.test", "-tls1_2 -cipher aRSA"),
    (0, "kinds.test", "-tls1_2 -cipher aECDSA"),
    (0, "on.test", "-sigalgs RSA-PSS+SHA256:RSA+SHA256"),
    (0, "on.test", ""),
    (0, "on.test", "-cert ec.crt -key ec.key"),
    (0, "may.test", ""),
    (1, "asks.test", ""),
    (1, "asks.test", "-cert ec.crt -key ec.key"),
    (1, "asks.test", "-cert rsa.crt -key rsa.key"),
    (1, "on.test", ""),
    (1, "on.test", "-cert ec.crt -key ec.key"),
    (1, "on.test", "-cert rsa.crt -key rsa.key"),
    (1, "off.test", ""),
    (1, "asks.test>off.test", ""),
    (1, "none.test>off.test", ""),
    (1, "off.test>asks.test", ""),
    (1, "off.test>none.test", ""),
    (1, "off.test", "-cert rsa.crt -key rsa.key"),
    (2, "locked.test", ""),
    (2, "locked.test", "-tls1_3"),
    (
        2,
        "locked.test",
        "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256",
    ),
    (2, "locked.test", "-curves X25519"),
];

pub(crate) fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    let output = command
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {said}");
}

fn files(folder: &Path) {
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1";
    for (name, kind) in [("ec", ec), ("rsa", "-newkey rsa:2048")] {
        let files = format!("-nodes -keyout {name}.key -out {name}.crt");
        openssl(
            folder,
            &format!("req -x509 {kind} {files} -subj /CN={name} -days 2"),
        );
    }
    let locked = "pkcs8 -topk8 -v2 aes-256-cbc -in rsa.key -passout pass:open -out locked.key";
    openssl(folder, locked);
    fs::write(folder.join("passwords"), "wrong\nopen\n").unwrap();
}

/// Status, body and the name of the certificate that was shown.
fn said(at: SocketAddr, name: &str, more: &str, folder: &Path) -> String {
    let more = more.replace("-cert ", &format!("-cert {}/", folder.display()));
    let more = more.replace("-key ", &format!("-key {}/", folder.display()));
    // The name of the handshake, and the host of the request where that is another one.
    let (name, host) = name.split_once('>').unwrap_or((name, name));
    let said = s_client(at, name, &more, &get(host));
    if !said.is_done() {
        return "no handshake".to_owned();
    }
    let shown = said.of("subject=").unwrap_or_default().replace(' ', "");
    // What `s_client` says of the session may stand before it on the line.
    let answer = said
        .0
        .rsplit_once("HTTP/1.1 ")
        .map_or("", |(_, answer)| answer);
    let status = answer.lines().next().unwrap_or_default();
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    // What follows the bar is `s_client`'s own.
    let body = body.split_once('|').map_or("", |(body, _)| body);
    let body = if status.starts_with("200") { body } else { "" };
    format!("{shown} {status} {body}")
}

fn all(program: &Path, folder: &Path, keys: &Path) -> Vec<String> {
    let addresses = [free_addr(), free_addr(), free_addr()];
    let mut conf = CONF.to_owned();
    for (mark, address) in ["@A@", "@B@", "@C@"].iter().zip(addresses) {
        conf = conf.replace(mark, &address.to_string());
    }
    for name in [
        "ec.crt",
        "ec.key",
        "rsa.crt",
        "rsa.key",
        "locked.key",
        "passwords",
    ] {
        fs::copy(keys.join(name), folder.join(name)).unwrap();
    }
    fs::write(folder.join("nginx.conf"), conf).unwrap();
    let _running = serve(program, folder, addresses[2]);
    let asked = ASKED.iter();
    let said = asked.map(|(at, name, more)| {
        let said = said(addresses[*at], name, more, folder);
        format!("{at} {name} {more}: {said}")
    });
    said.collect()
}

#[test]
fn certificates_of_several_kinds_and_whom_a_server_lets_in_are_as_nginx_has_them() {
    assert!(
        Path::new(NGINX).exists(),
        "no nginx: run `tests/install.sh test`"
    );
    let keys = TempDir::new().unwrap();
    files(keys.path());
    let (theirs, ours) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let link = ours.path().join("nginx");
    symlink(env!("CARGO_BIN_EXE_hubgate"), &link).unwrap();
    let nginx = all(Path::new(NGINX), theirs.path(), keys.path());
    let hubgate = all(&link, ours.path(), keys.path());
    let differ: Vec<_> = nginx.iter().zip(&hubgate).filter(|(a, b)| a != b).collect();
    assert!(differ.is_empty(), "{differ:#?}\n{nginx:#?}");
}

#[test]
fn what_certbot_has_ordered_is_served_from_its_files() {
    let folder = TempDir::new().unwrap();
    let live = folder.path().join("letsencrypt/live/hub.test");
    fs::create_dir_all(&live).unwrap();
    openssl(
        &live,
        "req -x509 -newkey rsa:2048 -nodes -keyout privkey.pem -out fullchain.pem -subj /CN=certbots -days 2",
    );
    let at = free_addr();
    let live = live.display();
    let conf = format!(
        "events {{}} http {{ access_log off; server {{ listen {at} ssl; server_name hub.test;
        ssl_certificate {live}/fullchain.pem; ssl_certificate_key {live}/privkey.pem; return 200 ok|; }} }}"
    );
    fs::write(folder.path().join("nginx.conf"), conf).unwrap();
    let link = folder.path().join("nginx");
    symlink(env!("CARGO_BIN_EXE_hubgate"), &link).unwrap();
    let _running = serve(&link, folder.path(), at);
    let said = said(at, "hub.test", "", folder.path());
    assert_eq!(said, "CN=certbots 200 OK ok");
}
