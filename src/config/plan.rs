//! What a new configuration changes, as data for programs and as lines for people.
//!
//! `diff` makes it. What a reload cannot change in a running process is marked: it takes effect at the next start.

use std::fmt;

use serde::Serialize;

/// Everything that changes; empty when nothing does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Settings first, then listeners, sites with their routes, upstreams.
    pub changes: Vec<Change>,
}

/// One thing that comes, goes or changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What kind of thing.
    pub subject: Subject,
    /// Which one: `hub.example.org /jupyterhub/`.
    pub name: String,
    /// What happens to it.
    pub action: Action,
    /// Which keys change; for what comes or goes, the key that says most about it.
    pub fields: Vec<Field>,
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A table that holds for the whole process; its name is the table's.
    Setting,
    /// An address listened on; its name is `http` or `https` and the address.
    Listener,
    /// A site.
    Site,
    /// A route; its name is the site's and the path.
    Route,
    /// A stream; its name is its address and its names.
    Stream,
    /// An upstream.
    Upstream,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It was not there.
    Added,
    /// It will not be there.
    Removed,
    /// Some of its keys have other values.
    Changed,
}

/// A key with its values as TOML, strings without their quotes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// The key; inside a table of its own, `access_log.target`.
    pub key: String,
    /// Before; `None` when it was not set.
    pub old: Option<String>,
    /// After; `None` when it is not set.
    pub new: Option<String>,
    /// Whether it waits for the next start of the process.
    pub at_restart: bool,
}

impl Plan {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What the reload leaves for the next start: `server.workers`.
    pub fn at_restart(&self) -> impl Iterator<Item = (&Change, &Field)> {
        self.changes
            .iter()
            .flat_map(|change| change.fields.iter().map(move |field| (change, field)))
            .filter(|(_, field)| field.at_restart)
    }
}

impl fmt::Display for Plan {
    /// One line for each key that changes; says so when nothing does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing changes");
        }
        for (index, change) in self.changes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{change}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = match self.subject {
            Subject::Setting => "setting",
            Subject::Listener => "listener",
            Subject::Site => "site",
            Subject::Route => "route",
            Subject::Stream => "stream",
            Subject::Upstream => "upstream",
        };
        let word = match self.action {
            Action::Added => "added",
            Action::Removed => "removed",
            Action::Changed => {
                for (index, field) in self.fields.iter().enumerate() {
                    let end = if index > 0 { "\n" } else { "" };
                    write!(f, "{end}{subject} {}: {field}", self.name)?;
                }
                return Ok(());
            }
        };
        write!(f, "{subject} {}: {word}", self.name)?;
        for field in &self.fields {
            let value = field.new.as_ref().or(field.old.as_ref());
            write!(f, " ({} {})", field.key, value.map_or("", String::as_str))?;
        }
        Ok(())
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value =
            |value: &Option<String>| value.clone().unwrap_or_else(|| "(not set)".to_owned());
        write!(
            f,
            "{} {} -> {}",
            self.key,
            value(&self.old),
            value(&self.new)
        )?;
        if self.at_restart {
            f.write_str(" (takes effect at the next start)")?;
        }
        Ok(())
    }
}
