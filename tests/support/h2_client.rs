//! A blocking HTTP/2 client over TLS, on the `h2` crate: frames under the test's control, every wait with a deadline.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use rustls::pki_types::ServerName;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::{DEADLINE, tls};

/// A connection. Its frames are read by its own runtime, also while the test does something else.
pub struct H2 {
    runtime: Arc<Runtime>,
    send: SendRequest<Bytes>,
    /// Ends when the connection has ended.
    driver: tokio::task::JoinHandle<Result<(), h2::Error>>,
    host: String,
}

/// A whole answer.
#[derive(Debug)]
pub struct H2Response {
    pub status: u16,
    pub fields: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
    /// `Err` when the stream was reset before its end.
    pub complete: Result<(), Option<Reason>>,
}

impl H2Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl H2 {
    /// Connects with `host` as the server name and as the authority of requests.
    #[track_caller]
    pub fn connect(addr: SocketAddr, host: &str) -> Self {
        Self::connect_with(addr, host, h2::client::Builder::new())
    }

    /// As [`H2::connect`], with h2's own settings.
    #[track_caller]
    pub fn connect_with(addr: SocketAddr, host: &str, builder: h2::client::Builder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let (send, connection) = runtime.block_on(async {
            let tcp = tokio::net::TcpStream::connect(addr).await.expect("connect");
            tcp.set_nodelay(true).unwrap();
            let connector = TlsConnector::from(Arc::new(tls::config(&["h2"])));
            let stream = connector.connect(name, tcp).await.expect("handshake");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
            builder
                .handshake::<_, Bytes>(stream)
                .await
                .expect("preface")
        });
        let driver = runtime.spawn(connection);
        Self {
            runtime: Arc::new(runtime),
            send,
            driver,
            host: host.to_owned(),
        }
    }

    /// A GET or other request for `target` with the connection's host as authority; fields can be added.
    pub fn request(&self, method: &str, target: &str) -> http::request::Builder {
        let authority = &self.host;
        Request::builder()
            .method(method)
            .uri(format!("https://{authority}{target}"))
    }

    /// Sends a request's head; the body follows through the stream unless `end`.
    #[track_caller]
    pub fn open(&mut self, request: http::request::Builder, end: bool) -> H2Stream {
        self.try_open(request, end).expect("send the request")
    }

    pub fn try_open(
        &mut self,
        request: http::request::Builder,
        end: bool,
    ) -> Result<H2Stream, h2::Error> {
        let send = self.send.clone();
        let mut send = limited(&self.runtime, send.ready()).ok_or(Reason::NO_ERROR)??;
        let (response, body) = send.send_request(request.body(()).unwrap(), end)?;
        Ok(H2Stream {
            runtime: self.runtime.clone(),
            response: Some(response),
            send: body,
            body: None,
        })
    }

    /// A whole exchange without a request body.
    #[track_caller]
    pub fn exchange(&mut self, request: http::request::Builder) -> H2Response {
        self.open(request, true).whole().expect("an answer")
    }

    #[track_caller]
    pub fn get(&mut self, target: &str) -> H2Response {
        self.exchange(self.request("GET", target))
    }

    /// Whether the server ends the connection within `limit`.
    pub fn closes_within(&mut self, limit: Duration) -> bool {
        self.runtime
            .block_on(async { tokio::time::timeout(limit, &mut self.driver).await.is_ok() })
    }

    /// Drops the connection as a vanishing client does.
    pub fn vanish(self) {
        self.driver.abort();
    }
}

fn limited<T>(runtime: &Runtime, work: impl Future<Output = T>) -> Option<T> {
    runtime.block_on(async { tokio::time::timeout(DEADLINE, work).await.ok() })
}

/// One request and its answer.
pub struct H2Stream {
    runtime: Arc<Runtime>,
    response: Option<ResponseFuture>,
    pub send: SendStream<Bytes>,
    body: Option<RecvStream>,
}

impl H2Stream {
    /// Sends a piece of the request's body, waiting for the window.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>, end: bool) {
        assert!(self.try_send(bytes, end), "the request's body is taken");
    }

    /// As [`H2Stream::send`]; false when the stream was reset or the window stayed shut.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>, end: bool) -> bool {
        let mut left = Bytes::copy_from_slice(bytes.as_ref());
        while !left.is_empty() {
            self.send.reserve_capacity(left.len());
            let send = &mut self.send;
            match limited(
                &self.runtime,
                std::future::poll_fn(|cx| send.poll_capacity(cx)),
            ) {
                Some(Some(Ok(n))) => {
                    let part = left.split_to(n.min(left.len()));
                    if self.send.send_data(part, end && left.is_empty()).is_err() {
                        return false;
                    }
                }
                _ => return false,
            }
        }
        !bytes.as_ref().is_empty() || self.send.send_data(Bytes::new(), end).is_ok()
    }

    /// Ends the request's body with trailers.
    #[track_caller]
    pub fn send_trailers(&mut self, trailers: HeaderMap) {
        self.send.send_trailers(trailers).expect("an open request");
    }

    /// The next informational answer before the response's head.
    #[track_caller]
    pub fn informational(&mut self) -> http::Response<()> {
        let response = self.response.as_mut().expect("before the head");
        let next = std::future::poll_fn(|cx| response.poll_informational(cx));
        limited(&self.runtime, next)
            .flatten()
            .expect("an informational answer in time")
            .expect("an open stream")
    }

    /// The response's head.
    pub fn head(&mut self) -> Result<(u16, HeaderMap), h2::Error> {
        let response = self.response.take().expect("asked once");
        let response = limited(&self.runtime, response).expect("a response head in time")?;
        let (parts, body) = response.into_parts();
        self.body = Some(body);
        Ok((parts.status.as_u16(), parts.headers))
    }

    /// The next piece of the response's body that is not empty; `None` at its end.
    pub fn chunk(&mut self) -> Option<Result<Bytes, h2::Error>> {
        self.chunk_within(DEADLINE).expect("a chunk in time")
    }

    /// As [`H2Stream::chunk`]; the outer `None` when nothing came within `limit`.
    pub fn chunk_within(&mut self, limit: Duration) -> Option<Option<Result<Bytes, h2::Error>>> {
        let body = self.body.as_mut().expect("the head was read");
        loop {
            let next = async { tokio::time::timeout(limit, body.data()).await.ok() };
            let chunk = self.runtime.block_on(next)?;
            if let Some(Ok(bytes)) = &chunk {
                body.flow_control().release_capacity(bytes.len()).unwrap();
                if bytes.is_empty() && !body.is_end_stream() {
                    continue;
                }
            }
            return Some(chunk.filter(|c| !matches!(c, Ok(bytes) if bytes.is_empty())));
        }
    }

    /// The whole answer.
    pub fn whole(mut self) -> Result<H2Response, h2::Error> {
        let (status, fields) = self.head()?;
        let (mut body, mut trailers) = (Vec::new(), None);
        let complete = loop {
            match self.chunk() {
                Some(Ok(bytes)) => body.extend_from_slice(&bytes),
                Some(Err(error)) => break Err(error.reason()),
                None => {
                    match limited(&self.runtime, self.body.as_mut().unwrap().trailers()).unwrap() {
                        Ok(t) => {
                            trailers = t;
                            break Ok(());
                        }
                        Err(error) => break Err(error.reason()),
                    }
                }
            }
        };
        Ok(H2Response {
            status,
            fields,
            body,
            trailers,
            complete,
        })
    }

    /// Resets the stream as a client that lost interest.
    pub fn cancel(mut self) {
        self.send.send_reset(Reason::CANCEL);
    }
}
