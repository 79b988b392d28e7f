//! The connection to the engine: where it is, how long a call may take, what its errors mean.

use std::future::Future;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::Duration;

use bollard::errors::Error;
use jiff::{SignedDuration, Timestamp};

use super::address::{Address, EngineConfig, Transport};
use super::error::{Result, denied, failed, not_found, timeout, unreachable, unsupported};
use super::tls::{self, find_error};
use treasury_ports::platform::PlatformError;

/// How long a question (list, inspect) may take.
pub const QUERY_LIMIT: Duration = Duration::from_secs(5);

/// How long a change or a longer answer may take, besides what the caller allows a process.
pub const CHANGE_LIMIT: Duration = Duration::from_secs(30);

/// Clocks that differ by less are the same: less can't be told from the time of the question.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(1);

/// The most characters of the engine's own words that go into an error.
const MAX_MESSAGE: usize = 500;

/// A call of bollard.
pub trait Call<T>: Future<Output = Result<T, Error>> {}
impl<T, F: Future<Output = Result<T, Error>>> Call<T> for F {}

/// A connection that is made when it is first needed, so that the bot starts without an engine.
#[derive(Debug)]
pub struct Engine {
    /// Its name in the configuration; the default one has none.
    name: Option<String>,
    address: Address,
    client: OnceLock<bollard::Docker>,
}

impl Engine {
    /// Checks the form of the address and the TLS files only.
    pub fn new(config: EngineConfig) -> Result<Self> {
        let engine = Self {
            name: config.name.clone(),
            address: Address::new(config)?,
            client: OnceLock::new(),
        };
        if matches!(engine.address.transport, Transport::Tls { .. }) {
            engine.client()?;
        }
        Ok(engine)
    }

    /// Its address, for people.
    pub fn host(&self) -> &str {
        &self.address.host
    }

    /// The client. The only cause of failure is a socket file that is not there.
    pub fn client(&self) -> Result<&bollard::Docker> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let (seconds, version) = (CHANGE_LIMIT.as_secs(), bollard::API_DEFAULT_VERSION);
        let host = &self.address.host;
        let client = match &self.address.transport {
            Transport::Unix => bollard::Docker::connect_with_unix(host, seconds, version),
            Transport::Plain => bollard::Docker::connect_with_http(host, seconds, version),
            Transport::Tls { authority, tls } => {
                Ok(tls::client(&self.address, authority, tls, seconds)?)
            }
        };
        let client = client.map_err(|error| self.error(error))?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Is it there?
    pub async fn ping(&self) -> Result<()> {
        self.query("ping", self.client()?.ping()).await.map(drop)
    }

    /// What it says of itself and its host.
    pub async fn info(&self) -> Result<bollard::models::SystemInfo> {
        self.query("info", self.client()?.info()).await
    }

    /// The client for a call that may take longer than usual.
    pub fn patient_client(&self, longest: Duration) -> Result<bollard::Docker> {
        Ok(self.client()?.clone().with_timeout(longest))
    }

    /// Asks a question within [`QUERY_LIMIT`]; `what` names it in the error.
    pub async fn query<T>(&self, what: &str, call: impl Call<T>) -> Result<T> {
        self.call(what, QUERY_LIMIT, call).await
    }

    /// Makes a change within [`CHANGE_LIMIT`]; `what` names it in the error.
    pub async fn change<T>(&self, what: &str, call: impl Call<T>) -> Result<T> {
        self.call(what, CHANGE_LIMIT, call).await
    }

    /// Runs one call with a time limit; `what` names it in the error.
    pub async fn call<T>(&self, what: &str, limit: Duration, call: impl Call<T>) -> Result<T> {
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Error::RequestTimeoutError)) | Err(_) => {
                let what = match &self.name {
                    None => what.to_owned(),
                    Some(name) => format!("{what} on the engine {name}"),
                };
                Err(timeout(what, limit))
            }
            Ok(Err(error)) => Err(self.error(error)),
        }
    }

    /// How far the engine's clock is ahead of ours. An engine on this host has our clock.
    pub async fn clock_ahead(&self) -> Result<SignedDuration> {
        if matches!(self.address.transport, Transport::Unix) {
            return Ok(SignedDuration::ZERO);
        }
        let asked = Timestamp::now();
        let info = self.info().await?;
        let middle = asked + Timestamp::now().duration_since(asked) / 2;
        let theirs = info.system_time.and_then(|time| time.parse().ok());
        let ahead = theirs.map(|theirs: Timestamp| theirs.duration_since(middle));
        let ahead = ahead.filter(|ahead| ahead.abs() >= CLOCK_TOLERANCE);
        Ok(ahead.unwrap_or(SignedDuration::ZERO))
    }

    /// What an error of bollard means for the operator.
    fn error(&self, error: Error) -> PlatformError {
        use Error as E;
        let (host, setting) = (&self.address.host, &self.address.setting);
        let cut = |text: &str| -> String { text.chars().take(MAX_MESSAGE).collect() };
        if let Error::DockerResponseServerError {
            status_code,
            message,
        } = &error
        {
            let (status_code, message) = (*status_code, cut(message));
            // The engine's answer for what is being removed just now, see the crate's head.
            let going = message.contains("marked for removal");
            return match status_code {
                400 if message.contains("HTTP request to an HTTPS server") => unreachable(
                    format!(
                        "it wants TLS at {host}: write https:// in {setting}, with ca_file, \
                         cert_file and key_file"
                    ),
                    error,
                ),
                401 | 403 => denied(format!(
                    "the engine or a proxy before it refuses the bot: {message}. Allow the bot \
                     containers, events and info at {host}"
                )),
                code if code == 404 || going => not_found(
                    message,
                    "it may just have been removed or replaced; ask for the status",
                ),
                _ if message.contains("does not support reading") => unsupported(format!(
                    "{message}: the engine keeps no log of it. Give the container the log driver \
                     local or json-file (Compose: `logging`), or ask a log store: `logs SERVICE \
                     --stored`"
                )),
                _ => failed(message, error),
            };
        }
        if let Transport::Tls { tls, .. } = &self.address.transport
            && let Some(hint) = tls::hint(&error, &self.address, tls)
        {
            return unreachable(hint, error);
        }
        let kind = match &error {
            // Bollard shows this one as if it were its cause.
            Error::IOError { err } => Some(err.kind()),
            other => find_error(other).map(io::Error::kind),
        };
        if kind == Some(io::ErrorKind::PermissionDenied) {
            return denied(may_not_open(host));
        }
        let no_answer = matches!(
            error,
            E::SocketNotFoundError(_) | E::HyperResponseError { .. } | E::HyperLegacyError { .. }
        );
        if kind.is_none() && !no_answer {
            return failed(cut(&error.to_string()), error);
        }
        let hint = format!(
            "is the Docker daemon running? `systemctl status docker`. The bot looks at {host}: set \
             {setting} if it is elsewhere"
        );
        unreachable(hint, error)
    }
}

/// Whose the socket is, and how the bot becomes one of them. In a container, the group has no name,
/// and `usermod` does nothing.
fn may_not_open(host: &str) -> String {
    let path = host.trim_start_matches("unix://");
    let facts = std::fs::metadata(path).ok();
    let closed = facts
        .as_ref()
        .is_some_and(|facts| facts.mode() & 0o060 != 0o060);
    if closed {
        return format!(
            "the bot may not open {host}, and nor may its group: give the group the right to \
             (`chmod g+rw {path}`), and the bot the group"
        );
    }
    let group = facts.map_or("GROUP".to_owned(), |facts| facts.gid().to_string());
    format!(
        "the bot may not open {host}: it has to be in group {group} (`stat -c %g {path}`). In a \
         container: `docker run --group-add {group}`, or `group_add` of Compose; elsewhere \
         `usermod -aG {group} USER`; then start the bot anew"
    )
}

/// The call's value; `None` if what it is about is not there.
pub async fn optional<T>(call: impl Call<T>) -> Result<Option<T>, Error> {
    match call.await {
        Err(Error::DockerResponseServerError {
            status_code: 404, ..
        }) => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
        let error = engine.query("ping", ping).await.unwrap_err();
        assert!(
            matches!(error, PlatformError::Unreachable { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_socket_that_may_not_be_opened_names_the_group_to_be_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let told = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let err = io::Error::from(io::ErrorKind::PermissionDenied);
            let error = engine(&format!("unix://{}", path.display())).error(Error::IOError { err });
            assert!(matches!(error, PlatformError::Denied { .. }));
            error.to_string()
        };
        let (group, path) = (std::fs::metadata(&path).unwrap().gid(), path.display());
        let usual = told(0o660);
        for part in [
            format!("in group {group} (`stat -c %g {path}`)"),
            format!("docker run --group-add {group}"),
            format!("usermod -aG {group} USER"),
        ] {
            assert!(usual.contains(&part), "no “{part}” in: {usual}");
        }
        // The group would be no use.
        let closed = told(0o600);
        assert!(closed.contains(&format!("chmod g+rw {path}")), "{closed}");
        assert!(!closed.contains("--group-add"), "{closed}");
        // A socket that can't even be looked at.
        let unseen = may_not_open("unix:///nowhere/docker.sock");
        assert!(unseen.contains("--group-add GROUP"), "{unseen}");
    }
}
