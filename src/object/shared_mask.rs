//! Secrets that become more while texts are written: a connection adds each token that it gets. Pure.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::Mask;

/// A mask whose clones share their secrets.
#[derive(Clone, Default)]
pub struct SharedMask(Arc<RwLock<Mask>>);

impl fmt::Debug for SharedMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedMask(redacted)")
    }
}

impl SharedMask {
    /// Adds the secrets of a mask.
    pub fn extend(&self, secrets: Mask) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(secrets);
    }

    /// Adds a secret.
    pub fn add(&self, secret: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).add(secret);
    }

    /// Masks the copies of secrets in a text.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).text(text).into_owned()
    }
}
