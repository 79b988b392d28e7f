//! What is made, looked at and ended in Alertmanager.

use jiff::Timestamp;

use crate::domain::alert::Silence;
use crate::probe::ProbeError;
use crate::probe::alertmanager::{Alertmanager, NewSilence};

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
