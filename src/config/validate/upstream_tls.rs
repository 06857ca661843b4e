//! TLS to an upstream: a name to verify, files that go together, and a word about what is given up.
//!
//! Whether the files hold what they should is found out when the configuration is loaded for running.

use crate::config::connection::{ServerName, UpstreamTls};
use crate::config::diagnostic::Diagnostic;
use crate::config::schema::reader::{At, Context};
use crate::config::schema::upstream_tls::Tls as Typed;
use crate::config::tls::{PairFiles, TlsVersion};
use crate::types::host::Host;

/// Stands for each endpoint's own address.
const ENDPOINT: &str = "endpoint";

/// Checks the `tls` of the upstream called `name`.
pub(super) fn check(typed: Typed, name: &str, context: Context<'_>) -> Option<UpstreamTls> {
    let verify = typed.verify.as_ref()?;
    if let (Some(None), Some([first, ..])) = (&typed.depth, typed.crl_files.as_deref()) {
        let message = "`crl_files` go with `depth`";
        return context.sink.refuse(Diagnostic::error(
            "crl-without-depth",
            first.span.clone(),
            message,
        ));
    }
    let client = client(&typed, context);
    suites(&typed, context)?;
    let server_name = match typed.server_name? {
        Some(text) => server_name(&text, context),
        None if !verify.value => Some(ServerName::Endpoint),
        None => {
            let message =
                format!("upstream `{name}` is reached by TLS, but there is no name to verify");
            context.sink.refuse(
                Diagnostic::error("tls-without-name", typed.span.clone(), message)
                    .label("needs `server_name`")
                    .hint("as in `tls = { server_name = \"hub.internal\" }`: a name in the certificates of the endpoints; \"endpoint\" when they name their own addresses"),
            )
        }
    };
    let ca_file = typed.ca_file?;
    if !verify.value {
        context.sink.push(
            Diagnostic::warning(
                "unverified-tls",
                verify.span.clone(),
                format!("upstream `{name}` is not verified: whoever answers at its addresses reads and writes everything"),
            )
            .hint("give the roots of a private authority, or a self-signed certificate itself, as `ca_file`"),
        );
        if let Some(file) = &ca_file {
            let message = "`ca_file` is not used, because `verify` is false";
            context.sink.push(Diagnostic::warning(
                "unused-ca-file",
                file.span.clone(),
                message,
            ));
        }
    }
    Some(UpstreamTls {
        server_name: server_name?,
        ca_file: ca_file.map(|file| file.value),
        client: client?,
        verify: verify.value,
        says_name: typed.says_name?.value,
        depth: typed.depth?.map(|depth| depth.value),
        crl_files: typed
            .crl_files?
            .into_iter()
            .map(|file| file.value)
            .collect(),
        version: typed.version?.map(|version| version.value),
        cipher_suites: typed
            .cipher_suites?
            .into_iter()
            .flatten()
            .map(|suite| suite.value)
            .collect(),
    })
}

fn server_name(text: &At<String>, context: Context<'_>) -> Option<ServerName> {
    if text.value == ENDPOINT {
        return Some(ServerName::Endpoint);
    }
    let host = Host::parse(&text.value).ok();
    // Names in certificates are stricter than names in DNS.
    let host = host.filter(|host| rustls::pki_types::ServerName::try_from(host.as_str()).is_ok());
    if host.is_some() {
        return host.map(ServerName::Fixed);
    }
    let message = format!("`{}` is not a name that a certificate can have", text.value);
    context.sink.refuse(
        Diagnostic::error("bad-server-name", text.span.clone(), message).hint(
            "a host as in `hub.internal`, without scheme and port; an IP address; or \"endpoint\"",
        ),
    )
}

/// Some suite is left for the versions that are spoken.
fn suites(typed: &Typed, context: Context<'_>) -> Option<()> {
    let version = typed
        .version
        .as_ref()?
        .as_ref()
        .map(|version| version.value);
    let Some(suites @ [first, ..]) = typed.cipher_suites.as_ref()?.as_deref() else {
        return Some(());
    };
    let mut spoken = suites.iter().map(|suite| suite.value.version());
    if spoken.any(|one| version.is_none_or(|version| one == version)) {
        return Some(());
    }
    let version = version.map_or("", TlsVersion::as_str);
    let message = format!("`cipher_suites` leave nothing for TLS {version}, the only `version`");
    let fault = Diagnostic::error("nothing-in-common", first.span.clone(), message);
    context.sink.refuse(fault)
}

fn client(typed: &Typed, context: Context<'_>) -> Option<Option<PairFiles>> {
    let half = |there: &At<std::path::PathBuf>, key: &str, other: &str| {
        let message = format!("`{key}` goes with `{other}`");
        Diagnostic::error("half-a-pair", there.span.clone(), message)
            .hint("a certificate and its key may be in one file; then name it twice")
    };
    let passwords = typed.client_passwords.as_ref()?;
    if let (Some(passwords), None) = (passwords, typed.client_key.as_ref()?) {
        let fault = half(passwords, "client_passwords", "client_key");
        return context.sink.refuse(fault);
    }
    match (
        typed.client_certificate.as_ref()?,
        typed.client_key.as_ref()?,
    ) {
        (Some(chain), Some(key)) => Some(Some(PairFiles {
            chain: chain.value.clone(),
            key: key.value.clone(),
            passwords: passwords.as_ref().map(|file| file.value.clone()),
        })),
        (None, None) => Some(None),
        (Some(chain), None) => context
            .sink
            .refuse(half(chain, "client_certificate", "client_key")),
        (None, Some(key)) => context
            .sink
            .refuse(half(key, "client_key", "client_certificate")),
    }
}
