//! A large configuration's text in pieces, each read by itself: the TOML parser, which nobody interrupts, takes
//! milliseconds for thousands of sites, and what it makes of all of them at once is many times as large as the text.
//!
//! Cuts where a line begins `[site.`; what that cannot be relied on for is left to whoever reads the text as a whole.
//! Invariant: where every part is TOML without a fault, and no two pieces have a site in common, the whole has no fault
//! either and says the same. For a part that ends in a value, string or list that is still open is faulty by itself, so
//! the next one begins where a table may; and sites are all that pieces have.

use std::collections::HashSet;

use toml::de::{DeTable, DeValue};

use crate::types::pause::pause;

/// A piece has at least so many bytes, a fraction of a millisecond's work.
const PIECE: usize = 16 << 10;

/// Shorter texts are read at once.
const LARGE: usize = 64 << 10;

/// A text that was cut.
pub(super) struct Pieces<'a> {
    /// What is not about sites.
    rest: Vec<&'a str>,
    /// Some sites each.
    sites: Vec<&'a str>,
    /// About how many there are.
    count: usize,
}

/// Why a text is to be read as a whole: it has a fault, or is not what can be put together from pieces.
#[derive(Debug)]
pub(super) struct AsAWhole;

impl<'a> Pieces<'a> {
    /// Cuts a text; `None` where it is not worth while.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        (text.len() >= LARGE).then(|| Self::cut(text, PIECE))
    }

    /// Cuts into pieces of at least so many bytes.
    fn cut(text: &'a str, least: usize) -> Self {
        let mut pieces = Self {
            rest: Vec::new(),
            sites: Vec::new(),
            count: 0,
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (mut begin, mut of_sites, mut at) = (0, false, 0);
        for line in text.split_inclusive('\n') {
            if line.starts_with('[') {
                let site = line.starts_with("[site.") || line.starts_with("[[site.");
                let new = is_site(line);
                pieces.count += usize::from(new);
                if site != of_sites || (new && at - begin >= least) {
                    pieces.take(&text[begin..at], of_sites);
                    (begin, of_sites) = (at, site);
                }
            }
            at += line.len();
        }
        pieces.take(&text[begin..], of_sites);
        pieces
    }

    fn take(&mut self, text: &'a str, of_sites: bool) {
        match of_sites {
            _ if text.is_empty() => {}
            true => self.sites.push(text),
            false => self.rest.push(text),
        }
    }

    /// The text of all that is not about sites.
    pub(super) fn rest(&self) -> Result<String, AsAWhole> {
        let mut rest = self.rest.iter().skip(1).chain(self.rest.first());
        let whole = |part: &&str| DeTable::parse(part).is_ok();
        // One alone is read anyway.
        match self.rest.len() < 2 || rest.all(whole) {
            true => Ok(self.rest.concat()),
            false => Err(AsAWhole),
        }
    }

    /// The texts of sites, in their order.
    pub(super) fn sites(&self) -> impl Iterator<Item = &'a str> {
        self.sites.iter().copied()
    }

    /// About how many sites there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Hands the table of sites of each piece to `read`.
    pub(super) fn each(
        &self,
        mut read: impl FnMut(&DeTable<'_>) -> Option<()>,
    ) -> Result<(), AsAWhole> {
        let mut seen = HashSet::with_capacity(self.count);
        for text in self.sites() {
            pause();
            let document = DeTable::parse(text).map_err(|_| AsAWhole)?;
            let sites = only_sites(document.get_ref(), text).ok_or(AsAWhole)?;
            for name in sites.keys() {
                if !seen.insert(name.get_ref().to_string()) {
                    return Err(AsAWhole);
                }
            }
            read(sites).ok_or(AsAWhole)?;
        }
        Ok(())
    }
}

/// Whether it is the head of a site, and not of what is below one.
fn is_site(line: &str) -> bool {
    let Some(name) = line.strip_prefix("[site.") else {
        return false;
    };
    let quote = |quote: char| name.strip_prefix(quote)?.split_once(quote);
    let rest = match quote('"').or_else(|| quote('\'')) {
        Some((_, rest)) => rest,
        None => name.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-_".contains(c)),
    };
    rest.starts_with(']')
}

/// The table of sites, where there is nothing else, and `[site]` has no head of its own.
fn only_sites<'a>(document: &'a DeTable<'a>, text: &str) -> Option<&'a DeTable<'a>> {
    let mut entries = document.iter();
    let (key, value) = entries.next().filter(|_| entries.next().is_none())?;
    let head = text.get(value.span())?;
    match value.get_ref() {
        DeValue::Table(sites) if key.get_ref() == "site" && !head.starts_with('[') => Some(sites),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::model::Config;
    use crate::config::own_names::OwnNames;
    use crate::config::parse::{at_once, by_pieces as read, parse};
    use crate::config::schema::reader::Files;
    use crate::config::source::Source;

    fn source(text: &str) -> Source {
        Source::new("a.toml", "/etc", text)
    }

    /// What pieces of at least `least` bytes come to; `None` where the text is left to be read as a whole.
    fn by_pieces(text: &str, least: usize) -> Option<Config> {
        read(&source(text), &Pieces::cut(text, least), Files::default())
    }

    fn as_a_whole(text: &str) -> Option<Config> {
        let read = at_once(&source(text), Files::default()).ok()?;
        read.report.is_empty().then_some(read.config)
    }

    /// Whether pieces were enough; they have to mean what the whole does.
    fn is_enough(text: &str) -> bool {
        let pieces = by_pieces(text, 1);
        let enough = pieces.is_some();
        if enough {
            assert_eq!(pieces, as_a_whole(text), "{text}");
        }
        enough
    }

    const UPSTREAM: &str = "[upstream.app]\nendpoints = [\"192.0.2.1:80\"]\n";

    fn site(host: &str, more: &str) -> String {
        format!(
            "[site.\"{host}\"]\ncertificate = \"none\"\nhttp = \"forward\"\n{more}[[site.\"{host}\".route]]\npath = \"/\"\nupstream = \"app\"\n"
        )
    }

    #[test]
    fn sites_in_pieces_mean_what_they_mean_together() {
        let (a, b) = (site("a.example", ""), site("b.example", ""));
        for text in [
            format!("{a}{b}{UPSTREAM}"),
            format!("{UPSTREAM}{a}{b}"),
            format!("[server]\nworkers = 1\n{a}{UPSTREAM}{b}[limits]\nconnections = 9\n"),
            format!("# [site.x]\n{a}# [site.y]\n{b}{UPSTREAM}").replace('\n', "\r\n"),
            format!("\u{feff}{a}{b}{UPSTREAM}"),
            format!(
                "{a}{}{UPSTREAM}",
                site("b.example", "aliases = [\n\"c.example\",\n]\n")
            ),
        ] {
            assert!(is_enough(&text), "{text}");
            let count = Pieces::cut(&text, 1).sites().count();
            assert_eq!(count, 2, "{text}");
        }
    }

    #[test]
    fn variables_that_a_later_site_names_are_known_in_the_one_before() {
        let uses = site("a.example", "server_name = \"$of_b\"\n");
        let sets = "rules = [{ set = { of_b = \"1\" } }]\n";
        for sets in [sets.to_owned(), sets.replace("set", "\"\\u0073et\"")] {
            let text = format!("{uses}{}{UPSTREAM}", site("b.example", &sets));
            is_enough(&text);
            let names = OwnNames::of(DeTable::parse(&text).unwrap().get_ref());
            let mut found = OwnNames::default();
            for piece in Pieces::cut(&text, 1).sites() {
                if OwnNames::may_be_in(piece) {
                    found.add_of(DeTable::parse(piece).unwrap().get_ref());
                }
            }
            assert_eq!(found, names);
            assert_eq!(names.iter().collect::<Vec<_>>(), ["of_b"]);
        }
    }

    #[test]
    fn what_pieces_cannot_say_is_left_to_the_whole() {
        let (a, b) = (site("a.example", ""), site("b.example", ""));
        for text in [
            // The same site twice, or in two places.
            format!("{a}{UPSTREAM}{a}"),
            format!("{a}{b}[site.\"a.example\".tls]\n{UPSTREAM}"),
            // A head of all sites, or two.
            format!("[site]\n{a}{b}{UPSTREAM}"),
            format!("{a} [site]\n{b} [site]\n{UPSTREAM}"),
            format!("{a}{b}[ site . \"c.example\" ]\n{UPSTREAM}"),
            format!("site.\"c.example\".certificate = \"none\"\n{a}{b}{UPSTREAM}"),
            // What begins in one piece and ends in another.
            format!("{a}x = \"\"\"\n{b}\"\"\"\n{UPSTREAM}"),
            format!("[server]\nx = \"\"\"\n{a}[upstream.b]\nx = \"\"\"\n{UPSTREAM}"),
            format!("[server]\nx = [\n{a}]\n{UPSTREAM}"),
            format!("{a}x = '''\n{b}'''\n{UPSTREAM}"),
            // What has something to be told.
            format!("{a}{b}{UPSTREAM}[upstream.unused]\nendpoints = [\"192.0.2.1:80\"]\n"),
            format!("{a}{}{UPSTREAM}", site("a.example", "")),
        ] {
            assert!(!is_enough(&text), "{text}");
        }
    }

    #[test]
    fn a_fault_of_a_large_file_is_told_at_its_place() {
        let mut text = String::from(UPSTREAM);
        for n in 0..1000 {
            text += &site(&format!("h{n}.example"), "");
        }
        assert!(parse(&source(&text)).unwrap().report.is_empty());
        assert!(Pieces::of(&text).is_some_and(|pieces| pieces.sites().count() > 5));
        let wrong = text.replacen(
            "[site.\"h900.example\"]\n",
            "[site.\"h900.example\"]\nhtpp = 1\n",
            1,
        );
        let told = parse(&source(&wrong)).unwrap_err().to_string();
        let line = wrong.lines().position(|line| line == "htpp = 1").unwrap() + 1;
        assert!(told.contains(&format!("a.toml:{line}:1")), "{told}");
        let doubtful = format!("{text}[upstream.unused]\nendpoints = [\"192.0.2.1:80\"]\n");
        let told = parse(&source(&doubtful)).unwrap().report.to_string();
        let line = doubtful.lines().count() - 1;
        assert!(told.contains(&format!("a.toml:{line}:")), "{told}");
    }

    proptest! {
        #[test]
        fn pieces_never_say_another_thing_than_the_whole(
            parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..12),
            cut in any::<proptest::sample::Index>(),
            extra in proptest::sample::select(EXTRA),
            least in 1..200_usize,
        ) {
            let mut text = parts.concat();
            text += UPSTREAM;
            let mut at = cut.index(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            text.insert_str(at, extra);
            if let Some(config) = by_pieces(&text, least) {
                prop_assert_eq!(Some(config), as_a_whole(&text), "{}", text);
            }
        }
    }

    static PARTS: &[&str] = &[
        "[site.\"a.example\"]\ncertificate = \"none\"\nhttp = \"forward\"\n[[site.\"a.example\".route]]\npath = \"/\"\nupstream = \"app\"\n",
        "[site.\"b.example\"]\r\ncertificate = \"none\"\r\n[[site.\"b.example\".route]]\r\npath = \"/\"\r\nupstream = \"app\"\r\n",
        "[site.c]\ncertificate = \"none\"\n",
        "[site.'d.example']\ncertificate = \"self-signed\"\n",
        "[site.c.tls]\n",
        "[site]\n",
        " [site]\n",
        "[site.\"a.example\".tls]\n",
        "[[site.\"b.example\".route]]\npath = \"/b/\"\nupstream = \"app\"\n",
        "[upstream.b]\nendpoints = [\n  \"192.0.2.1:80\",\n]\n",
        "[server]\n",
        "[limits]\nconnections = 5\n",
        "[[stream]]\nlisten = \"192.0.2.1:99\"\nupstream = \"app\"\n",
        "# [site.\"x\"]\n",
        "\n",
    ];

    static EXTRA: &[&str] = &[
        "",
        "",
        "\"\"\"",
        "\n\"\"\"\n",
        "'''",
        "[",
        "]",
        "\n[site.",
        "\"",
        "#",
        "\n",
        "\r",
        "{",
        "=",
        "\\",
        "\u{feff}",
        "x = [\n",
        "x = \"\"\"\n",
        "\n[[",
        "site.",
        "\nx = 1\n",
    ];
}
