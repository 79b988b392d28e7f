//! Alerts: taken in once each, told in one place each, followed up until they are over.
//!
//! A body of alerts is one transaction: what is known of each alert, the incident it belongs to,
//! the timeline, and the timers of all that follows. Nothing is told within it: messages are
//! written by timers, at most one each [`PACE`] and conversation, so that a storm is a few edits.

pub(in crate::bot) mod command;
pub(in crate::bot) mod damp;
pub(in crate::bot) mod figures;
pub(in crate::bot) mod look;
pub(in crate::bot) mod rates;
pub(in crate::bot) mod silence;
pub(in crate::bot) mod timers;
pub(in crate::bot) mod watchers;
pub(in crate::bot) mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde_json::json;

pub(super) use self::rates::Rates;
use self::timers::What;
use super::incidents::open_incident;
use super::notify::{self, Bulletin};
use super::{Context, Settings};
use crate::domain::alert::{Alert, Routed, Tracked, Transition};
use crate::domain::alert::{AlertRecord, Conversation};
use crate::domain::timeline::{Draft, cut};
use crate::domain::{EntryKind, IncidentId, Line, Person, ServiceName, Severity, Stream, Tone};
use crate::store::{NewIncident, StoreError, Tx};

pub(super) use words::{link as alert_link, target as alert_target};

/// The message of a conversation is written at most this often while alerts come.
const PACE: Duration = Duration::from_secs(10);
/// Alerts that an entry of the timeline lists; it counts all.
const LISTED: usize = 50;

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

/// The news of one group.
#[derive(Default)]
struct Group {
    /// Where the group was told before.
    told: Option<String>,
    /// Alerts that began to fire.
    fired: Vec<AlertRecord>,
    /// Alerts that are over, and others that only say something new; with where they are told.
    others: Vec<(String, AlertRecord, bool)>,
    /// Alerts that changed but flap, with where they are told and whether they begin to.
    damped: Vec<(String, AlertRecord, bool)>,
}

/// Takes alerts in: when it returns, they are durably recorded, and what follows will happen.
/// The same reports again change nothing.
pub async fn take_alerts(context: &Context, alerts: Vec<Alert>) -> Result<Taken, StoreError> {
    let known = |name: &str| {
        let name = ServiceName::parse(name).ok()?;
        context.catalogue().get(&name).map(|_| name)
    };
    let routes = &context.settings().alerts.routes;
    let reports: Vec<(Alert, Routed, String)> = alerts
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

/// The runbook for an alert: the one that is named, else the first whose trigger fits.
fn runbook_for(context: &Context, record: &AlertRecord) -> Option<String> {
    use crate::runbook::Trigger;
    let library = context.library();
    let named = record.routed.runbook.as_deref();
    if let Some(runbook) = named.and_then(|name| library.find(name)) {
        return Some(runbook.name.value.clone());
    }
    let labels = &record.tracked.alert.labels;
    let fits = |trigger: &Trigger| match trigger {
        Trigger::Alert(wanted) => {
            !wanted.is_empty()
                && wanted
                    .iter()
                    .all(|(name, value)| labels.get(name) == Some(value))
        }
        Trigger::Keyword(_) => false,
    };
    let found = library
        .runbooks()
        .find(|runbook| runbook.triggers.iter().any(fits));
    found.map(|runbook| runbook.name.value.clone())
}

async fn take(
    tx: &mut Tx,
    bot: &Context,
    reports: Vec<(Alert, Routed, String)>,
) -> Result<Taken, StoreError> {
    let now = tx.now();
    // In the order of their names, so that two bodies can't wait for each other.
    let names: BTreeSet<&String> = reports.iter().map(|(_, _, group)| group).collect();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for name in names {
        let told = tx.alert_group(name).await?;
        groups.insert(
            name.clone(),
            Group {
                told,
                ..Group::default()
            },
        );
    }
    let fingerprints: BTreeSet<String> = reports
        .iter()
        .map(|(alert, ..)| alert.fingerprint.clone())
        .collect();
    let fingerprints: Vec<String> = fingerprints.into_iter().collect();
    let mut known: HashMap<String, (String, AlertRecord)> = tx
        .alerts(&fingerprints)
        .await?
        .into_iter()
        .map(|(told, record)| (record.tracked.alert.fingerprint.clone(), (told, record)))
        .collect();
    let mut taken = Taken::default();
    for (alert, routed, name) in reports {
        let fingerprint = alert.fingerprint.clone();
        let (told, record, news) = match known.remove(&fingerprint) {
            None => {
                let (tracked, news) = Tracked::first(alert, now);
                (String::new(), AlertRecord { tracked, routed }, news)
            }
            Some((told, mut record)) => {
                let before = record.tracked.alert.clone();
                let damping = bot.settings().alerts.damping;
                let news = record.tracked.apply(alert.after(&before), damping, now);
                if news == Transition::Nothing && record.tracked.alert == before {
                    taken.known += 1;
                    known.insert(fingerprint, (told, record));
                    continue;
                }
                record.routed = routed;
                (told, record, news)
            }
        };
        let group = groups.entry(name).or_default();
        match news {
            Transition::Fired => {
                taken.fired += 1;
                group.fired.push(record.clone());
            }
            Transition::Resolved => {
                taken.resolved += 1;
                group.others.push((told.clone(), record.clone(), true));
            }
            Transition::Nothing => {
                taken.known += 1;
                group.others.push((told.clone(), record.clone(), false));
            }
            Transition::Damped { begins } => {
                taken.known += 1;
                group.damped.push((told.clone(), record.clone(), begins));
            }
        }
        known.insert(fingerprint, (told, record));
    }
    for (name, mut group) in groups {
        damp::take(tx, bot, &mut group).await?;
        if !group.fired.is_empty() {
            fired(tx, bot, &name, &group).await?;
        }
        if !group.others.is_empty() {
            resolved(tx, bot, &group).await?;
        }
    }
    Ok(taken)
}

/// Alerts of a group that began to fire: they get a conversation, and all that follows.
async fn fired(tx: &mut Tx, bot: &Context, name: &str, group: &Group) -> Result<(), StoreError> {
    let (now, alerts) = (tx.now(), &bot.settings().alerts);
    let (mut conversation, new) = conversation(tx, bot, name, group).await?;
    for record in &group.fired {
        tx.alert_put(&conversation.key, record).await?;
    }
    let worst = group
        .fired
        .iter()
        .map(|record| record.routed.severity)
        .min();
    let what = match group.fired.len() {
        1 => "1 alert fires".to_owned(),
        n => format!("{n} alerts fire"),
    };
    note(tx, &conversation, &what, &group.fired).await?;
    if let (Some(id), Some(worst), false) = (conversation.incident, worst, new) {
        worsen(tx, bot.settings(), id, worst).await?;
    }
    conversation.quiet_since = None;
    tx.conversation_put(&conversation).await?;
    timers::unset(tx, &conversation.key, &What::Quiet).await?;
    timers::tell(tx, &conversation).await?;
    damp::begun(tx, bot, &conversation, &group.fired).await?;
    if new {
        timers::set(tx, &conversation.key, now, What::Look).await?;
        let later = now + alerts.follow_up;
        timers::set(tx, &conversation.key, later, What::FollowUp).await?;
    }
    ask_soon(tx, bot, &conversation).await
}

/// Has somebody asked to acknowledge, unless somebody was or has.
async fn ask_soon(
    tx: &mut Tx,
    bot: &Context,
    conversation: &Conversation,
) -> Result<(), StoreError> {
    if conversation.incident.is_none()
        || conversation.acknowledged.is_some()
        || conversation.escalated > 0
    {
        return Ok(());
    }
    let now = tx.now();
    // Nobody is on call: who sees it has some time to come, then all are asked.
    let due = match crate::bot::oncall::rotation_of(bot, &conversation.first.routed) {
        None => now + bot.settings().alerts.ack_within,
        Some(_) => now,
    };
    timers::set(tx, &conversation.key, due, What::Escalate).await
}

/// Alerts that are over, or say something new.
async fn resolved(tx: &mut Tx, bot: &Context, group: &Group) -> Result<(), StoreError> {
    let mut told: BTreeMap<&String, Vec<AlertRecord>> = BTreeMap::new();
    for (place, record, over) in &group.others {
        tx.alert_put(place, record).await?;
        let list = told.entry(place).or_default();
        if *over {
            list.push(record.clone());
        }
    }
    for (place, over) in told {
        let Some(mut conversation) = tx.conversation(place).await? else {
            continue;
        };
        if !over.is_empty() {
            let what = match over.len() {
                1 => "1 alert is over".to_owned(),
                n => format!("{n} alerts are over"),
            };
            note(tx, &conversation, &what, &over).await?;
        }
        if conversation.ended {
            continue;
        }
        if tx.count_firing(place).await? == 0 && conversation.quiet_since.is_none() {
            conversation.quiet_since = Some(tx.now());
            tx.conversation_put(&conversation).await?;
            let due = tx.now() + bot.settings().alerts.quiet;
            timers::set(tx, place, due, What::Quiet).await?;
        }
        timers::tell(tx, &conversation).await?;
    }
    Ok(())
}

/// The conversation that a group's new alerts belong to: the one it has, that of an open incident
/// of the service, or a new one.
async fn conversation(
    tx: &mut Tx,
    bot: &Context,
    name: &str,
    group: &Group,
) -> Result<(Conversation, bool), StoreError> {
    let alerts = &bot.settings().alerts;
    // The worst of them stands for all; of equal ones the first.
    let first = group
        .fired
        .iter()
        .min_by_key(|record| record.routed.severity)
        .unwrap_or(&group.fired[0]);
    let declares = first.routed.severity <= alerts.declare_from;
    if let Some(told) = &group.told
        && let Some(conversation) = tx.conversation(told).await?
        && !conversation.ended
        && is_open(tx, conversation.incident).await?
        // One that declares an incident is not told among lesser ones.
        && (conversation.incident.is_some() || !declares)
    {
        return Ok((conversation, false));
    }
    let service = first.routed.service.clone();
    let mut incident = None;
    if let Some(service) = &service {
        incident = tx.incident_of(service).await?;
    }
    if incident.is_none() && declares {
        let new = NewIncident {
            title: title(first),
            severity: first.routed.severity,
            services: service.iter().cloned().collect(),
            declared_by: Person::bot(),
        };
        let channel = first.routed.channel.clone();
        let members = crate::bot::oncall::on_call_now(bot, tx, &first.routed).await?;
        let opened = open_incident(tx, new, bot.settings(), members, channel).await?;
        incident = Some(opened.id);
    }
    let told = match incident {
        Some(id) => format!("incident:{}", id.0),
        None => format!("group:{name}:{}", tx.now().as_microsecond()),
    };
    tx.alert_group_set(name, &told).await?;
    if let Some(conversation) = tx.conversation(&told).await?
        && !conversation.ended
    {
        return Ok((conversation, false));
    }
    let conversation = Conversation {
        key: told,
        incident,
        service,
        runbook: runbook_for(bot, first),
        first: first.clone(),
        began_at: tx.now(),
        written_at: None,
        acknowledged: None,
        follow_ups: 0,
        escalated: 0,
        escalated_to: Vec::new(),
        quiet_since: None,
        ended: false,
        counts_before: BTreeMap::new(),
    };
    Ok((conversation, true))
}

/// There is no incident, or it is open.
async fn is_open(tx: &mut Tx, incident: Option<IncidentId>) -> Result<bool, StoreError> {
    let Some(id) = incident else { return Ok(true) };
    Ok(tx
        .incident(id)
        .await?
        .is_some_and(|one| one.status.is_open()))
}

/// A worse alert makes the incident worse; a lesser one does not make it better.
async fn worsen(
    tx: &mut Tx,
    settings: &Settings,
    id: IncidentId,
    severity: Severity,
) -> Result<(), StoreError> {
    let Some(mut incident) = tx.incident(id).await? else {
        return Ok(());
    };
    // What people declared is theirs to judge.
    if severity >= incident.severity || incident.declared_by.id != Person::BOT_ID {
        return Ok(());
    }
    let before = std::mem::replace(&mut incident.severity, severity);
    tx.incident_update(&incident).await?;
    let draft = Draft::new(
        &Person::bot(),
        EntryKind::Severity,
        format!("{before} → {severity}: a worse alert fires"),
    );
    let draft = draft.data(json!({"before": before, "after": severity}));
    tx.append(&Stream::Incident(id), draft).await?;
    let title = format!(" is now {severity} (was {before}): a worse alert fires");
    let title = Line::new().bold(id).text(title);
    let bulletin = Bulletin::new(tx, title, Tone::Bad, before);
    notify::tell(tx, settings, &incident, bulletin).await?;
    tx.outbox_put(&super::incidents::header(&incident, None))
        .await
}

/// An incident's title, from an alert.
fn title(record: &AlertRecord) -> String {
    let alert = &record.tracked.alert;
    let summary = alert.summary();
    let text = match &record.routed.service {
        Some(service) if !summary.contains(service.as_str()) => format!("{service}: {summary}"),
        _ => summary.to_owned(),
    };
    cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), 150)
}

/// One entry for all alerts of a body.
async fn note(
    tx: &mut Tx,
    conversation: &Conversation,
    what: &str,
    records: &[AlertRecord],
) -> Result<(), StoreError> {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records {
        *names.entry(record.tracked.alert.name()).or_default() += 1;
    }
    let listed: Vec<String> = names
        .iter()
        .take(10)
        .map(|(name, count)| match count {
            1 => cut(name, 80),
            n => format!("{} ×{n}", cut(name, 80)),
        })
        .collect();
    let more = match names.len().saturating_sub(listed.len()) {
        0 => String::new(),
        n => format!(" and {n} further kinds"),
    };
    let text = format!("{what}: {}{more}", listed.join(", "));
    let alerts: Vec<_> = records
        .iter()
        .take(LISTED)
        .map(|record| {
            let alert = &record.tracked.alert;
            json!({
                "fingerprint": alert.fingerprint,
                "name": alert.name(),
                "firing": alert.firing,
                "starts_at": alert.starts_at,
                "says": cut(alert.summary(), 200),
                "source": alert.source,
            })
        })
        .collect();
    let draft = Draft::new(&Person::bot(), EntryKind::Alert, text)
        .data(json!({"alerts": alerts, "count": records.len(), "told": conversation.key}));
    let stream = match conversation.incident {
        Some(id) => Stream::Incident(id),
        None => Stream::Audit,
    };
    tx.append(&stream, draft).await?;
    Ok(())
}
