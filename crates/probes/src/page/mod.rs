//! A service's own metrics page, in Prometheus' text format or OpenMetrics:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>. It is read line by
//! line, so that what can't be read costs only its line, and it is told what can be counted.

mod line;
mod read;

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::Request;
use hyper::header::CONTENT_TYPE;

use super::fetch::{Fetch, NoAnswer};
use super::{ProbeError, ProbeErrorKind as Kind};
use read::{Unread, read};
use treasury_domain::service::MetricsPage;

/// The largest page that is read, bytes.
const MAX_BYTES: usize = 4 << 20;
/// A page has to come in this time.
const TIMEOUT: Duration = Duration::from_secs(5);
/// As Prometheus 3 asks, apart from protobuf.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                      application/openmetrics-text;version=0.0.1;q=0.5,\
                      text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                      text/plain;version=0.0.4;q=0.3,*/*;q=0.1";

/// What a page says of the requests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counted {
    /// The counter's name.
    pub name: String,
    /// Each series of the counter by its labels, as they are written.
    pub counters: BTreeMap<String, Counter>,
}

/// One counter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counter {
    /// It counts answers 5xx.
    pub failed: bool,
    /// Its value.
    pub value: f64,
}

/// Asks for pages; connections are kept.
pub struct Pages(Fetch);

impl Default for Pages {
    fn default() -> Self {
        Self(Fetch::new(MAX_BYTES))
    }
}

impl Pages {
    /// What a page says of the requests. An error whose kind is not "down" is one of the page: it says
    /// what the page holds, and its hint what to write.
    pub async fn counted(&self, page: &MetricsPage) -> Result<Counted, ProbeError> {
        let error = |kind, what: &str, hint: &str| {
            ProbeError::new(kind, format!("{} {what}", page.url), hint)
        };
        let request = Request::get(&page.url)
            .header("accept", ACCEPT)
            .body(String::new())
            .map_err(|_| error(Kind::Unsupported, "is no address", "correct `metrics_page`"))?;
        let answer = self
            .0
            .send(request, TIMEOUT)
            .await
            .map_err(|NoAnswer { kind, what }| {
                error(kind, &what, "does the service serve its metrics there?")
            })?;
        if answer.status() != 200 {
            let what = format!("answered {}", answer.status().as_u16());
            return Err(error(Kind::Failed, &what, "correct `metrics_page`"));
        }
        let content_type = answer.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let text = String::from_utf8_lossy(answer.body());
        read(&text, content_type.unwrap_or_default(), page)
            .map_err(|Unread { what, hint }| error(Kind::NotFound, &what, &hint))
    }
}
