//! What an import tells: each directive with its fate, and advice about what was wrong all along.
//!
//! Text for people; the exit code is made of [`Report::lost`].
#![deny(clippy::disallowed_methods)]

/// What becomes of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// hubgate does it.
    Carried,
    /// hubgate does without it.
    NotNeeded,
    /// It is lost.
    Lost,
}

/// One directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `FILE:LINE`
    pub place: String,
    /// Its words.
    pub directive: String,
    /// What becomes of it.
    pub fate: Fate,
    /// To what, why, or what is lost.
    pub text: String,
}

/// The whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Every directive, in the order of the configuration.
    pub lines: Vec<Line>,
    /// What was wrong in nginx, with its place, and is not any more or should be looked at.
    pub advice: Vec<(String, String)>,
}

impl Report {
    /// How many directives are lost.
    pub fn lost(&self) -> usize {
        self.count(Fate::Lost)
    }

    fn count(&self, fate: Fate) -> usize {
        self.lines.iter().filter(|line| line.fate == fate).count()
    }

    /// Each advice once, with all its places.
    fn advice_by_text(&self) -> Vec<(&str, Vec<&str>)> {
        let mut by_text: Vec<(&str, Vec<&str>)> = Vec::new();
        for (place, text) in &self.advice {
            match by_text.iter_mut().find(|(own, _)| own == text) {
                Some((_, places)) => places.push(place),
                None => by_text.push((text, vec![place])),
            }
        }
        by_text
    }

    /// As a table, then advice, then how many of each fate there are.
    pub fn render(&self) -> String {
        let rows: Vec<[&str; 4]> = self
            .lines
            .iter()
            .map(|line| {
                let fate = match line.fate {
                    Fate::Carried => "carried",
                    Fate::NotNeeded => "not needed",
                    Fate::Lost => "NOT CARRIED",
                };
                [&*line.place, &*line.directive, fate, &*line.text]
            })
            .collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths = [width(0), width(1), width(2)];
        let mut out = String::new();
        for [place, directive, fate, text] in &rows {
            let [first, second, third] = widths;
            out.push_str(&format!(
                "{place:first$}  {directive:second$}  {fate:third$}  {text}\n"
            ));
        }
        if !self.advice.is_empty() {
            out.push_str("\nAdvice:\n");
        }
        for (text, places) in self.advice_by_text() {
            let (shown, more) = places.split_at(places.len().min(3));
            let more = match more.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            out.push_str(&format!("- {text} ({}{more})\n", shown.join(", ")));
        }
        out.push_str(&format!(
            "\n{} directives: {} carried, {} not needed, {} NOT CARRIED\n",
            self.lines.len(),
            self.count(Fate::Carried),
            self.count(Fate::NotNeeded),
            self.lost()
        ));
        out
    }
}
