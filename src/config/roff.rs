//! Manual pages: text as groff's `man` macros.
//!
//! Pure; what a page says is its maker's. Words in backticks are set in bold. Invariant: nothing in a text is taken for a
//! macro or an escape.
#![deny(clippy::disallowed_methods)]

/// A page under way.
pub struct Page(String);

impl Page {
    /// A page of that name and section; `about` ends its NAME line.
    pub fn new(name: &str, section: u8, about: &str) -> Self {
        let version = concat!("hubgate ", env!("CARGO_PKG_VERSION"));
        let title = name.to_uppercase();
        let mut page = Self(format!(
            ".\\\" Made from the code by tests/config_reference.rs\n.TH {title} {section} \"\" \"{version}\" \"hubgate\"\n.ad l\n.nh\n.SH NAME\n"
        ));
        page.line(&format!("{name} \\- {}", escaped(about)));
        page
    }

    /// A section.
    pub fn section(&mut self, title: &str) {
        self.line(&format!(".SH \"{}\"", quoted(title)));
    }

    /// A part of a section. Its title is set as it is, in bold.
    pub fn subsection(&mut self, title: &str) {
        self.line(&format!(".SS \"{}\"", quoted(title)));
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.line(".PP");
        self.text(text);
    }

    /// A paragraph under a `tag`, in which backticks count too.
    pub fn tagged(&mut self, tag: &str, text: &str) {
        self.line(".TP");
        self.text(tag);
        self.text(text);
    }

    /// A further paragraph under the same tag.
    pub fn more(&mut self, text: &str) {
        self.line(".IP");
        self.text(text);
    }

    /// A synopsis: names of commands, and what may follow each.
    pub fn synopsis(&mut self, commands: impl Iterator<Item = (String, String)>) {
        self.section("SYNOPSIS");
        self.line(".PD 0");
        for (name, words) in commands {
            self.line(&format!(".HP\n\\fB{}\\fR {}", code(&name), code(&words)));
        }
        self.line(".PD");
    }

    /// Lines as they are.
    pub fn example(&mut self, lines: &str) {
        self.line(".PP\n.RS 4\n.EX");
        for line in lines.lines() {
            let code = code(line);
            self.line(&guarded(&code));
        }
        self.line(".EE\n.RE");
    }

    /// The whole page.
    pub fn finish(self) -> String {
        self.0
    }

    fn text(&mut self, text: &str) {
        let mut out = String::new();
        for (index, part) in text.split('`').enumerate() {
            if index % 2 == 1 {
                out.push_str(&format!("\\fB{}\\fR", code(part)));
            } else {
                out.push_str(&escaped(part));
            }
        }
        for line in out.lines() {
            self.line(&guarded(line.trim()));
        }
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }
}

/// A line that does not begin as a macro does.
fn guarded(line: &str) -> String {
    match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    }
}

/// Prose.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '~' => out.push_str("\\(ti"),
            '^' => out.push_str("\\(ha"),
            c if c.is_ascii() => out.push(c),
            c => out.push_str(&format!("\\[u{:04X}]", u32::from(c))),
        }
    }
    out
}

/// What is typed: its signs stay what they are.
fn code(text: &str) -> String {
    escaped(text)
        .replace('-', "\\-")
        .replace('\'', "\\(aq")
        .replace('`', "\\(ga")
}

/// The argument of a macro, between quotation marks.
fn quoted(text: &str) -> String {
    code(text).replace('"', "\\(dq")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_taken_for_a_macro_or_an_escape() {
        let mut page = Page::new("x", 8, "y");
        page.paragraph(".SH a \\fB `--it's` é\n'quoted");
        page.section("a \"b\"");
        let page = page.finish();
        assert!(
            page.ends_with(
                ".PP\n\\&.SH a \\efB \\fB\\-\\-it\\(aqs\\fR \\[u00E9]\n\\&'quoted\n.SH \"a \\(dqb\\(dq\"\n"
            ),
            "{page}"
        );
    }
}
