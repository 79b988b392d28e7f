//! What is over for longer than `[store] keep` is removed, once a day.
//!
//! A round goes through the tables by a timer, so that of several bots one does it at a time and
//! whoever comes after a crash goes on where it stopped. It works in small writes and rests four
//! times as long as each took: who waits for an acknowledgement hardly notices.
//!
//! Incidents, their timelines, the evidence, the actions and the audit are not touched, nor is what
//! an open incident, a run under way or a silence in force still needs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Once;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Context;
use super::timers::{self, Job, Kind};
use crate::domain::alert::Conversation;
use crate::domain::duration::bytes_text;
use crate::domain::{IncidentId, Line, Stream, announcement_key, moved_key};
use crate::store::{Candidate, Place, Prunable, Store, StoreError, TimerRow};
use crate::telemetry::metrics;

/// A round, or a part of one. There is one timer for all bots on a store.
const PRUNE: Kind = Kind("prune");
const SUBJECT: &str = "store";
/// A round begins so long after the last one has begun.
const EVERY: SignedDuration = SignedDuration::from_hours(24);
/// The first one of a store, or after the bot was away: when the bot is surely up.
const FIRST: SignedDuration = SignedDuration::from_mins(5);
/// The timer is held for so long at most; shorter than its lease.
const SLICE: Duration = Duration::from_secs(20);
/// A write is to take no longer; rows a write, from and to.
const WRITE: Duration = Duration::from_millis(4);
const ROWS: (i64, i64) = (10, 400);
/// Rests so many times as long as a write took.
const REST: u32 = 4;
/// Pages of SQLite that are given back in one write.
const PAGES: u32 = 64;

/// The job of the round's timer.
pub(super) const JOBS: &[Job] = &[PRUNE.job(|context, timer| Box::pin(prune(context, timer)))];

/// How far it has got; the payload of the timer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Round {
    /// What was over before this moment is being removed.
    before: Option<Timestamp>,
    /// When this round began.
    began: Option<Timestamp>,
    /// The table that it has got to, and where there.
    table: usize,
    #[serde(default)]
    number: i64,
    #[serde(default)]
    name: String,
    /// Rows that were removed by now, by table.
    #[serde(default)]
    removed: BTreeMap<String, u64>,
    /// The store holds nothing older.
    since: Option<Timestamp>,
    /// Of what was over before this moment nothing is sure to be there any more.
    forgotten: Option<Timestamp>,
    /// When the last round came to its end.
    ended: Option<Timestamp>,
}

/// What the rounds have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// What was over before this moment may be gone.
    pub before: Option<Timestamp>,
    /// When a round last came to its end.
    pub ended: Option<Timestamp>,
}

/// What was removed of this store up to now.
pub async fn pruned(context: &Context) -> Result<Pruned, StoreError> {
    let payload = context.store().timer_payload(PRUNE.0, SUBJECT).await?;
    let round = payload.map(|payload| serde_json::from_str::<Round>(&payload));
    let round = round.transpose()?.unwrap_or_default();
    Ok(Pruned {
        before: round.forgotten,
        ended: round.ended,
    })
}

/// From when on all is known, in words; `None`: nothing was ever removed.
pub(super) async fn forgotten(context: &Context) -> Result<Option<Line>, StoreError> {
    let before = pruned(context).await?.before;
    Ok(before.map(|at| {
        Line::new()
            .text("What was over before ")
            .time(at)
            .text(" is not kept")
    }))
}

/// Has the store tidied from now on.
pub async fn begin_pruning(context: &Context) -> Result<(), StoreError> {
    let now = context.now();
    let due = now + FIRST;
    let first = context.store().entries_before(&Stream::Audit, 2, 1).await?;
    let payload = serde_json::to_string(&Round {
        since: Some(first.first().map_or(now, |entry| entry.at)),
        ..Round::default()
    })?;
    let begin = context.store().write(move |tx| {
        Box::pin(async move { tx.timer_begin(PRUNE.0, SUBJECT, due, payload).await })
    });
    begin.await
}

async fn prune(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let mut round: Round = serde_json::from_str(&timer.payload)?;
    let now = context.now();
    let keep = SignedDuration::try_from(context.settings().keep).unwrap_or(SignedDuration::MAX);
    let Some(before) = round.before else {
        let before = now.checked_sub(keep).unwrap_or(Timestamp::MIN);
        round = Round {
            before: Some(before),
            began: Some(now),
            since: round.since,
            forgotten: round.forgotten,
            ended: round.ended,
            ..Round::default()
        };
        // Told before the first row goes: nobody is to miss it and hear that there was nothing.
        if round.since.is_none_or(|since| before > since) {
            round.forgotten = round.forgotten.max(Some(before));
        }
        return again(context, timer, round, now).await;
    };
    let by = Instant::now() + SLICE;
    let mut needs = Needs::new(context.store(), before).await?;
    let mut rows = ROWS.1 / 4;
    while let Some(what) = Prunable::ALL.get(round.table) {
        if Instant::now() >= by || context.shutdown().is_cancelled() {
            return again(context, timer, round, context.now()).await;
        }
        step(context.store(), *what, &mut round, &mut needs, &mut rows).await?;
    }
    let room = give_back(context, by).await?;
    if room == Room::More {
        return again(context, timer, round, context.now()).await;
    }
    told(context, &round, room).await;
    let next = round.began.unwrap_or(now) + EVERY;
    let round = Round {
        before: None,
        ended: Some(context.now()),
        ..round
    };
    again(context, timer, round, next).await
}

/// The timer goes off again then.
async fn again(
    context: &Context,
    timer: &TimerRow,
    round: Round,
    due: Timestamp,
) -> Result<(), StoreError> {
    timers::take(context, timer, move |tx, _, _| {
        Box::pin(async move { PRUNE.set_with(tx, SUBJECT, due, &round).await })
    })
    .await
}

/// Looks at a page of a table, and removes what of it is over.
async fn step(
    store: &Store,
    what: Prunable,
    round: &mut Round,
    needs: &mut Needs,
    rows: &mut i64,
) -> Result<(), StoreError> {
    let after = Place {
        number: round.number,
        name: round.name.clone(),
    };
    let before = needs.before;
    let page = store.prunable(what, before, &after, *rows).await?;
    let last = page.rows.last().map(|row| row.place.clone());
    let mut over = Vec::new();
    for row in page.rows {
        if row.is_over && !needs.are_met_by(store, what, &row).await? {
            over.push(row);
        }
    }
    if over.is_empty() {
        *rows = ROWS.1;
    } else {
        let asked = Instant::now();
        let write = store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                let began = Instant::now();
                let removed = tx.prune(what, before, &over).await?;
                Ok((removed, began.elapsed()))
            })
        });
        let (removed, took) = write.await?;
        *rows = match took {
            took if took > WRITE => *rows / 2,
            took if took < WRITE / 2 => *rows * 2,
            _ => *rows,
        }
        .clamp(ROWS.0, ROWS.1);
        metrics::STORE_PRUNED.add(&[what.table()], removed);
        *round.removed.entry(what.table().to_owned()).or_default() += removed;
        tokio::time::sleep(asked.elapsed() * REST).await;
    }
    (round.number, round.name) = last.map(|at| (at.number, at.name)).unwrap_or_default();
    if page.is_last {
        round.table += 1;
        (round.number, round.name) = <_>::default();
    }
    Ok(())
}

/// Whether SQLite's unused room went back to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// All, or the database uses it again by itself.
    Given,
    /// Some is left to give.
    More,
    /// The file can't be made smaller as it is.
    Kept,
}

async fn give_back(context: &Context, by: Instant) -> Result<Room, StoreError> {
    let store = context.store();
    loop {
        let asked = Instant::now();
        match store.give_back(PAGES).await? {
            None if store.dialect() == crate::store::Dialect::Sqlite => return Ok(Room::Kept),
            None => return Ok(Room::Given),
            Some(0) => break,
            Some(_) if Instant::now() >= by || context.shutdown().is_cancelled() => {
                return Ok(Room::More);
            }
            Some(_) => tokio::time::sleep(asked.elapsed() * REST).await,
        }
    }
    store.checkpoint().await?;
    Ok(Room::Given)
}

/// Says in the log what a round came to.
async fn told(context: &Context, round: &Round, room: Room) {
    let rows: u64 = round.removed.values().sum();
    let tables: Vec<String> = round
        .removed
        .iter()
        .filter(|(_, rows)| **rows > 0)
        .map(|(table, rows)| format!("{table} {rows}"))
        .collect();
    let size = context.store().figures().await.map(|figures| figures.size);
    let size = size.map_or_else(|_| "not known".to_owned(), bytes_text);
    let before = round.before.unwrap_or_default();
    tracing::info!(%before, rows, tables = tables.join(", "), size, "what was over for longer than `[store] keep` is removed");
    if room == Room::Kept {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            tracing::warn!(
                "the store's file does not become smaller: it was made without auto_vacuum. With the \
                 bot stopped, once: sqlite3 FILE 'PRAGMA auto_vacuum=INCREMENTAL; VACUUM'"
            );
        });
    }
}

/// Who needs what is over. What was looked up stays known for a part of a round.
struct Needs {
    before: Timestamp,
    incidents: HashMap<i64, bool>,
    silences: HashSet<String>,
}

impl Needs {
    async fn new(store: &Store, before: Timestamp) -> Result<Self, StoreError> {
        Ok(Self {
            before,
            incidents: HashMap::new(),
            silences: store.silences_told().await?.into_iter().collect(),
        })
    }

    /// Somebody still needs it.
    async fn are_met_by(
        &mut self,
        store: &Store,
        what: Prunable,
        row: &Candidate,
    ) -> Result<bool, StoreError> {
        let about = row.about.as_str();
        match what {
            Prunable::Alerts => self.is_of_incident(store, about).await,
            Prunable::Conversations => {
                let conversation: Conversation = serde_json::from_str(about)?;
                if let Some(id) = conversation.incident {
                    return self.incident(store, id.0).await;
                }
                let newest = [conversation.written_at, conversation.quiet_since];
                let newest = newest.into_iter().flatten().max();
                // What Alertmanager left out may fire.
                let may_go_on = !conversation.ended && !conversation.left_out.is_empty();
                Ok(may_go_on || newest.max(Some(conversation.began_at)) >= Some(self.before))
            }
            Prunable::Silences => {
                let silence: crate::domain::alert::Silence = serde_json::from_str(about)?;
                Ok(silence.until >= self.before)
            }
            Prunable::Runs => {
                // Those of incidents are evidence, and stay as long as these.
                let start: serde_json::Value = serde_json::from_str(about)?;
                Ok(!start["incident"].is_null())
            }
            Prunable::Notifications => {
                Ok(self.is_of_incident(store, about).await? || is_told(store, about).await?)
            }
            Prunable::Messages => self.message(store, about).await,
            Prunable::Groups | Prunable::Questions | Prunable::Requests => Ok(false),
        }
    }

    /// A message that may be edited yet, or that tells where others go.
    async fn message(&mut self, store: &Store, key: &str) -> Result<bool, StoreError> {
        if let Some(id) = incident_in(key).map(IncidentId) {
            let stays = [
                announcement_key(id),
                moved_key(id),
                format!("incident:{id}:header"),
            ];
            if stays.iter().any(|one| one == key) {
                return Ok(store.incident(id).await?.is_some());
            }
        }
        if self.is_of_incident(store, key).await? || is_told(store, key).await? {
            return Ok(true);
        }
        if let Some(run) = key
            .strip_prefix("run:")
            .and_then(|rest| rest.split(':').next())
        {
            let run = match run.parse() {
                Ok(run) => store.run(run).await?,
                Err(_) => None,
            };
            return Ok(run.is_some_and(|run| run.ended_at.is_none()));
        }
        let begun_by = key.strip_prefix("answer:").unwrap_or(key);
        Ok(self.silences.contains(key) || store.run_goes_on(begun_by).await?)
    }

    /// What has such a key is of an incident that is open, or was until lately.
    async fn is_of_incident(&mut self, store: &Store, key: &str) -> Result<bool, StoreError> {
        match incident_in(key) {
            Some(number) => self.incident(store, number).await,
            None => Ok(false),
        }
    }

    async fn incident(&mut self, store: &Store, number: i64) -> Result<bool, StoreError> {
        if let Some(known) = self.incidents.get(&number) {
            return Ok(*known);
        }
        let incident = store.incident(IncidentId(number)).await?;
        let needs = incident.is_some_and(|incident| {
            let over = incident.resolved_at.unwrap_or(incident.declared_at);
            incident.status.is_open() || over >= self.before
        });
        self.incidents.insert(number, needs);
        Ok(needs)
    }
}

/// The incident that a key names, as `INC-12` or `incident:12`.
fn incident_in(key: &str) -> Option<i64> {
    ["INC-", "incident:"].iter().find_map(|mark| {
        key.match_indices(mark).find_map(|(at, _)| {
            let rest = &key[at + mark.len()..];
            let end = rest.find(|c: char| !c.is_ascii_digit());
            rest[..end.unwrap_or(rest.len())].parse().ok()
        })
    })
}

/// A key names a group's conversation that goes on: as it is, or with a number behind.
async fn is_told(store: &Store, key: &str) -> Result<bool, StoreError> {
    let Some(at) = key.find("group:") else {
        return Ok(false);
    };
    let whole = &key[at..];
    let without = whole.rsplit_once(':').map_or(whole, |(rest, _)| rest);
    Ok(store.conversation(whole).await?.is_some() || store.conversation(without).await?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_their_incident() {
        for (key, incident) in [
            ("incident:INC-12:said:1796000000000000", Some(12)),
            ("news:incident:7:3", Some(7)),
            ("alerts:incident:7", Some(7)),
            ("action:req-1:INC-3", Some(3)),
            ("alerts:group:api:down:1796000000000000", None),
            ("answer:Ev012345", None),
            ("INC-", None),
        ] {
            assert_eq!(incident_in(key), incident, "{key}");
        }
    }
}
