//! Taking alerts in, in one transaction a body.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::conversation::{closed_at, is_active};
use super::kinds::{SETTLE, SILENCE_END};
use super::news::Group;
use super::{episode, flapping, held, order, over};
use crate::bot::Context;
use crate::bot::arrivals::{Report, Reports, Taken};
use crate::domain::alert::{
    Alert, AlertRecord, Arrival, Body, Damping, Reason, Tracked, Transition,
};
use crate::domain::{ServiceName, Severity};
use crate::store::{StoreError, Tx};
use crate::telemetry::metrics::ALERTS;

/// Whether a body says nothing new. Alertmanager's may be about one alert of a group, and list the
/// others with it: that is no repetition of those.
fn repeats(reports: &Reports, known: &Known) -> bool {
    let is_known = |alert: &Alert| {
        let before = known.get(&alert.fingerprint);
        before.is_some_and(|(_, record)| record.tracked.alert.firing == alert.firing)
    };
    match reports.reason {
        Some(reason) => reason == Reason::Repeat,
        None => reports
            .alerts
            .iter()
            .all(|(alert, ..)| !alert.is_from_alertmanager() || is_known(alert)),
    }
}

/// What is known of alerts, by fingerprint: their conversation and their record.
type Known = HashMap<String, (String, AlertRecord)>;

/// Takes alerts in: when it returns, they are durably recorded, and what follows will happen.
/// The same reports again change nothing. Bodies that come meanwhile are taken in together.
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
    let arrivals = context.arrivals();
    let mut mine = arrivals.push(reports);
    let taken = loop {
        let turn = tokio::select! {
            biased;
            taken = &mut mine => break taken.map_err(|_| StoreError::Together)?,
            turn = arrivals.turn() => turn,
        };
        let bot = context.clone();
        let written = context
            .store()
            .write(move |tx| Box::pin(async move { take_waiting(tx, &bot).await }))
            .await;
        if let Err(error) = written {
            // Whatever the database did not take of one body is not to cost the others again.
            arrivals.part();
            return Err(error);
        }
        drop(turn);
    };
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

/// Takes in what waits, and tells who waits for it once that is durable.
async fn take_waiting(tx: &mut Tx, bot: &Context) -> Result<(), StoreError> {
    let (bodies, tell): (Vec<_>, Vec<_>) = bot.arrivals().next().into_iter().unzip();
    let taken = take(tx, bot, bodies).await?;
    tx.after_commit(move || {
        for (tell, taken) in tell.into_iter().zip(taken) {
            // Who has gone hears nothing; it is done all the same.
            let _ = tell.send(taken);
        }
    });
    Ok(())
}

async fn take(tx: &mut Tx, bot: &Context, bodies: Vec<Reports>) -> Result<Vec<Taken>, StoreError> {
    let left_out: BTreeMap<String, u64> = bodies
        .iter()
        .filter_map(|body| body.left_out.clone())
        .collect();
    let Sorted {
        taken,
        groups,
        heard,
        told: mut keys,
    } = sort(tx, bot, bodies).await?;
    tx.alerts_heard(&heard).await?;
    let windows = held::windows(tx).await?;
    for (name, mut group) in order::worst_first(bot, groups) {
        flapping::take(tx, bot, group.flapping, &mut group.news.fired).await?;
        let before = group.conversation.as_deref();
        held::keep(tx, bot, &windows, before, &mut group.news).await?;
        keep_quiet(tx, &mut group.news.fired).await?;
        for (key, records) in group.former {
            over::take(tx, bot, &key, records).await?;
        }
        keys.extend(episode::begin(tx, bot, &name, group.conversation, &group.news).await?);
        for (key, records) in group.others {
            over::take(tx, bot, &key, records).await?;
        }
    }
    if !left_out.is_empty() {
        note_left_out(tx, bot, keys, &left_out).await?;
    }
    Ok(taken)
}

/// Senders left so many alerts of their groups out. Nobody says of which service they are, and a body
/// may leave out all of one: they may fire wherever alerts of their group are told, and nowhere else.
/// `told`: where those are told that were not left out.
async fn note_left_out(
    tx: &mut Tx,
    bot: &Context,
    mut told: BTreeSet<String>,
    left_out: &BTreeMap<String, u64>,
) -> Result<(), StoreError> {
    for (group, _) in left_out.iter().filter(|(_, count)| **count > 0) {
        told.extend(tx.conversations_of_sender(group).await?);
    }
    let before = tx.conversations_left_out().await?.into_iter();
    let before = before.filter(|one| left_out.keys().any(|name| one.left_out.contains_key(name)));
    let none = left_out.keys().map(|group| (group.clone(), 0)).collect();
    let all: BTreeSet<String> = before.map(|one| one.key).chain(told.clone()).collect();
    for key in all {
        let counts = if told.contains(&key) { left_out } else { &none };
        over::left_out(tx, bot, &key, counts).await?;
    }
    Ok(())
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

/// What a report comes to.
struct Applied {
    /// The alert's conversation.
    key: String,
    record: AlertRecord,
    transition: Transition,
    /// How bad the alert was before.
    before: Severity,
    /// Nothing but when it was heard of is new.
    is_same: bool,
}

/// What is known after a report, and what it comes to.
fn applied(
    known: Option<(String, AlertRecord)>,
    (alert, routed, group): Report,
    sender: Option<String>,
    came: Arrival,
    damping: Damping,
) -> Applied {
    let Some((key, mut record)) = known else {
        let (tracked, transition) = Tracked::first(alert, came.at);
        return Applied {
            key: String::new(),
            before: routed.severity,
            record: AlertRecord {
                tracked,
                routed,
                group,
                sender,
            },
            transition,
            is_same: false,
        };
    };
    let is_end = !alert.firing;
    let tracked = &mut record.tracked;
    let alert = alert.after(&tracked.alert);
    let says_the_same = alert == tracked.alert
        && tracked.doubt.is_none()
        && tracked.missing_since.is_none()
        && routed == record.routed
        && group == record.group
        && sender == record.sender;
    let repeats_after = tracked.repeats_after;
    let transition = tracked.apply(alert, came, damping);
    let is_same = says_the_same
        && transition == Transition::Nothing
        && tracked.repeats_after == repeats_after;
    let before = record.routed.severity;
    (record.routed, record.group, record.sender) = (routed, group, sender);
    if is_end {
        // Only what fires gets worse.
        record.routed.severity = before;
    }
    Applied {
        key,
        record,
        transition,
        before,
        is_same,
    }
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

/// What bodies come to.
struct Sorted {
    /// Of each body.
    taken: Vec<Taken>,
    groups: BTreeMap<String, Group>,
    /// Alerts of which nothing else is new.
    heard: Vec<String>,
    /// Where alerts are told, apart from those that begin or get worse.
    told: BTreeSet<String>,
}

/// What is sorted, and what that takes.
struct Sorting<'a> {
    bot: &'a Context,
    known: Known,
    /// Alerts that are reported more than once.
    repeated: BTreeSet<String>,
    /// Since when conversations are over.
    closed: HashMap<String, Option<Timestamp>>,
    groups: BTreeMap<String, Group>,
    heard: Vec<String>,
    told: BTreeSet<String>,
}

/// Applies each report to what is known of its alert.
async fn sort(tx: &mut Tx, bot: &Context, bodies: Vec<Reports>) -> Result<Sorted, StoreError> {
    let reports = || bodies.iter().flat_map(|body| &body.alerts);
    let names: BTreeSet<String> = reports().map(|(.., group)| group.clone()).collect();
    let groups = tx.alert_groups(&names).await?.into_iter();
    let groups = groups.map(|(name, conversation)| {
        let group = Group {
            conversation,
            ..Group::default()
        };
        (name, group)
    });
    let mut fingerprints = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    for (alert, ..) in reports() {
        if !fingerprints.insert(alert.fingerprint.clone()) {
            repeated.insert(alert.fingerprint.clone());
        }
    }
    let fingerprints: Vec<String> = fingerprints.into_iter().collect();
    let known = tx.alerts(&fingerprints).await?.into_iter();
    let known = known.map(|(key, one)| (one.tracked.alert.fingerprint.clone(), (key, one)));
    let mut sorting = Sorting {
        bot,
        known: known.collect(),
        repeated,
        closed: HashMap::new(),
        groups: groups.collect(),
        heard: Vec::new(),
        told: BTreeSet::new(),
    };
    let mut all_taken = Vec::new();
    for body in bodies {
        let came = Arrival {
            at: tx.now(),
            has_reason: body.reason.is_some(),
            repeats: repeats(&body, &sorting.known),
        };
        let mut taken = Taken::default();
        let sender = body.left_out.map(|(group, _)| group);
        for report in body.alerts {
            match sorting.sort(tx, report, sender.clone(), came).await? {
                Some(Transition::Fired) => taken.fired += 1,
                Some(Transition::Resolved) => taken.resolved += 1,
                _ => taken.known += 1,
            }
        }
        all_taken.push(taken);
    }
    Ok(Sorted {
        taken: all_taken,
        groups: sorting.groups,
        heard: sorting.heard,
        told: sorting.told,
    })
}

impl Sorting<'_> {
    /// Sorts one report; what it comes to, if that was not sorted already.
    async fn sort(
        &mut self,
        tx: &mut Tx,
        (alert, routed, group): Report,
        sender: Option<String>,
        came: Arrival,
    ) -> Result<Option<Transition>, StoreError> {
        let settings = &self.bot.settings().alerts;
        let severity = routed.severity;
        let mut known = self.known.remove(&alert.fingerprint);
        let former = former(tx, &mut known, &alert, settings.damping).await?;
        let Applied {
            key,
            record,
            transition,
            before,
            is_same,
        } = applied(
            known,
            (alert, routed, group),
            sender,
            came,
            settings.damping,
        );
        let fingerprint = &record.tracked.alert.fingerprint;
        let is_repeated = self.repeated.contains(fingerprint);
        if is_repeated {
            let known = (key.clone(), record.clone());
            self.known.insert(fingerprint.clone(), known);
        }
        let group = self.groups.entry(record.group.clone()).or_default();
        if let Some(former) = former {
            let ended = group.former.entry(key.clone()).or_default();
            ended.push((former, true));
        }
        if is_repeated && group.replaces(&key, &record, transition == Transition::Fired) {
            return Ok(None);
        }
        let list = match transition {
            Transition::Fired => {
                group.news.fired.push(record);
                return Ok(Some(transition));
            }
            Transition::Damped { begins: false }
                if record.tracked.alert.firing && severity < before =>
            {
                group.news.changed.push((record, before));
                return Ok(Some(transition));
            }
            Transition::Damped { .. } => &mut group.flapping,
            Transition::Doubtful(at) => {
                SETTLE.set(tx, fingerprint, at).await?;
                &mut group.others
            }
            Transition::Nothing if record.tracked.alert.firing => {
                if !self.closed.contains_key(&key) {
                    self.closed.insert(key.clone(), closed_at(tx, &key).await?);
                }
                let closed = self.closed.get(&key).copied().flatten();
                if closed.is_some_and(|at| at + settings.quiet <= came.at) {
                    // People said that it is over, and it still is not.
                    group.news.fired.push(record);
                    return Ok(Some(transition));
                }
                if severity != before && record.tracked.is_audible(came.at) {
                    group.news.changed.push((record, before));
                    return Ok(Some(transition));
                }
                &mut group.others
            }
            Transition::Resolved | Transition::Nothing => &mut group.others,
        };
        if !self.told.contains(&key) {
            self.told.insert(key.clone());
        }
        if is_same && !is_repeated {
            self.heard.push(fingerprint.clone());
            return Ok(Some(transition));
        }
        let flag = matches!(
            transition,
            Transition::Resolved | Transition::Damped { begins: true }
        );
        list.entry(key).or_default().push((record, flag));
        Ok(Some(transition))
    }
}
