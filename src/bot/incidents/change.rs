//! Changes of an incident: its severity, its status, who does what.

use serde_json::json;

use super::asks::close_asks_of;
use super::end::StillFiring;
use super::find::{already, closed, locked, meant, person};
use super::kinds::{DECLARED, RELAPSE};
use super::place::{follow, invite};
use super::room::{header, new_topic, next_steps, room_message};
use super::stakeholders::Bulletin;
use crate::bot::notify::{Ended, forget};
use crate::bot::request::{Answer, Ask, Done, Effect};
use crate::bot::{Context, Fault, Refusal, Settings, confirm};
use crate::domain::alert::Conversation;
use crate::domain::timeline::Draft;
use crate::domain::{
    Content, EntryKind, Incident, IncidentRole, Line, Message, Person, Severity, Status, Stream,
    Tone, duration,
};
use crate::store::{StoreError, Tx};
use crate::telemetry::metrics;

/// What a change comes to.
pub(crate) struct Change {
    /// The timeline's entry.
    pub(crate) draft: Draft,
    /// What people hear.
    pub(crate) title: Line,
    pub(crate) tone: Tone,
    /// How bad it was before.
    pub(crate) before: Severity,
    /// Stakeholders hear it too.
    pub(crate) is_news: bool,
}

impl Change {
    /// Records what was changed, with all that shows the incident's state.
    pub(crate) async fn record(
        &self,
        tx: &mut Tx,
        settings: &Settings,
        incident: &Incident,
    ) -> Result<(), StoreError> {
        tx.incident_update(incident).await?;
        self.measure(tx, incident);
        tx.append(&Stream::Incident(incident.id), self.draft.clone())
            .await?;
        if !incident.status.is_open() {
            forget(tx, &Conversation::key_of(incident.id), &Ended::Over).await?;
        }
        if self.is_news {
            let bulletin = Bulletin::new(tx, self.title.clone(), self.tone, self.before);
            bulletin.send(tx, settings, incident).await?;
        }
        follow(tx, incident).await?;
        if !incident.status.is_open() {
            let how = format!("Over: {} is {}", incident.id, incident.status);
            close_asks_of(tx, incident.id, &how.into()).await?;
        }
        tx.outbox_put(&header(incident, None)).await
    }
}

impl Change {
    /// How long it took to come so far.
    fn measure(&self, tx: &mut Tx, incident: &Incident) {
        if self.draft.kind != EntryKind::Status {
            return;
        }
        let (id, severity, status) = (incident.id, incident.severity, incident.status);
        let took = duration::between(incident.declared_at, tx.now());
        tx.after_commit(move || {
            match status {
                Status::Mitigated => metrics::MITIGATE.took(&[&severity.to_string()], took),
                Status::Resolved => metrics::RESOLVE.took(&[&severity.to_string()], took),
                Status::Open | Status::Closed => {}
            }
            tracing::info!(incident = %id, %status, "an incident's status changed");
        });
    }
}

/// A change as a command wants it.
struct Edit {
    draft: Draft,
    /// Follows the incident's id.
    says: Line,
    /// More of it.
    more: Option<String>,
    tone: Tone,
    /// Who got something to do.
    called: Option<Person>,
}

pub(crate) async fn set_severity(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    severity: Severity,
) -> Result<Effect, Fault> {
    change(context, ask, given, move |incident, person| {
        if incident.severity == severity {
            return Err(already(incident, &severity.to_string()));
        }
        let before = std::mem::replace(&mut incident.severity, severity);
        let text = format!("{before} → {severity}");
        Ok(Edit {
            draft: Draft::new(person, EntryKind::Severity, text)
                .data(json!({"before": before, "after": severity})),
            says: Line::new().text(format!(" is now {severity} (was {before})")),
            more: None,
            tone: Tone::Plain,
            called: None,
        })
    })
    .await
}

pub(crate) async fn set_status(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    status: Status,
    text: &[String],
) -> Result<Effect, Fault> {
    let mut reason = text.join(" ");
    if !reason.is_empty() {
        reason.insert_str(0, ": ");
    }
    let now = context.now();
    let firing = match status {
        Status::Resolved | Status::Closed => {
            let incident = meant(context, ask, given).await?;
            StillFiring::of(context, &incident).await?
        }
        Status::Open | Status::Mitigated => None,
    };
    let firing = firing.map(|firing| firing.text);
    change(context, ask, given, move |incident, person| {
        if incident.status == status {
            return Err(already(incident, &status.to_string()));
        }
        if !incident.status.may_become(status) {
            let refusal = Refusal::new(Line::new().bold(incident.id).text(format!(
                " is {}: from there it can't go straight to {status}. Nothing was changed",
                incident.status
            )));
            return Err(if status == Status::Closed {
                refusal.suggest("Resolve it…", format!("resolve --incident {}", incident.id))
            } else {
                refusal.suggest("Reopen it", format!("reopen {}", incident.id))
            });
        }
        let before = std::mem::replace(&mut incident.status, status);
        match status {
            Status::Mitigated => incident.mitigated_at = Some(now),
            Status::Resolved => incident.resolved_at = Some(now),
            Status::Open => {
                incident.mitigated_at = None;
                incident.resolved_at = None;
            }
            Status::Closed => {}
        }
        let after = duration::text(duration::between(incident.declared_at, now));
        let says = Line::new().text(format!(" is {status}, {after} after it was declared"));
        let still = firing.as_ref().map(|firing| format!(". {firing}"));
        let text = format!("{before} → {status}{reason}{}", still.unwrap_or_default());
        Ok(Edit {
            draft: Draft::new(person, EntryKind::Status, text)
                .data(json!({"before": before, "after": status})),
            says: says.line(Line::mentioning(&reason)),
            tone: if status == Status::Open || firing.is_some() {
                Tone::Warning
            } else {
                Tone::Good
            },
            more: firing,
            called: None,
        })
    })
    .await
}

pub(crate) async fn assign(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    role: IncidentRole,
    who: &str,
) -> Result<Effect, Fault> {
    let person = person(context, who).await?;
    change(context, ask, given, move |incident, actor| {
        let assigned = &mut incident.assignments;
        if assigned
            .iter()
            .any(|(r, p)| *r == role && p.id == person.id)
        {
            return Err(already(incident, &format!("with {person} as {role}")));
        }
        if role.is_single() {
            assigned.retain(|(r, _)| *r != role);
        }
        assigned.push((role, person.clone()));
        let line = Line::new().text(": ").person(&person);
        Ok(Edit {
            draft: Draft::new(actor, EntryKind::Assigned, format!("{person} is {role}"))
                .data(json!({"role": role, "person": person})),
            says: line.text(format!(" is {role}")),
            more: None,
            tone: Tone::Plain,
            called: Some(person),
        })
    })
    .await
}

/// Has it looked what an incident's alerts do that was resolved or reopened by hand, and whoever is on
/// call asked about one that became worse.
async fn alerts_follow(
    tx: &mut Tx,
    context: &Context,
    person: &Person,
    before: Status,
    severity: Severity,
    incident: &Incident,
) -> Result<(), StoreError> {
    let (key, now) = (Conversation::key_of(incident.id), tx.now());
    let settings = &context.settings().alerts;
    let is_open = incident.status.is_open();
    if before.is_open() && !is_open {
        return RELAPSE.set(tx, &key, now + settings.quiet).await;
    }
    if is_open && !before.is_open() {
        return RELAPSE.set(tx, &key, now).await;
    }
    if is_open && incident.severity < severity && incident.severity <= settings.ask_from {
        return DECLARED.set_with(tx, &key, now, &person.id).await;
    }
    Ok(())
}

/// Changes an incident under its lock and says so.
async fn change<F>(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    edit: F,
) -> Result<Effect, Fault>
where
    F: FnOnce(&mut Incident, &Person) -> Result<Edit, Refusal> + Send + 'static,
{
    let id = meant(context, ask, given).await?.id;
    let (here, confirmed) = (ask.is_in(id), ask.confirmed.clone());
    let (context, person) = (context.clone(), ask.request.person.clone());
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            if let Some(row) = &confirmed {
                confirm::answer_yes(tx, row).await?;
            }
            let mut incident = locked(tx, id).await?;
            let (before, severity) = (incident.status, incident.severity);
            let Edit {
                draft,
                mut says,
                more,
                tone,
                called,
            } = edit(&mut incident, &person)?;
            tx.name_people(&mut says).await?;
            if before == Status::Closed && incident.status == Status::Closed {
                return Err(closed(&incident).into());
            }
            let line = Line::new().bold(id).line(says);
            let change = Change {
                draft,
                title: line.text(" — by ").person(&person),
                tone,
                before: severity,
                is_news: (before, severity) != (incident.status, incident.severity),
            };
            change.record(tx, context.settings(), &incident).await?;
            invite(tx, &incident, called.as_slice()).await?;
            alerts_follow(tx, &context, &person, before, severity, &incident).await?;
            tx.outbox_put(&new_topic(tx, &incident)).await?;
            let mut said = Message::new(tone, change.title);
            if let Some(more) = more {
                said = said.text(more);
            }
            let said = said.buttons(next_steps(&incident));
            if !here {
                let message = room_message(tx, id, said.clone());
                tx.outbox_put(&message).await?;
            }
            let Some(row) = confirmed else {
                return Ok(Answer::to_all(said).into());
            };
            // The message that asked becomes the answer.
            let asked = &row.question.message;
            tx.outbox_put(&asked.with(Content::Message(said))).await?;
            Ok(Done::default())
        })
    }))
}
