//! Words with variables: `$name`, `${name}` and `$1`, cut as nginx cuts them.
//!
//! What a variable is worth is for whoever asks.
#![deny(clippy::disallowed_methods)]

/// A word in its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// In their order.
    pub parts: Vec<Part>,
}

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it is.
    Literal(Vec<u8>),
    /// A variable, in lower case.
    Variable(String),
    /// What a group of the last expression took, 0 to 9.
    Group(usize),
}

impl Text {
    /// Cuts a word.
    ///
    /// # Errors
    /// nginx's sentence for what is no variable.
    pub fn parse(word: &[u8]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = word;
        while let Some(dollar) = rest.iter().position(|byte| *byte == b'$') {
            let (before, after) = rest.split_at(dollar);
            if !before.is_empty() {
                parts.push(Part::Literal(before.to_vec()));
            }
            let (part, used) = variable(after.get(1..).unwrap_or_default())?;
            parts.push(part);
            rest = after.get(1 + used..).unwrap_or_default();
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_vec()));
        }
        Ok(Self { parts })
    }

    /// The word, when it has no variables.
    pub fn literal(&self) -> Option<&[u8]> {
        match &*self.parts {
            [] => Some(b""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The names of its variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(&**name),
            _ => None,
        })
    }

    /// The word with its variables' values in their places.
    pub fn fill(&self, mut value: impl FnMut(&Part) -> Vec<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text),
                part => out.extend(value(part)),
            }
        }
        out
    }
}

/// What stands after a dollar, and how many bytes of it.
fn variable(after: &[u8]) -> Result<(Part, usize), String> {
    if let Some(digit @ b'1'..=b'9') = after.first() {
        return Ok((Part::Group(usize::from(digit - b'0')), 1));
    }
    let braced = after.first() == Some(&b'{');
    let from = usize::from(braced);
    let name: Vec<u8> = after
        .iter()
        .skip(from)
        .copied()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        .collect();
    let end = from + name.len();
    let name = String::from_utf8_lossy(&name).to_ascii_lowercase();
    match (braced, after.get(end)) {
        (true, Some(b'}')) if !name.is_empty() => match name.parse::<usize>() {
            Ok(group @ 1..=9) => Ok((Part::Group(group), end + 1)),
            _ => Ok((Part::Variable(name), end + 1)),
        },
        (true, Some(b'}')) => Err("invalid variable name".to_owned()),
        (true, _) => Err(format!(
            "the closing bracket in \"{name}\" variable is missing"
        )),
        (false, _) if name.is_empty() => Err("invalid variable name".to_owned()),
        (false, _) => Ok((Part::Variable(name), end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_end_where_their_names_do() {
        let text = Text::parse(b"http://$host:${proxy_port}x$1/$request_uri").unwrap();
        assert_eq!(
            text.variables().collect::<Vec<_>>(),
            ["host", "proxy_port", "request_uri"]
        );
        assert!(text.parts.contains(&Part::Group(1)));
        let filled = text.fill(|part| format!("<{part:?}>").into_bytes());
        assert!(filled.starts_with(b"http://<Variable(\"host\")>:"));
    }

    #[test]
    fn a_lone_dollar_is_refused() {
        assert_eq!(Text::parse(b"a$").unwrap_err(), "invalid variable name");
        assert!(Text::parse(b"${a").unwrap_err().contains("closing bracket"));
    }
}
