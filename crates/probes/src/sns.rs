//! Are messages of Amazon SNS signed by it? Its certificates are fetched and kept.
//!
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Request;
use jiff::Timestamp;
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY as SHA1, RSA_PKCS1_2048_8192_SHA256 as SHA256,
    UnparsedPublicKey,
};
use tokio::sync::Mutex;
use treasury_domain::alert::generic::sns::Signed;

use super::fetch::Fetch;

/// Fetching a certificate may take this long: SNS itself waits 15 s for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A certificate that could not be had is not asked for again for so long.
const AGAIN: Duration = Duration::from_secs(60);
/// So many are kept; SNS uses one a region.
const MOST: usize = 32;

/// SNS' certificates.
pub struct Certificates {
    fetch: Fetch,
    /// One is fetched at a time.
    known: Mutex<Vec<Known>>,
}

struct Known {
    url: String,
    asked: Instant,
    key: Result<Key, String>,
}

#[derive(Clone)]
struct Key {
    /// RSA, as PKCS #1 has it.
    der: Vec<u8>,
    from: i64,
    until: i64,
}

impl Certificates {
    /// None is known yet.
    pub fn new() -> Self {
        Self {
            fetch: Fetch::new(64 << 10),
            known: Mutex::default(),
        }
    }

    /// The signature is good at this time; an error says why the certificate could not be had.
    /// `mirror`: the origin of a server to fetch it from instead of Amazon's.
    pub async fn is_good(
        &self,
        signed: &Signed,
        mirror: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, String> {
        let file = signed.certificate.rsplit('/').next().unwrap_or_default();
        let url = mirror.map_or_else(
            || signed.certificate.clone(),
            |origin| format!("{}/{file}", origin.trim_end_matches('/')),
        );
        let key = self.key(&url).await?;
        let Ok(signature) = BASE64.decode(&signed.signature) else {
            return Ok(false);
        };
        let in_time = (key.from..=key.until).contains(&now.as_second());
        let algorithm = if signed.sha256 { &SHA256 } else { &SHA1 };
        let public = UnparsedPublicKey::new(algorithm, &key.der);
        Ok(in_time && public.verify(signed.text.as_bytes(), &signature).is_ok())
    }

    async fn key(&self, url: &str) -> Result<Key, String> {
        let mut known = self.known.lock().await;
        known.retain(|one| one.key.is_ok() || one.asked.elapsed() < AGAIN);
        if let Some(one) = known.iter().find(|one| one.url == url) {
            return one.key.clone();
        }
        let key = self.fetched(url).await;
        if known.len() == MOST {
            known.remove(0);
        }
        known.push(Known {
            url: url.to_owned(),
            asked: Instant::now(),
            key: key.clone(),
        });
        key
    }

    async fn fetched(&self, url: &str) -> Result<Key, String> {
        let request = Request::get(url).body(String::new());
        let request = request.map_err(|error| format!("{url} is no address: {error}"))?;
        let answer = self
            .fetch
            .send(request, TIMEOUT)
            .await
            .map_err(|error| format!("{url} {}", error.what))?;
        if answer.status() != 200 {
            return Err(format!("{url} answered {}", answer.status().as_u16()));
        }
        read(answer.body()).ok_or_else(|| format!("{url} answered no certificate with an RSA key"))
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

fn read(pem: &[u8]) -> Option<Key> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let valid = certificate.validity();
    Some(Key {
        der: certificate.public_key().subject_public_key.data.to_vec(),
        from: valid.not_before.timestamp(),
        until: valid.not_after.timestamp(),
    })
}
