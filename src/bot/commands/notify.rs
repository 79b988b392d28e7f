//! `notify.incident` and `notify.email`, which runbooks call.

use schemars::JsonSchema;
use serde::Deserialize;

use super::incident::of_run::of_run;
use crate::bot::incidents::{notify_listed, room_message};
use crate::bot::notify::STAKEHOLDERS;
use crate::bot::request::{Answer, Ask, Done, Effect};
use crate::bot::table::{Record, Recorded};
use crate::bot::{Context, Fault};
use crate::domain::timeline::cut;
use crate::domain::{IncidentId, Message, Tone};

/// What is said.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyIncident {
    /// The text.
    text: String,
    /// The incident in whose room it is said; that of the run, or the only open one, when left out.
    #[serde(default)]
    incident: Option<String>,
}

impl Record for NotifyIncident {
    const STEP: &'static str = "notify.incident";
    const SUMMARY: &'static str =
        "Says something in the room of an incident, without a note on its timeline";

    async fn record(
        self,
        context: &Context,
        ask: &Ask,
        own: Option<IncidentId>,
    ) -> Result<Recorded, Fault> {
        let id = of_run(context, ask, self.incident, own).await?.id;
        let message = Message::new(Tone::Plain, cut(&self.text, 3_000));
        let effect = Effect::write(move |tx| {
            Box::pin(async move {
                tx.outbox_put(&room_message(tx, id, message)).await?;
                let said = Message::new(Tone::Good, format!("said in {id}"));
                Ok(Done::from(Answer::to_all(said)))
            })
        });
        Ok(Recorded::about(id, effect))
    }
}

/// What is mailed, and to whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyEmail {
    /// The text.
    text: String,
    /// `stakeholders`, or user ids or addresses that the configuration lists.
    #[serde(default = "stakeholders")]
    to: Vec<String>,
    /// The incident in whose thread it is; that of the run, or the only open one, when left out.
    #[serde(default)]
    incident: Option<String>,
}

fn stakeholders() -> Vec<String> {
    vec![STAKEHOLDERS.to_owned()]
}

impl Record for NotifyEmail {
    const STEP: &'static str = "notify.email";
    const SUMMARY: &'static str = "Mails something about an incident to stakeholders, or to others whom the configuration lists";

    async fn record(
        self,
        context: &Context,
        ask: &Ask,
        own: Option<IncidentId>,
    ) -> Result<Recorded, Fault> {
        let incident = of_run(context, ask, self.incident, own).await?;
        let (id, key) = (incident.id, &ask.request.key);
        let effect = notify_listed(context, &incident, key, &self.to, &self.text)?;
        Ok(Recorded::about(id, effect))
    }
}
