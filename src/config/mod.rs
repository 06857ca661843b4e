//! What a configuration means: [`Config`], typed and checked, with every default filled in.
//!
//! `schema` says what may be typed, `validate` turns it into this or into all its faults at once, `diagnostic` and
//! `render` show them. Invariant: a `Config` that exists can be run; nothing later finds fault with its contents
//! (files it names are read by whoever uses them).
//!
//! [`read`] is [`fetch`], which gets a file, and [`load`]: [`parse`], which is pure, with error pages. [`explain`] prints a configuration in full, [`diff`]
//! says what changes from one to the next, [`reference`] lists every key.
#![deny(clippy::disallowed_methods)]

mod access;
mod access_log;
mod acme;
mod action;
mod balancing;
mod bodies;
mod client_address;
mod client_terms;
mod connection;
mod definition;
mod detours;
mod diagnostic;
mod diff;
mod discovery;
mod endpoints;
mod error_pages;
mod errors;
mod explain;
mod field_names;
mod file;
mod files;
mod heads;
mod health;
mod limit;
mod listener;
mod log_target;
mod manual;
pub mod media_types;
mod mirror;
mod model;
mod own_names;
mod page;
mod parse;
mod pieces;
mod plan;
mod preset;
mod protection;
mod reference;
mod referers;
mod render;
pub mod roff;
mod rules;
mod schema;
mod show;
mod show_access;
mod show_access_log;
mod show_balancing;
mod show_bodies;
mod show_client_terms;
mod show_definition;
mod show_detours;
mod show_files;
mod show_heads;
mod show_limit;
mod show_listener;
mod show_stream;
mod show_tls;
mod signed;
mod site_place;
mod source;
mod stream;
mod suggest;
mod syntax;
mod text;
mod texts;
mod tls;
pub mod trust;
mod validate;
mod variable;
mod variable_families;
mod variables;
mod variables_of_streams;
mod why;

pub use access::{Access, AddressRule, Ask, Basic, Need, Others, Who};
pub use access_log::{AccessLog, AccessLogFormat, Escape};
pub use action::{OwnAnswer, Redirect, Respond, RouteAction, Strangers};
pub use balancing::{Balance, Endpoint, HashOn, Hashing, Outlier, Sticky};
pub use bodies::{Bodies, Charset, Compress, Compression, MediaTypes, Proxied, Replace};
pub use client_address::ClientAddress;
pub use client_terms::{ClientTerms, HeadBuffers, Linger, OldBrowser};
pub use connection::{Protocol, ServerName, UpstreamTls};
pub use definition::{Case, Definer, Definition, Definitions, Map};
pub use detours::Detours;
pub use diagnostic::{Diagnostic, Report, Severity};
pub use diff::diff;
pub use discovery::{NamedEndpoints, Resolver};
pub use endpoints::endpoints;
pub use error_pages::{ErrorPages, Language, Page, PageFor};
pub use errors::{ErrorRule, ErrorStatus, ErrorTarget};
pub use explain::explain;
pub use field_names::FieldNames;
pub use file::{fetch, load, read};
pub use files::{Attempt, Attempts, Files, FilesPlace, Last, Links, Listing, Packed, Since};
pub use heads::{
    AddField, CookieChanges, CookieFlag, Expires, Matcher, Replacement, RequestHeads,
    ResponseHeads, SetField, WithCaptures,
};
pub use health::{CheckKind, GrpcCheck, Health, HttpCheck};
pub use limit::{
    Amount, ConcurrencyUse, ConcurrencyZone, LimitLog, Rate, RateUse, RateZone, RouteLimits, said,
};
pub use listener::{Listener, Owner, SocketOptions, TcpKeepAlive};
pub use log_target::{ErrorLog, LogLevel, LogTarget, Syslog, SyslogServer};
pub use manual::manual_page;
pub use mirror::MirrorTo;
pub use model::*;
pub use own_names::{ARGS, LIMIT_RATE, OwnNames};
pub use page::{Piece, Placeholder, Template};
pub use parse::{Loaded, parse};
pub use plan::{Action, Change, Field, Plan, Subject};
pub use preset::{Values as PresetValues, values as preset_values};
pub use protection::{Circuit, Protection, Retries, RetryOn, Retryable, UpstreamLimits};
pub use reference::reference;
pub use referers::Referers;
pub use render::Paint;
pub use rules::{Act, Condition, FileTest, Rewriting, Rule, Then};
pub use source::{Position, Source, Span};
pub use stream::{
    ProxyFields, ProxyProtocol, ProxyVersion, Stream, StreamAction, StreamMore, StreamTls, Udp,
};
pub use text::{Lookup, Text, TextError, TextPart};
pub use tls::{
    CipherSuite, ClientTrust, Group, Hsts, PairFiles, Tls, TlsPolicy, TlsProfile, TlsVersion,
};
pub use variable::{ProxyFact, TcpFact, Variable};
pub use why::Why;
