//! The log on standard error, and where traces go.
//!
//! Spans carry the ids by which lines belong together. They are made at the level of errors
//! (`tracing::error_span!`), so that the lines of a log of errors alone carry them, too.

use std::io::IsTerminal;

use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::flat::Flat;

/// Starts the log, by a filter such as `info,sqlx=warn`; `RUST_LOG` goes before it. A log that is
/// already started (tests) stays.
///
/// With the feature `otlp`, and an address in `OTEL_EXPORTER_OTLP_ENDPOINT`, spans are exported; this
/// needs a tokio runtime around it.
pub fn start(level: &str, json: bool) {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| level.to_owned());
    let filter = EnvFilter::new(filter);
    let lines = if json {
        fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(Flat)
            .with_writer(std::io::stderr)
            .with_filter(filter)
            .boxed()
    } else {
        fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_filter(filter)
            .boxed()
    };
    #[cfg(feature = "otlp")]
    let (traces, trouble) = match crate::otlp::layer() {
        Ok(traces) => (traces, None),
        Err(why) => (None, Some(why)),
    };
    #[cfg(not(feature = "otlp"))]
    let (traces, trouble) = (
        None::<tracing_subscriber::layer::Identity>,
        wanted().then_some("this build has no feature `otlp`"),
    );
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(traces)
        .try_init();
    if let Some(why) = trouble {
        // No warning: each `exec` would repeat it on the terminal.
        tracing::info!("OTEL_EXPORTER_OTLP_ENDPOINT is set, and no trace is sent: {why}");
    }
}

/// Hands over what is still to be handed over. Only before the runtime ends.
pub fn end() {
    #[cfg(feature = "otlp")]
    crate::otlp::end();
}

/// Somebody named a place to send traces to
/// (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).
pub(crate) fn wanted() -> bool {
    [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ]
    .iter()
    .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}
