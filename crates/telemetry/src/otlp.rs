//! Traces by OpenTelemetry's protocol: protobuf over HTTP, by the HTTP and TLS that the bot has.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// The collector may take so long for a batch.
const TIMEOUT: Duration = Duration::from_secs(10);
/// At the end of the process.
const LAST: Duration = Duration::from_secs(2);

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// The layer that exports our spans; `None` where nobody named a collector. Address, headers, name,
/// sampling and the size of batches are the environment's (`OTEL_…`), as with any program.
pub(crate) fn layer<S>() -> Result<Option<impl Layer<S>>, String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    if !crate::log::wanted() {
        return Ok(None);
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(client()?)
        .build()
        .map_err(|error| error.to_string())?;
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("treasury-bot");
    }
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    let tracer = provider.tracer("treasury-bot");
    // Only what is ours, and no event: words stay in the log.
    let ours = |meta: &Metadata<'_>| meta.is_span() && meta.target().starts_with("treasury");
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_filter(filter_fn(ours));
    PROVIDER.get_or_init(|| provider);
    Ok(Some(layer))
}

/// Hands over what waits. Only before the runtime ends.
pub(crate) fn end() {
    if let Some(provider) = PROVIDER.get()
        && let Err(error) = provider.shutdown_with_timeout(LAST)
    {
        tracing::warn!(%error, "the last traces were not sent");
    }
}

fn client() -> Result<OnRuntime, String> {
    let roots = HttpsConnectorBuilder::new()
        .with_native_roots()
        // A bare image has none; a collector on plain http needs none.
        .unwrap_or_else(|_| {
            HttpsConnectorBuilder::new().with_tls_config(
                rustls::ClientConfig::builder()
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth(),
            )
        });
    let connector = roots.https_or_http().enable_http1().build();
    Ok(OnRuntime {
        client: std::sync::Arc::new(HyperClient::new(connector, TIMEOUT, None)),
        runtime: Handle::try_current().map_err(|error| error.to_string())?,
    })
}

/// The exporter works in a thread of its own; HTTP is spoken on the process's runtime.
struct OnRuntime {
    client: std::sync::Arc<dyn HttpClient>,
    runtime: Handle,
}

impl fmt::Debug for OnRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnRuntime")
    }
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self
            .runtime
            .spawn(async move { client.send_bytes(request).await });
        sent.await?
    }
}
