//! What errors of the client and answers of the server mean for the operator.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use kube::Error;

use crate::config::{PLATFORM, Server};
use crate::forbidden;
use treasury_ports::platform::PlatformError;

/// The most characters of the server's own words that go into an error.
const WORDS: usize = 500;

/// What nearly everything returns.
pub(crate) type Result<T, E = PlatformError> = std::result::Result<T, E>;

pub(crate) fn not_found(what: String, hint: String) -> PlatformError {
    PlatformError::NotFound {
        platform: PLATFORM,
        what,
        hint,
    }
}

pub(crate) fn timeout(what: String, after: Duration) -> PlatformError {
    PlatformError::Timeout {
        platform: PLATFORM,
        what,
        after,
    }
}

pub(crate) fn failed(
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
) -> PlatformError {
    PlatformError::Failed {
        platform: PLATFORM,
        message,
        source,
    }
}

fn denied(hint: String) -> PlatformError {
    PlatformError::Denied {
        platform: PLATFORM,
        hint,
    }
}

fn unreachable(hint: String, source: impl StdError + Send + Sync + 'static) -> PlatformError {
    PlatformError::Unreachable {
        platform: PLATFORM,
        hint,
        source: Some(Box::new(source)),
    }
}

/// There is no configuration by which a server could be reached.
pub(crate) fn unusable(hint: &str, error: impl StdError + Send + Sync + 'static) -> PlatformError {
    unreachable(format!("{hint} ({})", chain(&error)), error)
}

/// What an error of the client means for the operator.
pub(crate) fn explain(error: Error, server: &Server) -> PlatformError {
    let (code, message) = match &error {
        Error::Api(status) => (status.code, status.message.clone()),
        Error::Auth(_) => {
            return denied(format!(
                "the bot has no valid credentials for the cluster ({}): look at its kubeconfig or \
                 service account",
                chain(&error)
            ));
        }
        _ if is_cut(&error) => {
            let hint = format!("is the API server {server} up? {}", chain(&error));
            return unreachable(hint, error);
        }
        _ => return failed(chain(&error), Some(Box::new(error))),
    };
    let words = clipped(&message);
    match code {
        401 => denied(
            "the cluster does not know the bot (401): its token has expired or is of another \
             cluster. Fix its kubeconfig or service account"
                .to_owned(),
        ),
        403 => denied(forbidden::hint(&message)),
        404 => not_found(
            words,
            "it may just have been removed or replaced; ask for the status".to_owned(),
        ),
        502..=504 => unreachable(
            format!("the API server {server} answers {code}: {words}"),
            error,
        ),
        _ => failed(format!("{words} ({code})"), Some(Box::new(error))),
    }
}

/// The code of the server's answer that this error came of, if it has no variant of its own.
pub(crate) fn code_of(error: &PlatformError) -> Option<u16> {
    let PlatformError::Failed { source, .. } = error else {
        return None;
    };
    match source.as_ref()?.downcast_ref()? {
        Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// No such thing is no error but nothing.
pub(crate) fn if_there<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(PlatformError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The connection was not made or broke.
fn is_cut(error: &Error) -> bool {
    if let Error::HyperError(_) | Error::Service(_) | Error::ReadEvents(_) = error {
        return true;
    }
    causes(error).any(|error| error.is::<io::Error>() || error.is::<hyper::Error>())
}

/// An error and what caused it.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// An error with its causes, each once, in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error).skip(1) {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
    }
    clipped(&text)
}

fn clipped(text: &str) -> String {
    text.chars().take(WORDS).collect()
}
