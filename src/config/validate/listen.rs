//! Addresses: no two sockets on one address, and at least one to listen on.
//!
//! Decides which port redirects to https name.

use std::net::SocketAddr;

use super::each_once;
use crate::config::diagnostic::Diagnostic;
use crate::config::model::Listen;
use crate::config::schema::listen::Listen as Typed;
use crate::config::schema::reader::{At, Context};
use crate::config::stream::ProxyProtocol;

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
    let proxy_protocol = proxy_protocol(&typed, context);
    let https: Vec<_> = typed.https.into_iter().map(|at| at.value).collect();
    Some(Listen {
        redirect_port: redirect_port(typed.redirect_port, &https),
        http: typed.http.into_iter().map(|at| at.value).collect(),
        proxy_protocol: proxy_protocol?,
        https,
    })
}

/// PROXY headers come on addresses that are listened on, from somebody.
fn proxy_protocol(typed: &Typed, context: Context<'_>) -> Option<ProxyProtocol> {
    let (optional, required) = (&typed.proxy_optional, &typed.proxy_required);
    let all = || optional.iter().chain(required);
    let mut sound = true;
    for at in all() {
        let listened = typed.http.iter().chain(&typed.https);
        if !listened.clone().any(|one| one.value == at.value) {
            let message = format!("`{}` is not listened on", at.value);
            context.sink.push(
                Diagnostic::error("proxy-protocol-address", at.span.clone(), message)
                    .hint("write it as it stands in `http` or `https`"),
            );
            sound = false;
        }
    }
    for at in required {
        if optional.iter().any(|one| one.value == at.value) {
            let message = format!(
                "`{}` is in both `proxy_protocol_optional` and `proxy_protocol_required`",
                at.value
            );
            let fault = Diagnostic::error("proxy-protocol-address", at.span.clone(), message);
            context.sink.push(fault);
            sound = false;
        }
    }
    if let Some(first) = all().next().filter(|_| typed.proxy_from.is_empty()) {
        return context.sink.refuse(
            Diagnostic::error(
                "proxy-protocol-from",
                first.span.clone(),
                format!("nobody may send a PROXY header to `{}`", first.value),
            )
            .hint("name the load balancers, as in `proxy_protocol_from = [\"10.0.0.0/8\"]`"),
        );
    }
    let values = |list: &[At<SocketAddr>]| list.iter().map(|at| at.value).collect();
    sound.then(|| ProxyProtocol {
        from: typed.proxy_from.clone(),
        optional: values(optional),
        required: values(required),
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
