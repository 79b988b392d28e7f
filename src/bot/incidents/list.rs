//! `incident list`, `incident show`.

use super::find::meant;
use super::room::summary;
use crate::bot::request::{Answer, Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::{Line, Message, Status, Tone, duration};

/// Incidents that are listed.
const LISTED: usize = 30;

pub(crate) async fn incident_list(context: &Context, all: bool) -> Result<Effect, Fault> {
    let incidents = if all {
        context.store().incidents(50).await?
    } else {
        context.store().incidents_open().await?
    };
    let title = match (incidents.len(), all) {
        (0, false) => "No incident is open".to_owned(),
        (0, true) => "There has been no incident".to_owned(),
        (1, false) => "1 incident is open".to_owned(),
        (n, false) => format!("{n} incidents are open"),
        (n, true) => format!("The last {n} incidents"),
    };
    let tone = if incidents.is_empty() {
        Tone::Good
    } else {
        Tone::Plain
    };
    let mut message = Message::new(tone, title);
    for incident in incidents.iter().take(LISTED) {
        let light = match incident.status {
            Status::Open => "🔴 ",
            Status::Mitigated => "🟡 ",
            Status::Resolved => "🟢 ",
            Status::Closed => "⚪ ",
        };
        let age = duration::between(incident.declared_at, context.now());
        let mut line = Line::new().text(light).bold(incident.id).text(format!(
            " {} {}: {} ({} ago)",
            incident.severity,
            incident.status,
            incident.title,
            duration::text(age)
        ));
        if let Some(place) = &incident.place {
            line = line.text(" ").channel(place.channel.clone());
        }
        message = message.text(line);
    }
    if incidents.len() > LISTED {
        message = message.footer(format!("{} more left out", incidents.len() - LISTED));
    }
    Ok(Effect::Say(Answer::to_all(message)))
}

pub(crate) async fn incident_show(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
) -> Result<Effect, Fault> {
    let incident = meant(context, ask, given).await?;
    Ok(Effect::Say(Answer::to_all(summary(&incident))))
}
