//! One directive's row: contexts, number of words, the form of its value, inheritance and fate.
//!
//! Written as a chain: `rule(name, words, contexts)`, what is special about it, and last its fate.
#![deny(clippy::disallowed_methods)]

/// A kind of block that directives stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Context {
    /// Outside of all blocks.
    Main,
    /// `events`
    Events,
    /// `http`
    Http,
    /// `server` of `http`
    Server,
    /// `location`
    Location,
    /// `upstream` of `http`
    Upstream,
    /// `if` of `server`
    ServerIf,
    /// `if` of `location`
    LocationIf,
    /// `limit_except`
    LimitExcept,
    /// `stream`
    Stream,
    /// `server` of `stream`
    StreamServer,
    /// `upstream` of `stream`
    StreamUpstream,
    /// `mail`
    Mail,
    /// `server` of `mail`
    MailServer,
}

impl Context {
    /// Every one, in the order of [`Context`].
    pub const ALL: [Self; 14] = [
        Self::Main,
        Self::Events,
        Self::Http,
        Self::Server,
        Self::Location,
        Self::Upstream,
        Self::ServerIf,
        Self::LocationIf,
        Self::LimitExcept,
        Self::Stream,
        Self::StreamServer,
        Self::StreamUpstream,
        Self::Mail,
        Self::MailServer,
    ];

    /// As in documents: `location`, `if in server`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Events => "events",
            Self::Http => "http",
            Self::Server => "server",
            Self::Location => "location",
            Self::Upstream => "upstream",
            Self::ServerIf => "if in server",
            Self::LocationIf => "if in location",
            Self::LimitExcept => "limit_except",
            Self::Stream => "stream",
            Self::StreamServer => "stream server",
            Self::StreamUpstream => "stream upstream",
            Self::Mail => "mail",
            Self::MailServer => "mail server",
        }
    }
}

/// A set of [`Context`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contexts(u16);

impl Contexts {
    /// A set of these.
    const fn of(contexts: &[Context]) -> Self {
        let mut bits = 0;
        let mut rest = contexts;
        while let [first, more @ ..] = rest {
            bits |= 1 << *first as u16;
            rest = more;
        }
        Self(bits)
    }

    /// Whether it has a context.
    pub const fn has(self, context: Context) -> bool {
        self.0 & 1 << context as u16 != 0
    }

    /// Its members, outer ones first.
    pub fn iter(self) -> impl Iterator<Item = Context> {
        Context::ALL.into_iter().filter(move |own| self.has(*own))
    }
}

/// How many words may follow a directive's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity {
    least: u8,
    most: u8,
}

impl Arity {
    /// Whether so many words are taken.
    pub fn takes(self, words: usize) -> bool {
        words >= usize::from(self.least)
            && (self.most == u8::MAX || words <= usize::from(self.most))
    }

    /// As in documents: `1`, `1-2`, `1+`.
    pub fn show(self) -> String {
        match (self.least, self.most) {
            (least, u8::MAX) => format!("{least}+"),
            (least, most) if least == most => least.to_string(),
            (least, most) => format!("{least}-{most}"),
        }
    }
}

/// The form of a directive's one value, for those that nginx checks without knowing what they are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any words; whoever uses the directive looks at them.
    Any,
    /// `on` or `off`.
    Flag,
    /// A whole number.
    Number,
    /// Bytes, with `k` or `m`.
    Size,
    /// Bytes, with `k`, `m` or `g`.
    Offset,
    /// A time in whole seconds: `1d 2h`.
    Seconds,
    /// A time with milliseconds.
    Time,
    /// One of a few words.
    Word,
    /// Some of a few words.
    Words,
    /// A number and a size.
    Buffers,
}

/// What happens to a directive's value in blocks within the one it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherit {
    /// It counts where it stands only.
    No,
    /// It counts until an inner block says it again; all of the same name in one block count together, and one of them
    /// in an inner block sets aside all of the outer ones.
    Replaced,
}

/// What becomes of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// hubgate does it: what it becomes.
    Carried(&'static str),
    /// hubgate does without it: why.
    NotNeeded(&'static str),
    /// It is lost: what is, and what to do.
    Lost(&'static str),
}

/// One directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Where it may stand.
    pub contexts: Contexts,
    /// How many words follow its name.
    pub arity: Arity,
    /// Whether it has braces.
    pub block: bool,
    /// The form of its value.
    pub form: Form,
    /// Whether nginx refuses a second one in the same block.
    pub once: bool,
    /// What inner blocks get of it.
    pub inherit: Inherit,
    /// What becomes of it.
    pub fate: Fate,
}

/// Contexts by short names, for the tables.
pub(super) mod context {
    use super::Context;

    pub(in super::super) const MAIN: Context = Context::Main;
    pub(in super::super) const EVENTS: Context = Context::Events;
    pub(in super::super) const HTTP: Context = Context::Http;
    pub(in super::super) const SERVER: Context = Context::Server;
    pub(in super::super) const LOCATION: Context = Context::Location;
    pub(in super::super) const UPSTREAM: Context = Context::Upstream;
    pub(in super::super) const SERVER_IF: Context = Context::ServerIf;
    pub(in super::super) const LOCATION_IF: Context = Context::LocationIf;
    pub(in super::super) const LIMIT_EXCEPT: Context = Context::LimitExcept;
    pub(in super::super) const STREAM: Context = Context::Stream;
    pub(in super::super) const STREAM_SERVER: Context = Context::StreamServer;
    pub(in super::super) const STREAM_UPSTREAM: Context = Context::StreamUpstream;
    pub(in super::super) const MAIL: Context = Context::Mail;
    pub(in super::super) const MAIL_SERVER: Context = Context::MailServer;
    pub(in super::super) const ANYWHERE: &[Context] = &Context::ALL;
}

/// Exactly so many words.
pub(super) const fn exactly(words: u8) -> Arity {
    between(words, words)
}

/// Between so many and so many, both included.
pub(super) const fn between(least: u8, most: u8) -> Arity {
    Arity { least, most }
}

/// So many or more.
pub(super) const fn any(least: u8) -> Arity {
    between(least, u8::MAX)
}

/// A directive without braces whose words nobody has looked at, for inner blocks without meaning.
pub(super) const fn rule(name: &'static str, arity: Arity, contexts: &[Context]) -> Rule {
    Rule {
        name,
        contexts: Contexts::of(contexts),
        arity,
        block: false,
        form: Form::Any,
        once: false,
        inherit: Inherit::No,
        fate: Fate::Lost(""),
    }
}

impl Rule {
    /// With braces.
    pub(super) const fn block(mut self) -> Self {
        self.block = true;
        self
    }

    /// With a value of this form.
    pub(super) const fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Refused a second time in a block.
    pub(super) const fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// It counts in inner blocks too, until they say it again.
    pub(super) const fn inherited(mut self) -> Self {
        self.inherit = Inherit::Replaced;
        self
    }

    /// hubgate does it.
    pub(super) const fn carried(mut self, to: &'static str) -> Self {
        self.fate = Fate::Carried(to);
        self
    }

    /// hubgate does without it.
    pub(super) const fn not_needed(mut self, why: &'static str) -> Self {
        self.fate = Fate::NotNeeded(why);
        self
    }

    /// It is lost.
    pub(super) const fn lost(mut self, what: &'static str) -> Self {
        self.fate = Fate::Lost(what);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_contexts_has_its_members_only() {
        let both = Contexts::of(&[Context::Http, Context::MailServer]);
        assert!(both.iter().eq([Context::Http, Context::MailServer]));
    }

    #[test]
    fn every_context_has_its_own_bit() {
        for (index, context) in Context::ALL.into_iter().enumerate() {
            assert_eq!(context as usize, index);
        }
    }

    #[test]
    fn an_open_arity_takes_any_number_from_its_least() {
        assert!(any(1).takes(3000) && !any(1).takes(0));
        assert!(!between(1, 2).takes(3));
    }
}
