//! `mirror` of a route: where its requests are sent a second time.
//!
//! Whether there is a route for a path is known when a request comes, as it is for `ask` of `access`.

use std::sync::Arc;

use super::reader::{Context, Reader, value};
use super::{Key, Kind, Table};
use crate::config::mirror::MirrorTo;

pub(super) const MIRROR: Key = Key::rule(
    "mirror",
    Kind::Inline,
    "none",
    "{ paths = [\"/mirror\"], body = true }",
    "Sends each request a second time, to the routes of the site (internal ones too) that these paths lead to, and throws away what they answer. The first is neither delayed by that nor fails with it. `body`: with the request's body, if the route has an upstream; a mirror that is more than 1 MiB behind is given up. At most 128 of a route are under way at once, further ones are not mirrored.",
);

static TABLE: Table = Table {
    header: "mirror",
    about: "",
    keys: &[
        Key::required("paths", Kind::Texts, "[\"/mirror\"]", "Whereto."),
        Key::new("body", Kind::Flag, "true", "With bodies."),
    ],
};

/// Reads `mirror`: `Some(None)` when it is not written.
pub(super) fn mirror(reader: &Reader<'_>, context: Context<'_>) -> Option<Option<Arc<MirrorTo>>> {
    reader.inline("mirror", &TABLE, context, |reader| {
        let paths = reader.list("paths", |field| {
            let path = field.text()?;
            match path.starts_with('/') && !path.contains(['?', '#', ' ']) {
                true => Some(path.into()),
                false => field.refuse("bad-path", format!("`{path}` is no path"), None),
            }
        });
        let body = reader.flag("body");
        Some(Arc::new(MirrorTo {
            paths: paths?.into_iter().map(|at| at.value).collect(),
            body: value(body)?,
        }))
    })
}
