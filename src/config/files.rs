//! Files that the configuration names, and secrets, which come from the environment or from such
//! files.

use std::path::Path;

use secrecy::SecretString;

use super::at::At;
use super::section::Section;
use super::source::{Secrets, read_limited};

/// The largest file of a secret, bytes.
const MAX_SECRET: u64 = 64 << 10;
/// The largest file of certificates, bytes.
const MAX_PEM: u64 = 1 << 20;

impl At<'_> {
    /// The file is not here and need not be.
    fn may_lack(&self, path: &Path) -> bool {
        self.source.secrets == Secrets::MayLack && !path.exists()
    }

    /// What the file of this name holds, without the space around it; an unreadable or empty one is
    /// reported.
    pub(super) fn secret(&self) -> Option<SecretString> {
        if self.value.is_empty() {
            self.error(format!("`{}` is empty", self.what), "");
            return None;
        }
        let path = self.path();
        if self.may_lack(&path) {
            return None;
        }
        let text = read_limited(&path, MAX_SECRET)
            .map_err(|why| format!("can't read {}: {why}", path.display()));
        let text = text.and_then(|text| match text.trim() {
            "" => Err(format!("{} is empty", path.display())),
            text => Ok(SecretString::from(text)),
        });
        self.parsed(text)
    }

    /// The certificates of the file of this name, PEM.
    pub(super) fn certificates(&self) -> Option<Vec<u8>> {
        let path = self.path();
        if self.may_lack(&path) {
            return None;
        }
        let text = read_limited(&path, MAX_PEM)
            .map_err(|why| format!("can't read {}: {why}", path.display()));
        let text = text.and_then(|text| {
            if text.contains("-----BEGIN CERTIFICATE-----") {
                Ok(text.into_bytes())
            } else {
                Err(format!("{} holds no certificate in PEM", path.display()))
            }
        });
        self.parsed(text)
    }
}

impl Section<'_> {
    /// The variable of a secret of this section: `TREASURY_BOT_SLACK_BOT_TOKEN`.
    pub(super) fn variable(&self, key: &str) -> String {
        format!("TREASURY_BOT_{}_{key}", self.name()).to_uppercase()
    }

    /// A secret from its variable, else from the file that the key with `_file` names.
    pub(super) fn secret(&self, key: &str) -> Option<SecretString> {
        let named = self.text(&format!("{key}_file"));
        let set = self.source.environment(&self.variable(key));
        set.or_else(|| named?.secret())
    }
}
