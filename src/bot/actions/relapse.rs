//! A restarted replica without a health check counts as well when it runs. Does it stay up?
//!
//! The outcome is told at once, and the replicas are watched for a little while after it. One that
//! ends meanwhile is told of in the same message and on the timeline.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Outcome, outcome_failed, streams, told};
use crate::bot::Context;
use crate::domain::action::{ActionKind, ActionRow};
use crate::domain::service::{Health, LogQuery, Replica, ServiceStatus};
use crate::domain::timeline::Draft;
use crate::domain::{Content, EntryKind, Line, duration};
use crate::store::StoreError;

/// So long after a restart a replica without a health check is watched.
const WATCH: Duration = Duration::from_secs(3);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// Last log lines that are told.
const LINES: usize = 3;

/// Watches what was restarted, where nothing else does.
pub(super) async fn watch_over(context: &Context, row: &ActionRow, outcome: &Outcome) {
    let Some(after) = &outcome.after else { return };
    let unchecked = after.replicas.iter().any(|r| r.health == Health::Unchecked);
    let restarted = row.record.what == ActionKind::Restart;
    if !(outcome.good && restarted && unchecked) {
        return;
    }
    let began = Instant::now();
    let Some((service, platform)) = context.catalogue().get(&row.record.service) else {
        return;
    };
    while began.elapsed() < WATCH {
        tokio::time::sleep(LOOK).await;
        let now = match platform.status(service).await {
            Ok(now) => now,
            Err(error) => {
                tracing::debug!(%error, "can't see whether it stays up");
                continue;
            }
        };
        let Some(fallen) = fallen(after, &now) else {
            continue;
        };
        let code = fallen
            .exit_code
            .map_or(String::new(), |code| format!(" with exit code {code}"));
        let memory = if fallen.oom_killed {
            " for lack of memory"
        } else {
            ""
        };
        let mut cause = format!(
            "{} ended{code}{memory} within {} of its restart",
            fallen.name,
            duration::text(began.elapsed().max(Duration::from_secs(1)))
        );
        let last = LogQuery {
            lines: LINES,
            since: None,
            grep: None,
            previous: false,
            container: None,
        };
        // Without its last words it is still told.
        if let Ok(logs) = platform.logs(service, &last).await {
            for line in logs.lines {
                cause.push_str("\n> ");
                cause.push_str(&line.text);
            }
        }
        let mut outcome = outcome_failed(&row.record, &cause, Some(now), began);
        outcome.title = Line::new()
            .code(&row.record.service)
            .text(" was restarted but did not stay up");
        tracing::warn!(action = row.id, text = %outcome.text, "a relapse");
        if let Err(error) = relapse(context, row, &outcome).await {
            tracing::error!(action = row.id, %error, "a relapse could not be recorded");
        }
        return;
    }
}

async fn relapse(context: &Context, row: &ActionRow, outcome: &Outcome) -> Result<(), StoreError> {
    let record = row.record.clone();
    let text = outcome.text.clone();
    let draft = Draft::new(&record.actor, EntryKind::Outcome, text).data(json!({
        "action": row.id,
        "good": false,
        "relapse": true,
        "cause": outcome.cause,
    }));
    let message = told(&record, outcome);
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                for stream in streams(&record) {
                    tx.append(&stream, draft.clone()).await?;
                }
                for outgoing in &record.messages {
                    let content = Content::Message(message.clone());
                    tx.outbox_put(&outgoing.with(content)).await?;
                }
                Ok(())
            })
        })
        .await
}

/// A replica that was well and no longer runs, or runs anew.
fn fallen<'a>(after: &ServiceStatus, now: &'a ServiceStatus) -> Option<&'a Replica> {
    now.replicas.iter().find(|replica| {
        after.replicas.iter().any(|before| {
            before.id == replica.id
                && (!replica.is_well() || before.started_at != replica.started_at)
        })
    })
}
