//! The errors of both platforms.

use std::error::Error;
use std::time::Duration;

use treasury_ports::platform::PlatformError;

/// The platform's name in errors; a Swarm is asked of a Docker engine too.
pub const PLATFORM: &str = "Docker";

/// What a call to a platform ends with.
pub type Result<T, E = PlatformError> = std::result::Result<T, E>;

/// It is not there; `hint` names what the operator can do.
pub fn not_found(what: impl Into<String>, hint: impl Into<String>) -> PlatformError {
    PlatformError::NotFound {
        platform: PLATFORM,
        what: what.into(),
        hint: hint.into(),
    }
}

/// The engine refuses the bot; `hint` names what the operator can do.
pub fn denied(hint: String) -> PlatformError {
    let platform = PLATFORM;
    PlatformError::Denied { platform, hint }
}

/// The engine does not answer; `hint` names what the operator can do.
pub fn unreachable(hint: String, cause: impl Error + Send + Sync + 'static) -> PlatformError {
    PlatformError::Unreachable {
        platform: PLATFORM,
        hint,
        source: Some(cause.into()),
    }
}

/// It was not finished in time.
pub fn timeout(what: String, after: Duration) -> PlatformError {
    PlatformError::Timeout {
        platform: PLATFORM,
        what,
        after,
    }
}

/// The engine answered with an error, or with what the bot can't use.
pub fn failed(message: String, cause: impl Error + Send + Sync + 'static) -> PlatformError {
    PlatformError::Failed {
        platform: PLATFORM,
        message,
        source: Some(cause.into()),
    }
}

/// The error for JSON that does not do; `what` says what of it: `a network that can't be recorded`.
pub fn unusable(what: impl Into<String>) -> impl FnOnce(serde_json::Error) -> PlatformError {
    |error| failed(format!("{}: {error}", what.into()), error)
}

/// It can't be done; the text says why, and what can be done.
pub fn unsupported(text: impl Into<String>) -> PlatformError {
    PlatformError::Unsupported(text.into())
}

/// It was done, but a replica is not well.
pub fn unwell(what: String) -> PlatformError {
    PlatformError::Unwell { what }
}

/// What several containers failed with: the one cause, or all of them in one text.
pub fn all_well(mut failed: Vec<PlatformError>) -> Result<()> {
    match failed.len() {
        0 => Ok(()),
        1 => Err(failed.remove(0)),
        _ => {
            let texts: Vec<String> = failed.iter().map(ToString::to_string).collect();
            Err(unwell(texts.join("\n")))
        }
    }
}
