//! The line to the engine: where it is, how long a call may take, what its errors mean.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use bollard::errors::Error;
use jiff::{SignedDuration, Timestamp};

use super::address::{Address, EngineConfig, Way};
use super::{PLATFORM, tls};
use treasury_ports::platform::PlatformError;

/// How long a question (list, inspect) may take.
pub(super) const ASK: Duration = Duration::from_secs(5);

/// How long a change or a longer answer may take, besides what the caller allows a process.
pub(super) const ACT: Duration = Duration::from_secs(30);

/// Clocks this near to each other are the same: less can't be told from the time of the question.
const SAME: SignedDuration = SignedDuration::from_secs(1);

/// The most characters of the engine's own words that go into an error.
const WORDS: usize = 500;

/// A connection that is made when it is first needed, so that the bot starts without an engine.
#[derive(Debug)]
pub(super) struct Engine {
    /// Its name in the configuration; the default one has none.
    name: Option<String>,
    address: Address,
    client: OnceLock<bollard::Docker>,
}

impl Engine {
    /// Checks the form of the address and the TLS files only; see [`super::Docker::new`].
    pub(super) fn new(config: EngineConfig) -> Result<Self, PlatformError> {
        let engine = Self {
            name: config.name.clone(),
            address: Address::new(config)?,
            client: OnceLock::new(),
        };
        if matches!(engine.address.way, Way::Tls { .. }) {
            engine.client()?;
        }
        Ok(engine)
    }

    /// Its address, for people.
    pub(super) fn host(&self) -> &str {
        &self.address.host
    }

    /// The client. The only cause of failure is a socket file that is not there.
    pub(super) fn client(&self) -> Result<&bollard::Docker, PlatformError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let seconds = ACT.as_secs();
        let version = bollard::API_DEFAULT_VERSION;
        let host = &self.address.host;
        let client = match &self.address.way {
            Way::Unix => bollard::Docker::connect_with_unix(host, seconds, version)
                .map_err(|error| self.error(error))?,
            Way::Plain => bollard::Docker::connect_with_http(host, seconds, version)
                .map_err(|error| self.error(error))?,
            Way::Tls { authority, tls } => tls::client(&self.address, authority, tls, seconds)?,
        };
        Ok(self.client.get_or_init(|| client))
    }

    /// The client for a call that may take longer than usual.
    pub(super) fn patient_client(
        &self,
        longest: Duration,
    ) -> Result<bollard::Docker, PlatformError> {
        Ok(self.client()?.clone().with_timeout(longest))
    }

    /// Runs one call with a time limit; `what` names it in the error.
    pub(super) async fn call<T>(
        &self,
        what: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, PlatformError> {
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Error::RequestTimeoutError)) | Err(_) => Err(PlatformError::Timeout {
                platform: PLATFORM,
                what: match &self.name {
                    None => what.to_owned(),
                    Some(name) => format!("{what} on the engine {name}"),
                },
                after: limit,
            }),
            Ok(Err(error)) => Err(self.error(error)),
        }
    }

    /// Like [`call`](Self::call), but a container that is not there is `None`, not an error.
    pub(super) async fn call_if_there<T>(
        &self,
        what: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, PlatformError> {
        let call = async {
            match call.await {
                Ok(value) => Ok(Some(value)),
                Err(Error::DockerResponseServerError {
                    status_code: 404, ..
                }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.call(what, limit, call).await
    }

    /// How far the engine's clock is ahead of ours. An engine on this host has our clock.
    pub(super) async fn clock_ahead(&self) -> Result<SignedDuration, PlatformError> {
        if matches!(self.address.way, Way::Unix) {
            return Ok(SignedDuration::ZERO);
        }
        let asked = Timestamp::now();
        let info = self.call("info", ASK, self.client()?.info()).await?;
        let answered = Timestamp::now();
        let middle = asked + answered.duration_since(asked) / 2;
        let theirs = info.system_time.and_then(|time| time.parse().ok());
        let ahead = theirs.map(|theirs: Timestamp| theirs.duration_since(middle));
        Ok(ahead
            .filter(|ahead| ahead.abs() >= SAME)
            .unwrap_or(SignedDuration::ZERO))
    }

    /// What an error of bollard means for the operator.
    fn error(&self, error: Error) -> PlatformError {
        if let Error::DockerResponseServerError {
            status_code,
            message,
        } = &error
        {
            let message: String = message.chars().take(WORDS).collect();
            // An old engine answers 500 for what is being removed just now.
            let going = message.contains("marked for removal");
            return match status_code {
                400 if message.contains("HTTP request to an HTTPS server") => {
                    PlatformError::Unreachable {
                        platform: PLATFORM,
                        hint: format!(
                            "it wants TLS at {}: write https:// in {}, with ca_file, cert_file and \
                             key_file",
                            self.address.host, self.address.place
                        ),
                        source: Some(Box::new(error)),
                    }
                }
                401 | 403 => PlatformError::Denied {
                    platform: PLATFORM,
                    hint: format!(
                        "the engine or a proxy before it refuses the bot: {message}. \
                         Allow the bot containers, events and info at {}",
                        self.address.host
                    ),
                },
                code if *code == 404 || going => PlatformError::NotFound {
                    platform: PLATFORM,
                    what: message,
                    hint: "it may just have been removed or replaced; ask for the status".into(),
                },
                _ => PlatformError::Failed {
                    platform: PLATFORM,
                    message,
                    source: Some(Box::new(error)),
                },
            };
        }
        if let Way::Tls { tls, .. } = &self.address.way
            && let Some(hint) = tls::hint(&error, &self.address, tls)
        {
            return PlatformError::Unreachable {
                platform: PLATFORM,
                hint,
                source: Some(Box::new(error)),
            };
        }
        let kind = match &error {
            // Bollard shows this one as if it were its cause.
            Error::IOError { err } => Some(err.kind()),
            other => io_kind(other),
        };
        match kind {
            Some(io::ErrorKind::PermissionDenied) => PlatformError::Denied {
                platform: PLATFORM,
                hint: format!(
                    "the bot may not open {}: add the bot's user to the group docker \
                     (`usermod -aG docker USER`) and start the bot anew",
                    self.address.host
                ),
            },
            Some(_) => self.unreachable(error),
            None => match error {
                Error::SocketNotFoundError(_)
                | Error::HyperResponseError { .. }
                | Error::HyperLegacyError { .. } => self.unreachable(error),
                other => PlatformError::Failed {
                    platform: PLATFORM,
                    message: other.to_string().chars().take(WORDS).collect(),
                    source: Some(Box::new(other)),
                },
            },
        }
    }

    fn unreachable(&self, error: Error) -> PlatformError {
        PlatformError::Unreachable {
            platform: PLATFORM,
            hint: format!(
                "is the Docker daemon running? `systemctl status docker`. The bot looks at {}: \
                 set {} if it is elsewhere",
                self.address.host, self.address.place
            ),
            source: Some(Box::new(error)),
        }
    }
}

/// The kind of the input or output error at the bottom of an error, if there is one.
pub(super) fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(host: &str) -> Engine {
        Engine::new(EngineConfig {
            host: Some(host.to_owned()),
            ..EngineConfig::default()
        })
        .unwrap()
    }

    #[tokio::test]
    async fn an_engine_that_is_away_names_the_mend() {
        let host = "unix:///nowhere/docker.sock";
        let error = engine(host).client().unwrap_err();
        assert!(matches!(error, PlatformError::Unreachable { .. }));
        assert!(error.to_string().contains("systemctl status docker"));
        assert!(error.to_string().contains(host));

        let engine = engine("tcp://127.0.0.1:1");
        let ping = engine.client().unwrap().ping();
        let error = engine.call("ping", ASK, ping).await.unwrap_err();
        assert!(
            matches!(error, PlatformError::Unreachable { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_socket_that_may_not_be_opened_names_the_group() {
        let err = io::Error::from(io::ErrorKind::PermissionDenied);
        let engine = engine("unix:///var/run/docker.sock");
        let error = engine.error(Error::IOError { err });
        assert!(matches!(error, PlatformError::Denied { .. }));
        assert!(error.to_string().contains("usermod -aG docker"), "{error}");
    }
}
