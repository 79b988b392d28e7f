//! What one certificate says of itself. Pure.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::headers::{VALUE_CHARS, printable};

/// The certificate in these bytes; `None`: they can't be read.
pub(super) fn parsed(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().map(|(_, x509)| x509)
}

/// Until when the first certificate of a PEM file, or a single one in DER, is good; `None`: it can't be
/// read.
pub fn good_until(certificate: &[u8]) -> Option<Timestamp> {
    let pem = CertificateDer::from_pem_slice(certificate).ok();
    let x509 = parsed(pem.as_deref().unwrap_or(certificate))?;
    Some(timestamp(validity(&x509).1))
}

pub(super) fn is_self_signed(x509: &X509Certificate<'_>) -> bool {
    x509.subject().as_raw() == x509.issuer().as_raw()
}

/// Good from and until, seconds since 1970.
pub(super) fn validity(x509: &X509Certificate<'_>) -> (i64, i64) {
    let validity = x509.validity();
    (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    )
}

/// A date beyond what jiff knows is told as the last that it knows.
pub(super) fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// Whom it is for, as people read it.
pub(super) fn subject(x509: &X509Certificate<'_>) -> String {
    printable(&x509.subject().to_string(), VALUE_CHARS)
}

/// Host names and addresses of a certificate.
pub(super) fn names(x509: &X509Certificate<'_>) -> Vec<String> {
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

/// It may be used by a server: it names no purposes, or this one among them.
pub(super) fn is_for_servers(x509: &X509Certificate<'_>) -> bool {
    match x509.extended_key_usage() {
        Ok(Some(usage)) => usage.value.any || usage.value.server_auth,
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Its key is on an elliptic curve whose coordinates have so many bits, in whole bytes.
pub(super) fn curve_bits(x509: &X509Certificate<'_>) -> Option<usize> {
    match x509.public_key().parsed() {
        Ok(PublicKey::EC(point)) => Some(point.key_size()),
        _ => None,
    }
}

/// A length of time in its greatest unit of which there are more than a few: `3 days`, `47 hours`,
/// `20 minutes`.
pub fn span(seconds: i64) -> String {
    let (number, unit) = match seconds {
        172_800.. => (seconds / 86_400, "day"),
        7_200.. => (seconds / 3_600, "hour"),
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
            (86_400 * 2 - 1, "47 hours"),
            (86_400, "24 hours"),
            (5 * 3_600 + 59, "5 hours"),
            (7_199, "119 minutes"),
            (60, "1 minute"),
            (5, "0 minutes"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
