//! Directives of nginx's modules for files and other content.
//!
//! One row each, in the order of their names; what the columns mean is in `rule`.
#![deny(clippy::disallowed_methods)]

use super::rule::context::{HTTP, LOCATION, LOCATION_IF, SERVER};
use super::rule::{Form, Rule, any, between, exactly, rule};

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("alias", exactly(1), &[LOCATION]).once().carried("`files.alias` of the route"),
    rule("autoindex", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().carried("`files.listing`"),
    rule("autoindex_exact_size", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().carried("`files.listing_sizes`"),
    rule("autoindex_format", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Word).once().inherited().carried("`files.listing`"),
    rule("autoindex_localtime", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().carried("times in listings are UTC"),
    rule("create_full_put_path", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().lost("hubgate serves no WebDAV: put a server for it behind"),
    rule("dav_access", between(1, 3), &[HTTP, SERVER, LOCATION]).form(Form::Word).inherited().lost("hubgate serves no WebDAV: put a server for it behind"),
    rule("dav_methods", any(1), &[HTTP, SERVER, LOCATION]).form(Form::Word).inherited().lost("hubgate serves no WebDAV: put a server for it behind"),
    rule("disable_symlinks", between(1, 2), &[HTTP, SERVER, LOCATION]).inherited().carried("`files.symlinks`"),
    rule("empty_gif", exactly(0), &[LOCATION]).carried("`answer = \"pixel\"` of the route"),
    rule("flv", exactly(0), &[LOCATION]).lost("hubgate serves no films by time: put a server for it behind"),
    rule("index", any(1), &[HTTP, SERVER, LOCATION]).inherited().carried("`files.index`"),
    rule("min_delete_depth", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Number).once().inherited().lost("hubgate serves no WebDAV: put a server for it behind"),
    rule("mp4", exactly(0), &[LOCATION]).lost("hubgate serves no films by time: put a server for it behind"),
    rule("mp4_buffer_size", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Size).once().inherited().lost("hubgate serves no films by time: put a server for it behind"),
    rule("mp4_max_buffer_size", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Size).once().inherited().lost("hubgate serves no films by time: put a server for it behind"),
    rule("mp4_start_key_frame", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().lost("hubgate serves no films by time: put a server for it behind"),
    rule("open_file_cache", between(1, 2), &[HTTP, SERVER, LOCATION]).inherited().not_needed("hubgate keeps its files open as it needs"),
    rule("open_file_cache_errors", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().not_needed("hubgate keeps its files open as it needs"),
    rule("open_file_cache_events", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Flag).once().inherited().not_needed("a detail of how nginx works inside"),
    rule("open_file_cache_min_uses", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Number).once().inherited().not_needed("hubgate keeps its files open as it needs"),
    rule("open_file_cache_valid", exactly(1), &[HTTP, SERVER, LOCATION]).form(Form::Seconds).once().inherited().not_needed("hubgate keeps its files open as it needs"),
    rule("random_index", exactly(1), &[LOCATION]).form(Form::Flag).once().lost("hubgate serves no file at random"),
    rule("root", exactly(1), &[HTTP, SERVER, LOCATION, LOCATION_IF]).once().inherited().carried("`files.root` of its routes"),
    rule("stub_status", between(0, 1), &[SERVER, LOCATION]).carried("`answer = \"counts\"` of the route"),
    rule("try_files", any(2), &[SERVER, LOCATION]).once().carried("`files.try` of the route"),
];
