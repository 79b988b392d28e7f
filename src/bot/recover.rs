//! After a crash: what became of the intents without outcome?
//!
//! The platform is asked (start times of the replicas, its own events), never guessed. What took
//! effect is recorded; what is under way is awaited; what did not happen is done now if the intent
//! is young, and otherwise closed as not done.

use std::time::{Duration, Instant};

use super::Context;
use super::actions::{NOT_CONFIGURED, Outcome, outcome_failed};
use crate::domain::action::{ActionKind, ActionRow};
use crate::domain::duration;
use crate::domain::service::{ReplicaOutcome, Service};
use crate::platform::{Platform, PlatformError, ProgressSink};
use crate::store::StoreError;

/// An intent older than this is not carried out any more after a crash: the world has moved on.
const STALE_INTENT: Duration = Duration::from_secs(600);
/// How often a platform at work is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Takes over what dead processes left behind.
pub(super) async fn recover(context: &Context) -> Result<(), StoreError> {
    for row in context
        .store()
        .actions_take_over(context.instance())
        .await?
    {
        tracing::warn!(
            action = row.id, service = %row.record.service,
            "an intent without outcome: finding out what happened"
        );
        context.tasks().spawn(find_out(context.clone(), row));
    }
    Ok(())
}

async fn find_out(context: Context, row: ActionRow) {
    let started = Instant::now();
    if !row.record.what.is_on_platform() {
        return find_end(context, row, started).await;
    }
    let outcome = match context.catalogue().get(&row.record.service) {
        None => outcome_failed(&row.record, NOT_CONFIGURED, None, started)
            .after_crash("nothing can be asked about it"),
        Some((service, platform)) => {
            let (sink, steps) = ProgressSink::channel();
            let platform = platform.as_ref();
            let work = async {
                match row.record.what {
                    ActionKind::Restart => {
                        find_restart(&context, &row, service, platform, &sink, started).await
                    }
                    ActionKind::Scale(wanted) => {
                        find_scale(&context, &row, service, platform, wanted, &sink, started).await
                    }
                    _ => find_rest(&context, &row, service, platform, &sink, started).await,
                }
            };
            crate::bot::actions::with_progress(&context, &row, work, steps).await
        }
    };
    crate::bot::actions::finish(&context, &row, outcome).await;
}

/// Whom it meant can't be anybody else by now: it is simply done again.
async fn find_end(context: Context, row: ActionRow, started: Instant) {
    let age = duration::between(row.intended_at, context.store().now());
    let outcome = if age > STALE_INTENT {
        let cause = format!("the intent was {} old, too old", duration::text(age));
        outcome_failed(&row.record, &cause, None, started)
    } else {
        crate::bot::actions::sessions::end(&context, &row.record, started).await
    };
    let outcome = outcome.after_crash("it was not known whether it had been done");
    crate::bot::actions::finish(&context, &row, outcome).await;
}

async fn find_restart(
    context: &Context,
    row: &ActionRow,
    service: &Service,
    platform: &dyn Platform,
    sink: &crate::platform::ProgressSink,
    started: Instant,
) -> Outcome {
    let marks = &row.record.before;
    let intent = row.intent();
    let patience = context.settings().patience;
    let deadline = Instant::now() + patience.stop + patience.healthy;
    let outcomes = loop {
        let outcomes = match insist(context, || {
            platform.restart_outcome(service, marks, &intent)
        })
        .await
        {
            Ok(outcomes) => outcomes,
            Err(error) => return unknown(row, &error, started),
        };
        let busy = outcomes.contains(&ReplicaOutcome::UnderWay);
        if !busy || Instant::now() > deadline {
            break outcomes;
        }
        sink.report(0, marks.len() as u32, "the platform is still at it");
        tokio::time::sleep(LOOK).await;
    };
    let count = |outcome| outcomes.iter().filter(|f| **f == outcome).count();
    let endless = count(ReplicaOutcome::UnderWay);
    if endless > 0 {
        let after = platform.status(service).await.ok();
        let cause = format!(
            "the platform has been restarting {endless} of {} replicas without an end",
            marks.len()
        );
        return outcome_failed(&row.record, &cause, after, started)
            .after_crash("a restart that does not end");
    }
    let (restarted, untouched) = (
        count(ReplicaOutcome::Restarted),
        count(ReplicaOutcome::Untouched),
    );
    let left: Vec<String> = marks
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| **outcome == ReplicaOutcome::Untouched)
        .map(|(mark, _)| mark.id.clone())
        .collect();
    let found = format!("{restarted} of {} replicas had been restarted", marks.len());
    let age = duration::between(row.intended_at, context.store().now());
    if untouched > 0 && age > STALE_INTENT {
        let after = platform.status(service).await.ok();
        let cause = format!(
            "the intent was {} old when it was found, too old to be carried out",
            duration::text(age)
        );
        return outcome_failed(&row.record, &cause, after, started).after_crash(&found);
    }
    // Nothing left: the call then only awaits that all are well.
    let result = platform
        .restart(service, Some(&left), &intent, patience, sink)
        .await;
    let found = match left.len() {
        0 => found,
        n => format!("{found}, the other {n} were restarted then"),
    };
    crate::bot::actions::judge(context, row, service, platform, result, started)
        .await
        .after_crash(&found)
}

/// Deployments, isolations and releases name exactly what is to be: asked for again, they are
/// brought to their end, and what is done already stays as it is.
async fn find_rest(
    context: &Context,
    row: &ActionRow,
    service: &Service,
    platform: &dyn Platform,
    sink: &crate::platform::ProgressSink,
    started: Instant,
) -> Outcome {
    if let Err(error) = insist(context, || platform.status(service)).await {
        return unknown(row, &error, started);
    }
    let age = duration::between(row.intended_at, context.store().now());
    if age > STALE_INTENT {
        let after = platform.status(service).await.ok();
        let cause = format!(
            "the intent was {} old, too old to be carried out; it may have been done in part",
            duration::text(age)
        );
        return outcome_failed(&row.record, &cause, after, started)
            .after_crash("it was not known how far it had come");
    }
    crate::bot::actions::perform(context, row, service, platform, sink, started)
        .await
        .after_crash("it was carried on to its end")
}

async fn find_scale(
    context: &Context,
    row: &ActionRow,
    service: &Service,
    platform: &dyn Platform,
    wanted: u32,
    sink: &crate::platform::ProgressSink,
    started: Instant,
) -> Outcome {
    let there = match insist(context, || platform.status(service)).await {
        Ok(status) => status.replicas.len(),
        Err(error) => return unknown(row, &error, started),
    };
    let found = format!("{there} of {wanted} replicas were there");
    let age = duration::between(row.intended_at, context.store().now());
    if there != wanted as usize && age > STALE_INTENT {
        let after = platform.status(service).await.ok();
        let cause = format!(
            "the intent was {} old, too old to be carried out",
            duration::text(age)
        );
        return outcome_failed(&row.record, &cause, after, started).after_crash(&found);
    }
    // The number is absolute: asking again for what is there changes nothing.
    let result = platform
        .scale(service, wanted, context.settings().patience, sink)
        .await;
    crate::bot::actions::judge(context, row, service, platform, result, started)
        .await
        .after_crash(&found)
}

/// Asks the platform again while it can't be reached, for as long as an intent is young.
async fn insist<T, F, Fut>(context: &Context, mut call: F) -> Result<T, PlatformError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, PlatformError>>,
{
    let deadline = Instant::now() + STALE_INTENT;
    let mut pause = LOOK;
    loop {
        match call().await {
            Err(error)
                if !error.is_refusal()
                    && Instant::now() < deadline
                    && !context.shutdown().is_cancelled() =>
            {
                tracing::warn!(%error, "the platform can't say yet what happened");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(15));
            }
            result => return result,
        }
    }
}

fn unknown(row: &ActionRow, error: &PlatformError, started: Instant) -> Outcome {
    outcome_failed(&row.record, &error.to_string(), None, started)
        .after_crash("the platform could not say what happened")
}
