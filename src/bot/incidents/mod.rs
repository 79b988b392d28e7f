//! Incidents: declare, change, tell.

use serde_json::json;

use super::notify::{self, Bulletin};
use super::request::{Answer, Ask, Done, Effect};
use super::{Context, Fault, Refusal, Settings};
use crate::domain::timeline::{Draft, cut};
use crate::domain::{
    Button, Content, Destination, EntryKind, Incident, IncidentId, IncidentRole, Line, Message,
    Outgoing, Part, Person, Severity, Status, Stream, Tone, duration,
};
use crate::store::{NewIncident, StoreError, Tx};

/// A longer title is cut.
const MAX_TITLE: usize = 200;

/// The incident that is meant: the one named, that of this place, or the only open one.
pub(super) async fn meant(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
) -> Result<Incident, Fault> {
    if let Some(given) = given {
        let refusal = || {
            Refusal::new(
                Line::new()
                    .text("There is no incident ")
                    .code(cut(given, 40)),
            )
            .suggest("List incidents", "incident list --all")
        };
        let id = IncidentId::parse(given).ok_or_else(refusal)?;
        return Ok(context.store().incident(id).await?.ok_or_else(refusal)?);
    }
    if let Some(here) = &ask.here {
        return Ok(here.clone());
    }
    let mut open = context.store().incidents_open().await?;
    match (open.pop(), open.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(Refusal::new(
            "Several incidents are open: say it in the incident's channel, or name the incident",
        )
        .suggest("List incidents", "incident list")
        .into()),
        (None, _) => Err(Refusal::new("No incident is open")
            .detail(format!(
                "Declare one: {}",
                context.typed("incident declare TITLE")
            ))
            .into()),
    }
}

pub(super) fn declare(
    context: &Context,
    ask: &Ask,
    title: &str,
    severity: Severity,
    services: &[String],
) -> Result<Effect, Fault> {
    let mut names = Vec::new();
    for name in services {
        let (service, _) = context.catalogue().find(name, |near| {
            format!("incident declare {title} --severity {severity} --service {near}")
        })?;
        if !names.contains(&service.name) {
            names.push(service.name.clone());
        }
    }
    let title = cut(
        title
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .as_str(),
        MAX_TITLE,
    );
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
    let settings = context.settings().clone();
    let offered = runbooks_about(context, &new.title);
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let incident = open_incident(tx, new, &settings, vec![person], None).await?;
            let id = incident.id;
            if !offered.is_empty() {
                tx.outbox_put(&offer(&incident, &offered)).await?;
            }
            let answer = Message::new(
                Tone::Good,
                Line::new().bold(id).text(format!(
                    " declared as {}: {}",
                    incident.severity, incident.title
                )),
            )
            .text("A place to work on it is being opened; you are invited");
            Ok(Done {
                answer: Some(Answer::to_asker(answer)),
                declared: Some(id),
                ..Done::default()
            })
        })
    }))
}

/// The runbooks that are offered for incidents about one of the title's words, by name and title.
fn runbooks_about(context: &Context, title: &str) -> Vec<(String, String)> {
    use crate::runbook::Trigger;
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

pub(super) async fn incident_list(context: &Context, all: bool) -> Result<Effect, Fault> {
    let incidents = if all {
        context.store().incidents(50).await?
    } else {
        context.store().incidents_open().await?
    };
    let now = context.store().now();
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
    for incident in incidents.iter().take(30) {
        let mut line = Line::new()
            .text(format!("{} ", light(incident)))
            .bold(incident.id)
            .text(format!(
                " {} {}: {} ({} ago)",
                incident.severity,
                incident.status,
                incident.title,
                duration::text(duration::between(incident.declared_at, now))
            ));
        if let Some(place) = &incident.place {
            line = line.text(" ").channel(place.channel.clone());
        }
        message = message.text(line);
    }
    if incidents.len() > 30 {
        message = message.footer(format!("{} more left out", incidents.len() - 30));
    }
    Ok(Effect::Say(Answer::to_all(message)))
}

pub(super) async fn incident_show(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
) -> Result<Effect, Fault> {
    let incident = meant(context, ask, given).await?;
    let Content::Message(message) = header(&incident, None).content else {
        return Err(Refusal::new("There is nothing to show").into());
    };
    Ok(Effect::Say(Answer::to_all(message)))
}

pub(super) async fn set_severity(
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
        Ok(Change {
            draft: Draft::new(
                person,
                EntryKind::Severity,
                format!("{before} → {severity}"),
            )
            .data(json!({"before": before, "after": severity})),
            told: Line::new().text(format!(" is now {severity} (was {before})")),
            tone: Tone::Plain,
        })
    })
    .await
}

pub(super) async fn set_status(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    status: Status,
    text: &[String],
) -> Result<Effect, Fault> {
    let text = text.join(" ");
    let now = context.store().now();
    change(context, ask, given, move |incident, person| {
        if incident.status == status {
            return Err(already(incident, &status.to_string()));
        }
        if !incident.status.may_become(status) {
            let refusal = Refusal::new(Line::new().bold(incident.id).text(format!(
                " is {}: it can't become {status} from there. Nothing was changed",
                incident.status
            )));
            return Err(if status == Status::Closed {
                refusal.suggest("Resolve it", format!("resolve --incident {}", incident.id))
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
        let mut words = format!("{before} → {status}");
        if !text.is_empty() {
            words.push_str(": ");
            words.push_str(&text);
        }
        let after = duration::text(duration::between(incident.declared_at, now));
        let mut told = Line::new().text(format!(" is {status}, {after} after it was declared"));
        if !text.is_empty() {
            told = told.text(format!(": {text}"));
        }
        Ok(Change {
            draft: Draft::new(person, EntryKind::Status, words)
                .data(json!({"before": before, "after": status})),
            told,
            tone: if status == Status::Open {
                Tone::Warning
            } else {
                Tone::Good
            },
        })
    })
    .await
}

pub(super) async fn assign(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    role: IncidentRole,
    who: &str,
) -> Result<Effect, Fault> {
    let person = person(context, who).await?;
    change(context, ask, given, move |incident, actor| {
        if incident
            .assignments
            .iter()
            .any(|(r, p)| *r == role && p.id == person.id)
        {
            return Err(already(incident, &format!("with {person} as {role}")));
        }
        if role.is_single() {
            incident.assignments.retain(|(r, _)| *r != role);
        }
        incident.assignments.push((role, person.clone()));
        Ok(Change {
            draft: Draft::new(actor, EntryKind::Assigned, format!("{person} is {role}"))
                .data(json!({"role": role, "person": person})),
            told: Line::new()
                .text(": ")
                .person(&person)
                .text(format!(" is {role}")),
            tone: Tone::Plain,
        })
    })
    .await
}

/// Somebody by mention (`<@U1>`), id or name.
pub(super) async fn person(context: &Context, who: &str) -> Result<Person, Fault> {
    let bare = who.trim_start_matches("<@").trim_end_matches('>');
    let id = bare.split('|').next().unwrap_or_default();
    if crate::domain::person::is_slack_user_id(id) {
        let known = context.store().person(id).await?;
        // Slack itself wrote the mention: the id is somebody's even if we don't know the name.
        return Ok(known.unwrap_or_else(|| Person {
            id: id.into(),
            name: id.into(),
        }));
    }
    let name = bare.trim_start_matches('@');
    context.store().person_named(name).await?.ok_or_else(|| {
        Refusal::new(
            Line::new()
                .text("I know nobody, or more than one, called ")
                .code(cut(who, 80)),
        )
        .detail("Mention the person with @ and pick the name that Slack offers")
        .into()
    })
}

pub(super) async fn link(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    other: &str,
) -> Result<Effect, Fault> {
    let this = meant(context, ask, given).await?.id;
    let other = meant(context, ask, Some(other)).await?.id;
    if this == other {
        return Err(Refusal::new("An incident can't be linked to itself").into());
    }
    let person = ask.request.person.clone();
    let here = ask.here.as_ref().map(|incident| incident.id);
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let mut ids = [this, other];
            ids.sort();
            for id in ids {
                let to = if id == this { other } else { this };
                let mut incident = locked(tx, id).await?;
                if incident.links.contains(&to) {
                    return Err(already(&incident, &format!("linked to {to}")).into());
                }
                incident.links.push(to);
                tx.incident_update(&incident).await?;
                tx.append(
                    &Stream::Incident(id),
                    Draft::new(&person, EntryKind::Linked, format!("linked to {to}"))
                        .data(json!({"incident": to})),
                )
                .await?;
                tx.outbox_put(&header(&incident, None)).await?;
                if here != Some(id) {
                    let line = Line::new()
                        .text("Linked to ")
                        .bold(to)
                        .text(" by ")
                        .person(&person);
                    tx.outbox_put(&aloud(tx, id, Message::new(Tone::Plain, line)))
                        .await?;
                }
            }
            let line = Line::new()
                .bold(this)
                .text(" and ")
                .bold(other)
                .text(" are linked");
            Ok(Done {
                answer: Some(Answer::to_all(Message::new(Tone::Good, line))),
                ..Done::default()
            })
        })
    }))
}

pub(super) async fn note(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    text: String,
) -> Result<Effect, Fault> {
    let incident = meant(context, ask, given).await?;
    let here = ask.here.as_ref().is_some_and(|here| here.id == incident.id);
    let person = ask.request.person.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let incident = locked(tx, incident.id).await?;
            if incident.status == Status::Closed {
                return Err(closed(&incident).into());
            }
            let entry = tx
                .append(
                    &Stream::Incident(incident.id),
                    Draft::new(&person, EntryKind::Note, text.clone()),
                )
                .await?;
            let said = Message::new(Tone::Plain, Line::new().text("📝 Note by ").person(&person))
                .text(cut(&text, 6_000))
                .footer(format!("{} entry {}", incident.id, entry.seq));
            let answer = if here {
                Answer::to_all(said)
            } else {
                let aloud = aloud(tx, incident.id, said);
                tx.outbox_put(&aloud).await?;
                let line = Line::new().text("Noted on ").bold(incident.id);
                Answer::to_asker(Message::new(Tone::Good, line))
            };
            Ok(Done {
                answer: Some(answer),
                ..Done::default()
            })
        })
    }))
}

/// Changes an incident under its lock, puts it on the timeline and tells the room.
async fn change<F>(
    context: &Context,
    ask: &Ask,
    given: Option<&str>,
    edit: F,
) -> Result<Effect, Fault>
where
    F: FnOnce(&mut Incident, &Person) -> Result<Change, Refusal> + Send + 'static,
{
    let id = meant(context, ask, given).await?.id;
    let here = ask.here.as_ref().is_some_and(|here| here.id == id);
    let person = ask.request.person.clone();
    let settings = context.settings().clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let mut incident = locked(tx, id).await?;
            let (before, severity) = (incident.status, incident.severity);
            let change = edit(&mut incident, &person)?;
            if before == Status::Closed && incident.status == Status::Closed {
                return Err(closed(&incident).into());
            }
            tx.incident_update(&incident).await?;
            tx.append(&Stream::Incident(id), change.draft).await?;
            if (before, severity) != (incident.status, incident.severity) {
                let by = Line::new().text(" — by ").person(&person);
                let title = Line::new().bold(id).line(change.told.clone()).line(by);
                let bulletin = Bulletin::new(tx, title, change.tone, severity);
                notify::tell(tx, &settings, &incident, bulletin).await?;
            }
            tx.outbox_put(&header(&incident, None)).await?;
            tx.outbox_put(&Outgoing {
                key: format!("incident:{id}:topic:{}", tx.now().as_microsecond()),
                content: Content::Topic {
                    incident: id,
                    topic: topic(&incident),
                },
                ..in_room(id)
            })
            .await?;
            let told = Message::new(
                change.tone,
                Line::new()
                    .bold(id)
                    .line(change.told)
                    .text(" — by ")
                    .person(&person),
            )
            .buttons(next_steps(&incident));
            if !here {
                let aloud = aloud(tx, id, told.clone());
                tx.outbox_put(&aloud).await?;
            }
            Ok(Done {
                answer: Some(Answer::to_all(told)),
                ..Done::default()
            })
        })
    }))
}

/// The runbooks that may help, said in the incident's place.
fn offer(incident: &Incident, runbooks: &[(String, String)]) -> Outgoing {
    let service = match incident.services.as_slice() {
        [only] => format!(" service={only}"),
        _ => String::new(),
    };
    let mut message = Message::new(Tone::Plain, "Runbooks that may help");
    let mut buttons = Vec::new();
    for (name, title) in runbooks {
        message = message.text(
            Line::new()
                .bold(name)
                .text(format!(": {}", cut(title, 200))),
        );
        buttons.push(Button::new(
            cut(&format!("Show {name}"), 70),
            format!("runbook show {name}"),
        ));
        buttons.push(Button::new(
            cut(&format!("Rehearse {name}"), 70),
            format!("runbook rehearse {name}{service}"),
        ));
    }
    Outgoing {
        key: format!("incident:{}:runbooks", incident.id),
        content: Content::Message(message.buttons(buttons)),
        ..in_room(incident.id)
    }
}

/// Records an incident, begins its timeline, and has a place made to work on it.
pub(super) async fn open_incident(
    tx: &mut Tx,
    new: NewIncident,
    settings: &Settings,
    members: Vec<Person>,
    channel: Option<String>,
) -> Result<Incident, StoreError> {
    let person = new.declared_by.clone();
    let incident = tx.incident_insert(new).await?;
    let id = incident.id;
    tx.append(
        &Stream::Incident(id),
        Draft::new(&person, EntryKind::Declared, incident.title.clone()).data(json!({
            "severity": incident.severity,
            "services": incident.services,
        })),
    )
    .await?;
    tx.outbox_put(&Outgoing {
        key: format!("incident:{id}:room"),
        content: Content::Room {
            incident: id,
            name: settings.incident_channels.then(|| channel_name(&incident)),
            topic: topic(&incident),
            members,
            announcement: announcement(&incident),
            announced_in: channel,
        },
        ..in_room(id)
    })
    .await?;
    tx.outbox_put(&header(&incident, Some(&settings.command)))
        .await?;
    let title = Line::new()
        .bold(id)
        .text(format!(" declared as {}", incident.severity));
    let bulletin = Bulletin {
        key: "declared".into(),
        ..Bulletin::new(tx, title, Tone::Bad, incident.severity)
    };
    notify::tell(tx, settings, &incident, bulletin).await?;
    Ok(incident)
}

/// What a change comes to.
struct Change {
    draft: Draft,
    /// Follows the incident's id.
    told: Line,
    tone: Tone,
}

pub(super) async fn locked(tx: &mut Tx, id: IncidentId) -> Result<Incident, Fault> {
    tx.incident(id)
        .await?
        .ok_or_else(|| Refusal::new(Line::new().text("There is no incident ").code(id)).into())
}

fn already(incident: &Incident, what: &str) -> Refusal {
    Refusal::new(
        Line::new()
            .bold(incident.id)
            .text(format!(" is already {what}. Nothing was changed")),
    )
}

pub(super) fn closed(incident: &Incident) -> Refusal {
    Refusal::new(
        Line::new()
            .bold(incident.id)
            .text(" is closed: nothing more is added. Nothing was changed"),
    )
    .suggest("Reopen it", format!("reopen {}", incident.id))
}

/// A delivery to the incident's place, to be given a key and content.
fn in_room(id: IncidentId) -> Outgoing {
    let message = Message::new(Tone::Plain, "");
    Outgoing::announcement(String::new(), Destination::Incident(id), message)
}

/// A message said in the incident's place.
pub(super) fn aloud(tx: &Tx, id: IncidentId, message: Message) -> Outgoing {
    Outgoing {
        key: format!("incident:{id}:said:{}", tx.now().as_microsecond()),
        content: Content::Message(message),
        ..in_room(id)
    }
}

/// The first message in the incident's place: always how it stands now.
pub(super) fn header(incident: &Incident, command: Option<&str>) -> Outgoing {
    let id = incident.id;
    let tone = match incident.status {
        Status::Open => Tone::Bad,
        Status::Mitigated => Tone::Warning,
        Status::Resolved | Status::Closed => Tone::Good,
    };
    let mut fields = vec![
        (
            "Severity".to_owned(),
            Line::from(incident.severity.to_string()),
        ),
        ("Status".to_owned(), Line::from(incident.status.to_string())),
    ];
    if !incident.services.is_empty() {
        let names: Vec<_> = incident.services.iter().map(ToString::to_string).collect();
        fields.push(("Services".into(), Line::new().code(names.join(", "))));
    }
    for role in IncidentRole::ALL {
        let people: Vec<_> = incident
            .assignments
            .iter()
            .filter(|(r, _)| *r == role)
            .map(|(_, p)| p)
            .collect();
        if !people.is_empty() {
            let mut line = Line::new();
            for (index, person) in people.into_iter().enumerate() {
                line = if index > 0 { line.text(", ") } else { line }.person(person);
            }
            let name = role.as_str();
            fields.push((format!("{}{}", name[..1].to_uppercase(), &name[1..]), line));
        }
    }
    fields.push((
        "Declared".into(),
        Line::new()
            .time(incident.declared_at)
            .text(" by ")
            .person(&incident.declared_by),
    ));
    for (name, at) in [
        ("Mitigated", incident.mitigated_at),
        ("Resolved", incident.resolved_at),
    ] {
        if let Some(at) = at {
            fields.push((name.into(), Line::new().time(at)));
        }
    }
    if !incident.links.is_empty() {
        let links: Vec<_> = incident.links.iter().map(ToString::to_string).collect();
        fields.push(("Linked".into(), links.join(", ").into()));
    }
    let mut message = Message::new(
        tone,
        Line::new().bold(id).text(format!(": {}", incident.title)),
    )
    .part(Part::Fields(fields));
    if incident.status.is_open() {
        let mut buttons: Vec<Button> = incident
            .services
            .iter()
            .take(2)
            .map(|service| Button::new(format!("{service} …"), format!("menu {service}")))
            .collect();
        buttons.extend(next_steps(incident));
        message = message.buttons(buttons);
    }
    if let Some(command) = command {
        message = message.footer(
            Line::new()
                .text("Write down what you see: ")
                .code(format!("{command} note …")),
        );
    }
    Outgoing {
        key: format!("incident:{id}:header"),
        content: Content::Message(message),
        ..in_room(id)
    }
}

fn next_steps(incident: &Incident) -> Vec<Button> {
    let id = incident.id;
    match incident.status {
        Status::Open => vec![
            Button::new("Mitigated", format!("mitigate --incident {id}")),
            Button::new("Resolved", format!("resolve --incident {id}")),
            Button::new("Timeline", format!("timeline {id}")),
        ],
        Status::Mitigated => vec![
            Button::new("Resolved", format!("resolve --incident {id}")),
            Button::new("Reopen", format!("reopen {id}")),
            Button::new("Timeline", format!("timeline {id}")),
        ],
        Status::Resolved => vec![
            Button::new("Export", format!("export {id}")),
            Button::new("Close", format!("close {id}")),
            Button::new("Reopen", format!("reopen {id}")),
        ],
        Status::Closed => vec![Button::new("Export", format!("export {id}"))],
    }
}

fn announcement(incident: &Incident) -> Message {
    let mut line = Line::new()
        .bold(incident.id)
        .text(format!(" {}: {}", incident.severity, incident.title))
        .text(" — declared by ")
        .person(&incident.declared_by);
    if !incident.services.is_empty() {
        let names: Vec<_> = incident.services.iter().map(ToString::to_string).collect();
        line = line.text(", concerns ").code(names.join(", "));
    }
    Message::new(Tone::Bad, line)
}

fn topic(incident: &Incident) -> String {
    cut(
        &format!(
            "{} {} {}: {}",
            incident.id, incident.severity, incident.status, incident.title
        ),
        240,
    )
}

fn light(incident: &Incident) -> &'static str {
    match incident.status {
        Status::Open => "🔴",
        Status::Mitigated => "🟡",
        Status::Resolved => "🟢",
        Status::Closed => "⚪",
    }
}

/// Slack's channel names: lower-case letters, digits, `-` and `_`, at most 80.
fn channel_name(incident: &Incident) -> String {
    let mut name = format!("inc-{}", incident.id.0);
    for word in incident
        .title
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        if name.len() + 1 + word.len() > 60 {
            break;
        }
        name.push('-');
        name.push_str(&word.to_ascii_lowercase());
    }
    name
}
