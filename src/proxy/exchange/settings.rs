//! What an exchange is told before it runs: what its client gets besides, and what is sent in place of the client's body.
//!
//! Each is told once, before the exchange begins.

use std::task::Context;

use bytes::Bytes;
use http::HeaderMap;

use super::{Decline, Exchange, Uplink};
use crate::proxy::filter::response::Own;
use crate::proxy::heads::Edits;
use crate::upstream::peer::Peer;

impl<'a> Exchange<'a> {
    /// Gives the client these with the answer's head.
    pub fn set(&mut self, own: Own<'a>) {
        self.own = own;
    }

    /// Changes the answer's head.
    pub(in crate::proxy) fn edit(&mut self, edits: Option<&'a Edits<'a>>) {
        self.edits = edits;
    }

    /// Sends this in place of the client's body, which has been read.
    pub fn replace_body(&mut self, body: Option<Bytes>) {
        self.body = body;
    }

    /// Throws answers away that `decline` says so of.
    pub fn decline(&mut self, decline: Option<&'a Decline<'a>>) {
        self.decline = decline;
    }

    /// Sends what takes the place of the client's body.
    pub(super) fn send_own(&mut self, body: Bytes, cx: &mut Context<'_>) {
        self.uplink = Uplink::Complete;
        match &mut self.upstream {
            Peer::H1(h1) => match h1.write_body(&body, cx) {
                Ok(_) => h1.finish_body(|_| {}),
                Err(_) => self.uplink = Uplink::Dead,
            },
            Peer::H2(h2) => {
                h2.write_body(body);
                h2.finish_body(HeaderMap::new());
            }
        }
    }
}
