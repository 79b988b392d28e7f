//! What actions by a probe, and not by a platform, have in common.

use serde::Serialize;

use super::job::{Failure, Found, Job, Success};
use super::kind::Kind;
use crate::domain::{Line, Tone};

/// It is done: `title` for the chat, and for the timeline with what it was done to.
pub(super) fn ended(job: &Job<'_>, title: Line, result: &impl Serialize) -> Success {
    let (what, before) = (title.plain(), &job.record().before_text);
    Success {
        tone: Tone::Good,
        text: format!("{what} ({before}) in {}", job.took()),
        title,
        after: None,
        // A truth can always be written.
        result: serde_json::to_value(result).unwrap_or_default(),
    }
}

/// After a crash: whom it meant can't be anybody else by now, so it is simply done again.
pub(super) async fn recover(kind: &dyn Kind, job: &Job<'_>) -> Result<Found, Found> {
    let found = "it was not known whether it had been done".to_owned();
    match job.stale() {
        None => Ok((found, kind.work(job).await)),
        Some(age) => {
            let cause = format!("the intent was {age} old, too old");
            Err((found, Err(Failure::new(cause, None))))
        }
    }
}
