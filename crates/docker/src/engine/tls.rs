//! TLS to an engine: who is trusted, what is shown, and what a refused handshake means.
//!
//! Bollard's own TLS adds the system's authorities to the one that is named and reads the key anew
//! at each handshake; here the named authority is the only one, as for `docker --tlsverify`.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bollard::BollardRequest;
use bollard::errors::Error;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::address::{Address, Identity, Tls};
use super::error::{Result, unsupported};

/// How long the connection itself may take to be made.
const CONNECT: Duration = Duration::from_secs(4);

/// A client that speaks TLS to this host and port.
pub fn client(
    address: &Address,
    authority: &str,
    tls: &Tls,
    seconds: u64,
) -> Result<bollard::Docker> {
    let config = config(tls).map_err(|why| {
        unsupported(format!(
            "the TLS files of the engine at {} can't be used: {why}. Fix them beside {}",
            address.host, address.setting
        ))
    })?;
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT));
    let mut builder = Client::builder(TokioExecutor::new());
    // A connection for each call, as bollard's own clients do: none is found dead.
    builder.pool_max_idle_per_host(0);
    let client = Arc::new(builder.build(HttpsConnector::from((http, config))));
    let transport = move |request: BollardRequest| {
        let client = Arc::clone(&client);
        async move { client.request(request).await.map_err(Error::from) }
    };
    let url = format!("https://{authority}");
    let version = bollard::API_DEFAULT_VERSION;
    bollard::Docker::connect_with_custom_transport(transport, Some(url), seconds, version)
        .map_err(|error| unsupported(error.to_string()))
}

/// What rustls needs to know, or what is wrong with the files.
fn config(tls: &Tls) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    if let Some(pem) = &tls.ca {
        for certificate in certificates(pem).map_err(|why| format!("ca_file {why}"))? {
            let added = roots.add(certificate);
            added.map_err(|error| format!("ca_file holds no authority: {error}"))?;
        }
    } else {
        let native = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(native.certs);
        if roots.is_empty() {
            return Err("the system has no authorities: set ca_file".to_owned());
        }
    }
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let Some(Identity { certificate, key }) = &tls.identity else {
        return Ok(config.with_no_client_auth());
    };
    let chain = certificates(certificate).map_err(|why| format!("cert_file {why}"))?;
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes())
        .map_err(|_| "key_file holds no private key in PEM without a password".to_owned())?;
    config
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("cert_file and key_file don't fit together: {error}"))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err("holds no certificate in PEM".to_owned()),
    }
}

/// What a failed call over TLS means for the operator, if it is TLS that failed.
pub fn hint(error: &(dyn StdError + 'static), address: &Address, tls: &Tls) -> Option<String> {
    let said = match find_error::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(why)) => refused_by_us(why, tls),
        Some(rustls::Error::AlertReceived(alert)) => refused_by_engine(*alert, tls),
        Some(rustls::Error::InvalidMessage(_)) => {
            "it speaks no TLS there: write tcp:// without TLS files, or start it with --tlsverify"
                .to_owned()
        }
        Some(other) => format!("the TLS handshake failed: {other}"),
        // The engine hangs up on a client without a certificate, sometimes before it has said why.
        None if tls.identity.is_none() && is_cut(error) => {
            "it hung up during the handshake; it may want a client certificate: set cert_file and \
             key_file"
                .to_owned()
        }
        None => return None,
    };
    let Address { host, setting, .. } = address;
    Some(format!("{said}. The engine is at {host}, see {setting}"))
}

/// The bot does not believe the engine.
fn refused_by_us(why: &CertificateError, tls: &Tls) -> String {
    use CertificateError as E;
    let text = match why {
        E::Expired | E::ExpiredContext { .. } => {
            "its certificate has expired: renew it on the engine's host and restart the engine"
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "its certificate is not valid yet: compare the clocks of both hosts"
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            "its certificate is for other names: write the host as the certificate names it, or \
             have it made anew with this name or address as subjectAltName"
        }
        E::UnknownIssuer if tls.ca.is_some() => {
            "its certificate was signed by another authority than that in ca_file: take the ca.pem \
             that it was made with, and if that is so, somebody else answers there"
        }
        E::UnknownIssuer => {
            "its certificate was signed by an authority that this system does not know: set ca_file"
        }
        other => return format!("its certificate is not accepted: {other}"),
    };
    text.to_owned()
}

/// The engine does not believe the bot.
fn refused_by_engine(alert: AlertDescription, tls: &Tls) -> String {
    let Some(identity) = &tls.identity else {
        return "it wants a client certificate: set cert_file and key_file".to_owned();
    };
    if let Some(expired) = expired(&identity.certificate) {
        return format!("the bot's own certificate (cert_file) expired {expired}: renew it");
    }
    format!(
        "it does not accept the bot's certificate ({alert:?}): cert_file must be a client \
         certificate that the authority in the engine's --tlscacert has signed"
    )
}

/// When this certificate expired, if it did.
fn expired(pem: &[u8]) -> Option<String> {
    let first = CertificateDer::from_pem_slice(pem).ok()?;
    let (_, certificate) = X509Certificate::from_der(&first).ok()?;
    let until = certificate.validity().not_after;
    let until = jiff::Timestamp::from_second(until.timestamp()).ok()?;
    (until < jiff::Timestamp::now()).then(|| format!("at {until}"))
}

/// The connection was there and ended.
fn is_cut(error: &(dyn StdError + 'static)) -> bool {
    use io::ErrorKind as K;
    let kind = find_error(error).map(io::Error::kind);
    matches!(
        kind,
        Some(K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof)
    )
}

/// The first error of this type among an error and its causes.
pub fn find_error<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        // `io::Error` shows the source of what it holds as its own.
        let held = error.downcast_ref().and_then(io::Error::get_ref);
        let found = error.downcast_ref().or_else(|| find_error(held?));
        if found.is_some() {
            return found;
        }
        next = error.source();
    }
    None
}
