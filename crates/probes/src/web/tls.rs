//! TLS: a verifier that remembers its verdict instead of hanging up, so that the rest can be told.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::answer::Certificate;
use super::headers::{VALUE_CHARS, printable};
use crate::{ProbeError, ProbeErrorKind};

/// Names of a certificate that are told.
const MAX_NAMES: usize = 20;
/// Certificates of a chain that are told.
const MAX_CHAIN: usize = 10;

/// The authorities that are trusted.
#[derive(Debug, Clone)]
pub(super) struct Roots {
    provider: Arc<CryptoProvider>,
    /// `None` when not one authority is known: then no certificate is valid.
    webpki: Option<Arc<WebPkiServerVerifier>>,
}

impl Roots {
    /// The system's authorities, and those of a PEM. A system without any is only logged.
    pub(super) fn load(extra_pem: Option<&[u8]>) -> Result<Self, ProbeError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut store = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in native.errors {
            tracing::warn!(%error, "some of the system's certificate authorities can't be read");
        }
        store.add_parsable_certificates(native.certs);
        if let Some(pem) = extra_pem {
            let wrong = |what: &str| {
                ProbeError::new(
                    ProbeErrorKind::Unsupported,
                    format!("the file of extra certificate authorities {what}"),
                    "give the CA's certificate as PEM (`-----BEGIN CERTIFICATE-----`)",
                )
            };
            let before = store.len();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate
                    .map_err(|error| wrong("holds no readable PEM").because(error.to_string()))?;
                store.add(certificate).map_err(|error| {
                    wrong("holds a certificate that is no authority").because(error)
                })?;
            }
            if store.len() == before {
                return Err(wrong("holds no certificate"));
            }
        }
        let webpki = if store.is_empty() {
            tracing::warn!("no certificate authorities found: no https:// address will be valid");
            None
        } else {
            let roots = Arc::new(store);
            let built =
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            Some(built.map_err(|error| {
                ProbeError::new(
                    ProbeErrorKind::Failed,
                    "the certificate authorities can't be used",
                    "look at the cause in the log",
                )
                .because(error)
            })?)
        };
        Ok(Self { provider, webpki })
    }

    /// A configuration for one connection, and where its verdict will be found.
    pub(super) fn connection(&self) -> Result<(ClientConfig, Arc<Recorder>), Error> {
        let recorder = Arc::new(Recorder {
            roots: self.clone(),
            seen: Mutex::new(None),
        });
        let verifier: Arc<dyn ServerCertVerifier> = Arc::<Recorder>::clone(&recorder);
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Each check sees the whole handshake, and the certificate with it.
        config.resumption = Resumption::disabled();
        Ok((config, recorder))
    }

    /// Everything that is wrong with this certificate for this name now; empty when it is valid.
    fn faults(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Vec<String> {
        let mut faults = Vec::new();
        let parsed = X509Certificate::from_der(leaf).ok().map(|(_, x509)| x509);
        // Age and name are looked at apart, because webpki stops at the first fault.
        let mut at = now;
        if let Some(x509) = &parsed {
            let (from, until) = validity(x509);
            let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            if seconds > until {
                faults.push(format!("expired {} ago", span(seconds - until)));
                at = moment(until);
            } else if seconds < from {
                faults.push(format!("is not valid for another {}", span(from - seconds)));
                at = moment(from);
            }
        }
        let other_names = ParsedCertificate::try_from(leaf)
            .is_ok_and(|leaf| verify_server_name(&leaf, name).is_err());
        if other_names {
            faults.push(match parsed.as_ref().map(names) {
                Some(names) if !names.is_empty() => {
                    let some: Vec<_> = names.iter().take(3).map(String::as_str).collect();
                    let more = if names.len() > 3 { ", …" } else { "" };
                    format!("is for other names ({}{more})", some.join(", "))
                }
                _ => "is for other names".to_owned(),
            });
        }
        let Some(webpki) = &self.webpki else {
            faults.push("can't be judged: the bot knows no certificate authorities".to_owned());
            return faults;
        };
        let verdict = webpki.verify_server_cert(leaf, chain, name, &[], at);
        let Err(Error::InvalidCertificate(error)) = verdict else {
            if let Err(error) = verdict {
                faults.push(printable(&error.to_string(), VALUE_CHARS));
            }
            return faults;
        };
        use CertificateError as E;
        match error {
            E::NotValidForName | E::NotValidForNameContext { .. } if other_names => {}
            // Of the leaf it is told above; then a later moment within the chain is no news.
            E::Expired
            | E::ExpiredContext { .. }
            | E::NotValidYet
            | E::NotValidYetContext { .. } => {
                if faults.is_empty() {
                    faults.push("is signed by a certificate that is out of date".to_owned());
                }
            }
            E::Revoked => faults.push("was revoked".to_owned()),
            _ if parsed.as_ref().is_some_and(is_self_signed) => {
                faults.push("is self-signed".to_owned());
            }
            E::UnknownIssuer => {
                let by = parsed
                    .as_ref()
                    .map(|x509| printable(&x509.issuer().to_string(), 80));
                faults.push(match by {
                    Some(by) => format!("is signed by an unknown authority ({by})"),
                    None => "is signed by an unknown authority".to_owned(),
                });
            }
            E::BadSignature => {
                faults.push("is not really signed by the authority it names".to_owned());
            }
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
                faults.push("is not meant for a server".to_owned());
            }
            other => faults.push(printable(&other.to_string(), VALUE_CHARS)),
        }
        faults
    }
}

/// What a server showed.
#[derive(Debug)]
struct Seen {
    chain: Vec<CertificateDer<'static>>,
    faults: Vec<String>,
}

/// Judges like webpki, but lets the handshake go on. The signatures of the handshake are verified:
/// the server does own the key of what it shows.
#[derive(Debug)]
pub(super) struct Recorder {
    roots: Roots,
    seen: Mutex<Option<Seen>>,
}

impl Recorder {
    /// The certificate that was shown; `None` when none was, or it can't be read.
    pub(super) fn certificate(&self, now: Timestamp) -> Option<Certificate> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.as_ref()?;
        let (_, leaf) = X509Certificate::from_der(seen.chain.first()?).ok()?;
        let (from, until) = validity(&leaf);
        let mut names = names(&leaf);
        names.truncate(MAX_NAMES);
        Some(Certificate {
            subject: printable(&leaf.subject().to_string(), VALUE_CHARS),
            issuer: printable(&leaf.issuer().to_string(), VALUE_CHARS),
            names,
            not_before: timestamp(from),
            not_after: timestamp(until),
            days_left: until.saturating_sub(now.as_second()).div_euclid(86_400),
            valid: seen.faults.is_empty(),
            problem: (!seen.faults.is_empty()).then(|| seen.faults.join("; ")),
            chain: seen
                .chain
                .iter()
                .take(MAX_CHAIN)
                .map(|der| match X509Certificate::from_der(der) {
                    Ok((_, x509)) => printable(&x509.subject().to_string(), VALUE_CHARS),
                    Err(_) => "(unreadable)".to_owned(),
                })
                .collect(),
            tls_version: String::new(),
            cipher: String::new(),
        })
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let faults = self
            .roots
            .faults(end_entity, intermediates, server_name, now);
        let chain = std::iter::once(end_entity)
            .chain(intermediates)
            .take(MAX_CHAIN)
            .map(|der| der.clone().into_owned())
            .collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Seen { chain, faults });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.roots.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.roots.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.roots.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// Until when the first certificate of a PEM file, or a single one in DER, is good; `None`: it can't be
/// read.
pub fn good_until(certificate: &[u8]) -> Option<Timestamp> {
    let pem = CertificateDer::from_pem_slice(certificate).ok();
    let der = pem.as_deref().unwrap_or(certificate);
    let (_, x509) = X509Certificate::from_der(der).ok()?;
    Some(timestamp(validity(&x509).1))
}

fn is_self_signed(x509: &X509Certificate<'_>) -> bool {
    x509.subject().as_raw() == x509.issuer().as_raw()
}

/// Good from and until, seconds since 1970.
fn validity(x509: &X509Certificate<'_>) -> (i64, i64) {
    let validity = x509.validity();
    (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    )
}

fn moment(seconds: i64) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        u64::try_from(seconds).unwrap_or(0),
    ))
}

/// A date beyond what jiff knows is told as the last that it knows.
fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// Host names and addresses of a certificate.
fn names(x509: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternatives)) = x509.subject_alternative_name() else {
        return Vec::new();
    };
    alternatives
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(printable(name, VALUE_CHARS)),
            GeneralName::IPAddress(bytes) => {
                let ip = if let Ok(v4) = <[u8; 4]>::try_from(*bytes) {
                    IpAddr::from(v4)
                } else {
                    IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?)
                };
                Some(ip.to_string())
            }
            _ => None,
        })
        .collect()
}

/// A length of time in its greatest unit: `3 days`, `1 hour`, `20 minutes`.
fn span(seconds: i64) -> String {
    let (number, unit) = match seconds {
        86_400.. => (seconds / 86_400, "day"),
        3_600.. => (seconds / 3_600, "hour"),
        _ => (seconds / 60, "minute"),
    };
    treasury_domain::counted(number, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_told_in_its_greatest_unit() {
        for (seconds, text) in [
            (86_400 * 3 + 5, "3 days"),
            (86_400, "1 day"),
            (7_200, "2 hours"),
            (60, "1 minute"),
            (5, "0 minutes"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn extra_authorities_have_to_be_readable() {
        assert!(Roots::load(None).is_ok(), "a bare system is no error");
        for bad in [
            "",
            "no pem at all",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let error = Roots::load(Some(bad.as_bytes())).expect_err(bad);
            assert!(error.to_string().contains("extra certificate"), "{error}");
        }
    }
}
