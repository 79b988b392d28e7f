//! `graph`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use jiff::Timestamp;

use crate::bot::alerts::unread_page;
use crate::bot::charts;
use crate::bot::entry::Command;
use crate::bot::headings::{GONE, heading_words, headings};
use crate::bot::request::{Answer, Ask, Effect};
use crate::bot::{Context, Failure, Fault, Refusal};
use crate::command::nearest;
use crate::domain::duration::{self, Human};
use crate::domain::series::Metric;
use crate::domain::timeline::cut;
use crate::domain::{Audience, Content, Line, Message, Service, Tone, Unit};
use crate::report::chart::{Chart, Series};

/// Most marks on a picture.
const MARKS: usize = 6;

/// Draw how a figure of a service went
#[derive(Debug, Args)]
pub struct Graph {
    /// The service
    service: String,
    /// memory, cpu, connections, or a metric that the configuration names
    #[arg(default_value = "memory")]
    metric: String,
    /// How far back: 10m, 2h, 1d …
    #[arg(long, default_value = "1h")]
    since: Human,
}

impl Command for Graph {
    const WORDS: &'static str = "graph";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        let metric = self.metric.as_str();
        let (service, _) = context
            .catalogue()
            .find(&self.service, |near| format!("graph {near} {metric}"))?;
        let to = context.store().now();
        let from = to - self.since.0;
        let (mut chart, words) = match (Metric::parse(metric), service.metrics.get(metric)) {
            (Some(own), _) => own_chart(context, service, own, from, to).await?,
            (None, Some(asked)) => {
                charts::chart(context, service, metric, asked, (from, to)).await?
            }
            (None, None) => return Err(unknown_metric(service, metric).into()),
        };
        chart.marks = marks(context, service, from).await;
        let alt = chart.alt_text();
        // Drawing takes some ten milliseconds of computing.
        let drawn = tokio::task::spawn_blocking(move || chart.png()).await;
        let png = drawn
            .map_err(|error| Fault::Failure(Failure::new(error)))?
            .map_err(|error| Fault::Failure(Failure::new(error)))?;
        let mut title = Line::new()
            .code(&service.name)
            .text(format!(" {metric}, last {}", duration::text(self.since.0)));
        let mut words = words.into_iter();
        if let Some(words) = words.next() {
            title = title.text(format!(": {words}"));
        }
        let comment = words.fold(Message::new(Tone::Plain, title), Message::text);
        Ok(Effect::Say(Answer {
            content: Content::Picture {
                name: format!("{}-{metric}-{}.png", service.name, to.strftime("%H%M%S")),
                title: format!("{} {metric}", service.name),
                png: BASE64.encode(png),
                alt,
                comment,
            },
            audience: Audience::Everyone,
        }))
    }
}

async fn own_chart(
    context: &Context,
    service: &Service,
    metric: Metric,
    from: Timestamp,
    to: Timestamp,
) -> Result<(Chart, Vec<String>), Fault> {
    let headings = headings(context, service, metric, from).await?;
    if headings.is_empty() {
        let page = match metric {
            Metric::ErrorRate => unread_page(context, service.name.as_str()).await?,
            _ => None,
        };
        let page = page.map(|page| page.detail());
        return Err(Refusal::new(
            Line::new()
                .text(format!("No {} of ", metric.as_str()))
                .code(&service.name)
                .text(" is known yet"),
        )
        .detail(page.as_deref().unwrap_or(match metric {
            Metric::Connections => {
                "Fix: name it as the `service` of a [[database]] in treasury-bot.toml"
            }
            Metric::ErrorRate => {
                "The bot counts while it watches ([watch]): from the service's `metrics_page`, \
                     else from its access log; fewer than 20 answers in a minute say nothing"
            }
            Metric::Memory | Metric::Cpu => {
                "The bot measures each 5 s while it serves: try again in a moment"
            }
        }))
        .into());
    }
    let words = headings
        .first()
        .and_then(|first| heading_words(first, metric));
    let trend = headings.first().and_then(|first| {
        let trend = first.trend.filter(|_| first.time_to_limit.is_some())?;
        let (start, end) = (first.points.first()?.0, first.points.last()?.0);
        let hours = end.duration_since(start).as_secs_f64() / 3_600.0;
        Some((
            start,
            trend.at_end - trend.per_hour * hours,
            end,
            trend.at_end,
        ))
    });
    let limit = headings.first().and_then(|first| first.limit);
    let chart = Chart {
        title: format!("{} {}", service.name, metric.as_str()),
        subtitle: words.clone().unwrap_or_default(),
        unit: match metric {
            Metric::Memory => Unit::Bytes,
            Metric::Cpu | Metric::ErrorRate => Unit::Percent,
            Metric::Connections => Unit::Number,
        },
        total: headings.len(),
        series: headings
            .into_iter()
            .map(|heading| Series {
                name: heading.replica,
                ended: heading.points.last().is_none_or(|(at, _)| *at + GONE < to),
                points: heading.points,
            })
            .collect(),
        limit: limit.map(|limit| ("limit".to_owned(), limit)),
        marks: Vec::new(),
        from,
        to,
        trend,
    };
    let words = words.into_iter().chain(chart.left_out()).collect();
    Ok((chart, words))
}

/// Starts and ends of replicas, as the platform tells; none where it does not.
async fn marks(context: &Context, service: &Service, from: Timestamp) -> Vec<(Timestamp, String)> {
    let Ok(platform) = context.catalogue().platform(service) else {
        return Vec::new();
    };
    let events = match platform.events(service, from).await {
        Ok(events) => events,
        Err(error) => {
            tracing::debug!(%error, "a picture without marks");
            return Vec::new();
        }
    };
    let mut marks: Vec<(Timestamp, String)> = events
        .list
        .into_iter()
        .filter_map(|event| {
            let word = match event.what.as_str() {
                "restart" => "restart",
                "oom" => "out of memory",
                _ => return None,
            };
            Some((event.at, word.to_owned()))
        })
        .collect();
    let over = marks.len().saturating_sub(MARKS);
    marks.drain(..over);
    marks
}

fn unknown_metric(service: &Service, metric: &str) -> Refusal {
    let known: Vec<&str> = Metric::ALL
        .iter()
        .map(|metric| metric.as_str())
        .chain(service.metrics.keys().map(String::as_str))
        .collect();
    let refusal = Refusal::new(
        Line::new()
            .text("There is no metric ")
            .code(cut(metric, 60))
            .text(" of ")
            .code(&service.name),
    )
    .detail(format!("Metrics: {}", known.join(", ")));
    match nearest(metric, known.iter().copied()) {
        Some(near) => {
            let sentence = format!("graph {} {near}", service.name);
            refusal.suggest(sentence.clone(), sentence)
        }
        None => refusal,
    }
}
