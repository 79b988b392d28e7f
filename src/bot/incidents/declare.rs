//! How an incident begins.

use serde_json::json;

use super::kinds::DECLARED;
use super::place::{announce, invite};
use super::room::{header, offer};
use super::stakeholders::Bulletin;
use crate::bot::request::{Answer, Ask, Done, Effect};
use crate::bot::{Context, Fault, Refusal, Settings};
use crate::command::words::quote;
use crate::domain::alert::Conversation;
use crate::domain::timeline::{Draft, cut};
use crate::domain::{EntryKind, Incident, Line, Message, Person, Severity, Stream, Tone};
use crate::runbook::Trigger;
use crate::store::{NewIncident, StoreError, Tx};
use crate::telemetry::metrics::INCIDENTS;

/// A longer title is cut.
const MAX_TITLE: usize = 200;

pub(crate) fn declare(
    context: &Context,
    ask: &Ask,
    title: &str,
    severity: Severity,
    services: &[String],
) -> Result<Effect, Fault> {
    let mut names = Vec::new();
    for name in services {
        let meant = |near: &str| {
            let all = services.iter();
            let all = all.map(|one| if one == name { near } else { one.as_str() });
            let all: Vec<String> = all.map(|one| format!("--service {}", quote(one))).collect();
            let options = all.join(" ");
            format!("incident declare --severity {severity} {options} -- {title}")
        };
        let (service, _) = context.catalogue().find(name, meant)?;
        if !names.contains(&service.name) {
            names.push(service.name.clone());
        }
    }
    let words: Vec<&str> = title.split_whitespace().collect();
    let title = cut(&words.join(" "), MAX_TITLE);
    if title.is_empty() {
        return Err(Refusal::new("An incident needs a title: what is wrong?").into());
    }
    let person = ask.request.person.clone();
    let new = NewIncident {
        title,
        severity,
        services: names,
        declared_by: person.clone(),
    };
    let offered = runbooks_about(context, &new.title);
    let context = context.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let new = NewIncident {
                title: tx.named(&new.title).await?,
                ..new
            };
            let incident = open_incident(tx, new, context.settings(), vec![person], None).await?;
            if severity <= context.settings().alerts.ask_from {
                let key = Conversation::key_of(incident.id);
                let now = tx.now();
                DECLARED.set(tx, &key, now).await?;
            }
            if !offered.is_empty() {
                tx.outbox_put(&offer(&incident, &offered)).await?;
            }
            let (severity, title) = (incident.severity, &incident.title);
            let line = Line::new().bold(incident.id);
            let line = line.text(format!(" declared as {severity}: {title}"));
            let answer = Message::new(Tone::Good, line)
                .text("A place to work on it is being opened; you are invited");
            Ok(Done {
                declared: Some(incident.id),
                ..Answer::to_asker(answer).into()
            })
        })
    }))
}

/// The runbooks that are offered for incidents about one of the title's words, by name and title.
fn runbooks_about(context: &Context, title: &str) -> Vec<(String, String)> {
    let title = title.to_lowercase();
    let has = |word: &str| {
        title
            .match_indices(word)
            .any(|(at, _)| !title[..at].ends_with(char::is_alphanumeric))
    };
    let runbooks = context.library().runbooks().filter(|runbook| {
        let mut triggers = runbook.triggers.iter();
        triggers.any(|trigger| matches!(trigger, Trigger::Keyword(word) if has(word)))
    });
    runbooks
        .take(3)
        .map(|runbook| (runbook.name.value.clone(), runbook.title.clone()))
        .collect()
}

/// Records an incident, begins its timeline, has a place made to work on it, and notifies
/// stakeholders.
pub(crate) async fn open_incident(
    tx: &mut Tx,
    new: NewIncident,
    settings: &Settings,
    members: Vec<Person>,
    channel: Option<String>,
) -> Result<Incident, StoreError> {
    let person = new.declared_by.clone();
    let incident = tx.incident_insert(new).await?;
    let (id, severity) = (incident.id, incident.severity);
    let by = if person.id == Person::BOT_ID {
        "bot"
    } else {
        "person"
    };
    tx.after_commit(move || {
        INCIDENTS.count(&[&severity.to_string(), by]);
        tracing::info!(incident = %id, %severity, by, "an incident is declared");
    });
    let draft = Draft::new(&person, EntryKind::Declared, incident.title.clone())
        .data(json!({"severity": severity, "services": incident.services}));
    tx.append(&Stream::Incident(id), draft).await?;
    announce(tx, settings, &incident, channel).await?;
    invite(tx, &incident, &members).await?;
    tx.outbox_put(&header(&incident, Some(&settings.command)))
        .await?;
    let title = Line::new()
        .bold(id)
        .text(format!(" declared as {severity}"));
    let bulletin = Bulletin {
        key: "declared".into(),
        ..Bulletin::new(tx, title, Tone::Bad, severity)
    };
    bulletin.send(tx, settings, &incident).await?;
    Ok(incident)
}
