//! Secrets from the environment or from files of their own.

use secrecy::SecretString;

use super::Env;
use super::reader::At;
use super::source::{Report, read_limited};

/// The largest secret file, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// The value of a variable without the space around it; an empty one counts as not set.
pub(super) fn environment(env: Env<'_>, variable: &str) -> Option<SecretString> {
    let value = env(variable)?;
    let value = value.trim();
    (!value.is_empty()).then(|| SecretString::from(value))
}

/// The contents of a file without the space around them; an unreadable or empty one is reported.
pub(super) fn file(report: &mut Report<'_>, what: &str, path: &At<&str>) -> Option<SecretString> {
    if path.value.is_empty() {
        report.error(path.span.clone(), format!("`{what}` is empty"), None);
        return None;
    }
    let found = report.beside(path.value);
    match read_limited(&found, MAX_BYTES) {
        Err(why) => {
            let message = format!("`{what}`: can't read {}: {why}", found.display());
            report.error(path.span.clone(), message, None);
            None
        }
        Ok(text) if text.trim().is_empty() => {
            let message = format!("`{what}`: {} is empty", found.display());
            report.error(path.span.clone(), message, None);
            None
        }
        Ok(text) => Some(SecretString::from(text.trim())),
    }
}
