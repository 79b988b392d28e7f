//! The line to the API server: where it is, how long a call may take, what its errors mean.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Client, Error};
use secrecy::ExposeSecret;
use tokio::sync::{OnceCell, Semaphore};

use super::forbidden;
use super::{Config, PLATFORM, Server};
use treasury_ports::platform::PlatformError;

/// The most characters of the server's own words that go into an error.
const WORDS: usize = 500;

/// Calls that are under way at the same time; others wait for their turn.
const AT_ONCE: usize = 32;

/// A client that is made when it is first needed, so that the bot starts without a cluster.
pub(super) struct Line {
    config: Config,
    client: OnceCell<Client>,
    /// The version of the group `autoscaling` that the server has.
    pub(super) autoscaling: OnceCell<&'static str>,
    turns: Semaphore,
}

impl Line {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            client: OnceCell::new(),
            autoscaling: OnceCell::new(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// How long a question may take.
    pub(super) fn ask(&self) -> Duration {
        self.config.timeout
    }

    /// The client. It fails where there is no usable configuration; the server is not asked.
    pub(super) async fn client(&self) -> Result<&Client, PlatformError> {
        self.client
            .get_or_try_init(|| async {
                let mut config = self.found().await?;
                // Every call has a limit of its own; one for reading would end watches and logs.
                config.read_timeout = None;
                config.connect_timeout = Some(self.config.timeout);
                // A caller decides whether to try again, and within which time.
                config.default_retry = false;
                Client::try_from(config).map_err(|error| self.error(error))
            })
            .await
    }

    async fn found(&self) -> Result<kube::Config, PlatformError> {
        match &self.config.server {
            Server::Infer => kube::Config::infer().await.map_err(|error| {
                unusable(
                    "neither a kubeconfig nor a pod's service account: set `kubeconfig` in a \
                     [[cluster]], or KUBECONFIG",
                    error,
                )
            }),
            Server::Kubeconfig { path, context } => {
                let read = match path {
                    Some(path) => Kubeconfig::read_from(path),
                    None => Kubeconfig::read(),
                };
                let options = KubeConfigOptions {
                    context: context.clone(),
                    ..KubeConfigOptions::default()
                };
                let hint = || match path {
                    Some(path) => format!("look at the kubeconfig {}", path.display()),
                    None => "look at the kubeconfig".to_owned(),
                };
                let read = read.map_err(|error| unusable(&hint(), error))?;
                let found = kube::Config::from_custom_kubeconfig(read, &options).await;
                found.map_err(|error| unusable(&hint(), error))
            }
            Server::Url { url, token } => {
                let address = url
                    .parse()
                    .map_err(|error| unusable(&format!("`{url}` is no address"), error))?;
                let mut config = kube::Config::new(address);
                config.auth_info.token = token
                    .as_ref()
                    .map(|token| token.expose_secret().to_owned().into());
                Ok(config)
            }
        }
    }

    /// Runs one question with the usual time limit; `what` names it in the error.
    pub(super) async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, PlatformError> {
        self.call_for(what, self.config.timeout, call).await
    }

    /// Runs one call with a time limit.
    pub(super) async fn call_for<T>(
        &self,
        what: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, PlatformError> {
        // Nobody closes it.
        let _turn = self.turns.acquire().await.ok();
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.error(error)),
            Err(_) => Err(PlatformError::Timeout {
                platform: PLATFORM,
                what: what.to_owned(),
                after: limit,
            }),
        }
    }

    /// What an error of the client means for the operator.
    pub(super) fn error(&self, error: Error) -> PlatformError {
        let status = match &error {
            Error::Api(status) => status.clone(),
            Error::Auth(_) => {
                return PlatformError::Denied {
                    platform: PLATFORM,
                    hint: format!(
                        "the bot has no valid credentials for the cluster ({}): look at its \
                         kubeconfig or service account",
                        chain(&error)
                    ),
                };
            }
            other if is_cut(other) => {
                return PlatformError::Unreachable {
                    platform: PLATFORM,
                    hint: format!("is the API server {} up? {}", self.place(), chain(&error)),
                    source: Some(Box::new(error)),
                };
            }
            other => {
                return PlatformError::Failed {
                    platform: PLATFORM,
                    message: clipped(&chain(other)),
                    source: Some(Box::new(error)),
                };
            }
        };
        match status.code {
            401 => PlatformError::Denied {
                platform: PLATFORM,
                hint: "the cluster does not know the bot (401): its token has expired or is of \
                       another cluster. Mend its kubeconfig or service account"
                    .to_owned(),
            },
            403 => PlatformError::Denied {
                platform: PLATFORM,
                hint: forbidden::hint(&status.message),
            },
            404 => PlatformError::NotFound {
                platform: PLATFORM,
                what: clipped(&status.message),
                hint: "it may just have been removed or replaced; ask for the status".into(),
            },
            502..=504 => PlatformError::Unreachable {
                platform: PLATFORM,
                hint: format!(
                    "the API server {} answers {}: {}",
                    self.place(),
                    status.code,
                    clipped(&status.message)
                ),
                source: Some(Box::new(error)),
            },
            code => PlatformError::Failed {
                platform: PLATFORM,
                message: format!("{} ({code})", clipped(&status.message)),
                source: Some(Box::new(error)),
            },
        }
    }

    /// Where the server is, for people.
    fn place(&self) -> String {
        match &self.config.server {
            Server::Infer => "of this cluster".to_owned(),
            Server::Kubeconfig { path, context } => {
                let path = path.as_ref().map(|path| path.display().to_string());
                let file = path.unwrap_or_else(|| "the kubeconfig".to_owned());
                match context {
                    Some(context) => format!("of context {context} in {file}"),
                    None => format!("of {file}"),
                }
            }
            Server::Url { url, .. } => url.clone(),
        }
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The server's own answer, if it is one.
pub(super) fn status_of(error: &Error) -> Option<&Status> {
    match error {
        Error::Api(status) => Some(status),
        _ => None,
    }
}

/// The code of the server's answer that this error came of.
pub(super) fn code_of(error: &PlatformError) -> Option<u16> {
    let PlatformError::Failed {
        source: Some(source),
        ..
    } = error
    else {
        return None;
    };
    let status = source.downcast_ref::<Error>().and_then(status_of)?;
    Some(status.code)
}

/// No such thing is no error but nothing.
pub(super) fn if_there<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if status_of(&error).is_some_and(|status| status.code == 404) => Ok(None),
        Err(error) => Err(error),
    }
}

fn unusable(hint: &str, error: impl StdError + Send + Sync + 'static) -> PlatformError {
    PlatformError::Unreachable {
        platform: PLATFORM,
        hint: format!("{hint} ({})", chain(&error)),
        source: Some(Box::new(error)),
    }
}

/// The connection was not made or broke.
pub(super) fn is_cut(error: &Error) -> bool {
    match error {
        Error::HyperError(_) | Error::Service(_) | Error::ReadEvents(_) => true,
        other => {
            let mut cause: Option<&(dyn StdError + 'static)> = Some(other);
            while let Some(error) = cause {
                if error.is::<io::Error>() || error.is::<hyper::Error>() {
                    return true;
                }
                cause = error.source();
            }
            false
        }
    }
}

/// An error with its causes, each once, in one line.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    clipped(&text)
}

fn clipped(text: &str) -> String {
    text.chars().take(WORDS).collect()
}
