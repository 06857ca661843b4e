//! `docs/nginx.md` says what the program's table of nginx's directives says.
//!
//! `HUBGATE_BLESS=1` writes it anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

#[test]
fn the_document_of_nginxs_directives_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/nginx.md");
    let fresh = hubgate::nginx::document();
    if std::env::var_os("HUBGATE_BLESS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        kept, fresh,
        "run `HUBGATE_BLESS=1 cargo test --test nginx_document`"
    );
}
