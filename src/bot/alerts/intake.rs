//! Taking alerts in, in one transaction a body.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::conversation::{closed_at, is_active};
use super::kinds::{SETTLE, SILENCE_END};
use super::news::Group;
use super::{episode, flapping, order, over};
use crate::bot::Context;
use crate::domain::alert::{
    Alert, AlertRecord, Arrival, Body, Damping, Reason, Routed, Tracked, Transition,
};
use crate::domain::{ServiceName, Severity};
use crate::store::{StoreError, Tx};
use crate::telemetry::metrics::ALERTS;

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

/// An alert as it is reported, where it belongs, and the name of its group.
type Report = (Alert, Routed, String);

/// What a body says, with where each alert belongs.
struct Reports {
    alerts: Vec<Report>,
    /// Why its sender reports now, if it says so.
    reason: Option<Reason>,
    /// Its sender's group, and how many alerts of it were left out.
    left_out: Option<(String, u64)>,
}

impl Reports {
    /// Whether the body says nothing new. Alertmanager's may be about one alert of a group, and list the
    /// others with it: that is no repetition of those.
    fn repeats(&self, known: &HashMap<String, (String, AlertRecord)>) -> bool {
        let is_known = |alert: &Alert| {
            let before = known.get(&alert.fingerprint);
            before.is_some_and(|(_, record)| record.tracked.alert.firing == alert.firing)
        };
        match self.reason {
            Some(reason) => reason == Reason::Repeat,
            None => self
                .alerts
                .iter()
                .all(|(alert, ..)| !alert.is_from_alertmanager() || is_known(alert)),
        }
    }
}

/// Takes alerts in: when it returns, they are durably recorded, and what follows will happen.
/// The same reports again change nothing.
pub async fn take_alerts(context: &Context, source: &str, body: Body) -> Result<Taken, StoreError> {
    let known = |name: &str| {
        let name = ServiceName::parse(name).ok()?;
        context.catalogue().get(&name).map(|_| name)
    };
    let routes = &context.settings().alerts.routes;
    let sender = body.group.as_deref();
    let alerts = body.alerts.into_iter().map(|alert| {
        let routed = routes.resolve(&alert, &known);
        let group = routed.group(&alert, sender);
        (alert, routed, group)
    });
    let left_out = match body.reason {
        Some(Reason::AllResolved) => 0,
        _ => body.left_out,
    };
    let reports = Reports {
        alerts: alerts.collect(),
        reason: body.reason,
        left_out: body.group.clone().map(|group| (group, left_out)),
    };
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
        ALERTS.add(&[source, word], count as u64);
    }
    tracing::info!(
        fired = taken.fired,
        resolved = taken.resolved,
        known = taken.known,
        "alerts are taken in"
    );
    Ok(taken)
}

async fn take(tx: &mut Tx, bot: &Context, reports: Reports) -> Result<Taken, StoreError> {
    let left_out = reports.left_out.clone();
    let (taken, groups) = sort(tx, bot, reports).await?;
    let mut keys = BTreeSet::new();
    for (name, mut group) in order::worst_first(bot, groups) {
        flapping::take(tx, bot, group.flapping, &mut group.news.fired).await?;
        keep_quiet(tx, &mut group.news.fired).await?;
        for (key, records) in group.former {
            over::take(tx, bot, &key, records).await?;
        }
        keys.extend(episode::begin(tx, bot, &name, group.conversation, &group.news).await?);
        for (key, records) in group.others {
            over::take(tx, bot, &key, records).await?;
            keys.insert(key);
        }
    }
    if let Some((group, count)) = left_out {
        // Nobody says of which service they are, and a body may leave out all of one.
        let before = tx.conversations_left_out().await?.into_iter();
        let before = before.filter(|one| one.left_out.contains_key(&group));
        keys.extend(before.map(|one| one.key));
        for key in keys {
            over::left_out(tx, bot, &key, &group, count).await?;
        }
    }
    Ok(taken)
}

/// Alerts that fire while they are silenced, and whose conversation is over, declare nothing: they
/// are looked at when the silence ends.
async fn keep_quiet(tx: &mut Tx, fired: &mut Vec<AlertRecord>) -> Result<(), StoreError> {
    let now = tx.now();
    let (loud, quiet): (Vec<_>, Vec<_>) = std::mem::take(fired)
        .into_iter()
        .partition(|record| record.tracked.is_audible(now));
    *fired = loud;
    let fingerprint = |record: &AlertRecord| record.tracked.alert.fingerprint.clone();
    let fingerprints: Vec<String> = quiet.iter().map(fingerprint).collect();
    let known = tx.alerts(&fingerprints).await?.into_iter();
    let keys: HashMap<String, String> = known
        .map(|(key, record)| (fingerprint(&record), key))
        .collect();
    for record in quiet {
        let key = keys.get(&record.tracked.alert.fingerprint);
        match (key, record.tracked.silenced_until) {
            (Some(key), Some(until)) if !key.is_empty() && !is_active(tx, key).await? => {
                tx.alert_put(key, &record).await?;
                SILENCE_END.set(tx, key, until).await?;
            }
            _ => fired.push(record),
        }
    }
    Ok(())
}

/// What is known after a report, with the alert's conversation, what the report comes to, and how bad
/// the alert was before.
fn applied(
    known: Option<(String, AlertRecord)>,
    (alert, routed, group): Report,
    came: Arrival,
    damping: Damping,
) -> (String, AlertRecord, Transition, Severity) {
    let Some((key, mut record)) = known else {
        let (tracked, transition) = Tracked::first(alert, came.at);
        let before = routed.severity;
        let record = AlertRecord {
            tracked,
            routed,
            group,
        };
        return (String::new(), record, transition, before);
    };
    let is_end = !alert.firing;
    let alert = alert.after(&record.tracked.alert);
    let transition = record.tracked.apply(alert, came, damping);
    let before = record.routed.severity;
    (record.routed, record.group) = (routed, group);
    if is_end {
        // Only what fires gets worse.
        record.routed.severity = before;
    }
    (key, record, transition, before)
}

/// A firing that has ended, by what is reported now though nobody said so: as it was at its end.
async fn former(
    tx: &mut Tx,
    known: &mut Option<(String, AlertRecord)>,
    report: &Alert,
    damping: Damping,
) -> Result<Option<AlertRecord>, StoreError> {
    let now = tx.now();
    let Some((key, record)) = known else {
        return Ok(None);
    };
    if !is_another(key, record, report, now) || is_taken_up(tx, key, report.starts_at).await? {
        return Ok(None);
    }
    record.tracked.end_unheard(damping, report.starts_at);
    Ok(Some(record.clone()))
}

/// An alert of Alertmanager that fires began after it was last heard of: what fired before has ended,
/// though nobody said so (Alertmanager merges what overlaps).
fn is_another(key: &str, record: &AlertRecord, report: &Alert, now: Timestamp) -> bool {
    let tracked = &record.tracked;
    let heard_at = tracked.heard_at.unwrap_or(tracked.changed_at);
    // A sender without starts of its own says that it begins now, each time.
    let has_start = now.duration_since(report.starts_at) >= SignedDuration::from_secs(1);
    report.firing
        && has_start
        && report.is_from_alertmanager()
        && tracked.alert.firing
        && report.starts_at > heard_at
        && !key.is_empty()
}

/// Somebody took the alerts up after this moment: they have what began then.
async fn is_taken_up(tx: &mut Tx, key: &str, began_at: Timestamp) -> Result<bool, StoreError> {
    let conversation = tx.conversation(key).await?;
    let acknowledged = conversation.and_then(|one| one.acknowledged);
    Ok(acknowledged.is_some_and(|(_, at)| at >= began_at))
}

/// Applies each report to what is known of its alert.
async fn sort(
    tx: &mut Tx,
    bot: &Context,
    reports: Reports,
) -> Result<(Taken, BTreeMap<String, Group>), StoreError> {
    let now = tx.now();
    // In the order of their names, so that two bodies can't wait for each other.
    let names: BTreeSet<&String> = reports.alerts.iter().map(|(.., group)| group).collect();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for name in names {
        let conversation = tx.alert_group(name).await?;
        groups.entry(name.clone()).or_default().conversation = conversation;
    }
    let fingerprints = reports.alerts.iter().map(|(alert, ..)| &alert.fingerprint);
    let fingerprints: BTreeSet<String> = fingerprints.cloned().collect();
    let fingerprints: Vec<String> = fingerprints.into_iter().collect();
    let mut known: HashMap<String, (String, AlertRecord)> = tx
        .alerts(&fingerprints)
        .await?
        .into_iter()
        .map(|(key, record)| (record.tracked.alert.fingerprint.clone(), (key, record)))
        .collect();
    let mut closed: HashMap<String, Option<Timestamp>> = HashMap::new();
    let settings = &bot.settings().alerts;
    let came = Arrival {
        at: now,
        has_reason: reports.reason.is_some(),
        repeats: reports.repeats(&known),
    };
    let mut taken = Taken::default();
    for (alert, routed, group) in reports.alerts {
        let fingerprint = alert.fingerprint.clone();
        let severity = routed.severity;
        let mut known_before = known.remove(&fingerprint);
        let former = former(tx, &mut known_before, &alert, settings.damping).await?;
        let report = (alert, routed, group);
        let (key, record, transition, before) =
            applied(known_before, report, came, settings.damping);
        let group = groups.entry(record.group.clone()).or_default();
        known.insert(fingerprint, (key.clone(), record.clone()));
        if let Some(former) = former {
            let ended = group.former.entry(key.clone()).or_default();
            ended.push((former, true));
        }
        if group.replaces(&key, &record, transition == Transition::Fired) {
            taken.known += 1;
            continue;
        }
        let sort_into = |sorted: &mut BTreeMap<String, Vec<_>>, flag| {
            sorted
                .entry(key.clone())
                .or_default()
                .push((record.clone(), flag));
        };
        match transition {
            Transition::Fired => {
                taken.fired += 1;
                group.news.fired.push(record);
                continue;
            }
            Transition::Resolved => {
                taken.resolved += 1;
                sort_into(&mut group.others, true);
                continue;
            }
            Transition::Damped { begins: false }
                if record.tracked.alert.firing && severity < before =>
            {
                group.news.changed.push((record, before));
            }
            Transition::Damped { begins } => sort_into(&mut group.flapping, begins),
            Transition::Doubtful(at) => {
                SETTLE
                    .set(tx, &record.tracked.alert.fingerprint, at)
                    .await?;
                sort_into(&mut group.others, false);
            }
            Transition::Nothing if !record.tracked.alert.firing => {
                sort_into(&mut group.others, false);
            }
            Transition::Nothing => {
                if !closed.contains_key(&key) {
                    closed.insert(key.clone(), closed_at(tx, &key).await?);
                }
                let closed = closed.get(&key).copied().flatten();
                if closed.is_some_and(|at| at + settings.quiet <= now) {
                    // People said that it is over, and it still is not.
                    group.news.fired.push(record);
                } else if severity != before && record.tracked.is_audible(now) {
                    group.news.changed.push((record, before));
                } else {
                    sort_into(&mut group.others, false);
                }
            }
        }
        taken.known += 1;
    }
    Ok((taken, groups))
}
