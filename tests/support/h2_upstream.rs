//! An upstream that speaks HTTP/2, with or without TLS: each request is handled as the test says.
//!
//! Its own thread and event loop; ends when it is dropped.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which connection it came on, from 0.
    pub connection: usize,
    pub method: http::Method,
    pub uri: http::Uri,
    pub headers: HeaderMap,
}

/// One request in the hands of the test.
pub struct Call {
    pub seen: Seen,
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    going: watch::Sender<bool>,
}

type Handled = Pin<Box<dyn Future<Output = ()> + Send>>;
type Handler = dyn Fn(Call) -> Handled + Send + Sync;

/// A listening upstream.
pub struct H2Upstream {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

/// How its connections are.
#[derive(Clone, Default)]
pub struct Settings {
    pub tls: Option<Arc<rustls::ServerConfig>>,
    pub max_streams: Option<u32>,
    pub window: Option<u32>,
}

impl H2Upstream {
    /// Handles each request by `handler`.
    pub fn start<F>(settings: Settings, handler: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = watch::channel(false);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let handler: Arc<Handler> = Arc::new(move |call| Box::pin(handler(call)));
        let own = shared.clone();
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(accept(listener, settings, handler, own, stopped));
        });
        Self { addr, shared, stop }
    }

    /// Answers every request with 200 and `body`.
    pub fn saying(settings: Settings, body: &'static str) -> Self {
        Self::start(
            settings,
            move |mut call| async move { call.answer(200, body) },
        )
    }

    /// What reached it so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Sends GOAWAY on all connections; streams that are open go on.
    pub fn go_away(&self) {
        self.shared.going.send_replace(true);
        self.shared.going.send_replace(false);
    }
}

impl Drop for H2Upstream {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

async fn accept(
    listener: std::net::TcpListener,
    settings: Settings,
    handler: Arc<Handler>,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let stream = tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => accepted.unwrap().0,
        };
        stream.set_nodelay(true).unwrap();
        let (settings, handler, shared) = (settings.clone(), handler.clone(), shared.clone());
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.open.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            match &settings.tls {
                None => serve(stream, &settings, handler, &shared, number).await,
                Some(tls) => {
                    let acceptor = tokio_rustls::TlsAcceptor::from(tls.clone());
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, &settings, handler, &shared, number).await;
                    }
                }
            }
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin,
    settings: &Settings,
    handler: Arc<Handler>,
    shared: &Arc<Shared>,
    number: usize,
) {
    let mut builder = Builder::new();
    if let Some(most) = settings.max_streams {
        builder.max_concurrent_streams(most);
    }
    if let Some(window) = settings.window {
        builder.initial_window_size(window);
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(io).await else {
        return;
    };
    let mut going = shared.going.subscribe();
    loop {
        let next = tokio::select! {
            Ok(()) = going.changed() => {
                connection.graceful_shutdown();
                continue;
            }
            next = connection.accept() => next,
        };
        let Some(Ok((request, respond))) = next else {
            return;
        };
        let (head, body) = Request::into_parts(request);
        let seen = Seen {
            connection: number,
            method: head.method,
            uri: head.uri,
            headers: head.headers,
        };
        shared.seen.lock().unwrap().push(seen.clone());
        let call = Call {
            seen,
            body,
            respond,
            shared: shared.clone(),
        };
        tokio::spawn(handler(call));
    }
}

impl Call {
    /// Answers with a status and a body.
    pub fn answer(&mut self, status: u16, body: &'static str) {
        let response = Response::builder().status(status).body(()).unwrap();
        if let Ok(mut send) = self.respond.send_response(response, body.is_empty()) {
            let _ = body.is_empty() || send.send_data(body.into(), true).is_ok();
        }
    }

    /// Begins an answer whose body the test sends.
    pub fn begin(&mut self, response: http::response::Builder) -> SendStream<Bytes> {
        self.respond
            .send_response(response.body(()).unwrap(), false)
            .expect("an open stream")
    }

    /// The whole body, and its trailers.
    pub async fn whole(&mut self) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
        let mut all = Vec::new();
        while let Some(piece) = self.body.data().await {
            let piece = piece?;
            self.body.flow_control().release_capacity(piece.len())?;
            all.extend_from_slice(&piece);
        }
        Ok((all, self.body.trailers().await?))
    }

    /// Requests that have come so far, on all connections.
    pub fn number(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }
}

/// Sends all of it as the peer's windows allow.
pub async fn send_all(send: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        send.reserve_capacity(bytes.len());
        let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await;
        let Some(room) = room.transpose()? else {
            return Ok(());
        };
        let piece = bytes.split_to(room.min(bytes.len()));
        send.send_data(piece, false)?;
    }
    Ok(())
}
