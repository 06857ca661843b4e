//! Faults that hand-written configurations for JupyterHub and BinderHub have: what nginx did, what hubgate does. And what is
//! to be done by hand where certbot gave way.
//!
//! Each is one line that nobody wrote. Told once for each route that shows them; none is lost, so none is in the report's
//! table. Also decides which locations are a hub's.

use super::Import;
use super::draft::Draft;
use crate::nginx::model::{Location, Scope};
use crate::nginx::tree::Directive;

/// The preset of a location that passes to a hub, as far as its words tell.
pub(super) fn preset(scope: &Scope<'_>, pass: &Directive, path: &str) -> Option<&'static str> {
    let name = scope.one("server_name").map(|own| own.argument(0));
    let words = format!("{path} {} {}", pass.argument(0), name.unwrap_or_default());
    let words = words.to_ascii_lowercase();
    let mut known = ["binderhub", "jupyterhub"].into_iter();
    known.find(|word| words.contains(word))
}

/// Whether a route is taken for one of a hub: it has a preset, or passes upgrades on and is called like one.
pub(super) fn is_of_a_hub(
    import: &Import<'_>,
    scope: &Scope<'_>,
    pass: &Directive,
    route: &Draft,
) -> bool {
    let is_called_so = |word: &str| {
        let word = word.to_ascii_lowercase();
        let mut names = ["hub", "jupyter", "binder"].iter();
        names.any(|name| word.contains(name))
    };
    let named = || is_called_so(&import.named) || is_called_so(&pass.argument(0));
    route.get("preset").is_some() || (sets(scope, "upgrade").is_some() && named())
}

/// Says how what certbot has ordered is taken over. Told once.
pub(super) fn of_certbot(import: &mut Import<'_>, chain: &Directive) {
    let path = chain.argument(0);
    let Some((before, _)) = path.split_once("/live/") else {
        return;
    };
    let text = format!(
        "certbot has certificates already: `hubgate certs import {before}` takes them over, so that none is ordered before it is due; then `systemctl disable --now certbot.timer`"
    );
    if !import.advice.iter().any(|(_, told)| *told == text) {
        let place = import.tree.show(chain.place());
        import.advice.push((place, text));
    }
}

/// Looks at a route that has been made.
pub(super) fn of_route(
    import: &mut Import<'_>,
    location: &Location<'_>,
    pass: &Directive,
    path: &str,
    route: &Draft,
) {
    let scope = &location.scope;
    let upgrades = sets(scope, "upgrade").is_some();
    if !is_of_a_hub(import, scope, pass, route) {
        return;
    }
    let place = import.tree.show(location.directive.place());
    let rewrites = route.get("rewrite_prefix").is_some();
    for advice in faults(scope, pass, (path, rewrites), upgrades) {
        let told = (place.clone(), advice);
        if !import.advice.contains(&told) {
            import.advice.push(told);
        }
    }
}

fn faults(
    scope: &Scope<'_>,
    pass: &Directive,
    (path, rewrites): (&str, bool),
    upgrades: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |text: &str| found.push(text.to_owned());
    if scope.flag("proxy_buffering", true) {
        say(
            "answers were gathered before they were sent (`proxy_buffering` was on): over HTTP/1.1 build logs came a minute late. hubgate passes bytes on as they come",
        );
    }
    if scope.one("client_max_body_size").is_none() {
        say(
            "`client_max_body_size` was not set: bodies over 1 MiB got 413, so uploads in JupyterLab failed. A route with a preset has no limit, others 64 MiB",
        );
    }
    let target = pass.argument(0);
    let has_path = target
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/'));
    if has_path && !rewrites && !target.contains("$request_uri") {
        say(&format!(
            "`proxy_pass` with a path sent a decoded target: `a%2Fb` arrived as `a/b`. hubgate forwards what follows `{path}` byte for byte"
        ));
    }
    match sets(scope, "host").as_deref() {
        Some("$host") => say(
            "`Host $host` dropped the port: on any port but 443 websockets got 403 and API calls 404. hubgate forwards the host with its port",
        ),
        Some(_) => {}
        None => say(
            "`Host` was that of `proxy_pass`, not the client's: websockets are refused as of a foreign origin. hubgate forwards the client's",
        ),
    }
    if sets(scope, "x-forwarded-proto").is_none() && sets(scope, "x-scheme").is_none() {
        say(
            "nobody told the hub that its clients come by https: cookies lacked `Secure`. hubgate sends X-Forwarded-Proto and X-Scheme",
        );
    }
    if sets(scope, "x-real-ip").is_none() {
        say(
            "a client's own X-Real-IP passed, so anybody could take any address. hubgate overwrites it",
        );
    }
    if scope.one("large_client_header_buffers").is_none() {
        say(
            "a cookie field over 8 KiB got 400, and OAuth's grow beyond it. hubgate takes heads of 64 KiB",
        );
    }
    if upgrades && scope.one("proxy_read_timeout").is_none() {
        say(
            "a websocket that was silent for 60 s was cut. hubgate waits an hour (`tunnel_idle_timeout`)",
        );
    }
    if sets(scope, "connection").is_some_and(|value| !value.starts_with('$')) {
        say(
            "`Connection: upgrade` was sent with every request. hubgate sends it with upgrades only",
        );
    }
    if scope.one("proxy_cache_bypass").is_some() && scope.one("proxy_cache").is_none() {
        say("`proxy_cache_bypass` did nothing: there is no cache");
    }
    let types = scope.all("gzip_types");
    let mut types = types.iter().flat_map(|own| own.arguments());
    if scope.flag("gzip", false)
        && types.any(|kind| matches!(&*kind.text(), "*" | "text/event-stream"))
    {
        say(
            "`gzip on` held events of streams back. hubgate gives all that came when the upstream pauses",
        );
    }
    found
}

/// The value that a field is sent with.
fn sets(scope: &Scope<'_>, field: &str) -> Option<String> {
    let all = scope.all("proxy_set_header");
    let own = all
        .iter()
        .rfind(|own| own.argument(0).eq_ignore_ascii_case(field))?;
    Some(own.argument(1).into_owned())
}
