//! A backup is taken, read back, and told of in one message.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::held::{beat, note, told, while_held};
use super::verify::read_back;
use super::{keep, words};
use crate::backup::postgres::Database;
use crate::backup::repository::{Progress, Repository, id};
use crate::backup::{Fault, Manifest};
use crate::bot::settings::BackupPlan;
use crate::bot::{Context, timers};
use crate::domain::Person;
use crate::domain::backup::{Backup, BackupState};
use crate::store::{StoreError, TimerRow, Tx};

/// Why one failed whose bot died.
const BROKEN_OFF: &str = "the bot that took it ended before it was whole";

/// A backup that breaks off so often in a row is not begun again by itself.
const MOST_TRIES: usize = 3;

/// What was begun.
struct Begun {
    row: Backup,
    /// What dead bots have begun: nothing of it may stay.
    broken: Vec<String>,
    /// About how many bytes will come.
    expected: u64,
    /// It was tried too often.
    vain: bool,
}

/// What taking came to: what was stored, and whether it could be read back.
type Outcome = Result<(Manifest, Result<bool, Fault>), Fault>;

pub(super) async fn take(
    context: &Context,
    timer: &TimerRow,
    plan: &BackupPlan,
    by: Person,
) -> Result<(), StoreError> {
    let begun = begin(context, plan, by.clone()).await?;
    let repository = Repository::new(plan.to.clone());
    for id in &begun.broken {
        if let Err(error) = repository.remove(&plan.name, id).await {
            tracing::warn!(name = plan.name, id, %error, "what a broken backup left stays");
        }
    }
    let mut row = begun.row;
    let progress = Progress::default();
    let outcome = if begun.vain {
        Some(Err(Fault::Refused(format!(
            "{BROKEN_OFF}, {MOST_TRIES} times in a row"
        ))))
    } else {
        let work = stored(plan, &row, &repository, begun.expected, &progress);
        let since = std::time::Instant::now();
        let say = || {
            let bytes = progress.load(Ordering::Relaxed);
            told("take", &row, words::goes_on(&row, bytes, since.elapsed()))
        };
        while_held(context, timer, work, say).await?
    };
    let Some(outcome) = outcome else {
        return Ok(());
    };
    let failed = ended(&mut row, outcome, context.now());
    let took = Duration::from_millis(row.milliseconds);
    let whole = row.state != BackupState::Failed;
    beat(
        context,
        plan,
        whole.then_some(row.bytes),
        Some(took),
        failed,
    )
    .await?;
    let (last, is_good) = (row.clone(), row.is_good());
    let is_ours = timers::take(context, timer, move |tx, _, _| {
        Box::pin(async move {
            tx.backup_put(&last).await?;
            tx.outbox_put(&told("take", &last, words::taken(&last)))
                .await?;
            note(tx, &last, &by, words::ended(&last)).await?;
            Ok(true)
        })
    })
    .await?;
    if !is_ours {
        // Another bot has closed it: nothing of ours is in the catalogue.
        if let Err(error) = repository.remove(&row.name, &row.id).await {
            tracing::warn!(name = row.name, id = row.id, %error, "a backup of nobody stays");
        }
    } else if is_good {
        keep::remove_old(context, plan).await?;
    }
    Ok(())
}

/// Closes what dead bots have begun, and begins a new one.
async fn begin(context: &Context, plan: &BackupPlan, by: Person) -> Result<Begun, StoreError> {
    let (name, to) = (plan.name.clone(), plan.to.to_string());
    let recipient = plan.recipient.as_ref().map(ToString::to_string);
    let begin = context.store().write(move |tx| {
        let (name, to, by, recipient) = (name, to, by, recipient);
        Box::pin(async move {
            let mut known = tx.backups_of(&name).await?;
            let broken = close(tx, &mut known).await?;
            let mut at = tx.now();
            while known.iter().any(|one| one.id == id(at)) {
                at += SignedDuration::from_secs(1);
            }
            let tries = known.iter().take_while(|one| {
                one.state == BackupState::Failed && one.why.as_deref() == Some(BROKEN_OFF)
            });
            let vain = !broken.is_empty() && tries.count() >= MOST_TRIES;
            let row = Backup {
                id: id(at),
                name,
                state: BackupState::Running,
                by: by.clone(),
                started_at: at,
                ended_at: None,
                to,
                bytes: 0,
                milliseconds: 0,
                covers: String::new(),
                versions: std::collections::BTreeMap::new(),
                recipient,
                why: None,
                verified_at: None,
                drill: None,
            };
            tx.backup_put(&row).await?;
            let began = words::goes_on(&row, 0, Duration::ZERO);
            tx.outbox_put(&told("take", &row, began)).await?;
            note(tx, &row, &by, words::begins(&row)).await?;
            let newest = known.iter().find(|one| one.is_good());
            Ok::<_, StoreError>(Begun {
                expected: newest.map_or(0, |one| one.bytes),
                row,
                broken,
                vain,
            })
        })
    });
    begin.await
}

async fn close(tx: &mut Tx, known: &mut [Backup]) -> Result<Vec<String>, StoreError> {
    let now = tx.now();
    let mut broken = Vec::new();
    for one in known {
        if one.state == BackupState::Running {
            one.state = BackupState::Failed;
            one.why = Some(BROKEN_OFF.to_owned());
            one.ended_at = Some(now);
            tx.backup_put(one).await?;
            tx.outbox_put(&told("take", one, words::taken(one))).await?;
            note(tx, one, &Person::bot(), words::ended(one)).await?;
            broken.push(one.id.clone());
        }
    }
    Ok(broken)
}

async fn stored(
    plan: &BackupPlan,
    row: &Backup,
    repository: &Repository,
    expected: u64,
    progress: &Progress,
) -> Outcome {
    let database = Database::new(plan.server()?);
    let named = (row.name.as_str(), row.id.as_str(), row.started_at);
    let parts = database.parts();
    let recipient = plan.recipient.as_ref();
    let manifest = repository
        .take(named, &parts, recipient, expected, progress)
        .await?;
    let read = read_back(plan, repository, &manifest).await;
    Ok((manifest, read))
}

/// Writes into the row what it came to; what its heartbeat is told when it is not good.
fn ended(row: &mut Backup, outcome: Outcome, now: Timestamp) -> Option<String> {
    row.ended_at = Some(now);
    let (manifest, read) = match outcome {
        Ok(stored) => stored,
        Err(fault) => {
            row.state = BackupState::Failed;
            row.why = Some(fault.to_string());
            return row.why.clone();
        }
    };
    row.bytes = manifest.bytes();
    row.milliseconds = manifest.milliseconds;
    row.covers = manifest.covers;
    row.versions = manifest.versions;
    match read {
        Ok(opened) => {
            row.state = BackupState::read_back(opened);
            row.verified_at = Some(now);
        }
        Err(Fault::Damaged(why)) => {
            row.state = BackupState::Damaged;
            row.why = Some(why);
        }
        Err(fault) => {
            row.state = BackupState::Taken;
            row.why = Some(format!("it could not be read back: {fault}"));
        }
    }
    row.why.clone()
}
