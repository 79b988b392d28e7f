//! The engine's errors in words that name the mend.

use bollard::errors::Error;

use super::NAME;
use crate::domain::timeline::cut;
use crate::platform::PlatformError;

/// Translates an error of a call that was to do `what`.
pub(super) fn translate(host: &str, what: &str, error: Error) -> PlatformError {
    match &error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } => {
            let message = cut(message, 500);
            match status_code {
                404 => PlatformError::NotFound {
                    platform: NAME,
                    what: what.to_owned(),
                    mend: message,
                },
                401 | 403 => PlatformError::Denied {
                    platform: NAME,
                    mend: message,
                },
                409 => PlatformError::Failed {
                    platform: NAME,
                    message: format!("{what}: a conflict: {message}"),
                    source: Some(error.into()),
                },
                _ => PlatformError::Failed {
                    platform: NAME,
                    message: format!("{what}: {message}"),
                    source: Some(error.into()),
                },
            }
        }
        Error::SocketNotFoundError(_) => unreachable(host, error),
        _ => match io_kind(&error) {
            Some(std::io::ErrorKind::PermissionDenied) => PlatformError::Denied {
                platform: NAME,
                mend: format!(
                    "the bot may not use {host}: add its user to the group `docker` \
                     (`usermod -aG docker USER`, then start it anew), or mount the socket with its group"
                ),
            },
            Some(_) => unreachable(host, error),
            None => match &error {
                Error::RequestTimeoutError => PlatformError::Failed {
                    platform: NAME,
                    message: format!("{what}: the engine accepted the call and never answered"),
                    source: Some(error.into()),
                },
                Error::HyperLegacyError { .. } | Error::HyperResponseError { .. } => {
                    unreachable(host, error)
                }
                _ => PlatformError::Failed {
                    platform: NAME,
                    message: cut(&format!("{what}: {error}"), 500),
                    source: Some(error.into()),
                },
            },
        },
    }
}

fn unreachable(host: &str, error: Error) -> PlatformError {
    PlatformError::Unreachable {
        platform: NAME,
        mend: format!(
            "is the Docker daemon running? `systemctl status docker`. The bot looks at {host}; \
             set [docker] host if it is elsewhere"
        ),
        source: Some(error.into()),
    }
}

/// The kind of the input/output error at the bottom, if there is one.
fn io_kind(error: &Error) -> Option<std::io::ErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}
