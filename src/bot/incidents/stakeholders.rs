//! What stakeholders hear of an incident, and whom else a runbook notifies.

use super::room::services;
use crate::bot::notify::{Notice, counted};
use crate::bot::request::{Answer, Effect};
use crate::bot::{Context, Refusal, Settings};
use crate::domain::notification::{Purpose, Recipient};
use crate::domain::timeline::cut;
use crate::domain::{Incident, IncidentRole, Line, Message, Part, Severity, Tone, duration};
use crate::store::{StoreError, Tx};

/// What a notification says at most, bytes.
pub(super) const MAX_TEXT: usize = 6_000;

/// News of an incident.
pub(crate) struct Bulletin {
    /// Names the news among those of the incident.
    pub(crate) key: String,
    /// What it is, in one line.
    pub(crate) title: Line,
    pub(crate) tone: Tone,
    /// More of it.
    pub(crate) text: Option<String>,
    /// How bad it was until now.
    pub(crate) before: Severity,
    /// Stakeholders hear it however bad the incident is.
    pub(crate) always: bool,
}

impl Bulletin {
    /// News of a change at this moment.
    pub(crate) fn new(tx: &Tx, title: Line, tone: Tone, before: Severity) -> Self {
        Self {
            key: tx.now().as_microsecond().to_string(),
            title,
            tone,
            text: None,
            before,
            always: false,
        }
    }

    /// Notifies the stakeholders if it concerns them: if the incident is bad enough, or was, or they
    /// have heard of it before. Gives those who are notified.
    pub(crate) async fn send<'a>(
        self,
        tx: &mut Tx,
        settings: &'a Settings,
        incident: &Incident,
    ) -> Result<&'a [Recipient], StoreError> {
        let Some(notify) = &settings.notify else {
            return Ok(&[]);
        };
        let purpose = Purpose::Stakeholders;
        let concerns = self.always
            || incident.severity.min(self.before) <= notify.from_severity
            || tx.was_notified(incident.id, purpose).await?;
        if !concerns {
            return Ok(&[]);
        }
        let mut message = Message::new(self.tone, self.title);
        if let Some(text) = self.text {
            message = message.text(text);
        }
        let message = message.part(Part::Fields(state(incident)));
        let key = format!("stakeholders:{}:{}", incident.id, self.key);
        let notice = Notice::about(incident, key, purpose, message);
        notice.send(tx, &notify.stakeholders).await?;
        Ok(&notify.stakeholders)
    }
}

/// Sends a text to some of those whom the configuration lists, in an incident's thread.
pub(crate) fn notify_listed(
    context: &Context,
    incident: &Incident,
    key: &str,
    whom: &[String],
    text: &str,
) -> Result<Effect, Refusal> {
    let notify = context.settings().notify.as_ref().ok_or_else(|| {
        Refusal::new("E-mail is not configured: add [email] to the configuration")
    })?;
    let (whom, id) = (notify.listed(whom)?, incident.id);
    let message = Message::new(Tone::Plain, Line::new().bold(id).text(": a message"))
        .text(cut(text, MAX_TEXT))
        .part(Part::Fields(state(incident)));
    let key = format!("runbook:{key}");
    let notice = Notice::about(incident, key, Purpose::Runbook, message);
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            notice.send(tx, &whom).await?;
            let text = format!("{} about {id}", counted(&whom));
            Ok(Answer::to_all(Message::new(Tone::Good, text)).into())
        })
    }))
}

/// The state of an incident, for those who don't work on it.
fn state(incident: &Incident) -> Vec<(String, Line)> {
    let title = Line::new().bold(incident.id);
    let title = title.text(format!(" {}", incident.title));
    let severity = format!("{} — {}", incident.severity, meaning(incident.severity));
    let mut fields = vec![
        ("Incident".to_owned(), title),
        ("Severity".to_owned(), severity.into()),
        ("Status".to_owned(), incident.status.to_string().into()),
    ];
    let mut field = |name: &str, value: Line| fields.push((name.to_owned(), value));
    if let Some(names) = services(incident) {
        field("Services", names.into());
    }
    let commander = |(role, _): &&(IncidentRole, _)| *role == IncidentRole::Commander;
    if let Some((_, person)) = incident.assignments.iter().find(commander) {
        field("Commander", Line::new().person(person));
    }
    let declared = Line::new().time(incident.declared_at).text(" by ");
    field("Declared", declared.person(&incident.declared_by));
    for (name, at) in [
        ("Mitigated", incident.mitigated_at),
        ("Resolved", incident.resolved_at),
    ] {
        if let Some(at) = at {
            let after = duration::text(duration::between(incident.declared_at, at));
            field(name, Line::new().time(at).text(format!(" ({after} after)")));
        }
    }
    fields
}

/// For those who don't know our numbers.
fn meaning(severity: Severity) -> &'static str {
    match severity {
        Severity::Sev1 => "money can't move, or data is lost",
        Severity::Sev2 => "a main function fails for many",
        Severity::Sev3 => "a function is impaired; there is a way around",
        Severity::Sev4 => "a nuisance",
    }
}
