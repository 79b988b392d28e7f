//! What a metric is: its name, its words, its labels; and how a value is recorded.

use std::time::Duration;

use metrics::Label;

/// Stands for a value that is none of those declared.
const OTHER: &str = "other";

/// What Prometheus is told of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is.
    Gauge,
    /// How often a value was up to each of these bounds, in seconds.
    Histogram,
}

/// The values that a label can have. There are always few: each is a series of its own.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// One of these; anything else is counted as `other`.
    Of(&'static [&'static str]),
    /// As many as there are of something, such as commands.
    AsManyAs(&'static str),
}

/// One metric.
#[derive(Debug)]
pub struct Declared {
    /// As Prometheus knows it.
    pub name: &'static str,
    /// What it says, and its unit; one line.
    pub help: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Its labels, in the order in which their values are given.
    pub labels: &'static [(&'static str, Values)],
    /// The bounds of a histogram, in seconds.
    pub bounds: &'static [f64],
}

/// A number that only grows.
#[derive(Debug)]
pub struct Counter(pub(crate) Declared);

/// A number that is what it is.
#[derive(Debug)]
pub struct Gauge(pub(crate) Declared);

/// Durations, counted by how long they were.
#[derive(Debug)]
pub struct Histogram(pub(crate) Declared);

impl Declared {
    fn labels(&self, values: &[&str]) -> Vec<Label> {
        debug_assert_eq!(values.len(), self.labels.len(), "{}", self.name);
        let named = self.labels.iter().zip(values);
        let label = |(&(name, known), &value): (&(&'static str, Values), &&str)| {
            let is_known = match known {
                Values::Of(known) => known.contains(&value),
                Values::AsManyAs(_) => true,
            };
            debug_assert!(is_known, "{} {name}={value}", self.name);
            Label::new(name, if is_known { value } else { OTHER }.to_owned())
        };
        named.map(label).collect()
    }

    /// A series of which nothing was counted yet.
    pub(crate) fn begin_counter(&self, labels: &[&str]) {
        metrics::counter!(self.name, self.labels(labels)).increment(0);
    }

    /// The same of a histogram.
    pub(crate) fn begin_histogram(&self, labels: &[&str]) {
        drop(metrics::histogram!(self.name, self.labels(labels)));
    }

    /// All values of its labels together, as far as they are known before anything is recorded.
    pub(crate) fn combinations(&self) -> Vec<Vec<&'static str>> {
        let mut all = vec![Vec::new()];
        for (_, values) in self.labels {
            let Values::Of(values) = values else {
                return Vec::new();
            };
            let longer = all.iter().flat_map(|known: &Vec<&'static str>| {
                let with = |value| [known.as_slice(), &[value]].concat();
                values.iter().copied().map(with)
            });
            all = longer.collect();
        }
        all
    }
}

impl Counter {
    /// Counts one.
    pub fn count(&self, labels: &[&str]) {
        self.add(labels, 1);
    }

    /// Counts this many.
    pub fn add(&self, labels: &[&str], many: u64) {
        metrics::counter!(self.0.name, self.0.labels(labels)).increment(many);
    }
}

impl Gauge {
    /// How it is now; `None`: it is not known.
    pub fn set(&self, labels: &[&str], value: impl Into<Option<f64>>) {
        let value = value.into().unwrap_or(f64::NAN);
        metrics::gauge!(self.0.name, self.0.labels(labels)).set(value);
    }
}

impl Histogram {
    /// Something took so long.
    pub fn took(&self, labels: &[&str], time: Duration) {
        metrics::histogram!(self.0.name, self.0.labels(labels)).record(time.as_secs_f64());
    }
}
