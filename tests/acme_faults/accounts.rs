//! Accounts that the authority closed: fault 18. One that it forgot is in `acme`.

use std::fs;
use std::io::{Read, Write};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use crate::support::gate::{Clock, Scene};
use crate::support::orders::HOST;
use crate::support::tls;

/// Pebble's answer to a request.
fn ask(scene: &Scene, request: &str) -> String {
    let config = tls::config(&["http/1.1"]);
    let mut stream = tls::handshake(scene.pebble.addr, "localhost", config).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A close without close_notify is this server's way to end an answer.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Closes the account whose key is on disk, as a person might (RFC 8555 section 7.3.6).
fn deactivate(scene: &Scene) {
    let folder = scene.gate.account();
    let account: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("account.json")).unwrap()).unwrap();
    let url = account["url"].as_str().unwrap();
    let (host, path) = url.trim_start_matches("https://").split_once('/').unwrap();
    let head = format!("Host: {host}\r\nConnection: close\r\n");
    let answer = ask(scene, &format!("HEAD /nonce-plz HTTP/1.1\r\n{head}\r\n"));
    let nonce = answer
        .lines()
        .find_map(|line| line.strip_prefix("Replay-Nonce: "));

    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let protected = json!({"alg": "ES256", "kid": url, "nonce": nonce.unwrap().trim(), "url": url});
    let protected = encode(protected.to_string().as_bytes());
    let payload = encode(json!({"status": "deactivated"}).to_string().as_bytes());
    let key = PrivatePkcs8KeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let key = key.secret_pkcs8_der();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key).unwrap();
    let text = format!("{protected}.{payload}");
    let signature = key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
    let signature = encode(signature.as_ref());
    let body = json!({"protected": protected, "payload": payload, "signature": signature});
    let body = body.to_string();
    let kind = "Content-Type: application/jose+json";
    let length = body.len();
    let answer = ask(
        scene,
        &format!("POST /{path} HTTP/1.1\r\n{head}{kind}\r\nContent-Length: {length}\r\n\r\n{body}"),
    );
    assert!(answer.contains("deactivated"), "{answer}");
}

#[test]
fn fault_18_a_deactivated_account_stops_all_orders_until_a_person_acts_and_the_log_says_so() {
    let scene = Scene::new(&[HOST]);
    let first = scene.gate.prepare();
    deactivate(&scene);
    let (directory, other) = (&scene.proxy.directory_url, "b.example.test");
    scene.gate.sites(&scene.pebble, directory, &[HOST, other]);
    let registrations = scene.pebble.registrations();
    let account = fs::read(scene.gate.account().join("key.pem")).unwrap();
    let running = scene.gate.run_by(Clock::Moved);
    let failure = running.wait_failure(other, 1);
    assert_eq!(failure.text("class"), "human", "{failure:?}");
    assert_eq!(failure.text("level"), "ERROR");
    assert!(
        failure.text("detail").contains("deactivated"),
        "{failure:?}"
    );
    let hours = failure.wait() / 3600.0;
    assert!((21.5..=26.5).contains(&hours), "{hours} h");
    scene.gate.wait_idle(other);
    let (_, text) = scene.gate.call(&["certs", "list"]);
    assert!(text.contains("paused"), "{text}");
    // What is there is served on, and nothing is tried for most of a day.
    assert_eq!(scene.gate.served(), Some(first));
    let seen = scene.proxy.hits().len();
    scene.gate.pass(Duration::from_secs(20 * 3600));
    std::thread::sleep(Duration::from_secs(1)); // there is nothing to wait for
    let posts = scene.proxy.hits().split_off(seen);
    let posts: Vec<_> = posts.iter().filter(|hit| hit.payload.is_object()).collect();
    assert!(posts.is_empty(), "{posts:?}");
    assert_eq!(
        scene.pebble.registrations(),
        registrations,
        "a second account"
    );
    let now = fs::read(scene.gate.account().join("key.pem")).unwrap();
    assert_eq!(now, account);
}
