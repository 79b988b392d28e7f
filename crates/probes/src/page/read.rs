//! The counters of requests on a page; or what it holds instead.

use std::collections::{BTreeMap, BTreeSet};

use super::line::{Sample, is_plain, plain, samples};
use super::{Counted, Counter};
use treasury_domain::service::MetricsPage;
use treasury_domain::timeline::cut;

/// Most counters that are kept of a page.
const MAX_COUNTERS: usize = 5_000;
/// Most names that are told of a page.
const TOLD: usize = 3;
/// Usual names of the counter of requests, where none is configured; as they are with `_` for what is
/// no letter. `http.server.request.duration` is OpenTelemetry's own.
const COUNTERS: [&str; 11] = [
    "http_requests_total",
    "http_server_requests_total",
    "http_server_requests_seconds_count",
    "http_server_request_duration_seconds_count",
    "http_server_request_duration_count",
    "http_request_duration_seconds_count",
    "http_server_duration_milliseconds_count",
    "http_server_duration_count",
    "http_requests_received_total",
    "flask_http_request_total",
    "starlette_requests_total",
];
/// Usual names of the label with the status, where none is configured.
const STATUS: [&str; 5] = [
    "code",
    "status",
    "status_code",
    "http_status_code",
    "http_response_status_code",
];

/// Why a page says nothing of the requests.
#[derive(Debug, PartialEq)]
pub(super) struct Unread {
    /// To follow the page's address.
    pub(super) what: String,
    /// What to write or to look at.
    pub(super) hint: String,
}

/// The counters of requests on a page, which says that it is of this type.
pub(super) fn read(text: &str, kind: &str, page: &MetricsPage) -> Result<Counted, Unread> {
    if kind.contains("protobuf") {
        let what = "answers in protobuf, though it was asked for text".to_owned();
        let hint = "have it offer Prometheus' text format, or OpenMetrics".to_owned();
        return Err(Unread { what, hint });
    }
    let is_whole = || text.lines().rev().find(|line| !line.trim().is_empty()) == Some("# EOF");
    if kind.contains("openmetrics") && !is_whole() {
        let what = "ends without `# EOF`: it was cut off on its way".to_owned();
        let hint = "does Prometheus read it?".to_owned();
        return Err(Unread { what, hint });
    }
    let wanted = Wanted::of(page);
    let mut found: Vec<Vec<Sample<'_>>> = (0..wanted.counters.len()).map(|_| Vec::new()).collect();
    for sample in samples(text).flatten() {
        if let Some(at) = wanted.rank(&sample.name) {
            found[at].push(sample);
        }
    }
    // Where both are there, the name as it is written counts alone.
    let is_written = |sample: &Sample<'_>| Some(&sample.name) == page.counter.as_ref();
    for samples in &mut found {
        if samples.iter().any(is_written) {
            samples.retain(is_written);
        }
    }
    let counted = found.iter().find_map(|samples| wanted.counted(samples));
    counted.ok_or_else(|| wanted.why_not(text, &found, page))
}

/// A label by its plain name.
fn label<'s>(sample: &'s Sample<'_>, wanted: &str) -> Option<&'s String> {
    let mut labels = sample.labels.iter();
    let (_, value) = labels.find(|(name, _)| is_plain(name, wanted))?;
    Some(value)
}

/// What is looked for.
struct Wanted<'a> {
    counters: Vec<String>,
    labels: Vec<String>,
    /// By their plain names.
    only: Vec<(String, &'a String)>,
}

impl<'a> Wanted<'a> {
    fn of(page: &'a MetricsPage) -> Self {
        let usual = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let counters = page.counter.as_deref().map(plain);
        Self {
            // A family is often called without the ending of its series.
            counters: counters.map_or_else(
                || usual(&COUNTERS),
                |name| {
                    ["", "_total", "_count"]
                        .map(|end| format!("{name}{end}"))
                        .into()
                },
            ),
            labels: page
                .label
                .as_deref()
                .map_or_else(|| usual(&STATUS), |label| vec![plain(label)]),
            only: page
                .only
                .iter()
                .map(|(name, one)| (plain(name), one))
                .collect(),
        }
    }

    fn rank(&self, name: &str) -> Option<usize> {
        self.counters.iter().position(|one| is_plain(name, one))
    }

    fn status<'s>(&self, sample: &'s Sample<'_>) -> Option<&'s str> {
        let mut labels = self.labels.iter();
        Some(labels.find_map(|one| label(sample, one))?)
    }

    fn is_own(&self, sample: &Sample<'_>) -> bool {
        let mut only = self.only.iter();
        only.all(|(name, one)| label(sample, name) == Some(one))
    }

    /// What these series of one counter come to; nothing where they are not by status.
    fn counted(&self, samples: &[Sample<'_>]) -> Option<Counted> {
        let own = samples.iter().filter(|sample| self.is_own(sample));
        let mut counted = Counted::default();
        let mut by_status = false;
        for sample in own {
            let Some(status) = self.status(sample) else {
                continue;
            };
            by_status |= is_status(status);
            if sample.value.is_finite()
                && sample.value >= 0.0
                && counted.counters.len() < MAX_COUNTERS
            {
                // `502`, and `5xx` as some write it.
                let failed = is_status(status) && status.starts_with('5');
                let counter = Counter {
                    failed,
                    value: sample.value,
                };
                counted.counters.insert(sample.written.to_owned(), counter);
                counted.name.clone_from(&sample.name);
            }
        }
        (by_status && !counted.counters.is_empty()).then_some(counted)
    }

    /// What the page holds instead, and what to write.
    fn why_not(&self, text: &str, found: &[Vec<Sample<'_>>], page: &MetricsPage) -> Unread {
        let mut names = BTreeSet::new();
        let mut unread = None;
        for sample in samples(text) {
            match sample {
                Ok(sample) => drop(names.insert(sample.name)),
                Err(line) => unread = unread.or(Some(line)),
            }
        }
        let offers = offers(text);
        let mut hint = String::new();
        for (counter, label) in offers.iter().take(TOLD) {
            hint.push_str(if hint.is_empty() { "name it: " } else { " or " });
            hint.push_str(&format!(
                "metrics_page = {{ url = …, counter = \"{counter}\", label = \"{label}\" }}"
            ));
        }
        if hint.is_empty() {
            hint.push_str("name it: metrics_page = { url = …, counter = …, label = … }");
        }
        let what = match (found.iter().flatten().next(), &page.counter) {
            _ if names.is_empty() => {
                "correct `metrics_page`: does Prometheus read it?".clone_into(&mut hint);
                match unread {
                    None => "holds no metric".to_owned(),
                    Some(line) => format!("is no page of metrics: “{}”", cut(line, 60)),
                }
            }
            (Some(sample), _) => self.without_status(found, sample),
            (None, Some(counter)) => format!("holds no {counter}, but {}", held(&names)),
            (None, None) => format!(
                "holds no counter of requests by status that is known, but {}",
                held(&names)
            ),
        };
        Unread { what, hint }
    }

    /// The counter is there, and why it says nothing.
    fn without_status(&self, found: &[Vec<Sample<'_>>], first: &Sample<'_>) -> String {
        let name = &first.name;
        let all = || found.iter().flatten();
        let own: Vec<_> = all().filter(|sample| self.is_own(sample)).collect();
        if own.is_empty() {
            let only = self
                .only
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            let only: Vec<_> = only.collect();
            return format!("holds {name}, but none with {}", only.join(", "));
        }
        let statuses: BTreeSet<&str> = own.iter().filter_map(|one| self.status(one)).collect();
        if let Some(some) = some_of(statuses.into_iter()) {
            return format!("holds {name}, by {some}: no HTTP status");
        }
        let labels: BTreeSet<&str> = own
            .iter()
            .flat_map(|one| one.labels.keys())
            .map(String::as_str)
            .collect();
        let labels = some_of(labels.into_iter()).unwrap_or_else(|| "none".to_owned());
        format!("holds {name} without a label of the status (its labels: {labels})")
    }
}

/// `502`, or `5xx`.
fn is_status(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 3
        && (b'1'..=b'5').contains(&bytes[0])
        && (bytes[1..].iter().all(u8::is_ascii_digit) || text[1..].eq_ignore_ascii_case("xx"))
}

/// Counters and labels of theirs that hold nothing but HTTP statuses.
fn offers(text: &str) -> Vec<(String, String)> {
    let mut all: BTreeMap<(String, String), bool> = BTreeMap::new();
    for sample in samples(text).flatten() {
        let is_counter = ["_total", "_count"]
            .iter()
            .any(|end| sample.name.ends_with(end));
        // What counts the readings of the page itself.
        if !is_counter || sample.name.starts_with("promhttp_") {
            continue;
        }
        for (label, value) in sample.labels {
            let good = all.entry((sample.name.clone(), label)).or_insert(true);
            *good &= is_status(&value);
        }
    }
    all.into_iter()
        .filter(|(_, good)| *good)
        .map(|(offer, _)| offer)
        .collect()
}

/// `37 metrics, such as a_total, b and c`.
fn held(names: &BTreeSet<String>) -> String {
    // A counter is what could be meant.
    let (counters, others): (Vec<_>, Vec<_>) = names
        .iter()
        .map(String::as_str)
        .partition(|name| name.ends_with("_total") || name.ends_with("_count"));
    let some = some_of(counters.into_iter().chain(others)).unwrap_or_default();
    match names.len() {
        1 => format!("one metric: {some}"),
        n => format!("{n} metrics, such as {some}"),
    }
}

fn some_of<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let some: Vec<String> = names.take(TOLD).map(|name| cut(name, 60)).collect();
    (!some.is_empty()).then(|| some.join(", "))
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

    fn named(counter: &str, label: &str) -> MetricsPage {
        MetricsPage {
            counter: Some(counter.into()),
            label: Some(label.into()),
            ..page()
        }
    }

    /// Answers that are well and failed ones.
    fn sums(text: &str, page: &MetricsPage) -> (f64, f64) {
        let counted =
            read(text, "text/plain", page).unwrap_or_else(|why| panic!("{why:?}: {text}"));
        let sum = |failed| {
            let of = counted.counters.values().filter(|one| one.failed == failed);
            of.map(|one| one.value).sum()
        };
        (sum(false), sum(true))
    }

    fn why_not(text: &str, page: &MetricsPage) -> String {
        let Unread { what, hint } = read(text, "text/plain", page).unwrap_err();
        format!("{what}: {hint}")
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
            only: [("service".to_owned(), "api".to_owned())].into(),
            ..named("answers", "outcome")
        };
        let text = "answers{service=\"api\",outcome=\"500\"} 4\nanswers{service=\"web\",outcome=\"500\"} 7\n\
            answers{service=\"api\",outcome=\"200\",} 40\nanswers{service=\"api\"} 1\n";
        assert_eq!(sums(text, &own), (40.0, 4.0));
        // One that is not by status does not hide one that is.
        let both = "http_requests_total 12\nhttp_request_duration_seconds_count{code=\"500\"} 3\n";
        assert_eq!(sums(both, &page()), (0.0, 3.0));
    }

    #[test]
    fn new_names_are_read_as_prometheus_3_reads_them() {
        for text in [
            "{\"http_requests_total\",code=\"500\"} 50\n{\"http_requests_total\",code=\"200\"} 40\n",
            "{\"http.requests_total\",code=\"500\"} 50\n{\"http.requests_total\",code=\"200\"} 40\n",
            "http_requests_total{\"http.status_code\"=\"500\"} 50\n\
             http_requests_total{\"http.status_code\"=\"200\"} 40\n",
            "http_server_request_duration_seconds_count{http_response_status_code=\"500\"} 50\n\
             http_server_request_duration_seconds_count{http_response_status_code=\"200\"} 40\n",
            "{\"http.server.request.duration_count\",\"http.response.status_code\"=\"500\"} 50\n\
             {\"http.server.request.duration_count\",\"http.response.status_code\"=\"200\"} 40\n",
        ] {
            assert_eq!(sums(text, &page()), (40.0, 50.0), "{text}");
        }
        let family = named("http.server.request.duration", "http.response.status_code");
        let text =
            "{\"http.server.request.duration_count\",\"http.response.status_code\"=\"500\"} 5\n";
        assert_eq!(sums(text, &family), (0.0, 5.0));
        // Named as people see it; an older library writes it with underscores.
        let dotted = named("shop.answers", "http.code");
        let utf8 =
            "{\"shop.answers\",\"http.code\"=\"500\"} 5\nshop_answers{http_code=\"500\"} 90\n";
        assert_eq!(sums(utf8, &dotted), (0.0, 5.0));
        assert_eq!(
            sums("shop_answers{http_code=\"500\"} 5\n", &dotted),
            (0.0, 5.0)
        );
    }

    #[test]
    fn what_can_not_be_read_is_told_with_what_it_holds_and_what_to_write() {
        let go = "go_goroutines 12\nshop_answers_total{outcome=\"200\",to=\"a\"} 4\n\
                  shop_answers_total{outcome=\"500\",to=\"b\"} 4\n\
                  promhttp_metric_handler_requests_total{code=\"200\"} 9\n";
        let offer = "name it: metrics_page = { url = …, counter = \"shop_answers_total\", label = \"outcome\" }";
        let all = "3 metrics, such as promhttp_metric_handler_requests_total, shop_answers_total, go_goroutines";
        for (page, what) in [
            (
                page(),
                format!("holds no counter of requests by status that is known, but {all}"),
            ),
            (
                named("shop_answer_total", "code"),
                format!("holds no shop_answer_total, but {all}"),
            ),
            (
                named("shop_answers_total", "code"),
                "holds shop_answers_total without a label of the status (its labels: outcome, to)"
                    .into(),
            ),
            (
                named("shop_answers_total", "to"),
                "holds shop_answers_total, by a, b: no HTTP status".into(),
            ),
            (
                MetricsPage {
                    only: [("service".to_owned(), "api".to_owned())].into(),
                    ..named("shop_answers_total", "outcome")
                },
                "holds shop_answers_total, but none with service=api".into(),
            ),
        ] {
            assert_eq!(why_not(go, &page), format!("{what}: {offer}"));
        }
        assert_eq!(
            why_not("up 1\n", &page()),
            "holds no counter of requests by status that is known, but one metric: up: \
             name it: metrics_page = { url = …, counter = …, label = … }"
        );
        assert_eq!(
            why_not("\n<!doctype html>\n<p>Hello", &page()),
            "is no page of metrics: “<!doctype html>”: correct `metrics_page`: does Prometheus read it?"
        );
        assert!(why_not("", &page()).starts_with("holds no metric: "));
    }

    #[test]
    fn a_page_that_was_cut_off_or_is_in_another_format_is_none() {
        let of = |kind: &str, text: &str| read(text, kind, &page());
        let good = "http_requests_total{code=\"500\"} 5\n";
        let open = "application/openmetrics-text; version=1.0.0";
        assert!(of(open, &format!("{good}# EOF\n")).is_ok());
        assert!(of(open, good).unwrap_err().what.contains("without `# EOF`"));
        let protobuf = of("application/vnd.google.protobuf", "\u{1}");
        assert!(protobuf.unwrap_err().what.contains("in protobuf"));
    }

    proptest! {
        #[test]
        fn no_page_makes_it_panic(text in "(http_requests_total|up|[{}\"=,\\\\ 0-9a-zé\n#]){0,40}") {
            let _ = read(&text, "", &page());
            let _ = read(&text, "openmetrics", &named("up", "é"));
        }
    }
}
