//! Whom the bot trusts, and whether what a server shows leads there.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::ParsedCertificate;
use webpki::{EndEntityCert, Error, KeyUsage, VerifiedPath, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS;

use super::answer::Certificate;
use super::certificate::{
    is_for_servers, is_self_signed, names, parsed, span, subject, timestamp, validity,
};
use super::headers::{VALUE_CHARS, printable};
use crate::{ProbeError, ProbeErrorKind};

/// Names of a certificate that are told.
const MAX_NAMES: usize = 20;
/// Certificates of a chain that are told.
const MAX_CHAIN: usize = 10;

/// The authorities that are trusted.
#[derive(Debug, Clone)]
pub(super) struct Roots {
    pub(super) provider: Arc<CryptoProvider>,
    trusted: Arc<Trusted>,
}

#[derive(Debug, Default)]
struct Trusted {
    anchors: Vec<TrustAnchor<'static>>,
    /// Until when each of them is good (webpki does not ask), and whose it is; in the same order.
    ends: Vec<(i64, String)>,
    /// What the operator listed: a server may show just that, whoever signed it.
    listed: Vec<CertificateDer<'static>>,
}

impl Trusted {
    fn add(&mut self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let anchor = anchor_from_trusted_cert(certificate)?.to_owned();
        self.anchors.push(anchor);
        let end = parsed(certificate).map(|x509| (validity(&x509).1, subject(&x509)));
        self.ends.push(end.unwrap_or((i64::MAX, String::new())));
        Ok(())
    }

    fn end(&self, anchor: &TrustAnchor<'_>) -> (i64, String) {
        let all = self.anchors.iter().zip(&self.ends);
        let same = all.filter(|(one, _)| *one == anchor).map(|(_, end)| end);
        let end = same.max().cloned();
        end.unwrap_or((i64::MAX, String::new()))
    }
}

/// What a certificate is worth.
#[derive(Default)]
struct Verdict {
    faults: Vec<String>,
    /// Why it can't be told.
    unknown: Option<String>,
    /// The earliest end on the path, where that is not the server's own, and of what.
    end: Option<(i64, String)>,
}

impl Roots {
    /// The system's authorities, and those of a PEM. A system without any is only logged.
    pub(super) fn load(extra_pem: Option<&[u8]>) -> Result<Self, ProbeError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut trusted = Trusted::default();
        let native = rustls_native_certs::load_native_certs();
        for error in native.errors {
            tracing::warn!(%error, "some of the system's certificate authorities can't be read");
        }
        for certificate in &native.certs {
            if let Err(error) = trusted.add(certificate) {
                tracing::debug!(%error, "one of the system's certificate authorities can't be used");
            }
        }
        if let Some(pem) = extra_pem {
            let wrong = |what: &str| {
                ProbeError::new(
                    ProbeErrorKind::Unsupported,
                    format!("the file of extra certificate authorities {what}"),
                    "give the CA's certificate as PEM (`-----BEGIN CERTIFICATE-----`)",
                )
            };
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate
                    .map_err(|error| wrong("holds no readable PEM").because(error.to_string()))?;
                trusted.add(&certificate).map_err(|error| {
                    wrong("holds a certificate that can't be read").because(error)
                })?;
                trusted.listed.push(certificate);
            }
            if trusted.listed.is_empty() {
                return Err(wrong("holds no certificate"));
            }
        }
        if trusted.anchors.is_empty() {
            tracing::warn!("no certificate authorities found: no https:// address will be valid");
        }
        Ok(Self {
            provider,
            trusted: Arc::new(trusted),
        })
    }

    /// The certificates that a server shows for this name, read and judged; `None` when there is
    /// none, or it can't be read.
    pub(super) fn read(
        &self,
        shown: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: Timestamp,
    ) -> Option<Certificate> {
        let (leaf, above) = shown.split_first()?;
        let x509 = parsed(leaf)?;
        let (from, until) = validity(&x509);
        let verdict = self.judge(leaf, &x509, above, name, now.as_second());
        let (end, ends_first) = match verdict.end {
            Some((end, what)) => (end, Some(what)),
            None => (until, None),
        };
        let left_s = end.saturating_sub(now.as_second());
        let mut names = names(&x509);
        names.truncate(MAX_NAMES);
        let judged = verdict.unknown.is_none();
        let problems: Vec<_> = verdict.faults.into_iter().chain(verdict.unknown).collect();
        Some(Certificate {
            subject: subject(&x509),
            issuer: printable(&x509.issuer().to_string(), VALUE_CHARS),
            names,
            not_before: timestamp(from),
            not_after: timestamp(until),
            good_until: timestamp(end),
            ends_first,
            days_left: left_s.div_euclid(86_400),
            left_s,
            valid: problems.is_empty(),
            judged,
            problem: (!problems.is_empty()).then(|| problems.join("; ")),
            chain: shown
                .iter()
                .take(MAX_CHAIN)
                .map(|der| parsed(der).map_or_else(|| "(unreadable)".to_owned(), |x| subject(&x)))
                .collect(),
            tls_version: String::new(),
            cipher: String::new(),
        })
    }

    /// Everything that is wrong with this certificate for this name now.
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        x509: &X509Certificate<'_>,
        above: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: i64,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        let faults = &mut verdict.faults;
        // Age and name are looked at apart, because webpki stops at the first fault.
        let mut at = now;
        let (from, until) = validity(x509);
        if now > until {
            faults.push(format!("expired {} ago", span(now - until)));
            at = until;
        } else if now < from {
            faults.push(format!("is not valid for another {}", span(from - now)));
            at = from;
        }
        let other_names = ParsedCertificate::try_from(leaf)
            .is_ok_and(|leaf| verify_server_name(&leaf, name).is_err());
        if other_names {
            let names = names(x509);
            let some: Vec<_> = names.iter().take(3).map(String::as_str).collect();
            let more = if names.len() > 3 { ", …" } else { "" };
            faults.push(match &some[..] {
                [] => "is for other names".to_owned(),
                some => format!("is for other names ({}{more})", some.join(", ")),
            });
        }
        if self.trusted.listed.contains(leaf) {
            // The operator trusts just this one: nobody need have signed it.
            if !is_for_servers(x509) {
                faults.push("is not meant for a server".to_owned());
            }
            return verdict;
        }
        match self.path(leaf, above, at) {
            Ok((end, what)) if end < until && faults.is_empty() => {
                verdict.end = Some((end, what));
            }
            Ok(_) => {}
            Err(_) if self.trusted.anchors.is_empty() => {
                faults.push("can't be judged: the bot knows no certificate authorities".to_owned());
            }
            Err(error) => untrusted(&mut verdict, &error, x509, above),
        }
        verdict
    }

    /// Of all ways from this certificate to an authority the one that is good for the longest time:
    /// its earliest end, above the certificate itself, and of which certificate.
    fn path(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        at: i64,
    ) -> Result<(i64, String), Error> {
        let time = moment(at);
        let best: RefCell<Option<(i64, String)>> = RefCell::new(None);
        let look = |path: &VerifiedPath<'_>| {
            let anchor = path.anchor();
            let (root, whose) = self.trusted.end(anchor);
            if root < at {
                let not_after = moment(root);
                return Err(Error::CertExpired { time, not_after });
            }
            let mut first = (root, format!("the authority's certificate {whose}"));
            for one in path.intermediate_certificates() {
                let der = one.der();
                let Some(x509) = parsed(&der) else { continue };
                let end = validity(&x509).1;
                if end <= first.0 {
                    first = (
                        end,
                        format!("the intermediate certificate {}", subject(&x509)),
                    );
                }
            }
            let mut best = best.borrow_mut();
            if best.as_ref().is_none_or(|(end, _)| first.0 > *end) {
                *best = Some(first);
            }
            // Looked at; there may be a better one.
            Err(Error::UnknownIssuer)
        };
        let end_entity = EndEntityCert::try_from(leaf)?;
        let found = end_entity.verify_for_usage(
            self.provider.signature_verification_algorithms.all,
            &self.trusted.anchors,
            above,
            time,
            KeyUsage::server_auth(),
            None,
            Some(&look),
        );
        match (best.into_inner(), found) {
            (Some(best), _) => Ok(best),
            (None, Err(error)) => Err(error),
            // `look` never says yes.
            (None, Ok(_)) => Err(Error::UnknownIssuer),
        }
    }
}

/// Says why no way leads to an authority.
fn untrusted(
    verdict: &mut Verdict,
    error: &Error,
    x509: &X509Certificate<'_>,
    above: &[CertificateDer<'_>],
) {
    let fault = match error {
        // Of the leaf it is told already; then a later moment within the chain is no news.
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => {
            if !verdict.faults.is_empty() {
                return;
            }
            "is signed by a certificate that is out of date".to_owned()
        }
        _ if is_self_signed(x509) => "is self-signed".to_owned(),
        Error::UnknownIssuer => unknown_issuer(x509, above),
        Error::InvalidSignatureForPublicKey => {
            "is not really signed by the authority it names".to_owned()
        }
        Error::RequiredEkuNotFoundContext(_) => "is not meant for a server".to_owned(),
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            let by = printable(&x509.issuer().to_string(), 80);
            verdict.unknown = Some(format!(
                "is signed ({by}) in a way that the bot can't verify; visitors' programs may"
            ));
            return;
        }
        other => printable(&other.to_string(), VALUE_CHARS),
    };
    verdict.faults.push(fault);
}

/// Where the chain that was sent breaks off.
fn unknown_issuer(leaf: &X509Certificate<'_>, above: &[CertificateDer<'_>]) -> String {
    let sent: Vec<_> = above.iter().filter_map(|der| parsed(der)).collect();
    let mut top = leaf;
    // As many steps as there are certificates: they could be signed in a circle.
    for _ in 0..sent.len() {
        let signer = |one: &&X509Certificate<'_>| one.subject().as_raw() == top.issuer().as_raw();
        match sent.iter().find(signer) {
            Some(next) if !is_self_signed(top) => top = next,
            _ => break,
        }
    }
    let signer = printable(&top.issuer().to_string(), 80);
    if is_self_signed(top) || top.subject().as_raw() != leaf.subject().as_raw() {
        return format!("is signed by an unknown authority ({signer})");
    }
    let place = issued_at(leaf).map_or(String::new(), |url| format!(" (it lies at {url})"));
    // A root signs servers itself in some houses, and need not be sent: which of both can't be told.
    format!(
        "leads to no known authority: the server does not send the certificate of {signer} that signed \
         its own{place}. Its chain is incomplete, or `ca_file` lacks this authority"
    )
}

/// Where the certificate says that its signer's lies (Authority Information Access, RFC 5280, 4.2.2.1).
fn issued_at(x509: &X509Certificate<'_>) -> Option<String> {
    let mut found = x509.extensions().iter().filter_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else {
            return None;
        };
        access.iter().find_map(|one| match &one.access_location {
            GeneralName::URI(url) if one.access_method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS => {
                Some(printable(url, VALUE_CHARS))
            }
            _ => None,
        })
    });
    found.next()
}

/// A second since 1970 as rustls counts it.
fn moment(second: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(second).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
