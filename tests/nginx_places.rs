//! Where requests go, and with which target, is what the real nginx does: thousands of pairs of locations and targets. So
//! says the model of nginx's configuration, and so do hubgate's own tables made from what the import writes.
//!
//! One nginx with many servers of generated locations, some nested, in front of an upstream that answers with the request
//! line it got. Needs Debian's nginx (1.22); without one there is nothing to compare with, which is said.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it did not do"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use fastrand::Rng;
use hubgate::config::{Site, Source, parse};
use hubgate::nginx::import::import;
use hubgate::nginx::model::{Found, Kind, Location, Locations, Pass, Place, Scope};
use hubgate::nginx::table::Context;
use hubgate::nginx::text::Part;
use hubgate::nginx::uri::{self, Uri};
use hubgate::nginx::{Captures, Directive, Disk, Options, Tree, read};
use hubgate::router::{PathTable, RouteMatch, target};
use hubgate::snapshot::Rewrite;

const SERVERS: usize = 125;
const TARGETS: usize = 40;

/// In place of a path, for what stands in a location with an expression.
const PATTERN: &str = "~";

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// 400
    Refused,
    /// 301 to a slash.
    Slash,
    /// 500: what was filled in is no address.
    Broken,
    /// No location.
    None,
    /// This location answered.
    Answered(String),
    /// This location asked the upstream for that.
    Asked(String, Vec<u8>),
}

struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Answers every request with its place and target.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut bytes = [0; 8192];
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    match stream.read(&mut bytes) {
                        Ok(0) | Err(_) => return,
                        Ok(count) => head.extend_from_slice(&bytes[..count]),
                    }
                }
                let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
                let target = line
                    .strip_prefix(b"GET ")
                    .and_then(|rest| rest.strip_suffix(b" HTTP/1.0"))
                    .unwrap_or(b"?");
                let text = String::from_utf8_lossy(&head).into_owned();
                let place = text
                    .lines()
                    .find_map(|line| line.strip_prefix("X-Place: "))
                    .unwrap_or("?");
                let answer = [format!("asked {place} ").as_bytes(), target].concat();
                let head = format!(
                    "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n",
                    answer.len()
                );
                drop(stream.write_all(&[head.as_bytes(), &answer].concat()));
            });
        }
    });
    address
}

fn word(random: &mut Rng, words: &[&str]) -> String {
    words[random.usize(..words.len())].to_owned()
}

/// Locations within `outer`, which they have to begin with.
fn locations(
    out: &mut String,
    random: &mut Rng,
    upstream: SocketAddr,
    outer: &str,
    depth: usize,
    place: &mut usize,
) {
    let mut taken = Vec::new();
    for _ in 0..random.usize(1..7) {
        let path = match outer.is_empty() {
            true => "/".to_owned(),
            false => outer.to_owned(),
        };
        let path = path
            + &word(
                random,
                &[
                    "", "a", "a/", "ab", "ab/", "a-b", "a/b", "b/", "b/a/", "a b/", "é/", "x.png",
                    "A", "a%b",
                ],
            );
        // In a location with an expression nginx takes only such.
        let kind = if outer == PATTERN {
            random.u8(3..6)
        } else {
            random.u8(..10)
        };
        let (mark, path) = match kind {
            0 | 1 => ("= ", path),
            2 => ("^~ ", path),
            3 | 4 => (
                "~ ",
                word(
                    random,
                    &[
                        "^/a",
                        r"\.png$",
                        "^/(a|b)/(.*)$",
                        "b$",
                        "^/ab/.+",
                        "/(b)",
                        "^/(?!a)",
                        "a{1}",
                    ],
                ),
            ),
            5 => ("~* ", word(random, &["^/A", r"\.PNG$", "B/"])),
            _ => ("", path),
        };
        let key = format!("{}{path}", if mark == "= " { "=" } else { "" });
        if taken.contains(&key) {
            continue;
        }
        let pattern = mark.starts_with('~');
        if !pattern {
            taken.push(key);
        }
        *place += 1;
        write!(out, "location {mark}\"{path}\" {{ ").unwrap();
        if random.u8(..4) == 0 {
            write!(out, "return 200 \"answered {place}\"; ").unwrap();
        } else {
            let fixed = ["", "/", "/x/", "/y", "/z?q=1", ""];
            let filled = [
                "",
                "$request_uri",
                "$uri",
                "$uri$is_args$args",
                "/v$uri",
                "/w/$1",
            ];
            let uri = match pattern || random.bool() {
                true => word(random, &filled),
                false => word(random, &fixed),
            };
            write!(
                out,
                "proxy_pass http://{upstream}{uri}; proxy_set_header X-Place {place}; "
            )
            .unwrap();
        }
        if mark != "= " && depth < 2 && random.u8(..3) == 0 {
            out.push('\n');
            let outer = if pattern { PATTERN } else { &path };
            locations(out, random, upstream, outer, depth + 1, place);
        }
        out.push_str("}\n");
    }
}

fn configuration(folder: &Path, port: u16, upstream: SocketAddr) -> String {
    let folder = folder.display();
    let mut out = format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log crit;\nevents {{}}\nhttp {{\naccess_log off;\n"
    );
    for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(out, "{name}_temp_path {folder}/{name};").unwrap();
    }
    let mut place = 0;
    for server in 0..SERVERS {
        let mut random = Rng::with_seed(server as u64);
        writeln!(
            out,
            "server {{ listen 127.0.0.1:{port}; server_name s{server}; root {folder}/none;"
        )
        .unwrap();
        locations(&mut out, &mut random, upstream, "", 0, &mut place);
        out.push_str("}\n");
    }
    out.push_str("}\n");
    out
}

fn target(random: &mut Rng) -> Vec<u8> {
    let pieces = [
        "a", "b", "ab", "a-b", "%61", "%2F", "..", ".", "a%20b", "x.png", "X.PNG", "%C3%A9", "A",
        "a;b", "%2e%2e", "a%25b", "%3F", "\"<>", "é", "%5c%7c", "...", "a%00", "a%zz", "b%0a",
    ];
    let mut out = String::new();
    for _ in 0..random.usize(1..5) {
        out.push_str(["/", "/", "/", "//"][random.usize(..4)]);
        out.push_str(&word(random, &pieces));
    }
    if random.u8(..3) == 0 {
        out.push('/');
    }
    out.push_str(["", "", "", "?q=1&r=%20", "?", "#f", "?a#f"][random.usize(..7)]);
    if random.u8(..40) == 0 {
        out = format!("http://elsewhere{out}");
    }
    out.into_bytes()
}

fn theirs(port: u16, server: usize, target: &[u8]) -> Outcome {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    // An absolute target names its host itself.
    let host = format!("s{server}");
    let target = String::from_utf8_lossy(target).replace("//elsewhere", &format!("//{host}"));
    let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let body = &answer[end + 4..];
    let status = String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned();
    if let Some(rest) = body.strip_prefix(b"asked ") {
        let space = rest.iter().position(|byte| *byte == b' ').unwrap();
        let place = String::from_utf8_lossy(&rest[..space]).into_owned();
        return Outcome::Asked(place, rest[space + 1..].to_vec());
    }
    if let Some(place) = body.strip_prefix(b"answered ") {
        return Outcome::Answered(String::from_utf8_lossy(place).into_owned());
    }
    match &*status {
        "400" => Outcome::Refused,
        "301" => Outcome::Slash,
        "500" => Outcome::Broken,
        _ => Outcome::None,
    }
}

fn ours(locations: &Locations<'_>, target: &[u8]) -> Outcome {
    let Ok(uri) = uri::parse(target, true) else {
        return Outcome::Refused;
    };
    let (location, captures) = match locations.find(&uri.path) {
        Found::None => return Outcome::None,
        Found::Slash(_) => return Outcome::Slash,
        Found::Place(location, captures) => (location, captures),
    };
    let own = |name: &str| {
        location
            .directive
            .children()
            .iter()
            .find(|own| own.is(name))
    };
    if let Some(answer) = own("return") {
        let text = answer.argument(1);
        return Outcome::Answered(text.trim_start_matches("answered ").to_owned());
    }
    let Some(pass) = own("proxy_pass") else {
        return Outcome::None;
    };
    let place = own("proxy_set_header").map(|own| own.argument(1).into_owned());
    let pass = Pass::parse(&pass.arguments()[0].bytes).unwrap();
    match pass.target(location, &uri, |part| value(part, &uri, &captures)) {
        Ok((_, target)) => Outcome::Asked(place.unwrap_or_default(), target),
        Err(_) => Outcome::Broken,
    }
}

/// hubgate's own tables of a server, with the locations that its routes were made from.
struct Runtime<'l, 't> {
    site: Site,
    table: PathTable,
    locations: Vec<&'l Location<'t>>,
}

impl<'l, 't> Runtime<'l, 't> {
    fn new(site: &Site, locations: &'l Locations<'t>) -> Self {
        let mut all = Vec::new();
        in_order(locations, &mut all);
        // One more for what no location is for, where the server has files.
        let rest = site.routes.len() - all.len();
        assert!(rest <= 1, "{}", site.name());
        Self {
            site: site.clone(),
            table: PathTable::of(site),
            locations: all,
        }
    }

    /// What becomes of a request, and whether its target is to be compared.
    fn ours(&self, target: &[u8]) -> (Outcome, bool) {
        let target = origin_form(target);
        let mut seen = None;
        let path = target::path_of(&target).0;
        let index = match self.table.seek(path, &target, &mut seen) {
            RouteMatch::Invalid => return (Outcome::Refused, true),
            RouteMatch::AddSlash(_) => return (Outcome::Slash, true),
            RouteMatch::None => return (Outcome::None, true),
            RouteMatch::Found(index) => index,
        };
        let Some(location) = self.locations.get(index) else {
            return (Outcome::None, true);
        };
        let route = &self.site.routes[index];
        let own = |name: &str| {
            let mut own = location.directive.children().iter();
            own.find(|own| own.is(name))
        };
        if let Some(answer) = own("return") {
            let text = answer.argument(1);
            let text = text.trim_start_matches("answered ").to_owned();
            return (Outcome::Answered(text), true);
        }
        let uri = seen.as_ref().and_then(|seen| seen.uri.as_ref());
        let sent = match &route.rewrite_prefix {
            Some(to) => Rewrite {
                prefix: route.path.as_str().into(),
                replacement: to.clone(),
                normal: true,
            }
            .target(&target, uri),
            None => target,
        };
        let place = own("proxy_set_header").map(|own| own.argument(1).into_owned());
        let word = own("proxy_pass").unwrap().argument(0).into_owned();
        let pass = Pass::parse(word.as_bytes()).unwrap();
        let said = match &pass {
            // The same path again: hubgate forwards what was sent, as the import's advice says.
            Pass::Fixed(address) => Some(&*address.uri) != location.path(),
            // Targets with variables are not those of a table.
            Pass::Variable(_) => word.ends_with("$request_uri"),
        };
        (Outcome::Asked(place.unwrap_or_default(), sent), said)
    }
}

impl Runtime<'_, '_> {
    /// Whether nginx redirects to an exact path whose pass is not carried: what answers 404 asks for no slash.
    fn lost_slash(&self, target: &[u8]) -> bool {
        let Ok(uri) = uri::parse(target, true) else {
            return false;
        };
        let slash = [&*uri.path, b"/"].concat();
        let mut all = self.locations.iter().zip(&self.site.routes);
        all.any(|(location, route)| {
            matches!(location.kind, Kind::Exact(_))
                && location.path() == Some(&slash)
                && location.redirects()
                && route.action.upstream().is_none()
        })
    }
}

fn in_order<'l, 't>(locations: &'l Locations<'t>, all: &mut Vec<&'l Location<'t>>) {
    for location in &locations.list {
        all.push(location);
        in_order(&location.inner, all);
    }
}

/// As a request's target is reduced before its route is looked for.
fn origin_form(target: &[u8]) -> Vec<u8> {
    let Some(rest) = target.strip_prefix(b"http://") else {
        return target.to_vec();
    };
    match rest.iter().position(|byte| matches!(byte, b'/' | b'?')) {
        Some(at) if rest[at] == b'/' => rest[at..].to_vec(),
        Some(at) => [b"/", &rest[at..]].concat(),
        None => b"/".to_vec(),
    }
}

/// Whether two went to the same place; a target that is not said is not compared.
fn same(theirs: &Outcome, ours: &Outcome, said: bool) -> bool {
    match (theirs, ours) {
        (Outcome::Asked(there, _), Outcome::Asked(here, _)) if !said => there == here,
        (Outcome::Broken, Outcome::Asked(..)) => !said,
        _ => theirs == ours,
    }
}

fn value(part: &Part, uri: &Uri, captures: &Captures) -> Vec<u8> {
    match part {
        Part::Group(group) => captures.groups.get(*group).cloned().unwrap_or_default(),
        Part::Variable(name) => match &**name {
            "uri" => uri.path.clone(),
            "request_uri" => uri.raw.clone(),
            "args" => uri.args.clone(),
            "is_args" if uri.args.is_empty() => Vec::new(),
            "is_args" => b"?".to_vec(),
            other => panic!("{other}"),
        },
        Part::Literal(_) => Vec::new(),
    }
}

fn tree(folder: &Path) -> Tree {
    let options = Options {
        globals: String::new(),
        keep_unknown: false,
    };
    read(&Disk, &folder.join("nginx.conf"), &options)
        .unwrap_or_else(|refused| panic!("{}", refused.0))
}

fn start(nginx: &str, folder: &Path, port: u16) -> Nginx {
    let child = Command::new(nginx)
        .args(["-e", "stderr", "-p"])
        .arg(folder)
        .arg("-c")
        .arg(folder.join("nginx.conf"))
        .spawn()
        .unwrap();
    let mut child = Nginx(child);
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(child.0.try_wait().unwrap().is_none(), "nginx ended");
        assert!(Instant::now() < deadline, "nginx does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

#[test]
fn requests_go_where_nginx_sends_them_with_the_target_it_sends() {
    let found = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"];
    let Some(nginx) = found.into_iter().find(|path| Path::new(path).exists()) else {
        eprintln!("no nginx here: nothing to compare with");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    let text = configuration(folder.path(), port, upstream());
    fs::write(folder.path().join("nginx.conf"), &text).unwrap();
    let tree = tree(folder.path());
    let http = tree.directives.iter().find(|own| own.is("http")).unwrap();
    let outer =
        Scope::outermost(Context::Main, &tree.directives).inner(Context::Http, http.children());
    let servers: Vec<&Directive> = http
        .children()
        .iter()
        .filter(|own| own.is("server"))
        .collect();
    let imported = import(&tree);
    let source = Source::new("imported", "/", imported.toml.clone());
    let config = match parse(&source) {
        Ok(loaded) => loaded.config,
        Err(report) => panic!("{report}"),
    };
    let _nginx = start(nginx, folder.path(), port);
    let mut compared = 0;
    let (mut differences, mut kinds) = (Vec::new(), std::collections::BTreeMap::new());
    for (index, server) in servers.iter().enumerate() {
        let scope = outer.inner(Context::Server, server.children());
        let locations = Locations::new(&scope).unwrap();
        let site = config
            .sites
            .iter()
            .find(|site| site.name() == format!("s{index}"));
        let runtime = Runtime::new(site.unwrap(), &locations);
        let mut random = Rng::with_seed(1000 + index as u64);
        for _ in 0..TARGETS {
            let target = target(&mut random);
            let sent =
                String::from_utf8_lossy(&target).replace("//elsewhere", &format!("//s{index}"));
            let (theirs, ours) = (
                theirs(port, index, &target),
                ours(&locations, sent.as_bytes()),
            );
            let kind = format!("{ours:?}");
            let kind = kind.split('(').next().unwrap_or_default().to_owned();
            *kinds.entry(kind).or_insert(0) += 1;
            let (by_hubgate, said) = runtime.ours(sent.as_bytes());
            compared += usize::from(said);
            let lost = theirs == Outcome::Slash && runtime.lost_slash(sent.as_bytes());
            if !same(&theirs, &by_hubgate, said) && !lost {
                let target = String::from_utf8_lossy(&target);
                differences.push(format!(
                    "s{index} {target}\n  nginx:   {theirs:?}\n  hubgate: {by_hubgate:?}"
                ));
            }
            if theirs != ours {
                let target = String::from_utf8_lossy(&target);
                differences.push(format!(
                    "s{index} {target}\n  nginx: {theirs:?}\n  ours:  {ours:?}"
                ));
            }
        }
    }
    eprintln!(
        "{} pairs: {kinds:?}; of hubgate's own tables all places, and {compared} with their targets",
        SERVERS * TARGETS
    );
    if !differences.is_empty() {
        fs::write("/tmp/nginx-places.conf", &text).unwrap();
    }
    assert!(
        differences.is_empty(),
        "{} differences\n{}",
        differences.len(),
        differences
            .iter()
            .take(15)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
}
