//! A picture before it is drawn, and what it shows in words.

use jiff::Timestamp;

use crate::domain::Unit;
use crate::domain::timeline::cut;

/// Most series of a picture; what is left out is counted.
pub const MAX_SERIES: usize = 8;
/// Most points of a series; longer ones are thinned.
pub const MAX_POINTS: usize = 1_000;

/// A picture before it is drawn.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// A line below it; may be empty.
    pub subtitle: String,
    /// Of all values.
    pub unit: Unit,
    /// The lines.
    pub series: Vec<Series>,
    /// How many series there are in all.
    pub total: usize,
    /// A line that is not to be crossed: its name and height.
    pub limit: Option<(String, f64)>,
    /// Moments and what happened then.
    pub marks: Vec<(Timestamp, String)>,
    /// The left edge.
    pub from: Timestamp,
    /// The right edge.
    pub to: Timestamp,
    /// Where it is heading: a dashed line from one point to another.
    pub trend: Option<(Timestamp, f64, Timestamp, f64)>,
}

/// A line.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Oldest first; NaN and infinite values are left out.
    pub points: Vec<(Timestamp, f64)>,
    /// There is no value of now: its last one is older.
    pub ended: bool,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
#[error("the picture could not be made: {0}")]
pub struct ChartError(pub(super) String);

impl Chart {
    /// `8 of 56 series; 48 are left out`, where some are.
    pub fn left_out(&self) -> Option<String> {
        let shown = self.series.len().min(MAX_SERIES);
        let left = self.total.saturating_sub(shown);
        let are = if left == 1 { "is" } else { "are" };
        (left > 0).then(|| format!("{shown} of {} series; {left} {are} left out", self.total))
    }

    /// What the picture shows, in a few sentences, at most 900 bytes.
    pub fn alt_text(&self) -> String {
        let mut text = format!("Line chart: {}.", clean(&self.title, 80));
        if !self.subtitle.is_empty() {
            text.push_str(&format!(" {}.", clean(&self.subtitle, 160)));
        }
        if let Some(left_out) = self.left_out() {
            text.push_str(&format!(" {left_out}."));
        }
        let mut shown = 0;
        for series in self.series.iter().take(MAX_SERIES) {
            let values: Vec<f64> = series
                .points
                .iter()
                .map(|(_, value)| *value)
                .filter(|value| value.is_finite())
                .collect();
            let (Some(first), Some(last)) = (values.first(), values.last()) else {
                continue;
            };
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let of = |value: f64| self.unit.text(value);
            let gone = series.points.last().filter(|_| series.ended);
            let gone = gone.map_or_else(String::new, |(at, _)| {
                format!(", nothing after {} UTC", at.strftime("%H:%M"))
            });
            text.push_str(&format!(
                " {}: from {} to {}, between {} and {}{gone}.",
                clean(&series.name, 40),
                of(*first),
                of(*last),
                of(least),
                of(most)
            ));
            shown += 1;
        }
        if shown == 0 {
            text.push_str(" No data.");
        }
        if let Some((name, limit)) = &self.limit {
            text.push_str(&format!(
                " The {} is {}.",
                clean(name, 30),
                self.unit.text(*limit)
            ));
        }
        for (at, what) in self.marks.iter().take(6) {
            text.push_str(&format!(
                " {} at {} UTC.",
                clean(what, 30),
                at.strftime("%H:%M")
            ));
        }
        cut(&text, 900)
    }
}

/// Words of others: without what can't be drawn, and short.
pub(super) fn clean(text: &str, most: usize) -> String {
    let text: String = text
        .chars()
        .filter(|c| !c.is_control() && (*c as u32) < 0x2_0000)
        .collect();
    cut(&text, most)
}
