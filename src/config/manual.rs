//! hubgate.toml(5): the manual page of the configuration, made from the schema as `conf/reference.toml` is.
//!
//! Pure. What a key means, takes and defaults to is the schema's; this says only how a file is written.
#![deny(clippy::disallowed_methods)]

use super::reference::kind;
use super::roff::Page;
use super::schema::{Default, Key, Kind, TABLES};
use super::variables;

const EXAMPLE: &str = "\
[acme]
contact = [\"ops@example.org\"]

[site.\"hub.example.org\"]
[[site.\"hub.example.org\".route]]
path = \"/jupyterhub/\"
preset = \"jupyterhub\"
upstream = \"hub\"

[upstream.hub]
endpoints = [\"192.0.2.10:30080\", \"192.0.2.11:30080\"]";

/// The whole page.
pub fn manual_page() -> String {
    let mut page = Page::new("hubgate.toml", 5, "configuration of hubgate(8)");
    page.section("DESCRIPTION");
    page.paragraph(
        "`/etc/hubgate/hubgate.toml` is a TOML file. Unknown keys are refused, and every fault is told at once with its place \
         in the file: `hubgate check`. A running hubgate takes a changed file with `hubgate reload`, all or nothing.",
    );
    page.paragraph(
        "A `site` is a set of hosts that are served alike, a `route` a part of a site's paths, an `upstream` a group of endpoints \
         that serve the same thing.",
    );
    page.paragraph(
        "Durations are whole numbers with `ms`, `s`, `m`, `h` or `d`, as in \"1h 30m\". Sizes have `B`, `kB`, `MB`, `GB` (powers of \
         1000) or `KiB`, `MiB`, `GiB` (powers of 1024). Relative paths start from the folder of the file.",
    );
    page.section("EXAMPLE");
    page.paragraph(
        "A hub on two nodes. It is served on the ports 80 and 443, with a certificate from Let's Encrypt that renews itself; port 80 \
         answers the challenges for it and redirects everything else.",
    );
    page.example(EXAMPLE);
    page.section("TABLES");
    for table in TABLES {
        page.subsection(&table.header.replace("HOST", "hub.example.org"));
        page.paragraph(table.about);
        for key in table.keys {
            entry(&mut page, key);
        }
    }
    page.section("VARIABLES OF AN ACCESS LOG");
    page.paragraph("Written `$name` or `${name}`; `$$` is the sign itself.");
    for (name, _, about) in variables::VARIABLES {
        page.tagged(&format!("`${name}`"), about);
    }
    page.tagged("`$http_NAME`", "a request field, as in `$http_user_agent`");
    page.section("SEE ALSO");
    page.paragraph("`hubgate(8)`. The same list as a file to copy from: `/usr/share/doc/hubgate/examples/reference.toml`.");
    page.finish()
}

fn entry(page: &mut Page, key: &Key) {
    let (name, takes) = (key.name, kind(&key.kind));
    if matches!(key.kind, Kind::Table) {
        return page.tagged(&format!("`{name}`"), &sentence(key.about));
    }
    page.tagged(&format!("`{name}`"), key.about);
    let facts = match key.default {
        Default::Value(value) => format!("{takes}. Default: `{value}`."),
        Default::Rule(rule, example) => {
            format!("{takes}. Default: {rule}. Example: `{name} = {example}`.")
        }
        Default::Either(other, example) => {
            format!("{takes}. Required: this or `{other}`. Example: `{name} = {example}`.")
        }
        Default::Required(example) => format!("{takes}. Required. Example: `{name} = {example}`."),
        Default::Table => format!("{takes}."),
    };
    page.more(&facts);
}

/// A remark as a sentence.
fn sentence(about: &str) -> String {
    let mut letters = about.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}
