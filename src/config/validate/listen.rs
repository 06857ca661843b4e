//! Addresses: no two sockets on one address, and at least one to listen on.
//!
//! Decides which port redirects to https name.

use std::net::SocketAddr;

use super::each_once;
use crate::config::diagnostic::Diagnostic;
use crate::config::model::Listen;
use crate::config::schema::listen::Listen as Typed;
use crate::config::schema::reader::{At, Context};

/// The port of https, which urls leave out.
const HTTPS: u16 = 443;

/// Checks the addresses of `[listen]` and of the admin listener.
pub(super) fn check(
    typed: Typed,
    admin: Option<&At<SocketAddr>>,
    context: Context<'_>,
) -> Option<Listen> {
    // Port 0 lets the system choose a free one each time.
    let fixed = |at: &&At<SocketAddr>| at.value.port() != 0;
    let all = typed
        .http
        .iter()
        .chain(&typed.https)
        .chain(admin)
        .filter(fixed);
    each_once(all, context.sink, |again, first| {
        let both = typed.http.iter().any(|http| http.span == first.span)
            && typed.https.iter().any(|https| https.span == again.span);
        let message = match both {
            true => format!("`{}` is in both `http` and `https`", again.value),
            false => format!("`{}` is listened on twice", again.value),
        };
        Diagnostic::error("duplicate-address", again.span.clone(), message)
    });
    if typed.http.is_empty() && typed.https.is_empty() {
        return context.sink.refuse(
            Diagnostic::error("no-listener", typed.span, "`[listen]` has no address")
                .hint("leave `http` and `https` out for ports 80 and 443 on every address"),
        );
    }
    let https: Vec<_> = typed.https.into_iter().map(|at| at.value).collect();
    Some(Listen {
        redirect_port: redirect_port(typed.redirect_port, &https),
        http: typed.http.into_iter().map(|at| at.value).collect(),
        https,
    })
}

/// `None` leaves the port out of redirects.
fn redirect_port(typed: Option<u16>, https: &[SocketAddr]) -> Option<u16> {
    let default = match https.iter().any(|address| address.port() == HTTPS) {
        true => None,
        false => https.first().map(SocketAddr::port),
    };
    typed
        .or(default)
        .filter(|port| *port != HTTPS && *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_name_the_port_only_when_it_is_not_443() {
        let addresses = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<SocketAddr>>()
        };
        assert_eq!(
            redirect_port(None, &addresses(&["0.0.0.0:8443", "0.0.0.0:443"])),
            None
        );
        assert_eq!(
            redirect_port(None, &addresses(&["0.0.0.0:8443", "0.0.0.0:9443"])),
            Some(8443)
        );
        assert_eq!(
            redirect_port(Some(443), &addresses(&["0.0.0.0:8443"])),
            None
        );
        assert_eq!(
            redirect_port(Some(444), &addresses(&["0.0.0.0:443"])),
            Some(444)
        );
        assert_eq!(redirect_port(None, &addresses(&["127.0.0.1:0"])), None);
        assert_eq!(redirect_port(None, &[]), None);
    }
}
