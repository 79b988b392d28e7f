//! What senders say, and what is said of senders: reports that are not understood, words that are not
//! known, topics of which no more comes. Told once each in the main channel.

use jiff::tz::TimeZone;

use super::intake::take_alerts;
use crate::bot::Context;
use crate::bot::arrivals::Taken;
use crate::domain::alert::generic::sns::Signed;
use crate::domain::alert::{Body, Malformed};
use crate::domain::message::{Line, Message, Tone};
use crate::domain::outgoing::{Destination, Outgoing};
use crate::domain::timeline::cut;
use crate::store::StoreError;
use crate::telemetry::metrics;

/// So many mistakes of a body, and unknown words, are told.
const TOLD: usize = 3;

/// Takes in what a sender says, and how many reports said nothing. When it returns, the alerts are
/// durably recorded; what was not understood is counted, logged and told once a day.
pub async fn receive(
    context: &Context,
    source: &str,
    mut body: Body,
) -> Result<(Taken, usize), StoreError> {
    complete(context, &mut body).await?;
    let (malformed, ignored) = (std::mem::take(&mut body.malformed), body.ignored);
    let mut words: Vec<String> = Vec::new();
    for alert in &body.alerts {
        let routes = &context.settings().alerts.routes;
        if let Some(word) = routes.unknown_severity(alert) {
            metrics::ALERTS_UNKNOWN_SEVERITY.count(&[source]);
            let word = without_figures(word);
            if !words.contains(&word) && words.len() < TOLD {
                words.push(word);
            }
        }
    }
    let all = body.alerts.len() + malformed.len();
    let taken = take_alerts(context, source, body).await?;
    metrics::ALERTS.add(&[source, "ignored"], ignored as u64);
    if !malformed.is_empty() {
        let title = Line::new()
            .text(format!("{} of {all} alerts of ", malformed.len()))
            .code(source)
            .text(match malformed.len() {
                1 => " is not understood",
                _ => " are not understood",
            });
        let lost = "They are not known here; the others of the same body are taken in.";
        told_daily(context, source, title, lost, &malformed).await?;
    }
    for word in words {
        let title = Line::new()
            .code(source)
            .text(" says how bad an alert is by the word ")
            .code(&word)
            .text(", which is not known: it counts as SEV3");
        let message = Message::new(Tone::Warning, title).text(
            "Say what it means by severities in its [[source]], or by severity in a [[route]]. \
             This is told once.",
        );
        tell_once(context, format!("severity-word:{source}:{word}"), message).await?;
    }
    Ok((taken, ignored))
}

/// Nothing in a body was understood.
pub async fn refused(context: &Context, source: &str, why: Malformed) -> Result<(), StoreError> {
    let title = Line::new()
        .text("A body of alerts of ")
        .code(source)
        .text(" is not understood");
    let lost = "Nothing of it is known here, and it was refused.";
    told_daily(context, source, title, lost, &[why]).await
}

/// Amazon SNS has signed this; an error says why its certificate could not be had. `mirror`: the
/// origin of a server that has it.
pub async fn signed_by_sns(
    context: &Context,
    signed: &Signed,
    mirror: Option<&str>,
) -> Result<bool, String> {
    context.sns().is_good(signed, mirror, context.now()).await
}

/// Amazon SNS sends nothing more of a topic.
pub async fn unsubscribed(context: &Context, source: &str, topic: &str) -> Result<(), StoreError> {
    let title = Line::new()
        .text("No more alerts come to ")
        .code(source)
        .text(": its subscription to an Amazon SNS topic was ended");
    let message = Message::new(Tone::Warning, title)
        .code(topic)
        .text("If that was not meant, subscribe the topic to this bot again.");
    let key = format!("unsubscribed:{source}:{}:{}", cut(topic, 200), day(context));
    tell_once(context, key, message).await
}

async fn told_daily(
    context: &Context,
    source: &str,
    title: Line,
    lost: &str,
    malformed: &[Malformed],
) -> Result<(), StoreError> {
    metrics::ALERTS_MALFORMED.add(&[source], malformed.len() as u64);
    for one in malformed {
        tracing::warn!(
            source,
            at = one.at,
            what = one.what,
            "an alert is not understood"
        );
    }
    let all: Vec<String> = malformed
        .iter()
        .take(TOLD)
        .map(ToString::to_string)
        .collect();
    let message = Message::new(Tone::Warning, title)
        .code(all.join("\n"))
        .text(format!(
            "{lost} Further ones of today are in the bot's log and counted in \
             treasury_bot_alerts_malformed_total."
        ));
    let key = format!("malformed:{source}:{}", day(context));
    tell_once(context, key, message).await
}

fn day(context: &Context) -> jiff::civil::Date {
    context.now().to_zoned(TimeZone::UTC).date()
}

/// Says it in the main channel, if nothing was said by this key.
async fn tell_once(context: &Context, key: String, message: Message) -> Result<(), StoreError> {
    if context.store().outbox_read(&key).await?.is_some() {
        return Ok(());
    }
    let outgoing = Outgoing::announcement(key, Destination::Home, message);
    context.store().outbox_put(outgoing).await
}

/// Reports that say only which alert they are about get what is known of it; of one that is not
/// known they say nothing.
async fn complete(context: &Context, body: &mut Body) -> Result<(), StoreError> {
    let bare = body.alerts.iter().filter(|alert| alert.is_bare());
    let fingerprints: Vec<String> = bare.map(|alert| alert.fingerprint.clone()).collect();
    if fingerprints.is_empty() {
        return Ok(());
    }
    let known = context
        .store()
        .write(move |tx| Box::pin(async move { tx.alerts(&fingerprints).await }))
        .await?;
    let before = body.alerts.len();
    body.alerts.retain_mut(|alert| {
        let known = known
            .iter()
            .map(|(_, record)| &record.tracked.alert)
            .find(|known| known.fingerprint == alert.fingerprint);
        if let (true, Some(known)) = (alert.is_bare(), known) {
            alert.labels.clone_from(&known.labels);
            alert.annotations.clone_from(&known.annotations);
            alert.other.clone_from(&known.other);
        }
        !alert.is_bare()
    });
    body.ignored += before - body.alerts.len();
    Ok(())
}

/// A word whose figures move is one word: `97%` is `#%`.
fn without_figures(word: &str) -> String {
    let mut found = String::new();
    for c in word.trim().to_lowercase().chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        if c != '#' || !found.ends_with('#') {
            found.push(c);
        }
    }
    cut(&found, 40)
}
