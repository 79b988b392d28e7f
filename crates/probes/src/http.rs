//! Is an HTTP address well?

use std::error::Error;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::AlertDescription;
use treasury_domain::causes;

/// One try may take this long.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A client over [`connector`].
pub(super) type HttpClient = Client<HttpsConnector<HttpConnector>, String>;

/// Asks HTTP addresses.
#[derive(Clone)]
pub struct Http(HttpClient);

/// Connects by `http://` and `https://`, trusting the system's certificate authorities. Without any
/// (a bare container image) plain `http://` still works and `https://` fails with a clear error.
pub fn connector() -> HttpsConnector<HttpConnector> {
    let builder = HttpsConnectorBuilder::new().with_native_roots();
    let builder = builder.unwrap_or_else(|error| {
        tracing::warn!(%error, "no certificate authorities found: https:// will fail");
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        HttpsConnectorBuilder::new().with_tls_config(config)
    });
    builder.https_or_http().enable_http1().build()
}

/// A client that keeps its connections.
pub(super) fn client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build(connector())
}

impl Http {
    /// Without any certificate authority of the system, only `http://` works.
    pub fn new() -> Self {
        Self(client())
    }

    /// Asks once. `Err` says in a few words why the address is not well.
    pub async fn well(&self, url: &str) -> Result<(), String> {
        let uri = url
            .parse()
            .map_err(|error| format!("`{url}` is no address: {error}"))?;
        match tokio::time::timeout(TIMEOUT, self.0.get(uri)).await {
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(format!("{url} answered {}", answer.status())),
            Ok(Err(error)) => Err(match disagreement(&error) {
                Some(why) => format!(
                    "{url} and the bot can't agree on TLS ({why}); whether it is well is not known"
                ),
                None => format!("{url} can't be reached: {}", causes(&error)),
            }),
            Err(_) => Err(format!(
                "{url} did not answer within {} s",
                TIMEOUT.as_secs()
            )),
        }
    }

    /// Asks until it is well, at most until `within` is over; then says why not.
    pub async fn wait_well(&self, url: &str, within: Duration) -> Result<(), String> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            match self.well(url).await {
                Ok(()) => return Ok(()),
                Err(why) if tokio::time::Instant::now() >= deadline => return Err(why),
                Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
            }
        }
    }
}

/// The server offers no TLS that the bot speaks: others may be served well.
fn disagreement<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut causes = std::iter::successors(Some(error), |&error| {
        // An I/O error hides what it holds: it names the cause of that.
        let held = error
            .downcast_ref::<std::io::Error>()
            .and_then(|error| error.get_ref());
        held.map(|held| held as &(dyn Error + 'static))
            .or_else(|| error.source())
    });
    let error: &rustls::Error = causes.find_map(|cause| cause.downcast_ref())?;
    let by_alert = matches!(
        error,
        rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion
        )
    );
    (by_alert || matches!(error, rustls::Error::PeerIncompatible(_))).then_some(error)
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}
