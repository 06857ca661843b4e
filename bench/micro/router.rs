//! Site and route of a request, by the number of hosts and routes; making the tables of a reload.

use std::fmt::Write as _;

use divan::{Bencher, black_box};
use hubgate::config::{self, Config, Source};
use hubgate::router::{PathTable, Router};
use hubgate::types::host::Host;

const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// Has no divisor in common with any of the sizes, so that each one has its turn.
const STEP: usize = 7919;

/// So many sites with so many routes each.
fn configuration(sites: usize, routes: usize) -> Config {
    let mut text = "[upstream.hub]\nendpoints = [\"127.0.0.1:8000\"]\n".to_owned();
    for site in 0..sites {
        writeln!(
            text,
            "[site.\"h{site}.example.org\"]\ncertificate = \"none\""
        )
        .unwrap();
        for route in 0..routes {
            writeln!(
                text,
                "[[site.\"h{site}.example.org\".route]]\npath = \"/user/{route}/\"\nupstream = \"hub\""
            )
            .unwrap();
        }
    }
    config::parse(&Source::new("bench.toml", "/", text))
        .unwrap()
        .config
}

#[divan::bench(args = SIZES)]
fn site_of_a_host(bencher: Bencher<'_, '_>, sites: usize) {
    let router = Router::compile(&configuration(sites, 1));
    let hosts: Vec<Host> = (0..sites)
        .map(|site| Host::parse(&format!("h{site}.example.org")).unwrap())
        .collect();
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + STEP) % sites;
        router.site(black_box(&hosts[at]))
    });
}

#[divan::bench(args = SIZES)]
fn route_of_a_path(bencher: Bencher<'_, '_>, routes: usize) {
    let config = configuration(1, routes);
    let table = PathTable::new(config.sites[0].routes.iter().map(|route| &route.path));
    let paths: Vec<String> = (0..routes)
        .map(|route| format!("/user/{route}/api/contents/notebook.ipynb"))
        .collect();
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + STEP) % routes;
        table.find(black_box(paths[at].as_bytes()))
    });
}

#[divan::bench]
fn host_from_its_field() -> Host {
    Host::parse(black_box("Hub.Example.org")).unwrap()
}

#[divan::bench(args = SIZES)]
fn compile_sites(bencher: Bencher<'_, '_>, sites: usize) {
    let config = configuration(sites, 1);
    bencher.bench_local(|| Router::compile(black_box(&config)));
}

#[divan::bench(args = SIZES)]
fn diff_of_a_reload(bencher: Bencher<'_, '_>, sites: usize) {
    let old = configuration(sites, 1);
    let mut new = old.clone();
    new.sites.pop();
    bencher.bench_local(|| config::diff(black_box(&old), black_box(&new)));
}
