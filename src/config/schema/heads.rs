//! The keys of sites and routes that say what changes in the heads of requests and answers.
//!
//! They are part of those tables, and read apart from them because names, texts and expressions are. What a site says is
//! added to what its routes say; that is done here too.

use http::HeaderName;
use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use toml::de::DeValue;

use super::action::text;
use super::reader::{At, Context, Reader};
use super::replaced::{self, pairs, replacement};
use super::route::Read;
use super::value::Field;
use super::{Key, Kind, Table};
use crate::config::diagnostic::Diagnostic;
use crate::config::heads::{AddField, Expires, RequestHeads, ResponseHeads, SetField};
use crate::config::source::Span;
use crate::config::text::Text;
use crate::types::header::{HTTP2_SETTINGS, KEEP_ALIVE, PROXY_CONNECTION};

pub(super) const TARGET: Key = Key::rule(
    "target",
    Kind::Text,
    "the client's",
    "\"$request_uri\"",
    "What the upstream is asked for, with $variables: a path that begins with `/`, and a query. Empty is the client's own.",
);
pub(super) const REQUEST_HEADERS: Key = Key::rule(
    "request_headers",
    Kind::Inline,
    "none",
    "{ Host = \"$host\", \"X-Real-IP\" = \"$remote_addr\", \"Accept-Encoding\" = \"\" }",
    "Fields that the upstream gets with these values, in which $variables count, whatever the client or hubgate would send; one whose value is empty is left out. What a site says holds for all its routes, where they do not say otherwise.",
);
pub(super) const FORWARDED: Key = Key::new(
    "forwarded",
    Kind::Flag,
    "true",
    "Whether the upstream is told who the client is, by X-Forwarded-*, X-Real-IP, X-Scheme and X-Request-ID that no client can forge. With false what a client sends of them passes, as with nginx.",
);
pub(super) const METHOD: Key = Key::rule(
    "method",
    Kind::Text,
    "the client's",
    "\"POST\"",
    "The method that the upstream is asked with, with $variables; not where it, or the client's, is HEAD and the other is not. Empty is the client's own.",
);
pub(super) const CLIENT_HEADERS: Key = Key::new(
    "client_headers",
    Kind::Flag,
    "true",
    "Whether the client's fields go on; what frames its body does in any case.",
);
pub(super) const BODY: Key = Key::rule(
    "body",
    Kind::Text,
    "the client's",
    "\"name=$arg_name\"",
    "What is sent in place of the client's body, with $variables; \"\" is none. The client's is thrown away.",
);
pub(super) const BIND: Key = Key::rule(
    "bind",
    Kind::Text,
    "the system's choice",
    "\"192.0.2.9\"",
    "The address of this machine that connections to endpoints come from, with $variables; what is no address is the system's choice.",
);
pub(super) const ACCEL: Key = Key::new(
    "accel",
    Kind::Flag,
    "false",
    "Whether an answer of the upstream with `X-Accel-Redirect` is thrown away and the route of the path in it answers in its place, also an `internal` one or `@NAME`; `Content-Type`, `Content-Disposition`, `Cache-Control`, `Expires` and `Set-Cookie` are kept. `X-Accel-Limit-Rate` is how many bytes in a second the client gets (0: as fast as can be). `X-Accel-*` does not reach clients then. Only for upstreams that may read all that these routes have.",
);
pub(super) const RESPONSE_HEADERS: Key = Key::rule(
    "response_headers",
    Kind::Inlines,
    "none",
    "[{ add = \"X-Served-By\", value = \"$hostname\" }, { set = \"Cache-Control\", value = \"no-store\", always = true }]",
    "Fields that answers get, hubgate's own included: `add` beside those of the name, `set` in their place. Only with the statuses 200, 201, 204, 206, 301, 302, 303, 304, 307 and 308, unless `always`. One whose value is empty is not added. A site's come first.",
);
pub(super) const UNROUTED_HEADERS: Key = Key::rule(
    "unrouted_headers",
    Kind::Inlines,
    "none",
    "[{ add = \"X-Frame-Options\", value = \"DENY\", always = true }]",
    "As `response_headers`, beside those, of answers that no route gives: what the site's rules answer, and refusals of what is no request. Routes do not have them.",
);
pub(super) const HIDE_HEADERS: Key = Key::rule(
    "hide_headers",
    Kind::Texts,
    "[]",
    "[\"X-Powered-By\"]",
    "Fields of the upstream's answers that clients do not get; a site's too.",
);
pub(super) const EXPIRES: Key = Key::rule(
    "expires",
    Kind::Text,
    "nothing is said",
    "\"30d\"",
    "`Expires` and `Cache-Control`, with the statuses that `response_headers` counts for: a time from now (\"1y 6M 2w 1d 3h 30m 5s\"), \"modified 1h\" from its last change, \"@15h30m\" of the day (UTC), \"-1\" (old), \"epoch\", \"max\", \"off\", or a $variable that says one of these.",
);
pub(super) const LOCATION_HEADERS: Key = Key::rule(
    "location_headers",
    Kind::Pairs,
    "[]",
    "[[\"http://127.0.0.1:8000/\", \"/\"]]",
    "What `Location` and `Refresh` of the upstream's answers begin with, and what stands there for clients; the first that fits counts. With `~` before it, or `~*` where case does not matter, an expression, whose groups are $1 to $9.",
);
pub(super) const LOCATION_BASE: Key = Key::rule(
    "location_base",
    Kind::Text,
    "a path stays one",
    "\"$scheme://$host:$server_port\"",
    "What stands before a `Location` of hubgate's own, or one that `location_headers` has changed, which is but a path. A port that is the scheme's own is left out. A site's counts where the route says nothing; empty is none.",
);
pub(super) const COOKIES: Key = Key::rule(
    "cookies",
    Kind::Inline,
    "{}",
    "{ domain = [[\"a.internal\", \"example.org\"]], path = [[\"/\", \"/x/\"]], flags = [[\"~.*\", \"secure httponly\"]] }",
    "What changes in the upstream's `Set-Cookie`: the domain, what the path begins with, and by a cookie's name what it gets or loses: secure, httponly, samesite=strict, =lax or =none, nosecure, nohttponly, nosamesite. `~` stands before expressions.",
);

static FIELD_TABLE: Table = Table {
    header: "response_headers",
    about: "",
    keys: &[
        Key::rule("add", Kind::Text, "none", "\"X-A\"", "A field."),
        Key::rule("set", Kind::Text, "none", "\"X-A\"", "The only one."),
        Key::required("value", Kind::Text, "\"1\"", "Its value."),
        Key::new("always", Kind::Flag, "false", "With errors too."),
    ],
};

/// What a site says of all its routes.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct SiteHeads {
    pub(in crate::config) request: Vec<SetField>,
    pub(in crate::config) response: ResponseHeads,
    /// What its own answers get besides.
    pub(in crate::config) unrouted: Vec<AddField>,
}

impl SiteHeads {
    /// All that answers get which no route gives, where that is more than what routes inherit.
    pub(in crate::config) fn unrouted(&self) -> Option<Box<ResponseHeads>> {
        let further = (!self.unrouted.is_empty()).then_some(&self.unrouted)?;
        let mut all = Box::new(self.response.clone());
        all.add.extend(further.iter().cloned());
        Some(all)
    }
}

/// What a route says.
#[derive(Clone, Debug)]
pub(in crate::config) struct RouteHeads {
    pub(in crate::config) request: RequestHeads,
    pub(in crate::config) response: ResponseHeads,
    /// Where `target` is.
    pub(in crate::config) target_at: Option<Span>,
}

impl RouteHeads {
    /// With what its site says. What it has of it already is not there twice, so that an explained route loads to itself.
    pub(in crate::config) fn under(mut self, site: &SiteHeads) -> Self {
        let own = &mut self.request.fields;
        let further = site.request.iter();
        let further = further.filter(|field| own.iter().all(|own| own.name != field.name));
        let further: Vec<_> = further.cloned().collect();
        own.splice(0..0, further);
        let own = &mut self.response.add;
        let further = site
            .response
            .add
            .iter()
            .filter(|field| !own.contains(field));
        let further: Vec<_> = further.cloned().collect();
        own.splice(0..0, further);
        self.response.base = self.response.base.or_else(|| site.response.base.clone());
        let own = &mut self.response.hide;
        let further = site.response.hide.iter().filter(|name| !own.contains(name));
        let further: Vec<_> = further.cloned().collect();
        own.splice(0..0, further);
        self
    }
}

/// Reads what a site says.
pub(super) fn of_site(reader: &Reader<'_>, context: Context<'_>) -> Option<SiteHeads> {
    let unrouted = response_fields(reader, &UNROUTED_HEADERS, context);
    let both = of_both(reader, context);
    Some(SiteHeads {
        unrouted: unrouted?,
        ..both?
    })
}

/// What both a site and a route may say.
fn of_both(reader: &Reader<'_>, context: Context<'_>) -> Option<SiteHeads> {
    let request = request_fields(reader, context);
    let add = response_fields(reader, &RESPONSE_HEADERS, context);
    let hide = hidden(reader);
    let base = line(reader, "location_base");
    Some(SiteHeads {
        request: request?,
        response: ResponseHeads {
            add: add?,
            hide: hide?,
            base: base?.map(|at| at.value),
            ..ResponseHeads::default()
        },
        unrouted: Vec::new(),
    })
}

/// Reads what a route says.
pub(super) fn of_route(reader: &Reader<'_>, context: Context<'_>) -> Option<RouteHeads> {
    let target = line(reader, "target");
    let forwarded = reader.flag("forwarded");
    let method = line(reader, "method");
    let passes = reader.flag("client_headers");
    let body = line(reader, "body");
    let bind = line(reader, "bind");
    let accel = reader.flag("accel");
    let expires = reader.optional("expires", expires);
    let locations = pairs(reader, "location_headers", replacement(false));
    let cookies = reader.inline(
        "cookies",
        &replaced::COOKIES_TABLE,
        context,
        replaced::cookies,
    );
    let site = of_both(reader, context);
    let (target, site) = (target?, site?);
    Some(RouteHeads {
        target_at: target.as_ref().map(|at| at.span.clone()),
        request: RequestHeads {
            target: target.map(|at| at.value),
            fields: site.request,
            forwarded: forwarded?.value,
            method: method?.map(|at| at.value),
            passes: passes?.value,
            body: body?.map(|at| at.value),
            bind: bind?.map(|at| at.value),
        },
        response: ResponseHeads {
            locations: locations?,
            cookies: cookies?.unwrap_or_default(),
            expires: expires?,
            accel: accel?.value,
            ..site.response
        },
    })
}

/// A text that becomes a part of a line.
fn line(reader: &Reader<'_>, key: &'static str) -> Read<Text> {
    reader.optional(key, |reader, key| {
        reader.field(key, |field| {
            text(field, Text::parse_line(field.text()?, reader.own()))
        })
    })
}

fn request_fields(reader: &Reader<'_>, context: Context<'_>) -> Option<Vec<SetField>> {
    let Some((table, _)) = reader.table("request_headers")? else {
        return Some(Vec::new());
    };
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut fields: Vec<Option<SetField>> = Vec::new();
    for (key, value) in entries {
        let field = Field::new(
            &REQUEST_HEADERS,
            value.get_ref(),
            value.span(),
            context.sink,
        );
        let written = At {
            value: key.get_ref().to_string(),
            span: key.span(),
        };
        let name = field_name(reader, &written, false);
        let value = field
            .text()
            .and_then(|typed| text(&field, Text::parse_line(typed, reader.own())));
        let (Some(name), Some(value)) = (name, value) else {
            fields.push(None);
            continue;
        };
        if fields.iter().flatten().any(|field| field.name == name) {
            let message = format!("the field `{name}` is there twice");
            reader.note(Diagnostic::error("duplicate-header", written.span, message));
            fields.push(None);
            continue;
        }
        if name == HOST && value.as_constant() == Some("") {
            let message = "`Host` cannot be left out";
            let fault = Diagnostic::error("bad-header", written.span, message);
            reader.note(fault.hint("HTTP/1.1 has to say which host is meant"));
            fields.push(None);
            continue;
        }
        fields.push(Some(SetField {
            name,
            written: written.value.into(),
            value,
        }));
    }
    fields.into_iter().collect()
}

fn response_fields(reader: &Reader<'_>, key: &Key, context: Context<'_>) -> Option<Vec<AddField>> {
    if reader.typed(key.name).is_none() {
        return Some(Vec::new());
    }
    let name = format!("`{}` of {}", key.name, reader.name());
    let read = |field: &Field<'_>| match field.raw() {
        DeValue::Table(table) => {
            let table = Some((table, field.span()));
            added(&Reader::new(&FIELD_TABLE, name.clone(), table, context))
        }
        _ => field.wrong_type(
            "tables",
            Some("as in `{ add = \"X-A\", value = \"1\" }`".to_owned()),
        ),
    };
    let all = reader.list(key.name, read)?;
    Some(all.into_iter().map(|at| at.value).collect())
}

fn added(reader: &Reader<'_>) -> Option<AddField> {
    let add = reader.optional("add", Reader::text);
    let set = reader.optional("set", Reader::text);
    let value = reader.field("value", |field| {
        text(field, Text::parse_line(field.text()?, reader.own()))
    });
    let always = reader.flag("always");
    let (written, replaces) = match (add?, set?) {
        (Some(add), None) => (add, false),
        (None, Some(set)) => (set, true),
        (None, None) | (Some(_), Some(_)) => {
            let message = format!("{} says one of `add` and `set`", reader.name());
            return reader.refuse(Diagnostic::error("bad-header", reader.span(), message));
        }
    };
    Some(AddField {
        name: field_name(reader, &written, true)?,
        written: written.value.into(),
        value: value?.value,
        replaces,
        always: always?.value,
    })
}

fn hidden(reader: &Reader<'_>) -> Option<Vec<HeaderName>> {
    if reader.typed("hide_headers").is_none() {
        return Some(Vec::new());
    }
    let names = reader.texts("hide_headers")?;
    let names = names.iter().map(|name| field_name(reader, name, true));
    names.collect::<Vec<_>>().into_iter().collect()
}

/// A field's name, and none that hubgate has to say itself: a head would frame another message, or none.
fn field_name(reader: &Reader<'_>, written: &At<String>, of_answer: bool) -> Option<HeaderName> {
    let text = &written.value;
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        let message = format!("`{text}` is not the name of a field");
        return reader.refuse(Diagnostic::error(
            "bad-header",
            written.span.clone(),
            message,
        ));
    };
    let own = [
        CONNECTION,
        CONTENT_LENGTH,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        HTTP2_SETTINGS,
    ];
    if own.contains(&name) || (of_answer && name == DATE) {
        let message = format!("`{text}` is hubgate's own to say");
        return reader.refuse(Diagnostic::error(
            "bad-header",
            written.span.clone(),
            message,
        ));
    }
    Some(name)
}

fn expires(reader: &Reader<'_>, key: &'static str) -> Option<Expires> {
    let read = |field: &Field<'_>| {
        let typed = field.text()?;
        if typed.contains('$') {
            let parsed = Text::parse_line(typed, reader.own());
            return text(field, parsed).map(Expires::By);
        }
        match Expires::parse(typed) {
            Some(expires) => Some(expires),
            None => {
                let message = format!("`{typed}` is no time that an answer could expire at");
                let hint = "as in \"30d\", \"-1\", \"epoch\", \"max\", \"off\" or \"@15h30m\"";
                field.refuse("bad-expires", message, Some(hint.to_owned()))
            }
        }
    };
    reader.field(key, read).map(|at| at.value)
}
