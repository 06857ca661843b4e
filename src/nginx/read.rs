//! Reads an nginx configuration with all it includes into a [`Tree`], or says what nginx would say.
//!
//! Each directive is looked at as soon as its `;` or `{` has come, as nginx does, so that of two faults the same one is
//! told. Where it may stand and how many words it takes is the table's affair. Bounds: files, their sizes and depth.
#![deny(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::fault::{At, Fault};
use super::files::Files;
use super::glob;
use super::hashes;
use super::judge;
use super::lex::{LexFault, Lexer, Token};
use super::merged;
use super::modules;
use super::paths;
use super::scope::{Frame, Inner, Scope};
use super::sense;
use super::shared;
use super::table::Context;
use super::tree::{Block, Directive, Place, Tree, Word};
use super::workers;

/// Blocks and includes within one another.
const DEPTH: usize = 100;
/// Files read, counted each time.
const FILES: usize = 10_000;
/// Bytes read in all.
const BYTES: usize = 256 << 20;

/// How to read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directives given by `-g`, read before the file.
    pub globals: String,
    /// Whether a directive that nginx 1.22 does not know is kept, as one of a module that somebody loads, rather than
    /// refused.
    pub keep_unknown: bool,
}

/// Reads the file at `main`.
///
/// # Errors
/// The first thing nginx would not take, and the tree up to there.
pub fn read(files: &dyn Files, main: &Path, options: &Options) -> Result<Tree, Box<(Fault, Tree)>> {
    let mut reader = Reader {
        files,
        folder: main.parent().map(Path::to_path_buf).unwrap_or_default(),
        keep_unknown: options.keep_unknown,
        names: Vec::new(),
        by_name: HashMap::new(),
        opened: 0,
        bytes: 0,
        warnings: Vec::new(),
    };
    let mut directives = Vec::new();
    let mut frame = Frame::new(Scope::Directives(Context::Main));
    let result = reader
        .globals(&options.globals, &mut frame, &mut directives)
        .and_then(|()| reader.file(main, &At::Nowhere, &mut frame, 0, &mut directives))
        .and_then(|()| whole(&directives, options));
    let mut tree = Tree {
        files: reader.names,
        directives,
        warnings: reader.warnings,
    };
    let result = result.and_then(|()| sensible(&tree, options));
    if result.is_ok() {
        let blocks = tree.directives.iter().filter(|own| own.is("http"));
        let told: Vec<_> = { blocks }
            .flat_map(|http| {
                let at = tree.at_end(http);
                let texts = merged::warnings(http).into_iter();
                texts.map(move |text| Fault {
                    text,
                    at: at.clone(),
                })
            })
            .collect();
        tree.warnings.extend(told);
    }
    // nginx looks at names when all else of a block is fine.
    if !matches!(&result, Err(fault) if fault.at != At::Nowhere) {
        let at = At::Block;
        let conflicts = sense::conflicts(&tree.directives).into_iter();
        let blocks = tree.directives.iter();
        let blocks = blocks.filter(|own| own.is("http") || own.is("stream"));
        let tables: Vec<_> = blocks.flat_map(hashes::warnings).collect();
        let told = conflicts.chain(tables);
        tree.warnings.extend(told.map(|text| Fault {
            text,
            at: at.clone(),
        }));
    }
    if result.is_ok() {
        tree.warnings.extend(workers::warning(&tree.directives));
    }
    match result {
        Ok(()) => Ok(tree),
        Err(fault) => Err(Box::new((fault, tree))),
    }
}

/// What nginx asks of directives that stand together.
fn sensible(tree: &Tree, options: &Options) -> Result<(), Fault> {
    if let Some((own, text)) = paths::fault(tree) {
        let at = tree.at(own);
        return Err(Fault { text, at });
    }
    if let Some((own, text)) = sense::at_end(&tree.directives) {
        let at = tree.at_end(own);
        return Err(Fault { text, at });
    }
    let zones = shared::zones(&tree.directives);
    let zones = zones.map_err(|(own, text)| Fault {
        text,
        at: tree.at(own),
    })?;
    if let Some((own, text)) = sense::fault(&tree.directives) {
        let at = tree.at(own);
        return Err(Fault { text, at });
    }
    for http in tree.directives.iter().filter(|own| own.is("http")) {
        let (text, at) = match merged::fault(http, &zones) {
            None => continue,
            Some(merged::Found::AtEnd(text)) => (text, tree.at_end(http)),
            Some(merged::Found::Nowhere(text)) => (text, At::Block),
        };
        return Err(Fault { text, at });
    }
    let streams = tree.directives.iter().filter(|own| own.is("stream"));
    if let Some(text) = { streams }.find_map(merged::fault_of_stream) {
        let at = At::Block;
        return Err(Fault { text, at });
    }
    // Somebody else's module may define variables.
    let foreign = options.keep_unknown && modules::has_foreign(&tree.directives);
    let unknown = || match foreign {
        true => None,
        false => sense::unknown_variable(&tree.directives),
    };
    if let Some(text) = unknown() {
        let at = At::Block;
        return Err(Fault { text, at });
    }
    let tables = tree
        .directives
        .iter()
        .filter(|own| own.is("http") || own.is("stream"));
    if let Some(text) = { tables }.find_map(hashes::fault) {
        let at = At::Block;
        return Err(Fault { text, at });
    }
    if let Some((own, text, at_once)) = sense::pools(&tree.directives) {
        let at = tree.at(own);
        return Err(match at_once {
            true => Fault { text, at },
            false => Fault {
                text: Fault { text, at }.to_string(),
                at: At::Nowhere,
            },
        });
    }
    if let Some(name) = zones.without_size() {
        return Err(Fault {
            text: format!("zero size shared memory zone \"{name}\""),
            at: At::Nowhere,
        });
    }
    match workers::too_few_connections(&tree.directives) {
        Some(text) => Err(Fault {
            text,
            at: At::Nowhere,
        }),
        None => Ok(()),
    }
}

/// What nginx asks of a configuration as a whole.
fn whole(directives: &[Directive], options: &Options) -> Result<(), Fault> {
    match options.keep_unknown || directives.iter().any(|own| own.is("events")) {
        true => Ok(()),
        false => Err(Fault {
            text: "no \"events\" section in configuration".to_owned(),
            at: At::Nowhere,
        }),
    }
}

struct Reader<'a> {
    files: &'a dyn Files,
    /// What `include` is relative to: the main file's folder.
    folder: PathBuf,
    keep_unknown: bool,
    names: Vec<String>,
    by_name: HashMap<PathBuf, u32>,
    opened: usize,
    bytes: usize,
    warnings: Vec<Fault>,
}

impl Reader<'_> {
    /// The directives of `-g`.
    fn globals(
        &mut self,
        text: &str,
        frame: &mut Frame,
        into: &mut Vec<Directive>,
    ) -> Result<(), Fault> {
        if text.is_empty() {
            return Ok(());
        }
        let number = self.number(Path::new("command line"));
        let mut lexer = Lexer::new(text.as_bytes(), number, false);
        let source = Source {
            name: String::new(),
            from_file: false,
        };
        self.items(&mut lexer, &source, frame, Ends::File, 0, into)
    }

    /// All of a file. `from` is where it was named.
    fn file(
        &mut self,
        path: &Path,
        from: &At,
        frame: &mut Frame,
        depth: usize,
        into: &mut Vec<Directive>,
    ) -> Result<(), Fault> {
        let refused = |error: &io::Error| Fault {
            text: format!("open() \"{}\" failed ({})", path.display(), system(error)),
            at: from.clone(),
        };
        let text = match self.files.read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                return Err(Fault {
                    text: format!("pread() \"{}\" failed ({})", path.display(), system(&error)),
                    at: At::Nowhere,
                });
            }
            Err(error) => return Err(refused(&error)),
        };
        self.opened += 1;
        self.bytes += text.len();
        if self.opened > FILES || self.bytes > BYTES || depth > DEPTH {
            return Err(refused(&io::Error::from_raw_os_error(24)));
        }
        let number = self.number(path);
        let mut lexer = Lexer::new(&text, number, true);
        let source = Source {
            name: path.display().to_string(),
            from_file: true,
        };
        self.items(&mut lexer, &source, frame, Ends::File, depth, into)
    }

    /// Directives up to the end of the file or the block.
    fn items(
        &mut self,
        lexer: &mut Lexer<'_>,
        source: &Source,
        frame: &mut Frame,
        ends: Ends,
        depth: usize,
        into: &mut Vec<Directive>,
    ) -> Result<(), Fault> {
        loop {
            match (lexer.next().map_err(|fault| source.fault(fault))?, ends) {
                (Token::End, Ends::File) | (Token::Close, Ends::Block) => return Ok(()),
                (Token::End, Ends::Block) => {
                    let what = "unexpected end of file, expecting \"}\"";
                    return Err(source.say(lexer, None, what));
                }
                (Token::Close, Ends::File) => {
                    return Err(source.say(lexer, None, "unexpected \"}\""));
                }
                (Token::Statement(words), _) => {
                    let directive = self.statement(frame, words, lexer, source)?;
                    let included = self.included(&directive, frame, source, lexer);
                    into.push(directive);
                    for path in included? {
                        let at = source.at(lexer, into.last().map(Directive::place));
                        self.file(&path, &at, frame, depth + 1, into)?;
                    }
                }
                (Token::Open(words), _) => {
                    let directive = self.block(frame, words, lexer, source, depth)?;
                    into.push(directive);
                }
            }
        }
    }

    /// A directive that ends with `;`.
    fn statement(
        &mut self,
        frame: &mut Frame,
        words: Vec<Word>,
        lexer: &Lexer<'_>,
        source: &Source,
    ) -> Result<Directive, Fault> {
        let mut directive = Directive {
            words,
            end_line: lexer.line(),
            close_line: lexer.line(),
            block: None,
        };
        frame
            .judge(&directive, false, self.keep_unknown)
            .map_err(|text| source.say(lexer, Some(directive.place()), text))?;
        let told = frame.warnings(&directive).into_iter();
        let told = told.map(|text| source.say(lexer, Some(directive.place()), text));
        self.warnings.extend(told);
        frame.spell(&mut directive);
        Ok(directive)
    }

    /// A directive with braces, of which the first has been read.
    fn block(
        &mut self,
        frame: &mut Frame,
        words: Vec<Word>,
        lexer: &mut Lexer<'_>,
        source: &Source,
        depth: usize,
    ) -> Result<Directive, Fault> {
        if !source.from_file {
            let what = "block directives are not supported in -g option";
            return Err(source.say(lexer, None, what));
        }
        let mut directive = Directive {
            words,
            end_line: lexer.line(),
            close_line: lexer.line(),
            block: None,
        };
        let place = directive.place();
        let inner = frame
            .judge(&directive, true, self.keep_unknown)
            .map_err(|text| source.say(lexer, Some(place), text))?;
        if depth >= DEPTH {
            let text = format!("\"{}\" directive is nested too deep", directive.name());
            return Err(source.say(lexer, Some(place), &text));
        }
        directive.block = Some(match inner {
            Inner::Foreign => {
                let text = lexer.skip_lua().map_err(|fault| source.fault(fault))?;
                Block::Foreign(text.into())
            }
            Inner::Scope(scope) => {
                let mut inner = Vec::new();
                let mut own = frame.inner(scope, &directive);
                self.items(lexer, source, &mut own, Ends::Block, depth + 1, &mut inner)?;
                match scope {
                    Scope::Rows(_) => Block::Rows(inner),
                    _ => Block::Directives(inner),
                }
            }
        });
        directive.close_line = lexer.line();
        let told = judge::warnings_of_rows(&directive).into_iter();
        let told = told.chain(match directive.is("upstream") {
            true => judge::warnings_of_upstream(&directive),
            false => Vec::new(),
        });
        let told = told.map(|(own, text)| Fault {
            text,
            at: source.at_line(own.end_line, Some(own.place())),
        });
        self.warnings.extend(told);
        Ok(directive)
    }

    /// The files that an `include` stands for; none for other directives.
    fn included(
        &self,
        directive: &Directive,
        frame: &Frame,
        source: &Source,
        lexer: &Lexer<'_>,
    ) -> Result<Vec<PathBuf>, Fault> {
        if !frame.includes(directive) {
            return Ok(Vec::new());
        }
        let pattern = directive.argument(0);
        // A path ends where C's strings do.
        let pattern = pattern.split('\0').next().unwrap_or_default();
        let path = self.folder.join(pattern);
        let Some(full) = path.to_str() else {
            let text = format!(
                "open() \"{}\" failed (2: No such file or directory)",
                path.display()
            );
            return Err(source.say(lexer, Some(directive.place()), &text));
        };
        Ok(match glob::is_pattern(full) {
            true => self.files.glob(full),
            false => vec![path],
        })
    }

    /// The file's number in places.
    fn number(&mut self, path: &Path) -> u32 {
        if let Some(number) = self.by_name.get(path) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(path.display().to_string());
        self.by_name.insert(path.to_path_buf(), number);
        number
    }
}

/// What ends a run of directives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    File,
    Block,
}

/// The text being read, as messages name it.
struct Source {
    name: String,
    from_file: bool,
}

impl Source {
    fn at(&self, lexer: &Lexer<'_>, place: Option<Place>) -> At {
        self.at_line(lexer.line(), place)
    }

    fn at_line(&self, line: u32, place: Option<Place>) -> At {
        match self.from_file {
            true => At::File {
                file: self.name.clone(),
                line,
                place,
            },
            false => At::CommandLine,
        }
    }

    fn say(&self, lexer: &Lexer<'_>, place: Option<Place>, text: impl Into<String>) -> Fault {
        Fault {
            text: text.into(),
            at: self.at(lexer, place),
        }
    }

    fn fault(&self, fault: LexFault) -> Fault {
        Fault {
            at: self.at_line(fault.line, Some(fault.place)),
            text: fault.text,
        }
    }
}

/// `2: No such file or directory`, as nginx writes what the system said.
fn system(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(code) => {
            let words = text.strip_suffix(&format!(" (os error {code})"));
            format!("{code}: {}", words.unwrap_or(&text))
        }
        None => text,
    }
}

#[cfg(test)]
mod tests;
