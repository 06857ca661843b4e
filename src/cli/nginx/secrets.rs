//! Certificates, keys and what goes with them, tried as `nginx -t` tries them: before the file counts as well written.
//!
//! In OpenSSL's words, which people look up; only what certainly fails there is told here. Names with variables are files
//! of a request, and not tried. Invariant: nothing is kept of what was read.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::words::{self, Fault};
use crate::config::PairFiles;
use crate::config::trust::MOST_BYTES;
use crate::nginx::model::Scope;
use crate::nginx::table::Context;
use crate::nginx::{Directive, Tree};
use crate::tls::pem::{LoadError, Place, certificates, load_files};
use crate::tls::stapling::{Lacking, lacking};

/// Tries all that the servers of `http` and `stream` name; relative names start from `folder`.
///
/// Gives what nginx warns of.
pub(super) fn tried(tree: &Tree, folder: &Path) -> Result<Vec<String>, Fault> {
    let mut warnings = Vec::new();
    passwords(tree, &tree.directives, folder)?;
    for block in &tree.directives {
        let (outer, inner) = match block.is("stream") {
            true => (Context::Stream, Context::StreamServer),
            false => (Context::Http, Context::Server),
        };
        if !block.is("http") && !block.is("stream") {
            continue;
        }
        let outermost = Scope::outermost(outer, block.children());
        for server in block.children().iter().filter(|own| own.is("server")) {
            let scope = outermost.inner(inner, server.children());
            let asks = |own: &Directive| {
                let mut words = own.arguments().iter();
                own.is("listen") && words.any(|word| &*word.bytes == b"ssl")
            };
            // Streams that end no TLS open nothing of it.
            if inner == Context::StreamServer && !server.children().iter().any(asks) {
                continue;
            }
            of_server(&scope, inner == Context::StreamServer, folder)?;
            if scope.flag("ssl_stapling", false) {
                warnings.extend(stapled(&scope, folder)?);
            }
        }
    }
    Ok(warnings)
}

/// What a server's certificates lack for answers of OCSP.
fn stapled(scope: &Scope<'_>, folder: &Path) -> Result<Vec<String>, Fault> {
    if let Some(path) = scope
        .one("ssl_stapling_file")
        .and_then(|own| file(own, folder))
    {
        let tried = fs::File::open(&path);
        return match tried {
            Ok(_) => Ok(Vec::new()),
            Err(error) => {
                // The file is one of bytes, and opened as such.
                let reason = unreadable(&path, &error).replacen(", r)", ", rb)", 1);
                let path = path.display();
                let text = format!("BIO_new_file(\"{path}\") failed ({reason})");
                Err(Fault::emerg(text))
            }
        };
    }
    let all = |path: &Path| {
        let text = read(path).unwrap_or_default();
        certificates(&text, &Place::Memory("certificates")).unwrap_or_default()
    };
    let trusted = ["ssl_trusted_certificate", "ssl_client_certificate"].iter();
    let trusted = trusted.filter_map(|name| file(scope.one(name)?, folder));
    let trusted: Vec<_> = trusted.flat_map(|path| all(&path)).collect();
    let named = scope.one("ssl_stapling_responder").is_some();
    let chains = scope.all("ssl_certificate").into_iter();
    let told = chains.filter_map(|own| {
        let path = file(own, folder)?;
        let what = match lacking(&all(&path), &trusted)? {
            Lacking::Issuer => "issuer certificate not found for certificate",
            Lacking::Responder if named => return None,
            Lacking::Responder => "no OCSP responder URL in the certificate",
        };
        let path = path.display();
        Some(format!("\"ssl_stapling\" ignored, {what} \"{path}\""))
    });
    Ok(told.collect())
}

/// Files of passwords are opened where they are named.
fn passwords(tree: &Tree, directives: &[Directive], folder: &Path) -> Result<(), Fault> {
    for own in directives {
        if own.name().ends_with("ssl_password_file")
            && let Some(path) = file(own, folder)
            && let Err(error) = fs::File::open(&path)
        {
            let (path, place) = (path.display(), tree.show(own.place()));
            let reason = words::system(&error);
            let text = format!("open() \"{path}\" failed ({reason}) in {place}");
            return Err(Fault::emerg(text));
        }
        passwords(tree, own.children(), folder)?;
    }
    Ok(())
}

fn of_server(scope: &Scope<'_>, stream: bool, folder: &Path) -> Result<(), Fault> {
    let certificates = scope.all("ssl_certificate");
    let keys = scope.all("ssl_certificate_key");
    let passwords = scope.one("ssl_password_file");
    if certificates.is_empty() {
        return Ok(());
    }
    for (certificate, key) in certificates.iter().zip(&keys) {
        if let (Some(chain), Some(key)) = (file(certificate, folder), file(key, folder)) {
            let passwords = passwords.and_then(|own| file(own, folder));
            pair(PairFiles {
                chain,
                key,
                passwords,
            })?;
        }
    }
    let asks = scope.one("ssl_verify_client");
    let asks = asks.is_some_and(|own| own.argument(0) != "off");
    for name in [
        "ssl_client_certificate",
        "ssl_trusted_certificate",
        "ssl_crl",
    ] {
        if let Some(own) = scope.one(name)
            // Streams leave alone what nobody is checked by.
            && (asks || !(stream || name == "ssl_client_certificate"))
            && let Some(path) = file(own, folder)
        {
            let call = match name {
                "ssl_crl" => "X509_LOOKUP_load_file",
                _ => "SSL_CTX_load_verify_locations",
            };
            authorities(call, &path)?;
        }
    }
    if let Some(path) = scope.one("ssl_dhparam").and_then(|own| file(own, folder)) {
        let text = read(&path).map_err(|error| {
            let reason = unreadable(&path, &error);
            Fault::emerg(format!(
                "BIO_new_file(\"{}\") failed ({reason})",
                path.display()
            ))
        })?;
        if !has(&text, &["DH PARAMETERS", "X9.42 DH PARAMETERS"]) {
            return Err(Fault::emerg(format!(
                "PEM_read_bio_DHparams(\"{}\") failed (SSL: error:0480006C:PEM routines::no start line:Expecting: DH PARAMETERS)",
                path.display()
            )));
        }
    }
    Ok(())
}

/// The file that a directive names; `None` for what is no file.
fn file(own: &Directive, folder: &Path) -> Option<PathBuf> {
    let name = own.argument(0);
    let other = name.is_empty() || name.contains('$');
    let elsewhere = name.starts_with("data:") || name.starts_with("engine:");
    (!other && !elsewhere).then(|| folder.join(&*name))
}

fn pair(files: PairFiles) -> Result<(), Fault> {
    let (chain, key) = (files.chain.display(), files.key.display());
    let cannot = |kind: &str, path: &dyn std::fmt::Display, reason: String| {
        Err(Fault::emerg(format!(
            "cannot load {kind} \"{path}\": {reason}"
        )))
    };
    for (kind, path) in [
        ("certificate", &files.chain),
        ("certificate key", &files.key),
    ] {
        let text = match read(path) {
            Ok(text) => text,
            Err(error) => {
                let reason = format!("BIO_new_file() failed ({})", unreadable(path, &error));
                return cannot(kind, &path.display(), reason);
            }
        };
        if kind == "certificate" && !has(&text, &["CERTIFICATE"]) {
            let reason = "PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE)";
            return cannot(kind, &chain, reason.to_owned());
        }
        if kind == "certificate key" && !has(&text, &["PRIVATE KEY"]) {
            let reason = "PEM_read_bio_PrivateKey() failed (SSL: error:1E08010C:DECODER routines::unsupported:No supported data to decode. Input type: PEM)";
            return cannot(kind, &key, reason.to_owned());
        }
    }
    match load_files(&files) {
        Err(LoadError::Password { .. }) => {
            let reason = "PEM_read_bio_PrivateKey() failed (SSL: error:1C800064:Provider routines::bad decrypt error:04800065:PEM routines::bad decrypt)";
            cannot("certificate key", &key, reason.to_owned())
        }
        Err(LoadError::Mismatch { .. }) => Err(Fault::emerg(format!(
            "SSL_CTX_use_PrivateKey(\"{key}\") failed (SSL: error:05800074:x509 certificate routines::key values mismatch)"
        ))),
        // What hubgate alone refuses is told in its words, when all is read.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn authorities(call: &str, path: &Path) -> Result<(), Fault> {
    let failed = |reason: String| {
        let path = path.display();
        Err(Fault::emerg(format!(
            "{call}(\"{path}\") failed ({reason})"
        )))
    };
    match read(path) {
        Err(error) => failed(format!(
            "{} error:05880002:x509 certificate routines::system lib",
            unreadable(path, &error)
        )),
        Ok(text) if !has(&text, &["CERTIFICATE", "X509 CRL"]) => failed(
            "SSL: error:05800088:x509 certificate routines::no certificate or crl found".to_owned(),
        ),
        Ok(_) => Ok(()),
    }
}

/// A file's text, as much of it as is looked at; a folder has none.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match fs::File::open(path)?
        .take(MOST_BYTES)
        .read_to_end(&mut text)
    {
        Err(error) if error.kind() != io::ErrorKind::IsADirectory => Err(error),
        _ => Ok(text),
    }
}

/// Whether it holds PEM of one of these kinds.
fn has(text: &[u8], kinds: &[&str]) -> bool {
    let text = String::from_utf8_lossy(text);
    let mut begins = text.split("-----BEGIN ").skip(1);
    begins.any(|rest| {
        let label = rest.split("-----").next().unwrap_or_default();
        kinds.iter().any(|kind| label.ends_with(kind))
    })
}

/// As OpenSSL says that a file cannot be opened, with its parenthesis still open.
fn unreadable(path: &Path, error: &io::Error) -> String {
    let code = error.raw_os_error().unwrap_or_default();
    let after = match error.kind() {
        io::ErrorKind::NotFound => "10000080:BIO routines::no such file",
        _ => "10080002:BIO routines::system lib",
    };
    let (path, reason) = (path.display(), words::system(error));
    let reason = reason.split_once(": ").map_or(&*reason, |(_, words)| words);
    format!(
        "SSL: error:8{code:07X}:system library::{reason}:calling fopen({path}, r) error:{after}"
    )
}
