//! What is made, looked at and ended in Alertmanager.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::bot::Context;
use crate::bot::alerts::intake::take_alerts;
use crate::domain::alert::{Alert, Silence};
use crate::domain::duration;
use crate::probe::ProbeError;
use crate::probe::alertmanager::{Alertmanager, NewSilence};
use crate::store::StoreError;

/// One look at Alertmanager: what is wanted is made, what is to end is ended, and what was ended
/// there is noticed.
pub(super) async fn bring_about(
    there: &Alertmanager,
    silence: &mut Silence,
    now: Timestamp,
) -> Result<(), ProbeError> {
    if silence.until <= now {
        silence
            .pieces
            .iter_mut()
            .for_each(|piece| piece.ended = true);
        return Ok(());
    }
    let all = there.silences().await?;
    for at in 0..silence.pieces.len() {
        let marker = silence.marker(at);
        let comment = silence.comment(at);
        let piece = &mut silence.pieces[at];
        if piece.ended {
            continue;
        }
        let found = all.iter().find(|one| match &piece.made {
            Some(id) => one.id == *id,
            // Made by an attempt that had no answer.
            None => one.comment.ends_with(&marker),
        });
        match found {
            Some(one) => {
                piece.made = Some(one.id.clone());
                if piece.end && !one.expired {
                    there.end(&one.id).await?;
                }
                piece.ended = piece.end || one.expired;
            }
            None if piece.made.is_some() || piece.end => piece.ended = true,
            None => {
                let new = NewSilence {
                    labels: &piece.labels,
                    starts_at: now,
                    ends_at: silence.until,
                    created_by: &silence.by.name,
                    comment: &comment,
                };
                piece.made = Some(there.silence(&new).await?);
            }
        }
    }
    Ok(())
}

/// What Alertmanager keeps quiet about ends without a report: it is asked what it still knows.
/// Twice, and not soon after its start, when it knows nothing yet.
pub(super) async fn take_up_what_ended(
    context: &Context,
    there: &Alertmanager,
    silence: &mut Silence,
) -> Result<(), StoreError> {
    let now = context.now();
    let missing = missing(context, there, silence).await?;
    let fingerprints: BTreeSet<String> = missing
        .iter()
        .map(|alert| alert.fingerprint.clone())
        .collect();
    let before = std::mem::replace(&mut silence.missing, fingerprints);
    let over: Vec<Alert> = missing
        .into_iter()
        .filter(|alert| before.contains(&alert.fingerprint))
        .map(|alert| Alert {
            firing: false,
            ends_at: Some(now),
            ..alert
        })
        .collect();
    if !over.is_empty() {
        take_alerts(context, over.into()).await?;
    }
    Ok(())
}

/// Alerts that fire as far as the bot knows, and that Alertmanager does not know.
async fn missing(
    context: &Context,
    there: &Alertmanager,
    silence: &Silence,
) -> Result<Vec<Alert>, StoreError> {
    let (now, check) = (context.now(), context.settings().alerts.silence_check);
    let mut missing = Vec::new();
    for conversation in &silence.conversations {
        let firing = context.store().alerts_firing(conversation, 10_000).await?;
        let pieces = silence.pieces.iter();
        for piece in pieces.filter(|one| one.made.is_some() && !one.ended) {
            let meant: Vec<&Alert> = firing
                .iter()
                .map(|record| &record.tracked.alert)
                .filter(|alert| Silence::covers(piece, alert))
                .collect();
            if meant.is_empty() {
                continue;
            }
            match there.alerts_with(&piece.labels).await {
                // One that was just started knows nothing yet.
                Ok(known) if duration::between(known.since, now) <= check.saturating_mul(3) => {}
                Ok(known) => missing.extend(
                    meant
                        .into_iter()
                        .filter(|alert| !known.alerts.contains_key(&alert.fingerprint))
                        .cloned(),
                ),
                Err(error) => {
                    tracing::debug!(%error, "it is not known which alerts still fire");
                }
            }
        }
    }
    Ok(missing)
}
