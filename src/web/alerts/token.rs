//! What a sender has to show.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// A sender's secret.
#[derive(Clone)]
pub(super) struct Token {
    secret: SecretString,
    digest: [u8; 32],
}

impl Token {
    pub(super) fn new(secret: &SecretString) -> Self {
        Self {
            secret: secret.clone(),
            digest: digest(secret.expose_secret().as_bytes()),
        }
    }

    /// Digests are compared: how long that takes says nothing about the token.
    pub(super) fn is(&self, shown: &str) -> bool {
        digest(shown.as_bytes()) == self.digest
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A bearer token, the password of a user of any name (SNS can send nothing else), or Opsgenie's
/// GenieKey. RFC 9110, 11.1: schemes are in any case.
pub(super) fn shown(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = given.trim().split_once(' ')?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        let both = String::from_utf8(BASE64.decode(token).ok()?).ok()?;
        return Some(both.split_once(':')?.1.to_owned());
    }
    let bare = ["bearer", "geniekey"];
    let known = bare.iter().any(|one| scheme.eq_ignore_ascii_case(one));
    known.then(|| token.to_owned())
}

/// The token was shown, or why it does not count.
pub(super) fn allowed(token: Option<&Token>, shown: Option<&str>) -> Result<(), &'static str> {
    let Some(token) = token else {
        return Err("no token is configured: set TREASURY_BOT_ALERTS_TOKEN or [alerts] token_file");
    };
    match shown {
        None => Err("a bearer token is needed: Authorization: Bearer …"),
        Some(shown) if token.is(shown) => Ok(()),
        Some(_) => Err("this is not the bearer token"),
    }
}

/// The body is signed by one of these headers; `None`: none of them is there.
pub(super) fn is_signed(
    token: Option<&Token>,
    headers: &HeaderMap,
    names: &[String],
    body: &[u8],
) -> Option<bool> {
    let given = names.iter().find_map(|name| headers.get(name))?;
    Some(token.is_some_and(|token| is_signature(token, given.as_bytes(), body)))
}

/// HMAC-SHA256 in hexadecimal, perhaps after `sha256=`.
fn is_signature(token: &Token, given: &[u8], body: &[u8]) -> bool {
    let given = given.strip_prefix(b"sha256=").unwrap_or(given);
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes: Option<Vec<u8>> = given
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    let key = token.secret.expose_secret().as_bytes();
    let (Some(bytes), Ok(mut mac)) = (bytes, Hmac::<Sha256>::new_from_slice(key)) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(&bytes).is_ok()
}
