//! Tokens that let somebody in: told once, kept as digests.

use sha2::{Digest, Sha256};

use crate::domain::timeline::hex;

/// 256 random bits as 64 hexadecimal digits.
pub fn token() -> String {
    hex(&rand::random::<[u8; 32]>())
}

/// What is kept of a token, and what it is found by. The search in the index takes longer or shorter
/// by how far *digests* agree; who sends tokens can't choose their digests, so that time tells
/// nothing to go on from, and nothing has to be compared in constant time.
pub(super) fn digest(token: &str) -> String {
    hex(&Sha256::digest(token))
}
