//! Refusals, includes and bounds of the reader.
//!
//! Files are in memory; `tests/nginx_syntax.rs` compares refusals with the real nginx.

use std::path::{Path, PathBuf};

use super::*;
use crate::nginx::files::Memory;

fn files(files: &[(&str, &str)]) -> Memory {
    let files = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()));
    Memory(files.collect())
}

fn options() -> Options {
    Options {
        globals: String::new(),
        keep_unknown: false,
    }
}

fn read_main(text: &str) -> Result<Tree, String> {
    read(
        &files(&[("/c/nginx.conf", text)]),
        Path::new("/c/nginx.conf"),
        &options(),
    )
    .map_err(|refused| refused.0.to_string())
}

fn refusal(text: &str) -> String {
    read_main(text).unwrap_err()
}

#[test]
fn refusals_are_nginxs_word_for_word() {
    assert_eq!(
        refusal("nope a;"),
        "unknown directive \"nope\" in /c/nginx.conf:1"
    );
    assert_eq!(
        refusal("events {\n}\n}"),
        "unexpected \"}\" in /c/nginx.conf:3"
    );
    assert_eq!(
        refusal("http {\n"),
        "unexpected end of file, expecting \"}\" in /c/nginx.conf:2"
    );
    assert_eq!(
        refusal("http { listen 80; }"),
        "\"listen\" directive is not allowed here in /c/nginx.conf:1"
    );
    assert_eq!(
        refusal("http { sendfile on {} }"),
        "directive \"sendfile\" is not terminated by \";\" in /c/nginx.conf:1"
    );
    assert_eq!(
        refusal("http\n;"),
        "directive \"http\" has no opening \"{\" in /c/nginx.conf:2"
    );
    assert_eq!(
        refusal("http { server { root; } }"),
        "invalid number of arguments in \"root\" directive in /c/nginx.conf:1"
    );
    assert_eq!(
        refusal("http { map $a $b { a b c; } }"),
        "invalid number of the map parameters in /c/nginx.conf:1"
    );
    assert_eq!(
        refusal("http { types { a { } }"),
        "unexpected \"{\" in /c/nginx.conf:1"
    );
}

#[test]
fn included_files_stand_where_they_are_named() {
    let files = files(&[
        ("/c/nginx.conf", "include conf.d/*.conf;\nevents {}"),
        ("/c/conf.d/a.conf", "user a;"),
        ("/c/conf.d/b.conf", "\npid b;"),
    ]);
    let tree = read(&files, Path::new("/c/nginx.conf"), &options()).unwrap();
    let names: Vec<_> = tree.directives.iter().map(Directive::name).collect();
    assert_eq!(names, ["include", "user", "pid", "events"]);
    assert_eq!(tree.show(tree.directives[2].place()), "/c/conf.d/b.conf:2");
}

#[test]
fn a_block_does_not_end_in_another_file() {
    let files = files(&[
        ("/c/nginx.conf", "http {\ninclude a;\n}"),
        ("/c/a", "server {"),
    ]);
    let refused = read(&files, Path::new("/c/nginx.conf"), &options()).unwrap_err();
    assert_eq!(
        refused.0.to_string(),
        "unexpected end of file, expecting \"}\" in /c/a:1"
    );
}

#[test]
fn a_missing_file_is_told_where_it_was_named_and_a_pattern_may_match_nothing() {
    assert_eq!(
        refusal("\ninclude nope;"),
        "open() \"/c/nope\" failed (2: No such file or directory) in /c/nginx.conf:2"
    );
    assert!(read_main("include nope/*; events {}").is_ok());
}

#[test]
fn a_file_that_includes_itself_comes_to_an_end() {
    assert_eq!(
        refusal("include nginx.conf;"),
        "open() \"/c/nginx.conf\" failed (24: Too many open files) in /c/nginx.conf:1"
    );
}

#[test]
fn blocks_without_end_are_refused_before_the_stack_is() {
    let text = format!("http {{ server {{ {}", "location / {".repeat(5000));
    assert!(refusal(&text).contains("nested too deep"));
}

#[test]
fn modules_that_nobody_knows_are_kept_when_asked_for() {
    let text = "http { lua_x 1; content_by_lua_block { if a then b = '}' end } vts { a b; c { d; } } server { listen 80; } }";
    assert_eq!(
        refusal(text),
        "unknown directive \"lua_x\" in /c/nginx.conf:1"
    );
    let keep = Options {
        keep_unknown: true,
        ..options()
    };
    let tree = read(&files(&[("/n", text)]), Path::new("/n"), &keep).unwrap();
    let names: Vec<_> = tree.directives[0]
        .children()
        .iter()
        .map(Directive::name)
        .collect();
    assert_eq!(names, ["lua_x", "content_by_lua_block", "vts", "server"]);
}

#[test]
fn directives_of_the_command_line_come_first_and_have_no_blocks() {
    let files = files(&[("/n", "events {}")]);
    let with = |globals: &str| {
        let options = Options {
            globals: globals.to_owned(),
            keep_unknown: false,
        };
        read(&files, Path::new("/n"), &options).map_err(|refused| refused.0.to_string())
    };
    assert_eq!(with("daemon off; pid a;").unwrap().directives.len(), 3);
    assert_eq!(
        with("http {").unwrap_err(),
        "block directives are not supported in -g option in command line"
    );
    assert_eq!(
        with("daemon off").unwrap_err(),
        "unexpected end of parameter, expecting \";\" in command line"
    );
}
