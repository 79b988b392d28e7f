//! The API server: how it is reached, and how long a call to it may take.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use secrecy::ExposeSecret;
use tokio::sync::{OnceCell, Semaphore};

use crate::config::{Config, Server};
use crate::error::{explain, timeout, unusable};
use crate::{Kind, Result};
use treasury_ports::platform::PlatformError;

/// Calls that are under way at the same time; others wait for their turn.
const AT_ONCE: usize = 32;

/// The server, with a client that is made when it is first needed: the bot starts without a
/// cluster.
pub(crate) struct ApiServer {
    config: Config,
    client: OnceCell<Client>,
    /// Autoscalers in the version that the server has.
    pub(crate) autoscaler: OnceCell<Kind>,
    turns: Semaphore,
}

impl ApiServer {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            client: OnceCell::new(),
            autoscaler: OnceCell::new(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// How long a question may take.
    pub(crate) fn limit(&self) -> Duration {
        self.config.timeout
    }

    /// The client. It fails where there is no usable configuration; the server is not asked.
    pub(crate) async fn client(&self) -> Result<&Client> {
        self.client
            .get_or_try_init(|| async {
                let mut config = found(&self.config.server).await?;
                // Every call has a limit of its own; one for reading would end watches and logs.
                config.read_timeout = None;
                config.connect_timeout = Some(self.config.timeout);
                // A caller decides whether to try again, and within which time.
                config.default_retry = false;
                Client::try_from(config).map_err(|error| self.error(error))
            })
            .await
    }

    /// Runs one call with a time limit; `what` names it in the error.
    pub(crate) async fn call<T>(
        &self,
        what: &str,
        limit: Duration,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        // Nobody closes it.
        let _turn = self.turns.acquire().await.ok();
        // Boxed: a request is some kilobytes, and this is awaited everywhere.
        let result = tokio::time::timeout(limit, Box::pin(call)).await;
        result.unwrap_or_else(|_| Err(timeout(what.to_owned(), limit)))
    }

    /// What an error of the client means for the operator.
    pub(crate) fn error(&self, error: kube::Error) -> PlatformError {
        explain(error, &self.config.server)
    }
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The client's configuration.
async fn found(server: &Server) -> Result<kube::Config> {
    match server {
        Server::Infer => kube::Config::infer().await.map_err(|error| {
            unusable(
                "neither a kubeconfig nor a pod's service account: set `kubeconfig` in a \
                 [[cluster]], or KUBECONFIG",
                error,
            )
        }),
        Server::Kubeconfig { path, context } => {
            let hint = match path {
                Some(path) => format!("look at the kubeconfig {}", path.display()),
                None => "look at the kubeconfig".to_owned(),
            };
            let read = match path {
                Some(path) => Kubeconfig::read_from(path),
                None => Kubeconfig::read(),
            };
            let read = read.map_err(|error| unusable(&hint, error))?;
            let options = KubeConfigOptions {
                context: context.clone(),
                ..KubeConfigOptions::default()
            };
            let found = kube::Config::from_custom_kubeconfig(read, &options).await;
            found.map_err(|error| unusable(&hint, error))
        }
        Server::Url { url, token } => {
            let address = url
                .parse()
                .map_err(|error| unusable(&format!("`{url}` is no address"), error))?;
            let mut config = kube::Config::new(address);
            let token = token.as_ref().map(ExposeSecret::expose_secret);
            config.auth_info.token = token.map(|token| token.to_owned().into());
            Ok(config)
        }
    }
}
