//! Whether this machine would pass a challenge, found out before anything is ordered.
//!
//! Publishes a random token (for TLS-ALPN-01 a pair) and asks each of our own listeners for it, as an authority would.
//! Whether the public address leads here and CAA allows the authority is for `certs doctor`: from inside neither can be
//! known for sure. Invariant: only a listener that is not there or answers something else is a reason not to order; one
//! that this machine cannot reach (no route, a firewall) is none, because the authority may well reach it.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::warn;

use super::challenge::{self, Tokens};
use super::failure::Failure;
use super::keys;
use super::schedule::Class;
use super::settings::Listeners;
use crate::config::ChallengeKind;
use crate::tls::peek;
use crate::types::host::Host;

/// The step's name, as in logs.
pub(super) const STEP: &str = "precheck";
/// To connect to a listener of this machine.
const CONNECT: Duration = Duration::from_secs(2);
/// For its answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Longer answers are none of ours.
const LARGEST: usize = 4096;

/// What a listener made of the challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Right,
    /// An authority would fail here too.
    Wrong(String),
    /// Nothing is known.
    Unreached(String),
}

/// Asks every listener that the challenge may come to. Fails with what a person has to mend; no listener is no fault,
/// as something else may stand on that port and hand challenges on.
pub(super) async fn ask_ourselves(
    host: &Host,
    kind: ChallengeKind,
    listeners: &Listeners,
    tokens: &Tokens,
) -> Result<(), Failure> {
    let failed = |text: String| Failure::new(STEP, Class::Store, text);
    let token: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(43)
        .collect();
    // Not of the form of a key authorization, so that no authority can take it for one.
    let answer = token.chars().rev().take(32).collect::<String>();
    let tokens = tokens.for_probes();
    let (addresses, published, pair) = match kind {
        ChallengeKind::Http01 => {
            let published = tokens.publish(host, &token, &answer);
            (&listeners.http, published, None)
        }
        ChallengeKind::TlsAlpn01 => {
            let random = std::array::from_fn(|_| fastrand::u8(..));
            let pair = keys::challenge_pair(host, &random);
            let pair = pair.map_err(|error| failed(error.to_string()))?;
            let published = tokens.publish_pair(host, &token, pair.clone());
            (&listeners.https, published, Some(pair))
        }
    };
    let _published = published.map_err(|error| failed(error.to_string()))?;
    let mut found = Vec::new();
    // A port that the system is to choose is not known here.
    for address in addresses.iter().filter(|address| address.port() != 0) {
        let outcome = match &pair {
            None => by_http(*address, host, &token, &answer).await,
            Some(pair) => by_tls(*address, host, pair.cert.first().map(|leaf| leaf.as_ref())).await,
        };
        found.push((*address, outcome));
    }
    judge(host, &found).map_err(failed)
}

/// One wrong answer is enough: an authority may come to any of them.
fn judge(host: &Host, found: &[(SocketAddr, Found)]) -> Result<(), String> {
    for (address, outcome) in found {
        match outcome {
            Found::Right => {}
            Found::Wrong(what) => {
                return Err(format!(
                    "this machine's own listener at `{address}` {what}, so an authority could not validate `{host}`; nothing was ordered"
                ));
            }
            Found::Unreached(why) => {
                warn!(event = "acme.precheck", %host, %address, detail = why, "this machine cannot reach its own listener; ordering all the same");
            }
        }
    }
    Ok(())
}

async fn by_http(address: SocketAddr, host: &Host, token: &str, answer: &str) -> Found {
    let name = match host.ip() {
        Some(ip) if ip.is_ipv6() => format!("[{host}]"),
        _ => host.to_string(),
    };
    let request = format!(
        "GET {}{token} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: hubgate (before ordering)\r\nConnection: close\r\n\r\n",
        challenge::PREFIX
    );
    let ask = |mut stream: TcpStream| async move {
        stream.write_all(request.as_bytes()).await?;
        let mut text = Vec::new();
        while text.len() < LARGEST && status(&text, answer).is_none() {
            if stream.read_buf(&mut text).await? == 0 {
                break;
            }
        }
        Ok(text)
    };
    let text = match exchange(address, ask).await {
        Ok(text) => text,
        Err(found) => return found,
    };
    match status(&text, answer) {
        Some(200) if text.ends_with(answer.as_bytes()) => Found::Right,
        Some(status) => Found::Wrong(format!(
            "answers a challenge with {status} and not with its token"
        )),
        None => Found::Wrong("answers a challenge with something else than HTTP".to_owned()),
    }
}

/// The status, once enough is there to tell whether the answer is the one that is meant.
fn status(text: &[u8], answer: &str) -> Option<u16> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    match (head.parse(text), head.code) {
        (Ok(httparse::Status::Complete(length)), Some(200)) => {
            (text.len() - length >= answer.len()).then_some(200)
        }
        (Ok(httparse::Status::Complete(_)), status) => status,
        _ => None,
    }
}

async fn by_tls(address: SocketAddr, host: &Host, meant: Option<&[u8]>) -> Found {
    let name = challenge::server_name_of(host).into_owned();
    let ask = |stream: TcpStream| async move { peek::shown(stream, &name, challenge::ALPN).await };
    match exchange(address, ask).await {
        Ok(leaf) if Some(leaf.as_ref()) == meant => Found::Right,
        Ok(_) => Found::Wrong("shows another certificate than the challenge's".to_owned()),
        Err(found) => found,
    }
}

/// Connects and has `ask` do the rest. What is no answer is judged here.
async fn exchange<T, F>(address: SocketAddr, ask: impl FnOnce(TcpStream) -> F) -> Result<T, Found>
where
    F: Future<Output = io::Result<T>>,
{
    let unreached = |error: io::Error| Found::Unreached(error.to_string());
    let stream = match timeout(CONNECT, TcpStream::connect(peek::reachable(address))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            return Err(Found::Wrong("is not there".to_owned()));
        }
        Ok(Err(error)) => return Err(unreached(error)),
        Err(_) => return Err(unreached(ErrorKind::TimedOut.into())),
    };
    match timeout(ANSWER, ask(stream)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Found::Wrong(format!("does not answer ({error})"))),
        Err(_) => Err(Found::Wrong(format!(
            "does not answer within {} s",
            ANSWER.as_secs()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tls::self_signed;
    use crate::types::host::HostPattern;
    use tokio::net::TcpListener;

    fn host() -> Host {
        Host::parse("hub.test").unwrap()
    }

    /// A listener that answers one connection by `answer`, which is given the request.
    async fn listener(
        answer: impl FnOnce(String) -> String + Send + 'static,
    ) -> (Listeners, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            request.truncate(length);
            let answer = answer(String::from_utf8(request).unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let http = vec![address];
        let listeners = Listeners {
            http,
            ..Listeners::default()
        };
        (listeners, address)
    }

    #[tokio::test]
    async fn a_listener_that_answers_our_token_is_right() {
        let tokens = Tokens::default();
        let known = tokens.clone();
        let (listeners, _) = listener(move |request| {
            let path = request.split(' ').nth(1).unwrap();
            let token = challenge::token_of(path.as_bytes()).unwrap();
            assert!(request.contains("Host: hub.test\r\n"), "{request}");
            let body = known.lookup(&host(), token).unwrap();
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        })
        .await;
        let asked = ask_ourselves(&host(), ChallengeKind::Http01, &listeners, &tokens).await;
        assert_eq!(asked, Ok(()));
        assert!(tokens.is_empty());
    }

    #[tokio::test]
    async fn a_listener_that_answers_something_else_is_named_with_what_it_says() {
        let answer = "HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n";
        let (listeners, address) = listener(|_| answer.to_owned()).await;
        let kind = ChallengeKind::Http01;
        let asked = ask_ourselves(&host(), kind, &listeners, &Tokens::default()).await;
        let failure = asked.unwrap_err();
        assert_eq!(failure.class, Class::Store);
        for part in [&*address.to_string(), "301", "nothing was ordered"] {
            assert!(failure.detail.contains(part), "{}", failure.detail);
        }
    }

    #[tokio::test]
    async fn a_listener_that_is_not_there_is_wrong_and_no_listener_is_not() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners = Listeners {
            http: vec![gone.local_addr().unwrap()],
            https: vec![gone.local_addr().unwrap()],
        };
        drop(gone);
        let tokens = Tokens::default();
        for kind in [ChallengeKind::Http01, ChallengeKind::TlsAlpn01] {
            let failure = ask_ourselves(&host(), kind, &listeners, &tokens).await;
            let detail = failure.unwrap_err().detail;
            assert!(detail.contains("is not there"), "{detail}");
            let none = ask_ourselves(&host(), kind, &Listeners::default(), &tokens).await;
            assert_eq!(none, Ok(()));
        }
    }

    #[tokio::test]
    async fn only_the_challenges_own_certificate_is_right() {
        crate::tls::install_provider();
        let tokens = Tokens::default();
        let other = self_signed::generate(&[HostPattern::Exact(host())]).unwrap();
        for (is_right, part) in [(true, ""), (false, "another certificate")] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let listeners = Listeners {
                https: vec![listener.local_addr().unwrap()],
                ..Listeners::default()
            };
            let (known, other) = (tokens.clone(), Arc::clone(&other.key));
            tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let pair = known.pair_for("hub.test").unwrap();
                let shown = if is_right { &pair } else { &other };
                let config = crate::tls::server_config::for_challenge(shown, challenge::ALPN);
                let acceptor = tokio_rustls::TlsAcceptor::from(config.unwrap());
                acceptor.accept(stream).await.unwrap();
            });
            let kind = ChallengeKind::TlsAlpn01;
            let asked = ask_ourselves(&host(), kind, &listeners, &tokens).await;
            assert_eq!(asked.is_ok(), is_right, "{asked:?}");
            assert!(asked.is_ok() || asked.unwrap_err().detail.contains(part));
        }
    }

    #[test]
    fn a_listener_that_cannot_be_reached_from_here_is_no_reason_not_to_order() {
        let address: SocketAddr = "192.0.2.1:80".parse().unwrap();
        let unreached = (address, Found::Unreached("no route".to_owned()));
        assert_eq!(judge(&host(), std::slice::from_ref(&unreached)), Ok(()));
        let wrong = (address, Found::Wrong("answers 404".to_owned()));
        assert!(judge(&host(), &[unreached, wrong]).is_err());
    }
}
