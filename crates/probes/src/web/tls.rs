//! TLS: a verifier that remembers its verdict instead of hanging up, so that the rest can be told.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::answer::Certificate;
use super::certificate::timestamp;
use super::trust::Roots;

/// A configuration for one connection, and where its verdict will be found.
pub(super) fn connection(roots: &Roots) -> Result<(ClientConfig, Arc<Recorder>), Error> {
    let recorder = Arc::new(Recorder {
        roots: roots.clone(),
        seen: Mutex::new(None),
    });
    let verifier: Arc<dyn ServerCertVerifier> = Arc::<Recorder>::clone(&recorder);
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&roots.provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Each check sees the whole handshake, and the certificate with it.
    config.resumption = Resumption::disabled();
    Ok((config, recorder))
}

/// Judges like webpki, but lets the handshake go on. The signatures of the handshake are verified:
/// the server does own the key of what it shows.
#[derive(Debug)]
pub(super) struct Recorder {
    roots: Roots,
    seen: Mutex<Option<Certificate>>,
}

impl Recorder {
    /// The certificate that was shown; `None` when none was, or it can't be read.
    pub(super) fn certificate(&self) -> Option<Certificate> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.take()
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
        let shown: Vec<_> = std::iter::once(end_entity)
            .chain(intermediates)
            .cloned()
            .collect();
        let now = timestamp(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        let read = self.roots.read(&shown, server_name, now);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = read;
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
