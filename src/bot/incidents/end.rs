//! Resolving and closing: what it was, and what still fires.

use super::change::set_status;
use super::find::meant;
use crate::bot::request::{Answer, Ask, Effect};
use crate::bot::{Context, Fault, confirm};
use crate::domain::alert::{Conversation, Summary};
use crate::domain::timeline::cut;
use crate::domain::{Button, Door, Incident, Line, Message, Severity, Status, Tone};

/// Alerts of this severity, or worse, are asked about before their incident is ended.
const ASKS_FROM: Severity = Severity::Sev2;

/// The alerts of an incident that fire, or may.
pub(super) struct StillFiring {
    /// `4 alerts still fire: HighCPU ×3, LinkDown`.
    pub(super) text: String,
    /// The worst of them.
    worst: Severity,
}

impl StillFiring {
    /// `None`: nothing fires.
    pub(super) async fn of(context: &Context, incident: &Incident) -> Result<Option<Self>, Fault> {
        let key = Conversation::key_of(incident.id);
        let summary = context.store().alert_summary(&key).await?;
        let conversation = context.store().conversation(&key).await?;
        let left_out = conversation.and_then(|one| one.says_left_out());
        let text = match (summary.firing, left_out) {
            (0, None) => return Ok(None),
            (0, Some(left_out)) => left_out,
            (_, None) => words(&summary),
            (_, Some(left_out)) => format!("{}, and {left_out}", words(&summary)),
        };
        let worst = summary.worst.unwrap_or(incident.severity);
        Ok(Some(Self { text, worst }))
    }
}

fn words(summary: &Summary) -> String {
    let names = summary.top.iter().filter(|name| name.firing > 0);
    let mut names: Vec<String> = names
        .map(|name| match name.firing {
            1 => cut(&name.name, 80),
            count => format!("{} ×{count}", cut(&name.name, 80)),
        })
        .collect();
    if summary.more > 0 {
        names.push(format!("{} further kinds", summary.more));
    }
    let count = match summary.firing {
        1 => "1 alert still fires".to_owned(),
        count => format!("{count} alerts still fire"),
    };
    format!("{count}: {}", names.join(", "))
}

/// Resolves or closes an incident: asks a button's presser what it was, and whoever ends it while
/// something bad fires whether that is meant.
pub(crate) async fn end_incident(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    status: Status,
    text: &[String],
) -> Result<Effect, Fault> {
    let incident = meant(context, ask, given).await?;
    let may = incident.status != status && incident.status.may_become(status);
    if may && ask.confirmed.is_none() {
        let pressed = ask.request.door == Door::Button;
        if status == Status::Resolved && pressed && text.is_empty() {
            return Ok(what_was_it(context, &incident));
        }
        let firing = StillFiring::of(context, &incident).await?;
        if let Some(firing) = firing.filter(|firing| firing.worst <= ASKS_FROM) {
            return Ok(meant_so(context, ask, &incident, status, text, &firing));
        }
    }
    set_status(context, ask, Some(&incident.id.to_string()), status, text).await
}

/// The sentence is the presser's to end.
fn what_was_it(context: &Context, incident: &Incident) -> Effect {
    let id = incident.id;
    let title = Line::new().text("What was ").bold(id).text("?");
    let say = Line::new().text("Say it: ");
    let say = say.code(context.typed(&format!("resolve --incident {id} WHAT IT WAS")));
    let sentence = format!("resolve --incident {id} the cause is not known yet");
    let message = Message::new(Tone::Question, title)
        .text(say)
        .buttons(vec![Button::new("Resolve, cause not known yet", sentence)]);
    Effect::Say(Answer::to_asker(message))
}

fn meant_so(
    context: &Context,
    ask: &Ask,
    incident: &Incident,
    status: Status,
    text: &[String],
    firing: &StillFiring,
) -> Effect {
    let id = incident.id;
    let (verb, label, sentence) = match status {
        Status::Closed => ("Close ", "Close it all the same", format!("close {id}")),
        _ => {
            let said = text.join(" ");
            let end = if said.is_empty() { "" } else { " -- " };
            let sentence = format!("resolve --incident {id}{end}{said}");
            ("Resolve ", "Resolve it all the same", sentence)
        }
    };
    let title = Line::new().text(verb).bold(id).text("?");
    let about = Message::new(Tone::Question, title).text(firing.text.clone());
    confirm::question(context, ask, sentence, label, about)
}
