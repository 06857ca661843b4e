//! `allow`, `deny`, `auth_basic`, `auth_request` and `satisfy` as a route's `access`.
//!
//! Inheritance is nginx's: the rules of the innermost block that has any count, for both words together.

use super::Import;
use super::draft::{self, Draft};
use super::variables::{self, Known};
use crate::config::AddressRule;
use crate::nginx::model::Scope;
use crate::nginx::table::Context;
use crate::nginx::tree::Directive;

/// What keeps somebody out.
const GUARDS: [&str; 4] = ["allow", "deny", "auth_basic", "auth_request"];

/// What a block lets in, as a key of its route.
pub(super) fn of_scope<'t>(import: &mut Import<'t>, scope: &Scope<'t>, route: &mut Draft) {
    let (mut words, mut from) = words(import, scope);
    if let Some((others, own)) = others(import, scope) {
        words.push(others);
        from = from.or(Some(own));
    }
    if !words.is_empty() {
        route.set("access", format!("{{ {} }}", words.join(", ")), from);
    } else if scope.mentions(&GUARDS) {
        // What is around the route in hubgate's file must not count for it.
        route.set("access", "{}", scope.one("auth_basic"));
    }
}

/// What a block that answers by a `return` lets in: that comes before all but `limit_except`, whose methods do not see it.
pub(super) fn of_return<'t>(import: &mut Import<'t>, scope: &Scope<'t>, route: &mut Draft) {
    if let Some((others, own)) = others(import, scope) {
        route.set("access", format!("{{ {others} }}"), Some(own));
    } else if scope.is_within_location() && scope.mentions(&GUARDS) {
        route.set("access", "{}", None);
    }
}

/// `limit_except` as `others`.
fn others<'t>(import: &mut Import<'t>, scope: &Scope<'t>) -> Option<(String, &'t Directive)> {
    let own = scope.own().iter().find(|own| own.is("limit_except"))?;
    let inner = scope.inner(Context::LimitExcept, own.children());
    let (others, _) = self::words(import, &inner);
    let than = own
        .arguments()
        .iter()
        .map(|word| word.text().to_uppercase());
    let than = format!("than = {}", draft::texts(than));
    let others = format!(
        "others = {{ {} }}",
        [vec![than], others].concat().join(", ")
    );
    import
        .ledger
        .carried(own, "`others` of the route's `access`");
    for log in own.children().iter().filter(|own| own.is("access_log")) {
        let what = "other methods are logged where all are: no log is for methods only";
        import.ledger.lost(log, what);
    }
    for pass in own
        .children()
        .iter()
        .filter(|own| own.name().ends_with("_pass"))
    {
        let what = "other methods go where all go: no route is for methods only";
        import.ledger.lost(pass, what);
    }
    Some((others, own))
}

/// The keys of `access` that a block comes to, and the line that they are from.
fn words<'t>(import: &mut Import<'t>, scope: &Scope<'t>) -> (Vec<String>, Option<&'t Directive>) {
    let mut words = Vec::new();
    let rules = scope.all_of(&["allow", "deny"]);
    let mut kept = Vec::new();
    for own in &rules {
        let rule = format!("{} {}", own.name(), own.argument(0));
        match AddressRule::parse(&rule) {
            Some(rule) => kept.push(rule.to_string()),
            None => import.ledger.lost(
                own,
                "neither an address nor a network: the rule is left out",
            ),
        }
    }
    if !kept.is_empty() {
        words.push(format!("rules = {}", draft::texts(kept)));
    }
    let file = scope.one("auth_basic_user_file");
    let basic = scope
        .one("auth_basic")
        .filter(|own| own.argument(0) != "off");
    if let Some((basic, file)) = basic.zip(file) {
        let (realm, path) = (basic.argument(0), file.argument(0));
        if path.contains('$') {
            let what = "which file has the passwords depends on the request: nobody gets in";
            import.ledger.lost(file, what);
        }
        let known = variables::text(import, realm.as_bytes(), &Known::default());
        if known.is_err() {
            let what =
                "a realm with variables that hubgate does not know: it is shown as it is written";
            import.ledger.lost(basic, what);
        }
        let realm = known.unwrap_or_else(|_| realm.replace('$', "$$"));
        words.push(format!(
            "basic = {{ realm = {}, file = {} }}",
            draft::text(&realm),
            draft::text(&import.absolute(&path))
        ));
    }
    words.extend(ask(import, scope));
    if words.is_empty() {
        return (words, None);
    }
    let satisfy = scope.one("satisfy");
    if satisfy.is_some_and(|own| own.argument(0) == "any") {
        words.push("need = \"any\"".to_owned());
    }
    let delay = scope.time("auth_delay").filter(|delay| *delay > 0);
    words.extend(delay.map(|delay| format!("delay = {}", draft::time(delay))));
    let from = rules.first().copied().or(basic);
    (words, from.or(scope.one("auth_request")))
}

/// `auth_request` and what is taken from its answer.
fn ask(import: &mut Import<'_>, scope: &Scope<'_>) -> Option<String> {
    let own = scope.one("auth_request")?;
    let path = own.argument(0);
    if path == "off" {
        return None;
    }
    if !path.starts_with('/') || path.contains(['$', '?']) {
        let what = "which path is asked depends on the request: nobody is asked for leave";
        import.ledger.lost(own, what);
        return None;
    }
    let mut taken = Vec::new();
    for set in scope.all("auth_request_set") {
        let (name, value) = (set.argument(0), set.argument(1));
        let name = name.trim_start_matches('$');
        match variables::text(import, value.as_bytes(), &Known::default()) {
            Ok(value) => taken.push(format!("{name} = {}", draft::text(&value))),
            Err(unknown) => import.ledger.lost(set, unknown),
        }
    }
    let take = match taken.is_empty() {
        true => String::new(),
        false => format!(", take = {{ {} }}", taken.join(", ")),
    };
    Some(format!("ask = {{ path = {}{take} }}", draft::text(&path)))
}
