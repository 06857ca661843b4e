//! `gzip*`, `gunzip`, `charset` and `valid_referers` as a route's `compress`, `decompress`, `charset` and `referers`.
//!
//! What counts is resolved here; a route says what is other than its site says, or than the route around it.

use super::draft::{self, Draft};
use super::variables::{self, Known};
use super::{Import, realip};
use crate::config::Referers;
use crate::nginx::model::Scope;
use crate::nginx::table::Context;
use crate::nginx::tree::Directive;

/// What `gzip_disable "msie6"` stands for.
const MSIE6: &str = r"MSIE [4-6]\.(?!.*SV1)";

/// What `charset` is made of.
const CHARSET: &[&str] = &["charset", "charset_types", "override_charset"];

/// What `replace` is made of.
const SUBSTITUTES: &[&str] = &[
    "sub_filter",
    "sub_filter_last_modified",
    "sub_filter_once",
    "sub_filter_types",
];

/// What `compress` is made of.
const GZIP: &[&str] = &[
    "gzip",
    "gzip_comp_level",
    "gzip_disable",
    "gzip_http_version",
    "gzip_min_length",
    "gzip_proxied",
    "gzip_types",
    "gzip_vary",
];

/// Sets the keys of a site, and keeps them in mind for its routes.
pub(super) fn of_site<'t>(import: &mut Import<'t>, scope: &Scope<'t>, table: &mut Draft) {
    let (compress, decompress) = (compress(import, scope), scope.flag("gunzip", false));
    if let Some((value, from)) = &compress {
        table.set("compress", value.clone(), Some(from));
    }
    if decompress {
        table.set("decompress", "true", scope.one("gunzip"));
    }
    import.bodies = (compress.map(|(value, _)| value), decompress);
    texts(import, scope, table);
    substitutes(import, scope, table);
    referers(import, scope, table);
    realip::set(import, scope, table);
}

/// Sets the keys of a route.
pub(super) fn of_route<'t>(import: &mut Import<'t>, scope: &Scope<'t>, route: &mut Draft) {
    let own = compress(import, scope);
    let value = own.as_ref().map(|(value, _)| value);
    let says = |names: &[&str]| scope.says_within(Context::Location, names);
    if value != import.bodies.0.as_ref() || says(GZIP) {
        let value = value.map_or("false", |value| value);
        let from = own.as_ref().map(|(_, from)| *from).or(scope.one("gzip"));
        route.set("compress", value, from);
    }
    let decompress = scope.flag("gunzip", false);
    if decompress != import.bodies.1 || says(&["gunzip"]) {
        route.set("decompress", decompress.to_string(), scope.one("gunzip"));
    }
    if says(SUBSTITUTES) {
        substitutes(import, scope, route);
    }
    if says(CHARSET) {
        texts(import, scope, route);
    }
    if says(&["valid_referers"]) {
        referers(import, scope, route);
    }
    if says(realip::WORDS) {
        realip::set(import, scope, route);
    }
}

/// Sets `replace`.
fn substitutes<'t>(import: &mut Import<'t>, scope: &Scope<'t>, table: &mut Draft) {
    let all = scope.all("sub_filter");
    let Some(from) = all.last() else { return };
    let mut pairs = Vec::new();
    for own in &all {
        let text = |word: &str| variables::text(import, word.as_bytes(), &Known::default());
        match (text(&own.argument(0)), text(&own.argument(1))) {
            (Ok(from), Ok(to)) => {
                pairs.push(format!("[{}, {}]", draft::text(&from), draft::text(&to)));
            }
            (Err(unknown), _) | (_, Err(unknown)) => import.ledger.lost(own, unknown),
        }
    }
    let mut words = vec![format!("pairs = [{}]", pairs.join(", "))];
    if !scope.flag("sub_filter_once", true) {
        words.push("once = false".to_owned());
    }
    let types = scope.all("sub_filter_types");
    let types: Vec<_> = types.iter().flat_map(|own| own.arguments()).collect();
    if !types.is_empty() {
        // nginx has it whatever is said.
        let html = std::iter::once("text/html".to_owned());
        let types = types.iter().map(|word| word.text().into_owned());
        words.push(format!("types = {}", draft::texts(html.chain(types))));
    }
    if scope.flag("sub_filter_last_modified", false) {
        words.push("last_modified = true".to_owned());
    }
    table.set("replace", format!("{{ {} }}", words.join(", ")), Some(from));
}

/// Sets `charset`, as far as it is only said.
fn texts<'t>(import: &mut Import<'t>, scope: &Scope<'t>, table: &mut Draft) {
    let Some(own) = scope.one("charset") else {
        return;
    };
    let name = own.argument(0);
    if name == "off" {
        table.set("charset", "false", Some(own));
        return;
    }
    if name.contains('$') {
        let what = "a charset that depends on the request is not said";
        import.ledger.lost(own, what);
        return;
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+".contains(&byte);
    if name.is_empty() || !name.bytes().all(fits) {
        import.ledger.lost(own, format!("`{name}` is no charset"));
        return;
    }
    if let Some(source) = scope.one("source_charset")
        && source.argument(0) != name
    {
        let what = "answers are not recoded: they are said to be what `charset` says";
        import.ledger.lost(source, what);
    }
    let mut words = vec![format!("name = {}", draft::text(&name))];
    let types = scope.all("charset_types");
    let types: Vec<_> = types.iter().flat_map(|own| own.arguments()).collect();
    if !types.is_empty() {
        // nginx has it whatever is said.
        let html = std::iter::once("text/html".to_owned());
        let types = types.iter().map(|word| word.text().into_owned());
        words.push(format!("types = {}", draft::texts(html.chain(types))));
    }
    if scope.flag("override_charset", false) {
        words.push("replace = true".to_owned());
    }
    table.set("charset", format!("{{ {} }}", words.join(", ")), Some(own));
}

/// Sets `referers`.
fn referers<'t>(import: &mut Import<'t>, scope: &Scope<'t>, table: &mut Draft) {
    let all = scope.all("valid_referers");
    let Some(from) = all.last() else { return };
    let mut words = Vec::new();
    for word in all.iter().flat_map(|own| own.arguments()) {
        let word = word.text();
        if word != "server_names" {
            words.push(word.into_owned());
            continue;
        }
        let names = scope.nearest(Context::Server).iter();
        let names = names.filter(|own| own.is("server_name"));
        for name in names.flat_map(|own| own.arguments()) {
            let name = name.text();
            words.push(match name.strip_prefix('~') {
                Some(expression) => format!("host~{expression}"),
                None => name.into_owned(),
            });
        }
    }
    words.retain(|word| !word.is_empty());
    let parsed = Referers::parse(words.iter().map(|word| word.as_str().into()).collect());
    if let Err(why) = parsed {
        import.ledger.lost(from, why);
        return;
    }
    table.set("referers", draft::texts(words), Some(from));
}

/// The value of `compress` and the line it came from; `None` where `gzip` is off.
fn compress<'t>(import: &mut Import<'t>, scope: &Scope<'t>) -> Option<(String, &'t Directive)> {
    let from = scope.one("gzip").filter(|_| scope.flag("gzip", false))?;
    let words = |name: &str| -> Vec<String> {
        let own = scope.one(name);
        let words = own.iter().flat_map(|own| own.arguments());
        words.map(|word| word.text().into_owned()).collect()
    };
    let number = |name: &str| scope.one(name)?.argument(0).parse::<u8>().ok();
    // nginx has it whatever is said.
    let mut types = vec!["text/html".to_owned()];
    types.extend(
        words("gzip_types")
            .into_iter()
            .filter(|own| own != "text/html"),
    );
    if types.iter().any(|own| own == "*") {
        types = vec!["*".to_owned()];
    }
    let mut proxied = words("gzip_proxied");
    if proxied.is_empty() {
        proxied.push("off".to_owned());
    }
    let mut except = Vec::new();
    for own in scope.all("gzip_disable") {
        for word in own.arguments() {
            match &*word.text() {
                "msie6" => except.push(MSIE6.to_owned()),
                "degradation" => {
                    import.ledger.not_needed(own, "for systems that are gone");
                }
                expression => except.push(format!("(?i){expression}")),
            }
        }
    }
    let mut keys = vec![
        format!("types = {}", draft::texts(&types)),
        format!(
            "min_length = {}",
            draft::size(scope.size("gzip_min_length").unwrap_or(20))
        ),
        format!("level = {}", number("gzip_comp_level").unwrap_or(1)),
        format!("vary = {}", scope.flag("gzip_vary", false)),
        format!("proxied = {}", draft::texts(&proxied)),
    ];
    if words("gzip_http_version")
        .first()
        .is_some_and(|own| own == "1.0")
    {
        keys.push("http_1_0 = true".to_owned());
    }
    if !except.is_empty() {
        keys.push(format!("except = {}", draft::texts(&except)));
    }
    Some((format!("{{ {} }}", keys.join(", ")), from))
}
