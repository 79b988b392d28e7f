//! A service's own metrics page, in Prometheus' text format:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::Request;

use super::fetch::{Fetch, NoAnswer};
use super::{ProbeError, ProbeErrorKind as Kind};
use treasury_domain::service::MetricsPage;

/// The largest page that is read, bytes.
const MAX_BYTES: usize = 4 << 20;
/// Most counters that are kept of a page.
const MAX_COUNTERS: usize = 5_000;
/// A page has to come in this time.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Usual names of the counter of requests, where none is configured.
const COUNTERS: [&str; 4] = [
    "http_requests_total",
    "http_server_requests_total",
    "http_server_requests_seconds_count",
    "http_request_duration_seconds_count",
];
/// Usual names of the label with the status, where none is configured.
const STATUS: [&str; 4] = ["code", "status", "status_code", "http_status_code"];

/// What a page says of the requests: each counter by its labels, as they are written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counted(pub BTreeMap<String, Counter>);

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
    /// What a page says of the requests.
    pub async fn counted(&self, page: &MetricsPage) -> Result<Counted, ProbeError> {
        let error = |kind, what: &str, hint: &str| {
            ProbeError::new(kind, format!("{} {what}", page.url), hint)
        };
        let request = Request::get(&page.url)
            .header("accept", "text/plain;version=0.0.4")
            .body(String::new())
            .map_err(|_| error(Kind::Unsupported, "is no address", "correct `metrics_page`"))?;
        let (status, body) =
            self.0
                .send(request, TIMEOUT)
                .await
                .map_err(|NoAnswer { kind, what }| {
                    error(kind, &what, "does the service serve its metrics there?")
                })?;
        if status != 200 {
            let what = format!("answered {status}");
            return Err(error(Kind::Failed, &what, "correct `metrics_page`"));
        }
        let counted = read(&String::from_utf8_lossy(&body), page);
        if counted.0.is_empty() {
            let what = match &page.counter {
                Some(counter) => format!("holds no {counter} with a label for the status"),
                None => "holds no counter of requests by status that is known".to_owned(),
            };
            let hint = "name it: metrics_page = { url = …, counter = …, label = … }";
            return Err(error(Kind::NotFound, &what, hint));
        }
        Ok(counted)
    }
}

/// The counters of requests on a page.
fn read(text: &str, page: &MetricsPage) -> Counted {
    let usual = || {
        COUNTERS
            .iter()
            .copied()
            .find(|name| samples(text, name).next().is_some())
    };
    let Some(counter) = page.counter.as_deref().or_else(usual) else {
        return Counted::default();
    };
    let mut counted = Counted::default();
    for (written, labels, value) in samples(text, counter) {
        let status = match &page.label {
            Some(label) => labels.get(label.as_str()),
            None => STATUS.iter().find_map(|label| labels.get(*label)),
        };
        let Some(status) = status else { continue };
        let own = page
            .only
            .iter()
            .all(|(name, value)| labels.get(name.as_str()) == Some(value));
        if own && counted.0.len() < MAX_COUNTERS {
            // `502`, and `5xx` as some write it.
            let failed = status.len() == 3 && status.starts_with('5');
            counted
                .0
                .insert(written.to_owned(), Counter { failed, value });
        }
    }
    counted
}

/// Labels by name.
type Labels<'a> = BTreeMap<&'a str, String>;

/// The samples of a metric: the labels as they are written and by name, and the value.
fn samples<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, Labels<'a>, f64)> {
    text.lines().filter_map(move |line| {
        let rest = line.trim_start().strip_prefix(name)?.trim_start();
        let inside = rest.strip_prefix('{')?;
        let (labels, end) = labels(inside)?;
        let value: f64 = inside[end + 1..].split_whitespace().next()?.parse().ok()?;
        (value.is_finite() && value >= 0.0).then_some((&inside[..end], labels, value))
    })
}

/// The labels up to the `}` that ends them, and where that is.
fn labels(inside: &str) -> Option<(Labels<'_>, usize)> {
    let mut found = BTreeMap::new();
    let mut rest = inside;
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if rest.starts_with('}') {
            return Some((found, inside.len() - rest.len()));
        }
        let (name, after) = rest.split_once('=')?;
        let mut chars = after.trim_start().strip_prefix('"')?.chars();
        let mut value = String::new();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => match chars.next()? {
                    'n' => value.push('\n'),
                    c => value.push(c),
                },
                c => value.push(c),
            }
        }
        found.insert(name.trim_end(), value);
        rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page() -> MetricsPage {
        MetricsPage {
            url: "http://h/metrics".into(),
            counter: None,
            label: None,
            only: BTreeMap::new(),
        }
    }

    fn sums(text: &str, page: &MetricsPage) -> (f64, f64) {
        let counted = read(text, page);
        let sum = |failed| {
            let of = counted.0.values().filter(|one| one.failed == failed);
            of.map(|one| one.value).sum()
        };
        (sum(false), sum(true))
    }

    #[test]
    fn usual_counters_are_found_by_themselves_and_others_by_their_names() {
        let usual = "# HELP http_requests_total x\n# TYPE http_requests_total counter\n\
            http_requests_total{code=\"200\",method=\"get\"} 1027 1395066363000\n\
            http_requests_total{method=\"post\",code=\"503\"} 3\n\
            http_requests_total_by_day{code=\"500\"} 9\nhttp_requests_total 12\n\
            http_requests_total{path=\"/a\\\"}\",code=\"5xx\"} 2.5e1 # {trace=\"1\"} 1\n\
            http_requests_total{code=\"404\"} NaN\n";
        assert_eq!(sums(usual, &page()), (1027.0, 28.0));
        let own = MetricsPage {
            counter: Some("answers".into()),
            label: Some("outcome".into()),
            only: [("service".to_owned(), "api".to_owned())].into(),
            ..page()
        };
        let text = "answers{service=\"api\",outcome=\"500\"} 4\nanswers{service=\"web\",outcome=\"500\"} 7\n\
            answers{service=\"api\",outcome=\"200\",} 40\nanswers{service=\"api\"} 1\n";
        assert_eq!(sums(text, &own), (40.0, 4.0));
        assert_eq!(sums("up 1\n", &page()), (0.0, 0.0));
    }

    proptest! {
        #[test]
        fn no_page_makes_it_panic(text in "(http_requests_total|[{}\"=,\\\\ 0-9a-zé\n]){0,40}") {
            read(&text, &page());
            labels(&text);
        }
    }
}
