//! Taking alerts in, in one transaction a body.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::conversation::{note_alerts, write_soon};
use super::kinds::{FOLLOW_UP, QUIET, TRIAGE};
use super::words::alerts;
use super::{escalation, flapping, start};
use crate::bot::Context;
use crate::domain::ServiceName;
use crate::domain::alert::{Alert, AlertRecord, Body, Routed, Tracked, Transition};
use crate::store::{StoreError, Tx};

/// What became of a body of alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Alerts that began to fire.
    pub fired: usize,
    /// Alerts that are over.
    pub resolved: usize,
    /// Reports that said nothing new.
    pub known: usize,
}

/// An alert as it is reported: where it belongs, and the name of its group.
type Report = (Alert, Routed, String);

/// The news of one group. Those of alerts that are known are sorted by their conversation.
#[derive(Default)]
struct Group {
    /// The group's last conversation.
    conversation: Option<String>,
    /// Alerts that began to fire.
    fired: Vec<AlertRecord>,
    /// Alerts that are over (`true`), and others that only say something new.
    others: BTreeMap<String, Vec<(AlertRecord, bool)>>,
    /// Alerts that changed but flap, and whether they begin to.
    flapping: BTreeMap<String, Vec<(AlertRecord, bool)>>,
}

/// Takes in what a body says: when it returns, they are durably recorded, and what follows will happen.
/// The same reports again change nothing.
pub async fn take_alerts(context: &Context, body: Body) -> Result<Taken, StoreError> {
    let known = |name: &str| {
        let name = ServiceName::parse(name).ok()?;
        context.catalogue().get(&name).map(|_| name)
    };
    let routes = &context.settings().alerts.routes;
    let reports: Vec<Report> = body
        .alerts
        .into_iter()
        .map(|alert| {
            let routed = routes.resolve(&alert, &known);
            let group = routed.group(&alert);
            (alert, routed, group)
        })
        .collect();
    let bot = context.clone();
    let taken = context
        .store()
        .write(move |tx| Box::pin(async move { take(tx, &bot, reports).await }))
        .await?;
    for (word, count) in [
        ("fired", taken.fired),
        ("resolved", taken.resolved),
        ("known", taken.known),
    ] {
        metrics::counter!("treasury_bot_alerts_total", "news" => word).increment(count as u64);
    }
    Ok(taken)
}

async fn take(tx: &mut Tx, bot: &Context, reports: Vec<Report>) -> Result<Taken, StoreError> {
    let (taken, groups) = sort(tx, bot, reports).await?;
    for (name, mut group) in groups {
        flapping::take(tx, bot, group.flapping, &mut group.fired).await?;
        fired(tx, bot, &name, group.conversation.as_deref(), &group.fired).await?;
        for (key, records) in group.others {
            resolved(tx, bot, &key, records).await?;
        }
    }
    Ok(taken)
}

/// Applies each report to what is known of its alert.
async fn sort(
    tx: &mut Tx,
    bot: &Context,
    reports: Vec<Report>,
) -> Result<(Taken, BTreeMap<String, Group>), StoreError> {
    let now = tx.now();
    // In the order of their names, so that two bodies can't wait for each other.
    let names: BTreeSet<&String> = reports.iter().map(|(_, _, group)| group).collect();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for name in names {
        let conversation = tx.alert_group(name).await?;
        groups.entry(name.clone()).or_default().conversation = conversation;
    }
    let fingerprint = |(alert, ..): &Report| alert.fingerprint.clone();
    let fingerprints: BTreeSet<String> = reports.iter().map(fingerprint).collect();
    let fingerprints: Vec<String> = fingerprints.into_iter().collect();
    let mut known: HashMap<String, (String, AlertRecord)> = tx
        .alerts(&fingerprints)
        .await?
        .into_iter()
        .map(|(key, record)| (record.tracked.alert.fingerprint.clone(), (key, record)))
        .collect();
    let mut taken = Taken::default();
    for (alert, routed, name) in reports {
        let fingerprint = alert.fingerprint.clone();
        let (key, record, transition) = match known.remove(&fingerprint) {
            None => {
                let (tracked, transition) = Tracked::first(alert, now);
                (String::new(), AlertRecord { tracked, routed }, transition)
            }
            Some((key, mut record)) => {
                let before = record.tracked.alert.clone();
                let damping = bot.settings().alerts.damping;
                let transition = record.tracked.apply(alert.after(&before), damping, now);
                if transition == Transition::Nothing && record.tracked.alert == before {
                    taken.known += 1;
                    known.insert(fingerprint, (key, record));
                    continue;
                }
                record.routed = routed;
                (key, record, transition)
            }
        };
        let group = groups.entry(name).or_default();
        let (count, sorted, flag) = match transition {
            Transition::Fired => {
                taken.fired += 1;
                group.fired.push(record.clone());
                known.insert(fingerprint, (key, record));
                continue;
            }
            Transition::Resolved => (&mut taken.resolved, &mut group.others, true),
            Transition::Nothing => (&mut taken.known, &mut group.others, false),
            Transition::Damped { begins } => (&mut taken.known, &mut group.flapping, begins),
        };
        *count += 1;
        let records = sorted.entry(key.clone()).or_default();
        records.push((record.clone(), flag));
        known.insert(fingerprint, (key, record));
    }
    Ok((taken, groups))
}

/// Alerts of a group that began to fire: they get a conversation, and all that follows.
async fn fired(
    tx: &mut Tx,
    bot: &Context,
    group: &str,
    before: Option<&str>,
    fired: &[AlertRecord],
) -> Result<(), StoreError> {
    let Some(worst) = fired.iter().min_by_key(|record| record.routed.severity) else {
        return Ok(());
    };
    let (mut conversation, new) = start::conversation(tx, bot, group, before, worst).await?;
    for record in fired {
        tx.alert_put(&conversation.key, record).await?;
    }
    let what = alerts(fired.len(), "fires", "fire");
    note_alerts(tx, &conversation, &what, fired).await?;
    if let (Some(id), false) = (conversation.incident, new) {
        start::worsen(tx, bot, id, worst.routed.severity).await?;
    }
    conversation.quiet_since = None;
    tx.conversation_put(&conversation).await?;
    QUIET.unset(tx, &conversation.key).await?;
    write_soon(tx, &conversation).await?;
    flapping::begun(tx, bot, &conversation, fired).await?;
    if new {
        let now = tx.now();
        TRIAGE.set(tx, &conversation.key, now).await?;
        let later = now + bot.settings().alerts.follow_up;
        FOLLOW_UP.set(tx, &conversation.key, later).await?;
    }
    escalation::schedule(tx, bot, &conversation).await
}

/// Alerts of a conversation that are over, or say something new.
async fn resolved(
    tx: &mut Tx,
    bot: &Context,
    key: &str,
    records: Vec<(AlertRecord, bool)>,
) -> Result<(), StoreError> {
    let mut over = Vec::new();
    for (record, is_over) in records {
        tx.alert_put(key, &record).await?;
        if is_over {
            over.push(record);
        }
    }
    let Some(mut conversation) = tx.conversation(key).await? else {
        return Ok(());
    };
    if !over.is_empty() {
        let what = alerts(over.len(), "is over", "are over");
        note_alerts(tx, &conversation, &what, &over).await?;
    }
    if conversation.ended {
        return Ok(());
    }
    if tx.count_firing(key).await? == 0 && conversation.quiet_since.is_none() {
        let now = tx.now();
        conversation.quiet_since = Some(now);
        tx.conversation_put(&conversation).await?;
        let due = now + bot.settings().alerts.quiet;
        QUIET.set(tx, key, due).await?;
    }
    write_soon(tx, &conversation).await
}
