//! Texts with variables: `$remote_addr "$request" $status`, `https://$host$request_uri`.
//!
//! `$name` or `${name}` is a variable, `$$` a dollar sign, everything else text. One table names every variable, for the
//! access log and for all other keys; printing gives a text that parses to the same parts. What a variable's value is
//! belongs to whoever has the request ([`Lookup`]); a text without variables is a constant.

use std::borrow::Cow;
use std::fmt;

use super::own_names::OwnNames;
use super::suggest::nearest;
use super::variable::{Variable, named};
use super::variables::VARIABLES;

/// A text, taken apart once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Text(Box<[TextPart]>);

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextPart {
    /// As it is.
    Literal(Box<str>),
    /// The value of a variable.
    Variable(Variable),
}

/// Knows the values of variables for one request.
pub trait Lookup {
    /// Appends the value of `variable`; nothing when it has none here.
    fn append(&self, variable: &Variable, out: &mut Vec<u8>);
}

impl Text {
    /// A text that is the same for every request.
    pub fn constant(text: &str) -> Self {
        Self(match text.is_empty() {
            true => Box::default(),
            false => Box::new([TextPart::Literal(text.into())]),
        })
    }

    /// Takes a text apart.
    ///
    /// # Errors
    /// A dollar sign without a name, a brace without its end, or a name that is no variable.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        Self::parse_with(text, &OwnNames::default())
    }

    /// As [`Self::parse`], where the configuration itself has named variables.
    ///
    /// # Errors
    /// As there.
    pub fn parse_with(text: &str, own: &OwnNames) -> Result<Self, TextError> {
        parse(text, own).map(Self)
    }

    /// As [`Self::parse`], for what becomes a line or a part of one: a line break is a fault too.
    pub fn parse_line(text: &str, own: &OwnNames) -> Result<Self, TextError> {
        match text.contains(|c: char| c.is_control() && c != '\t') {
            true => Err(TextError::Control),
            false => Self::parse_with(text, own),
        }
    }

    /// Its pieces.
    pub fn parts(&self) -> &[TextPart] {
        &self.0
    }

    /// Itself, when it has no variable.
    pub fn as_constant(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [TextPart::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Its variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.0.iter().filter_map(|part| match part {
            TextPart::Variable(variable) => Some(variable),
            TextPart::Literal(_) => None,
        })
    }

    /// Its value for one request. Allocates only when there are variables.
    pub fn value(&self, values: &dyn Lookup) -> Cow<'_, [u8]> {
        if let Some(constant) = self.as_constant() {
            return Cow::Borrowed(constant.as_bytes());
        }
        let mut out = Vec::new();
        for part in &self.0 {
            match part {
                TextPart::Literal(text) => out.extend_from_slice(text.as_bytes()),
                TextPart::Variable(variable) => values.append(variable, &mut out),
            }
        }
        Cow::Owned(out)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| part.fmt(f))
    }
}

/// Why a text cannot be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A line break would tear the line it goes into.
    #[error("the text has a line break or another control character")]
    Control,
    /// A dollar sign without a name.
    #[error("a `$` has no name after it; write `$$` for the sign itself")]
    Nameless,
    /// `${` without its `}`.
    #[error("`${{` has no `}}`")]
    Unclosed,
    /// No such variable.
    #[error("`${name}` is not a variable")]
    Unknown {
        /// Without the dollar sign.
        name: String,
    },
}

impl TextError {
    /// The variable that was probably meant.
    pub(super) fn nearest(&self) -> Option<String> {
        let Self::Unknown { name } = self else {
            return None;
        };
        let names = VARIABLES.iter().map(|(name, ..)| *name);
        nearest(name, names).map(|name| format!("${name}"))
    }
}

fn parse(text: &str, own: &OwnNames) -> Result<Box<[TextPart]>, TextError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        literal.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            literal.push('$');
            rest = after;
            continue;
        }
        let (name, after) = name_of(after)?;
        if !literal.is_empty() {
            parts.push(TextPart::Literal(std::mem::take(&mut literal).into()));
        }
        let unknown = || TextError::Unknown {
            name: name.to_owned(),
        };
        let variable = own.named(name).or_else(|| named(name));
        parts.push(TextPart::Variable(variable.ok_or_else(unknown)?));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(TextPart::Literal(literal.into()));
    }
    Ok(parts.into())
}

/// The name at the beginning of `text`, and what follows it. A capture's name is one digit.
fn name_of(text: &str) -> Result<(&str, &str), TextError> {
    if let Some(inner) = text.strip_prefix('{') {
        return inner.split_once('}').ok_or(TextError::Unclosed);
    }
    let end = match text.as_bytes() {
        [b'1'..=b'9', ..] => 1,
        _ => text
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(text.len()),
    };
    match end {
        0 => Err(TextError::Nameless),
        end => Ok(text.split_at(end)),
    }
}

impl fmt::Display for TextPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(text) => f.write_str(&text.replace('$', "$$")),
            Self::Variable(variable) => write!(f, "${{{variable}}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> Vec<TextPart> {
        Text::parse(text).unwrap().parts().to_vec()
    }

    #[test]
    fn variables_and_text_alternate() {
        assert_eq!(
            parts("$status ${host}x $$1"),
            [
                TextPart::Variable(Variable::Status),
                TextPart::Literal(" ".into()),
                TextPart::Variable(Variable::Host),
                TextPart::Literal("x $1".into()),
            ]
        );
    }

    #[test]
    fn fields_parameters_cookies_and_captures_are_named_by_the_text() {
        assert_eq!(
            parts("$http_user_agent$arg_a$cookie_B$12"),
            [
                TextPart::Variable(Variable::RequestField("user-agent".into())),
                TextPart::Variable(Variable::Argument("a".into())),
                TextPart::Variable(Variable::Cookie("B".into())),
                TextPart::Variable(Variable::Capture(1)),
                TextPart::Literal("2".into()),
            ]
        );
    }

    #[test]
    fn an_unknown_variable_suggests_a_known_one() {
        let error = Text::parse("$remote_adr").unwrap_err();
        assert_eq!(error.nearest().as_deref(), Some("$remote_addr"));
    }

    #[test]
    fn a_text_without_variables_is_its_own_value() {
        for text in ["", "a b", "5$$"] {
            let parsed = Text::parse(text).unwrap();
            assert_eq!(parsed.as_constant(), Some(&*text.replace("$$", "$")));
        }
    }

    proptest! {
        #[test]
        fn printing_gives_a_text_that_parses_to_the_same(text in "[$a-z{} _0-9]{0,30}", name in 0..VARIABLES.len()) {
            let text = format!("{text}${{{}}}", VARIABLES[name].0);
            if let Ok(parsed) = Text::parse(&text) {
                prop_assert_eq!(Text::parse(&parsed.to_string()).unwrap(), parsed);
            }
        }
    }
}
