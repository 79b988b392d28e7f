//! What is on the pages, gathered from the store alone: no platform, no chat is asked.

use jiff::Timestamp;

use crate::bot::Context;
use crate::bot::actions::intent_text;
use crate::domain::alert::{AlertRecord, Conversation, Summary};
use crate::domain::timeline::{self, GENESIS};
use crate::domain::{Entry, Incident, IncidentId, Person, Stream};
use crate::runbook::engine::{Start, Verdict};
use crate::store::{RunRow, StoreError};

/// Incidents on a page of the list.
const LISTED: u32 = 20;
/// Entries on a page of a timeline.
const ENTRIES: i64 = 100;
/// Alerts that are shown; all are counted.
const ALERTS: i64 = 12;
/// Runs that are shown.
const RUNS: u32 = 10;
/// A longer chain is not verified at each view.
const VERIFIED: i64 = 5_000;

/// An incident in the list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The incident.
    pub incident: Incident,
    /// The newest entry of its timeline.
    pub last: Option<Entry>,
    /// How many of its alerts fire.
    pub firing: u64,
    /// What is being done to its services.
    pub work: Vec<Work>,
}

/// An action under way.
#[derive(Debug, Clone)]
pub struct Work {
    /// What, in one line.
    pub text: String,
    /// Who asked for it.
    pub by: Person,
    /// Since when.
    pub since: Timestamp,
}

/// How an incident's chain of entries is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// All of it was computed again, just now.
    Verified {
        /// How many entries.
        entries: i64,
        /// The last one's hash.
        head: String,
    },
    /// Something was changed.
    Broken(String),
    /// It is too long to be computed at each view.
    Long {
        /// How many entries.
        entries: i64,
    },
}

/// A run of a runbook.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its number.
    pub id: i64,
    /// The runbook.
    pub runbook: String,
    /// Who started it.
    pub by: String,
    /// Changes are only told, not made.
    pub rehearsal: bool,
    /// When it began.
    pub began_at: Timestamp,
    /// How it ended, and when; `None`: it is under way.
    pub ended: Option<(&'static str, Timestamp)>,
}

/// All that is shown of an incident.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The incident.
    pub incident: Incident,
    /// The moment of this view.
    pub now: Timestamp,
    /// A page of its timeline, newest first.
    pub entries: Vec<Entry>,
    /// There are older ones.
    pub older: bool,
    /// How the chain is.
    pub chain: Chain,
    /// Its alerts in bounded words.
    pub alerts: Summary,
    /// The newest alerts that fire.
    pub firing: Vec<AlertRecord>,
    /// Who has taken its alerts up, and when.
    pub acknowledged: Option<(Person, Timestamp)>,
    /// Its newest runs, newest first.
    pub runs: Vec<Run>,
    /// What is being done to its services.
    pub work: Vec<Work>,
}

/// A page of the incidents (the first is 0), those that hurt first, and whether more follow.
pub async fn page_of_incidents(
    context: &Context,
    only_open: bool,
    page: u32,
) -> Result<(Vec<Listed>, bool), StoreError> {
    let offset = page.saturating_mul(LISTED);
    let mut incidents = context
        .store()
        .incidents_page(only_open, LISTED + 1, offset)
        .await?;
    let more = incidents.len() > LISTED as usize;
    incidents.truncate(LISTED as usize);
    let mut listed = Vec::with_capacity(incidents.len());
    for incident in incidents {
        let stream = Stream::Incident(incident.id);
        let mut last = context.store().entries_before(&stream, i64::MAX, 1).await?;
        listed.push(Listed {
            last: last.pop(),
            firing: context
                .store()
                .count_firing(&Conversation::key_of(incident.id))
                .await?,
            work: work_on(context, &incident).await?,
            incident,
        });
    }
    Ok((listed, more))
}

/// An incident with the page of its timeline that ends before this entry; `None`: there is none.
pub async fn page_of_incident(
    context: &Context,
    id: IncidentId,
    before: Option<i64>,
) -> Result<Option<Shown>, StoreError> {
    let store = context.store();
    let Some(incident) = store.incident(id).await? else {
        return Ok(None);
    };
    let stream = Stream::Incident(id);
    let before = before.unwrap_or(i64::MAX);
    let entries = store.entries_before(&stream, before, ENTRIES).await?;
    let key = Conversation::key_of(id);
    let conversation = store.conversation(&key).await?;
    let runs = store.runs_of(id, RUNS).await?;
    Ok(Some(Shown {
        now: store.now(),
        older: entries.last().is_some_and(|oldest| oldest.seq > 1),
        entries,
        chain: chain(context, &stream).await?,
        alerts: store.alert_summary(&key).await?,
        firing: store.alerts_firing(&key, ALERTS).await?,
        acknowledged: conversation.and_then(|conversation| conversation.acknowledged),
        runs: runs.into_iter().map(run).collect::<Result<_, _>>()?,
        work: work_on(context, &incident).await?,
        incident,
    }))
}

async fn work_on(context: &Context, incident: &Incident) -> Result<Vec<Work>, StoreError> {
    let mut work = Vec::new();
    if !incident.status.is_open() {
        return Ok(work);
    }
    for service in &incident.services {
        if let Some(row) = context.store().action_on(service).await? {
            work.push(Work {
                text: intent_text(&row.record),
                by: row.record.actor,
                since: row.intended_at,
            });
        }
    }
    Ok(work)
}

async fn chain(context: &Context, stream: &Stream) -> Result<Chain, StoreError> {
    let (entries, head) = context.store().chain_head(stream).await?;
    if entries > VERIFIED {
        return Ok(Chain::Long { entries });
    }
    // What is appended between the two reads is left for the next view.
    let mut all = context.store().entries(stream).await?;
    all.truncate(entries as usize);
    let stream = stream.clone();
    // Thousands of hashes: other tasks are not to wait for them.
    let verified = tokio::task::spawn_blocking(move || timeline::verify(&stream, &all))
        .await
        .map_err(|_| StoreError::Closed)?;
    Ok(match verified {
        Err(error) => Chain::Broken(error.to_string()),
        Ok(found) if found == head => Chain::Verified { entries, head },
        Ok(found) => Chain::Broken(format!(
            "it ends with {} and should end with {}",
            short(&found),
            short(&head)
        )),
    })
}

fn run(row: RunRow) -> Result<Run, StoreError> {
    let start: Start = serde_json::from_str(&row.start)?;
    let verdict: Option<Verdict> = row
        .verdict
        .as_deref()
        .map(serde_json::from_str)
        .transpose()?;
    Ok(Run {
        id: row.id,
        runbook: row.name,
        by: start.by,
        rehearsal: start.rehearsal,
        began_at: row.started_at,
        // A rehearsal did nothing that could succeed.
        ended: verdict
            .map(|verdict| {
                if start.rehearsal {
                    "over"
                } else {
                    verdict.as_str()
                }
            })
            .zip(row.ended_at),
    })
}

/// The beginning of a hash, enough to compare by eye.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(GENESIS)
}
