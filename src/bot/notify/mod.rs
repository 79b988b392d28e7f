//! E-mail: who gets which, written in the transaction of what it tells of, and sent once.

pub(in crate::bot) mod post;
pub(in crate::bot) mod words;

use serde_json::json;

use super::incidents::{aloud, closed, locked};
use super::request::{Answer, Ask, Done, Effect};
use super::{Context, Fault, MailSettings, Refusal, Settings};
use crate::domain::alert::Conversation;
use crate::domain::mail::{Mail, Mailbox, Purpose};
use crate::domain::timeline::{Draft, cut};
use crate::domain::{EntryKind, Incident, Line, Message, Person, Severity, Status, Stream, Tone};
use crate::store::{StoreError, Tx};

/// What a stakeholder's mail says at most, bytes.
const MAX_TEXT: usize = 6_000;

/// The word for all stakeholders where recipients are named.
pub(super) const STAKEHOLDERS: &str = "stakeholders";

/// What stakeholders are told.
pub(super) struct Bulletin {
    /// Names the news among those of the incident.
    pub(super) key: String,
    /// What it is, in one line.
    pub(super) title: Line,
    pub(super) tone: Tone,
    /// More of it.
    pub(super) text: Option<String>,
    /// How bad it was until now.
    pub(super) before: Severity,
    /// It is told however bad the incident is.
    pub(super) always: bool,
}

impl Bulletin {
    /// Bulletin that the incident is now otherwise.
    pub(super) fn new(tx: &Tx, title: Line, tone: Tone, before: Severity) -> Self {
        Self {
            key: tx.now().as_microsecond().to_string(),
            title,
            tone,
            text: None,
            before,
            always: false,
        }
    }
}

/// Mails what is new to the stakeholders, if it concerns them: if the incident is bad enough, or was,
/// or they have heard of it before. To how many.
pub(super) async fn tell(
    tx: &mut Tx,
    settings: &Settings,
    incident: &Incident,
    bulletin: Bulletin,
) -> Result<usize, StoreError> {
    let Some(mail) = &settings.mail else {
        return Ok(0);
    };
    let worst = incident.severity.min(bulletin.before);
    let concerns = bulletin.always
        || worst <= mail.from_severity
        || tx.mailed(incident.id, Purpose::Stakeholders).await?;
    if !concerns {
        return Ok(0);
    }
    let message = words::stakeholders(incident, &bulletin);
    for to in &mail.stakeholders {
        let key = format!(
            "stakeholders:{}:{}:{}",
            incident.id, bulletin.key, to.address
        );
        let mail = about(tx, incident, key, to, Purpose::Stakeholders, &message);
        tx.mail_put(&mail).await?;
    }
    Ok(mail.stakeholders.len())
}

/// Asks people by mail to acknowledge alerts, who are asked in Slack at the same moment. `next`: what
/// happens if nobody does. Gives the ids of those who have an address.
pub(super) async fn ask(
    tx: &mut Tx,
    settings: &Settings,
    conversation: &Conversation,
    incident: Option<&Incident>,
    whom: &[Person],
    next: Option<std::time::Duration>,
) -> Result<Vec<String>, StoreError> {
    let Some(mail) = &settings.mail else {
        return Ok(Vec::new());
    };
    let mut asked = Vec::new();
    for person in whom {
        let Some(to) = mail.people.get(&person.id) else {
            continue;
        };
        let key = format!(
            "ask:{}:{}:{}",
            conversation.key, conversation.escalated, to.address
        );
        let others: Vec<&str> = whom
            .iter()
            .filter(|other| other.id != person.id)
            .map(|other| mail.name(other))
            .collect();
        let message = words::ask(settings, conversation, incident, &others, next, tx.now());
        let letter = match incident {
            Some(incident) => about(tx, incident, key, to, Purpose::Ask, &message),
            None => Mail {
                key,
                to: to.clone(),
                purpose: Purpose::Ask,
                incident: None,
                thread: conversation.key.clone(),
                subject: crate::domain::mail::one_line(conversation.first.tracked.alert.summary()),
                message,
                at: tx.now(),
            },
        };
        tx.mail_put(&letter).await?;
        asked.push(person.id.clone());
    }
    Ok(asked)
}

/// A mail in an incident's thread.
fn about(
    tx: &Tx,
    incident: &Incident,
    key: String,
    to: &Mailbox,
    purpose: Purpose,
    message: &Message,
) -> Mail {
    Mail {
        key,
        to: to.clone(),
        purpose,
        incident: Some(incident.id),
        thread: Mail::thread_of(incident),
        subject: Mail::subject_of(incident),
        message: message.clone(),
        at: tx.now(),
    }
}

impl MailSettings {
    /// The name of somebody whose id is all that may be known.
    fn name<'a>(&'a self, person: &'a Person) -> &'a str {
        let listed = self.people.get(&person.id);
        listed
            .and_then(|mailbox| mailbox.name.as_deref())
            .unwrap_or(&person.name)
    }

    /// The mailboxes of words such as `stakeholders`, `U0123456789` or an address that is listed.
    /// Nobody else gets mail, whatever a runbook or a person says.
    fn listed(&self, words: &[String]) -> Result<Vec<Mailbox>, Refusal> {
        let mut found: Vec<Mailbox> = Vec::new();
        for word in words {
            let word = word.trim();
            let all: Vec<&Mailbox> = if word == STAKEHOLDERS {
                self.stakeholders.iter().collect()
            } else {
                let mut listed = self.stakeholders.iter().chain(self.people.values());
                let by_address = listed.find(|one| {
                    let address = crate::domain::mail::Address::parse(word);
                    address.is_ok_and(|address| address.is_same(&one.address))
                });
                let one = self.people.get(word).or(by_address).ok_or_else(|| {
                    let title = Line::new()
                        .text("No mail goes to ")
                        .code(cut(word, 80))
                        .text(": it is neither a stakeholder nor a person of the configuration");
                    Refusal::new(title)
                })?;
                vec![one]
            };
            for one in all {
                if !found
                    .iter()
                    .any(|other| other.address.is_same(&one.address))
                {
                    found.push(one.clone());
                }
            }
        }
        if found.is_empty() {
            return Err(Refusal::new("The configuration lists no stakeholders"));
        }
        Ok(found)
    }
}

/// Tells stakeholders how it goes, in somebody's own words; in the incident's place and on its
/// timeline as well.
pub(super) async fn update(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    text: String,
) -> Result<Effect, Fault> {
    let id = crate::bot::incidents::meant(context, ask, given).await?.id;
    let here = ask.here.as_ref().is_some_and(|here| here.id == id);
    let person = ask.request.person.clone();
    let settings = context.settings().clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let incident = locked(tx, id).await?;
            if incident.status == Status::Closed {
                return Err(closed(&incident).into());
            }
            let by = Line::new().text("Update by ").person(&person);
            let bulletin = Bulletin {
                text: Some(cut(&text, MAX_TEXT)),
                always: true,
                ..Bulletin::new(tx, by, Tone::Plain, incident.severity)
            };
            let count = tell(tx, &settings, &incident, bulletin).await?;
            let draft =
                Draft::new(&person, EntryKind::Update, text.clone()).data(json!({"mails": count}));
            tx.append(&Stream::Incident(id), draft).await?;
            let reach = reach(settings.mail.is_some(), count);
            let title = Line::new().text("📣 Update by ").person(&person);
            let said = Message::new(Tone::Plain, title)
                .text(cut(&text, MAX_TEXT))
                .footer(reach.clone());
            let answer = if here {
                Answer::to_all(said)
            } else {
                let aloud = aloud(tx, id, said);
                tx.outbox_put(&aloud).await?;
                let line = Line::new().text("Update on ").bold(id).text(" is said");
                Answer::to_asker(Message::new(Tone::Good, line).text(reach))
            };
            Ok(Done {
                answer: Some(answer),
                ..Done::default()
            })
        })
    }))
}

/// Mails a text to some of those whom the configuration lists, in an incident's thread.
pub(super) fn mail_text(
    context: &Context,
    incident: Incident,
    key: &str,
    whom: &[String],
    text: &str,
) -> Result<Effect, Fault> {
    let mail = context.settings().mail.as_ref().ok_or_else(|| {
        Refusal::new("E-mail is not configured: add [email] to the configuration")
    })?;
    let (whom, key) = (mail.listed(whom)?, key.to_owned());
    let message = words::text(&incident, &cut(text, MAX_TEXT));
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let id = incident.id;
            for to in &whom {
                let key = format!("runbook:{key}:{}", to.address);
                let mail = about(tx, &incident, key, to, Purpose::Runbook, &message);
                tx.mail_put(&mail).await?;
            }
            let text = format!("{} about {id}", mails(whom.len()));
            Ok(Done {
                answer: Some(Answer::to_all(Message::new(Tone::Good, text))),
                ..Done::default()
            })
        })
    }))
}

/// Who hears of an update beside those in the channel.
fn reach(configured: bool, count: usize) -> String {
    match (configured, count) {
        (false, _) => "nobody gets it by e-mail: [email] is not configured".to_owned(),
        (true, 0) => "nobody gets it by e-mail: [email] lists no stakeholders".to_owned(),
        (true, n) => format!("{} to stakeholders", mails(n)),
    }
}

fn mails(count: usize) -> String {
    match count {
        1 => "1 e-mail".to_owned(),
        n => format!("{n} e-mails"),
    }
}
