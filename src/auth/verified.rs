//! Tokens whose signature was verified before.
//!
//! Verifying a signature and reading the claims is most of the cost of a token. So both are kept,
//! with the key that verified them. Nothing else is: each use asks again for the key of the token's
//! header, checks the claims against the clock, and looks the token up among the revoked ones. So a
//! token is refused at once when it expires or is revoked, or when its key is replaced (A4).

use std::sync::Arc;

use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::{
    key::Key,
    token::{Claims, Head},
};
use crate::domain::TokenId;

/// Bytes that an entry uses in addition to its token.
const ENTRY_BYTES: u32 = 512;

/// What was read from a token whose signature is valid.
pub(super) struct VerifiedToken {
    pub(super) head: Head,
    /// The key that verified the signature.
    pub(super) key: Arc<Key>,
    pub(super) claims: Claims,
    /// The id under which the token is revoked.
    pub(super) id: TokenId,
    /// The length of the token, which bounds that of its claims.
    pub(super) bytes: usize,
}

/// The SHA-256 of a token. The token itself is not kept.
type TokenHash = [u8; 32];

/// Verified tokens, bounded in bytes. The least used ones are dropped.
pub(super) struct VerifiedTokens(Cache<TokenHash, Arc<VerifiedToken>>);

impl VerifiedTokens {
    pub(super) fn new(bytes_max: u64) -> Self {
        let weight = |_: &TokenHash, token: &Arc<VerifiedToken>| {
            let bytes = u32::try_from(token.bytes).unwrap_or(u32::MAX);
            // The parsed claims take a few times as much memory as their text.
            bytes.saturating_mul(4).saturating_add(ENTRY_BYTES)
        };
        Self(
            Cache::builder()
                .max_capacity(bytes_max)
                .weigher(weight)
                .build(),
        )
    }

    pub(super) fn hash(token: &str) -> TokenHash {
        Sha256::digest(token).into()
    }

    pub(super) fn get(&self, hash: &TokenHash) -> Option<Arc<VerifiedToken>> {
        self.0.get(hash)
    }

    pub(super) fn keep(&self, hash: TokenHash, token: Arc<VerifiedToken>) {
        self.0.insert(hash, token);
    }
}
