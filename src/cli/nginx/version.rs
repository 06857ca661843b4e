//! `nginx -v`, `-V` and `-h`: what this is, and which of nginx's modules it stands for.
//!
//! A module counts as built in when its leading directive is not lost; the table of directives decides, so that this
//! says no more than what is done. The version is the one whose configuration is understood.

use super::options::{ERROR_LOG, FILE, Options, PREFIX};
use crate::nginx::UNDERSTOOD as VERSION;
use crate::nginx::import::PID;
use crate::nginx::table::{self, Fate};

/// Modules that nginx has unless it is built without, each with the directive that leads it.
const USUAL: &[(&str, &str)] = &[
    ("http_charset_module", "charset"),
    ("http_gzip_module", "gzip"),
    ("http_ssi_module", "ssi"),
    ("http_userid_module", "userid"),
    ("http_access_module", "allow"),
    ("http_auth_basic_module", "auth_basic"),
    ("http_mirror_module", "mirror"),
    ("http_autoindex_module", "autoindex"),
    ("http_geo_module", "geo"),
    ("http_map_module", "map"),
    ("http_split_clients_module", "split_clients"),
    ("http_referer_module", "valid_referers"),
    ("http_rewrite_module", "rewrite"),
    ("http_proxy_module", "proxy_pass"),
    ("http_fastcgi_module", "fastcgi_pass"),
    ("http_uwsgi_module", "uwsgi_pass"),
    ("http_scgi_module", "scgi_pass"),
    ("http_grpc_module", "grpc_pass"),
    ("http_memcached_module", "memcached_pass"),
    ("http_limit_conn_module", "limit_conn"),
    ("http_limit_req_module", "limit_req"),
    ("http_empty_gif_module", "empty_gif"),
    ("http_browser_module", "ancient_browser"),
    ("http_upstream_hash_module", "hash"),
    ("http_upstream_ip_hash_module", "ip_hash"),
    ("http_upstream_least_conn_module", "least_conn"),
    ("http_upstream_random_module", "random"),
    ("http_upstream_keepalive_module", "keepalive"),
    ("http_upstream_zone_module", "zone"),
    ("http-cache", "proxy_cache"),
    ("stream_access_module", "stream allow"),
    ("stream_geo_module", "stream geo"),
    ("stream_limit_conn_module", "stream limit_conn"),
    ("stream_map_module", "stream map"),
    ("stream_return_module", "stream return"),
    ("stream_set_module", "stream set"),
    ("stream_split_clients_module", "stream split_clients"),
    ("stream_upstream_hash_module", "stream hash"),
    ("stream_upstream_least_conn_module", "stream least_conn"),
    ("stream_upstream_random_module", "stream random"),
    ("stream_upstream_zone_module", "stream zone"),
    ("mail_pop3_module", "pop3_auth"),
    ("mail_imap_module", "imap_auth"),
    ("mail_smtp_module", "smtp_auth"),
];

/// Modules that nginx has when it is built with them.
const WISHED: &[(&str, &str)] = &[
    ("http_ssl_module", "ssl_certificate"),
    ("http_v2_module", "http2_max_concurrent_streams"),
    ("http_stub_status_module", "stub_status"),
    ("http_realip_module", "set_real_ip_from"),
    ("http_auth_request_module", "auth_request"),
    ("http_addition_module", "add_before_body"),
    ("http_dav_module", "dav_methods"),
    ("http_flv_module", "flv"),
    ("http_geoip_module", "geoip_country"),
    ("http_gunzip_module", "gunzip"),
    ("http_gzip_static_module", "gzip_static"),
    ("http_image_filter_module", "image_filter"),
    ("http_mp4_module", "mp4"),
    ("http_perl_module", "perl"),
    ("http_random_index_module", "random_index"),
    ("http_secure_link_module", "secure_link"),
    ("http_slice_module", "slice"),
    ("http_sub_module", "sub_filter"),
    ("http_xslt_module", "xslt_stylesheet"),
    ("mail", "mail"),
    ("stream", "stream"),
    ("stream_ssl_module", "stream ssl_certificate"),
    ("stream_realip_module", "stream set_real_ip_from"),
    ("stream_ssl_preread_module", "stream ssl_preread"),
];

/// What the options ask to be told.
pub(super) fn text(options: &Options) -> String {
    let own = env!("CARGO_PKG_VERSION");
    let mut out = format!("nginx version: nginx/{VERSION} (hubgate {own})\n");
    if options.help {
        out.push_str(&help());
    }
    if options.configure {
        let words = configure();
        out.push_str(&format!(
            "built by rustc, with rustls and aws-lc\nTLS SNI support enabled\nconfigure arguments: {words}\n"
        ));
    }
    out
}

/// As words of nginx's `configure`.
fn configure() -> String {
    let mut words = vec![
        format!("--prefix={}", PREFIX.trim_end_matches('/')),
        format!("--conf-path={FILE}"),
        "--http-log-path=/var/log/nginx/access.log".to_owned(),
        format!("--error-log-path={ERROR_LOG}"),
        format!("--pid-path={PID}"),
    ];
    let wished = WISHED.iter().filter(|(_, leads)| is_there(leads));
    words.extend(wished.map(|(module, _)| format!("--with-{module}")));
    let usual = USUAL.iter().filter(|(_, leads)| !is_there(leads));
    words.extend(usual.map(|(module, _)| format!("--without-{module}")));
    words.join(" ")
}

/// Whether a directive is carried over or done without, of `stream` where the word comes first.
fn is_there(leads: &str) -> bool {
    let (name, stream) = match leads.split_once(' ') {
        Some((_, name)) => (name, true),
        None => (leads, false),
    };
    table::rules(name).any(|rule| {
        let of_stream = rule
            .contexts
            .iter()
            .any(|own| own.as_str().starts_with("stream"));
        of_stream == stream && !matches!(rule.fate, Fate::Lost(_))
    }) || (leads == "stream"
        && table::rules("stream").any(|rule| matches!(rule.fate, Fate::Carried(_))))
}

fn help() -> String {
    format!(
        "\
Usage: nginx [-?hvVtTq] [-s signal] [-p prefix]
             [-e filename] [-c filename] [-g directives]

Options:
  -?,-h         : this help
  -v            : show version and exit
  -V            : show version and configure options then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to a master process: stop, quit, reopen, reload
  -p prefix     : set prefix path (default: {PREFIX})
  -e filename   : set error log file (default: {ERROR_LOG})
  -c filename   : set configuration file (default: {FILE})
  -g directives : set global directives out of configuration file

"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_declared_as_the_table_of_directives_says() {
        let words = configure();
        for word in [
            "--with-http_ssl_module",
            "--with-stream",
            "--without-http_fastcgi_module",
            "--without-http-cache",
            "--without-mail_smtp_module",
        ] {
            assert!(words.split(' ').any(|own| own == word), "{word}: {words}");
        }
        for module in ["http_proxy", "http_upstream_random", "http_upstream_zone"] {
            assert!(!words.contains(&format!("--without-{module}_module")));
        }
        assert!(!words.contains("--with-mail "));
    }

    #[test]
    fn each_leading_directive_is_one_that_nginx_has() {
        for (module, leads) in USUAL.iter().chain(WISHED) {
            let name = leads.split(' ').next_back().unwrap_or_default();
            assert!(table::rules(name).next().is_some(), "{module}: {name}");
        }
    }
}
