//! The link as pingora-core's engine sees it: its IO traits over a [`Link`].
//!
//! A thin handle: dropping it does not close the connection as long as somebody else holds the link.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Link;

/// A [`Link`] in the engine's hands.
#[derive(Debug)]
pub struct EngineStream {
    link: Arc<Link>,
    /// What the engine hands to every request of the connection.
    facts: Option<Arc<ProxyDigest>>,
    h2: bool,
}

impl EngineStream {
    /// A stream over `link`. `facts` reach each request through the engine's digest; `h2` says what ALPN chose.
    pub fn new(link: Arc<Link>, facts: Option<Arc<ProxyDigest>>, h2: bool) -> Self {
        Self { link, facts, h2 }
    }
}

impl AsyncRead for EngineStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.link.poll_read(cx, buf)
    }
}

impl AsyncWrite for EngineStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.link.poll_engine_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_engine_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_finish(cx)
    }
}

#[async_trait]
impl Shutdown for EngineStream {
    async fn shutdown(&mut self) {
        // The forwarder ends client connections itself, in its own time; there is nothing left to do here.
    }
}

impl UniqueID for EngineStream {
    fn id(&self) -> UniqueIDType {
        0
    }
}

impl Ssl for EngineStream {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.h2.then_some(ALPN::H2)
    }
}

impl GetTimingDigest for EngineStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for EngineStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.facts.clone()
    }
}

impl GetSocketDigest for EngineStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl Peek for EngineStream {}
