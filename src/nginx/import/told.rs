//! Directives whose fate depends on their words or on what else there is, wherever they stand.
//!
//! Runs after the converters, over the whole tree, and speaks only where they have not.

use super::Import;
use crate::nginx::table::{self, Context, Form};
use crate::nginx::tree::Directive;
use crate::nginx::value;

/// What hubgate tells upstreams by itself: fields with the values that mean the same.
const SAME_FIELDS: &[(&str, &[&str])] = &[
    ("host", &["$host", "$http_host", "$host:$server_port"]),
    ("x-real-ip", &["$remote_addr", "$realip_remote_addr"]),
    (
        "x-forwarded-for",
        &["$proxy_add_x_forwarded_for", "$remote_addr"],
    ),
    (
        "x-forwarded-proto",
        &["$scheme", "https", "$http_x_forwarded_proto"],
    ),
    ("x-forwarded-host", &["$host", "$http_host"]),
    ("x-forwarded-port", &["$server_port", "443"]),
    ("x-forwarded-scheme", &["$scheme"]),
    ("x-forwarded-server", &["$host", "$server_name"]),
    ("x-scheme", &["$scheme", "https"]),
    ("x-request-id", &["$request_id", "$req_id"]),
    ("upgrade", &["$http_upgrade"]),
    ("origin", &["$http_origin", ""]),
    ("proxy", &[""]),
];

/// What routes to upstreams have of heads.
const HEADS: &[&str] = &[
    "proxy_set_header",
    "grpc_set_header",
    "proxy_hide_header",
    "grpc_hide_header",
    "proxy_redirect",
    "proxy_cookie_domain",
    "proxy_cookie_path",
    "proxy_cookie_flags",
];

/// Families of directives that need a pass to mean anything.
const FAMILIES: &[&str] = &["fastcgi", "uwsgi", "scgi", "memcached", "grpc"];

/// Looks at everything.
pub(super) fn all(import: &mut Import<'_>) {
    let tree = import.tree;
    let passes: Vec<_> = FAMILIES
        .iter()
        .copied()
        .filter(|family| !any(&tree.directives, &|own| own.is(&format!("{family}_pass"))))
        .collect();
    walk(import, &tree.directives, Context::Main, &passes);
}

/// Whether one of the directives, or of those within, is so.
pub(super) fn any(directives: &[Directive], is: &dyn Fn(&Directive) -> bool) -> bool {
    directives
        .iter()
        .any(|own| is(own) || any(own.children(), is))
}

fn walk(import: &mut Import<'_>, directives: &[Directive], context: Context, unused: &[&str]) {
    let idle = matches!(context, Context::Server) && serves_no_files(directives);
    for own in directives {
        if !import.ledger.has(own) {
            if idle && (own.is("root") || own.is("index")) {
                import.ledger.not_needed(
                    own,
                    "nothing is served from it: every path goes to an upstream",
                );
            } else {
                one(import, own, context, unused);
            }
        }
        if let Some(inner) = table::inner(context, &own.name()) {
            walk(import, own.children(), inner, unused);
        }
    }
}

/// Whether every location of a server passes on or answers, the one for `/` among them.
fn serves_no_files(server: &[Directive]) -> bool {
    let locations = || server.iter().filter(|own| own.is("location"));
    let answers = |own: &Directive| {
        own.children()
            .iter()
            .any(|own| own.is("return") || own.name().ends_with("_pass"))
    };
    locations().all(answers) && locations().any(|own| own.argument(0) == "/")
}

fn one(import: &mut Import<'_>, own: &Directive, context: Context, unused: &[&str]) {
    let name = own.name();
    let family = name.split('_').next().unwrap_or_default();
    if unused.contains(&family) {
        import
            .ledger
            .not_needed(own, format!("nothing is passed on by `{family}_pass`"));
        return;
    }
    match &*name {
        "proxy_set_header" | "grpc_set_header" => {
            field(import, own);
            unclaimed(import, own, context);
        }
        "map" if own.argument(0) == "$http_upgrade" => {
            let why = "hubgate asks for an upgrade when, and only when, the client does";
            import.ledger.not_needed(own, why);
        }
        "proxy_redirect" if own.argument(0) == "off" => {
            import
                .ledger
                .not_needed(own, "hubgate does not change `Location`");
        }
        "proxy_force_ranges" if own.argument(0) == "off" => {
            let why = "ranges are the upstream's affair";
            import.ledger.not_needed(own, why);
        }
        "ssl_protocols" => protocols(import, own, context),
        "client_max_body_size" if context == Context::Http => {}
        _ => {
            off(import, own, context);
            unclaimed(import, own, context);
        }
    }
}

/// A feature that hubgate lacks is not missed where it is off.
fn off(import: &mut Import<'_>, own: &Directive, context: Context) {
    let Some(rule) = table::rule(&own.name(), context) else {
        return;
    };
    let lost = matches!(rule.fate, table::Fate::Lost(_)) && rule.form == Form::Flag;
    let word = own
        .arguments()
        .first()
        .and_then(|word| value::flag(&word.bytes));
    if lost && word == Some(false) && !own.name().starts_with("proxy_pass_request") {
        import.ledger.not_needed(own, "it is off, as in hubgate");
    }
    let off = own.argument(0) == "off";
    if off
        && matches!(
            &*own.name(),
            "auth_basic" | "auth_request" | "expires" | "proxy_cache" | "proxy_bind" | "mirror"
        )
    {
        import.ledger.not_needed(own, "it is off, as in hubgate");
    }
}

/// What is said to the upstream beside the request.
fn field(import: &mut Import<'_>, own: &Directive) {
    if own.argument(0).eq_ignore_ascii_case("connection") {
        let why = "hubgate asks for an upgrade when, and only when, the client does";
        import.ledger.not_needed(own, why);
    } else if is_same_field(own) {
        let why = "hubgate sends this field by itself, and lets no client forge it";
        import.ledger.not_needed(own, why);
    }
}

/// Whether hubgate sends the field by itself with what means the same.
pub(super) fn is_same_field(own: &Directive) -> bool {
    let (name, value) = (own.argument(0).to_ascii_lowercase(), own.argument(1));
    let mut same = SAME_FIELDS.iter();
    same.any(|(field, values)| *field == name && values.contains(&&*value))
}

/// What changes heads, and is the affair of no route.
fn unclaimed(import: &mut Import<'_>, own: &Directive, context: Context) {
    let name = own.name();
    let of_upstreams = HEADS.contains(&&*name);
    if import.ledger.has(own) || !(of_upstreams || matches!(&*name, "add_header" | "expires")) {
        return;
    }
    match context {
        Context::Http | Context::Server if of_upstreams => {
            let why =
                "no route has it: one directive of the kind further in hides those further out";
            import.ledger.not_needed(own, why);
        }
        Context::Http | Context::Server => import
            .ledger
            .lost(own, "answers of routes get it, and no route has it"),
        _ => import.ledger.lost(own, "it goes with the block around it"),
    }
}

/// Versions of TLS that nobody speaks any more are told where they would be spoken.
fn protocols(import: &mut Import<'_>, own: &Directive, context: Context) {
    let old =
        |word: &str| !word.eq_ignore_ascii_case("TLSv1.2") && !word.eq_ignore_ascii_case("TLSv1.3");
    if !own.arguments().iter().any(|word| old(&word.text())) {
        import.ledger.not_needed(own, "TLS 1.2 and 1.3 are spoken");
    } else if context == Context::Http && !inherited(import, "ssl_protocols") {
        import
            .ledger
            .not_needed(own, "every server with TLS says it anew");
    }
}

/// Whether a server with TLS has no directive of the name itself.
fn inherited(import: &Import<'_>, name: &str) -> bool {
    let http = import.tree.directives.iter().filter(|own| own.is("http"));
    let mut servers = http
        .flat_map(Directive::children)
        .filter(|own| own.is("server"));
    servers.any(|server| {
        let tls = |own: &Directive| {
            own.is("listen") && own.arguments().iter().any(|word| word.text() == "ssl")
        };
        server.children().iter().any(tls) && !server.children().iter().any(|own| own.is(name))
    })
}
