//! What Prometheus says of a metric that the configuration names.

use std::time::Duration;

use jiff::Timestamp;

use super::now::{self, Line};
use crate::bot::{Context, Fault, Refusal};
use crate::domain::service::Charted;
use crate::domain::timeline::cut;
use crate::domain::unit::Measured;
use crate::domain::{Service, Unit, counted, duration};
use crate::probe::prometheus::{self, Prometheus, QUANTILE, Ranges};
use crate::report::chart::{Chart, MAX_SERIES, Series};

/// Points of a question to Prometheus.
const POINTS: u32 = 240;

/// A picture without its marks, and what is said with it: of now, and further lines.
pub(in crate::bot) async fn chart(
    context: &Context,
    service: &Service,
    metric: &str,
    asked: &Charted,
    (from, to): (Timestamp, Timestamp),
) -> Result<(Chart, Vec<String>), Fault> {
    let prometheus = context.catalogue().prometheus()?;
    let step = (duration::between(from, to) / POINTS).max(Duration::from_secs(1));
    let (answer, unit) = futures_util::join!(
        prometheus.query_range(&asked.query, from, to, step),
        unit(prometheus, asked),
    );
    let answer = answer?;
    let mut lines = now::lines(&answer.series, metric, to, step);
    if lines.is_empty() {
        return Err(nothing(&answer, service, metric, asked).into());
    }
    let alone = answer.series.len() == 1;
    let mut words = vec![now::words(&lines, unit, alone)];
    // No line stands for a series without a number.
    let odd = answer.series.len() - lines.len();
    if odd > 0 {
        words.push(format!(
            "{odd} series without a number: only NaN or infinite values"
        ));
    }
    if answer.histograms > 0 {
        let n = answer.histograms;
        let are = if n == 1 {
            "histogram is"
        } else {
            "histograms are"
        };
        words.push(format!("{n} native {are} not drawn: {QUANTILE}"));
    }
    now::choose(&mut lines, MAX_SERIES);
    let chart = Chart {
        title: format!("{} {metric}", service.name),
        subtitle: words[0].clone(),
        unit,
        total: answer.total - odd,
        series: lines.into_iter().map(Series::from).collect(),
        limit: None,
        marks: Vec::new(),
        from,
        to,
        trend: None,
    };
    words.extend(chart.left_out());
    words.extend(notes(&answer));
    Ok((chart, words))
}

fn notes(answer: &Ranges) -> impl Iterator<Item = String> {
    answer
        .notes
        .iter()
        .map(|note| format!("⚠️ Prometheus: {note}"))
}

/// The unit that the configuration says, or the metric by its name or its metadata.
async fn unit(prometheus: &Prometheus, asked: &Charted) -> Unit {
    if let Some(unit) = asked.unit {
        return unit;
    }
    let Some(measured) = Measured::read(&asked.query) else {
        return Unit::Number;
    };
    let base = match measured.base() {
        Some(base) => Some(base),
        None => match prometheus.unit(measured.family()).await {
            Ok(base) => base,
            Err(error) => {
                tracing::debug!(%error, "no metadata of a metric");
                None
            }
        },
    };
    measured.unit(base).unwrap_or(Unit::Number)
}

/// Why there is nothing to draw.
fn nothing(answer: &Ranges, service: &Service, metric: &str, asked: &Charted) -> Refusal {
    let odd = answer.series.iter().flat_map(|one| &one.odd).next();
    let (what, mend) = match odd {
        _ if answer.histograms > 0 => {
            let found = counted(answer.histograms, "native histogram");
            (
                format!("{found}, which graph can't draw"),
                QUANTILE.to_owned(),
            )
        }
        Some((_, value)) => (
            format!("no number, only {}", prometheus::odd(*value)),
            "a share of nothing (0/0), or a quantile of what was never observed".to_owned(),
        ),
        None => ("no series in this time".to_owned(), String::new()),
    };
    let title = crate::domain::Line::new()
        .text("Prometheus has ")
        .text(what)
        .text(" for ")
        .code(metric)
        .text(" of ")
        .code(&service.name);
    let mut detail = vec![format!("It was asked: {}", cut(&asked.query, 500))];
    detail.extend(Some(mend).filter(|mend| !mend.is_empty()));
    detail.extend(notes(answer));
    Refusal::new(title).detail(detail.join("\n"))
}

impl From<Line> for Series {
    fn from(line: Line) -> Self {
        Self {
            ended: !line.is_now(),
            name: line.name,
            points: line.points,
        }
    }
}
