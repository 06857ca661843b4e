//! hubgate(8): the manual page of the commands, made from what may be typed.
//!
//! Pure. What a command does and takes is what its `--help` says; here are only the words around it.
#![deny(clippy::disallowed_methods)]

use clap::{Arg, Command};

use crate::config::roff::Page;

const ABOUT: &[&str] = &[
    "`hubgate` stands in front of a BinderHub or JupyterHub cluster: it ends TLS, orders and renews its own certificates, answers \
     challenges on port 80 while it redirects everything else, and passes requests, WebSockets and event streams on to the hubs \
     behind, byte for byte.",
    "One process, `hubgate run`, serves what one file says, see `hubgate.toml(5)`. All other commands look at that file, or ask \
     the running process through its admin socket. A new configuration is taken without a connection being dropped; one with a \
     fault is refused as a whole, and the old one goes on.",
];

const SIGNALS: &[(&str, &str)] = &[
    ("HUP", "Reload the configuration, as `hubgate reload` does."),
    (
        "TERM, INT",
        "Stop: accept nothing new, tell open connections to close, and end when nothing is open any more, or when \
         `server.drain_timeout` is over: then event streams end and WebSockets are closed with 1001. A second one stops at once.",
    ),
    (
        "USR1",
        "Open the log files anew, after logrotate has moved them.",
    ),
];

const FILES: &[(&str, &str)] = &[
    ("/etc/hubgate/hubgate.toml", "The configuration."),
    (
        "/var/lib/hubgate",
        "Accounts and certificates (`server.state_dir`). To be kept: authorities limit how often what is lost is given again.",
    ),
    (
        "/run/hubgate/admin.sock",
        "The admin socket (`admin.socket`). Whoever may open it may do everything that these commands do.",
    ),
    (
        "/var/log/hubgate",
        "Logs, where the configuration asks for files.",
    ),
];

const EXAMPLES: &[(&str, &str)] = &[
    (
        "Change the configuration of a running edge, and see first what that would do:",
        "editor /etc/hubgate/hubgate.toml\nhubgate check\nhubgate reload --plan\nsystemctl reload hubgate",
    ),
    (
        "Find out why a user saw an error page, from the id on it:",
        "hubgate why 01JD3Z7K",
    ),
    (
        "Take a node out of service, and back:",
        "hubgate upstream drain 192.0.2.10:30080\nhubgate upstream undrain 192.0.2.10:30080",
    ),
];

/// The whole page for `command`, whose subcommands have these texts at the end of their help.
pub(super) fn manual_page(command: &Command, exit_codes: &[(&str, &str)]) -> String {
    let mut page = Page::new(
        "hubgate",
        8,
        "edge reverse proxy in front of BinderHub and JupyterHub",
    );
    let mut leaves = Vec::new();
    collect(command, "", &mut leaves);
    page.synopsis(
        leaves
            .iter()
            .map(|(path, leaf)| (format!("hubgate {path}"), words(leaf))),
    );
    page.section("DESCRIPTION");
    for text in ABOUT {
        page.paragraph(text);
    }
    page.section("COMMANDS");
    for (path, leaf) in &leaves {
        page.subsection(format!("hubgate {path} {}", words(leaf)).trim_end());
        let about = leaf.get_long_about().or(leaf.get_about());
        page.paragraph(&sentence(
            &about.map(ToString::to_string).unwrap_or_default(),
        ));
        for arg in shown(leaf) {
            page.tagged(&format!("`{}`", tag(arg)), &meaning(arg));
        }
    }
    for (title, codes) in exit_codes {
        page.section(title);
        for (code, meaning) in numbered(codes) {
            page.tagged(&format!("`{code}`"), &sentence(&meaning));
        }
    }
    for (title, rows) in [("SIGNALS", SIGNALS), ("FILES", FILES)] {
        page.section(title);
        for (tag, text) in rows {
            page.tagged(&format!("`{tag}`"), text);
        }
    }
    page.section("ENVIRONMENT");
    page.tagged("`NO_COLOR`", "When set, diagnostics have no colours.");
    page.tagged(
        "`NOTIFY_SOCKET`, `WATCHDOG_USEC`",
        "Set by the service manager, see `sd_notify(3)`.",
    );
    page.section("EXAMPLES");
    for (text, lines) in EXAMPLES {
        page.paragraph(text);
        page.example(lines);
    }
    page.section("SEE ALSO");
    page.paragraph("`hubgate.toml(5)`, `systemctl(1)`, `logrotate(8)`; the manual in `/usr/share/doc/hubgate`.");
    page.finish()
}

/// The commands that do something, with the words that lead to them.
fn collect<'a>(command: &'a Command, path: &str, leaves: &mut Vec<(String, &'a Command)>) {
    let inner = command.get_subcommands();
    for sub in inner.filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let path = format!("{path} {}", sub.get_name());
        match sub.has_subcommands() {
            true => collect(sub, &path, leaves),
            false => leaves.push((path.trim_start().to_owned(), sub)),
        }
    }
}

fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    let arguments = command.get_arguments();
    arguments
        .filter(|arg| !arg.is_hide_set() && arg.get_id() != "help" && arg.get_id() != "version")
}

/// What may follow a command.
fn words(command: &Command) -> String {
    let (options, positional): (Vec<_>, Vec<_>) =
        shown(command).partition(|arg| !arg.is_positional());
    let short = |arg: &Arg| match (arg.get_short(), arg.get_long()) {
        (Some(short), _) => format!("-{short}{}", value(arg)),
        (None, Some(long)) => format!("--{long}{}", value(arg)),
        (None, None) => String::new(),
    };
    let all = options
        .into_iter()
        .map(|arg| (short(arg), arg.is_required_set()));
    let all = all.chain(positional.into_iter().map(|arg| {
        let dots = match arg
            .get_num_args()
            .is_some_and(|count| count.max_values() > 1)
        {
            true => "...",
            false => "",
        };
        (
            value(arg).trim_start().to_owned() + dots,
            arg.is_required_set(),
        )
    }));
    let bracketed = all.map(|(text, required)| match required {
        true => text,
        false => format!("[{text}]"),
    });
    bracketed.collect::<Vec<_>>().join(" ")
}

/// ` FILE`, or nothing for a flag.
fn value(arg: &Arg) -> String {
    if !arg.is_positional() && !arg.get_action().takes_values() {
        return String::new();
    }
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().map(|name| format!(" {name}")).collect()
}

/// All its forms: `-c, --config FILE`.
fn tag(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let aliases = arg.get_visible_aliases().unwrap_or_default();
    let aliases = aliases.into_iter().map(|alias| format!("--{alias}"));
    let forms: Vec<_> = short.into_iter().chain(long).chain(aliases).collect();
    format!("{}{}", forms.join(", "), value(arg))
        .trim()
        .to_owned()
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help());
    let mut text = sentence(&help.map(ToString::to_string).unwrap_or_default());
    let defaults: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        text.push_str(&format!(" Default: `{}`.", defaults.join(" ")));
    }
    let possible = arg.get_possible_values();
    let possible: Vec<_> = possible
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !possible.is_empty() && arg.get_action().takes_values() {
        text.push_str(&format!(" One of {}.", possible.join(", ")));
    }
    text
}

/// The rows of a help text such as [`super::EXIT_CODES`]: a number and what it means, which may go on in the next line.
fn numbered(codes: &str) -> Vec<(&str, String)> {
    let mut rows: Vec<(&str, String)> = Vec::new();
    // What follows the codes is told elsewhere.
    for line in codes.lines().skip(1).take_while(|line| !line.is_empty()) {
        let line = line.trim_start();
        match (line.split_once("  "), rows.last_mut()) {
            (Some((code, meaning)), _) if code.parse::<u8>().is_ok() => {
                rows.push((code, meaning.to_owned()));
            }
            (_, Some((_, meaning))) => {
                meaning.push(' ');
                meaning.push_str(line);
            }
            (_, None) => {}
        }
    }
    rows
}

/// A help text as a sentence. `[default: ..]` at its end becomes one of its own.
fn sentence(text: &str) -> String {
    let text = match text.split_once(" [default: ") {
        Some((text, default)) => format!("{text}. Default: {}", default.trim_end_matches(']')),
        None => text.to_owned(),
    };
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let first: String = first.into_iter().flatten().collect();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}
