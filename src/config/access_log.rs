//! `[access_log]` as checked: where the line of a request goes, how it looks, and of which requests there is one.
//!
//! Writing lines is `observe`'s, what variables are worth `proxy::values`'.

use super::definition::Definitions;
use super::log_target::{ErrorLog, LogTarget};
use super::text::Text;
use super::variable::Variable;

/// `[access_log]` of the whole, a site or a route: one line a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessLog {
    /// Where lines go.
    pub target: LogTarget,
    /// How a line looks.
    pub format: AccessLogFormat,
    /// How what is not plain is written in a template's variables.
    pub escape: Escape,
    /// Only requests for which this is neither empty nor `0`; `None` is all.
    pub when: Option<Text>,
    /// Query parameters whose values are replaced by `REDACTED`, lower case.
    pub redact: Vec<String>,
    /// Further logs of the same requests.
    pub also: Vec<AccessLog>,
    /// Where events of the same requests are told, in place of `[log]`; empty for there.
    pub events: Vec<ErrorLog>,
}

/// How an access log line looks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AccessLogFormat {
    /// The combined format of Apache and nginx.
    Combined,
    /// One JSON object a line.
    Json,
    /// Text with `$variables`, already parsed.
    Template(Text),
}

/// How bytes that are not plain are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escape {
    /// As `\xHH`, and nothing as `-`.
    #[default]
    Default,
    /// As in a JSON string.
    Json,
    /// As they are, but for line breaks.
    None,
}

impl Escape {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Json => "json",
            Self::None => "none",
        }
    }
}

impl AccessLog {
    /// A log that is off.
    pub fn off() -> Self {
        Self {
            target: LogTarget::Off,
            format: AccessLogFormat::Combined,
            escape: Escape::Default,
            when: None,
            redact: Vec::new(),
            also: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Itself and the further ones.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.also)
    }

    /// Its texts with variables, those of further ones included.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        self.all().flat_map(|log| {
            let format = match &log.format {
                AccessLogFormat::Template(text) => Some(text),
                AccessLogFormat::Combined | AccessLogFormat::Json => None,
            };
            let target = match &log.target {
                LogTarget::Chosen(text) => Some(text),
                _ => None,
            };
            format.into_iter().chain(&log.when).chain(target)
        })
    }

    /// Whether a text names a field of an answer, be it by a table of `definitions`.
    pub fn keeps_heads(&self, definitions: &Definitions) -> bool {
        if self.target == LogTarget::Off {
            return false;
        }
        let mut under_way: Vec<&Variable> = self.texts().flat_map(Text::variables).collect();
        // Tables are named once each, for they hold no circles.
        while let Some(variable) = under_way.pop() {
            match variable {
                Variable::SentField(_)
                | Variable::UpstreamField(_)
                | Variable::UpstreamCookie(_) => return true,
                Variable::Own(name) => {
                    let definition = definitions.get(name);
                    under_way.extend(definition.into_iter().flat_map(|own| own.variables()));
                }
                _ => {}
            }
        }
        false
    }
}
