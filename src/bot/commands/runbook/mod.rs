//! Runbooks and their runs.

pub mod answer;
pub mod list;
pub mod rehearse;
pub mod retry;
pub mod run;
pub mod runs;
pub mod show;
pub mod skip;
pub mod stop;

use crate::bot::alerts::conversation_meant;
use crate::bot::request::Ask;
use crate::bot::runs::About;
use crate::bot::{Context, Fault};

/// What a run is about that somebody begins from an alert's message.
async fn told_of(
    context: &Context,
    ask: &Ask,
    alert: Option<&str>,
) -> Result<Option<About>, Fault> {
    let Some(alert) = alert else {
        return Ok(None);
    };
    let conversation = conversation_meant(context, ask, alert).await?;
    Ok(conversation.as_ref().map(About::alerts))
}
