//! What stands in an incident's place: the header, which is always up to date, and what is said.

use crate::domain::timeline::cut;
use crate::domain::{
    Button, Content, Destination, Incident, IncidentId, IncidentRole, Line, Message, Outgoing,
    Part, Status, Tone,
};
use crate::store::Tx;

/// A delivery to the incident's place.
pub(super) fn to_room(id: IncidentId, key: &str, content: Content) -> Outgoing {
    let message = Message::new(Tone::Plain, "");
    let key = format!("incident:{id}:{key}");
    Outgoing::announcement(key, Destination::Incident(id), message).with(content)
}

/// A message in the incident's place.
pub(crate) fn room_message(tx: &Tx, id: IncidentId, message: Message) -> Outgoing {
    let key = format!("said:{}", tx.now().as_microsecond());
    to_room(id, &key, Content::Message(message))
}

/// The runbooks that may help, by name and title.
pub(super) fn offer(incident: &Incident, runbooks: &[(String, String)]) -> Outgoing {
    let service = match incident.services.as_slice() {
        [only] => format!(" service={only}"),
        _ => String::new(),
    };
    let mut message = Message::new(Tone::Plain, "Runbooks that may help");
    let mut buttons = Vec::new();
    for (name, title) in runbooks {
        let line = Line::new().bold(name);
        message = message.text(line.text(format!(": {}", cut(title, 200))));
        buttons.push(Button::new(
            cut(&format!("Show {name}"), 70),
            format!("runbook show {name}"),
        ));
        buttons.push(Button::new(
            cut(&format!("Rehearse {name}"), 70),
            format!("runbook rehearse {name}{service}"),
        ));
    }
    let content = Content::Message(message.buttons(buttons));
    to_room(incident.id, "runbooks", content)
}

/// Brings the topic of the incident's channel up to date.
pub(super) fn new_topic(tx: &Tx, incident: &Incident) -> Outgoing {
    let content = Content::Topic {
        incident: incident.id,
        topic: topic(incident),
    };
    let key = format!("topic:{}", tx.now().as_microsecond());
    to_room(incident.id, &key, content)
}

/// The first message in the incident's place: always its present state.
pub(crate) fn header(incident: &Incident, command: Option<&str>) -> Outgoing {
    let mut message = summary(incident);
    if let Some(command) = command {
        let line = Line::new().text("Write down what you see: ");
        message = message.footer(line.code(format!("{command} note …")));
    }
    let header = to_room(incident.id, "header", Content::Message(message));
    header.urgent(incident.severity)
}

/// All that is known of an incident, with what may be done next.
pub(super) fn summary(incident: &Incident) -> Message {
    let id = incident.id;
    let tone = match incident.status {
        Status::Open => Tone::Bad,
        Status::Mitigated => Tone::Warning,
        Status::Resolved | Status::Closed => Tone::Good,
    };
    let title = Line::new().bold(id).text(format!(": {}", incident.title));
    let message = Message::new(tone, title).part(Part::Fields(fields(incident)));
    if !incident.status.is_open() {
        return message;
    }
    let services = incident.services.iter().take(2);
    let mut buttons: Vec<Button> = services
        .map(|service| Button::new(format!("Look at {service}…"), format!("menu {service}")))
        .collect();
    buttons.extend(next_steps(incident));
    message.buttons(buttons)
}

fn fields(incident: &Incident) -> Vec<(String, Line)> {
    let mut fields = vec![
        ("Severity".to_owned(), incident.severity.to_string().into()),
        ("Status".to_owned(), incident.status.to_string().into()),
    ];
    let mut field = |name: &str, value: Line| fields.push((name.to_owned(), value));
    if let Some(names) = services(incident) {
        field("Services", Line::new().code(names));
    }
    for role in IncidentRole::ALL {
        let assigned = incident.assignments.iter().filter(|(r, _)| *r == role);
        let people = assigned.map(|(_, person)| Line::new().person(person));
        if let Some(line) = people.reduce(|all, one| all.text(", ").line(one)) {
            let name = role.as_str();
            field(&format!("{}{}", name[..1].to_uppercase(), &name[1..]), line);
        }
    }
    let declared = Line::new().time(incident.declared_at).text(" by ");
    field("Declared", declared.person(&incident.declared_by));
    for (name, at) in [
        ("Mitigated", incident.mitigated_at),
        ("Resolved", incident.resolved_at),
    ] {
        if let Some(at) = at {
            field(name, Line::new().time(at));
        }
    }
    if !incident.links.is_empty() {
        let links: Vec<_> = incident.links.iter().map(ToString::to_string).collect();
        field("Linked", links.join(", ").into());
    }
    fields
}

/// The names of the services concerned, if there are any.
pub(super) fn services(incident: &Incident) -> Option<String> {
    let names: Vec<_> = incident.services.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// What may be done next.
pub(super) fn next_steps(incident: &Incident) -> Vec<Button> {
    let id = incident.id;
    let resolve = || Button::new("Resolve…", format!("resolve --incident {id}"));
    let timeline = || Button::new("Timeline", format!("timeline {id}"));
    let reopen = || Button::new("Reopen", format!("reopen {id}"));
    let export = || Button::new("Export", format!("export {id}"));
    match incident.status {
        Status::Open => vec![
            Button::new("Mitigate", format!("mitigate --incident {id}")),
            resolve(),
            timeline(),
        ],
        Status::Mitigated => vec![resolve(), reopen(), timeline()],
        Status::Resolved => vec![
            export(),
            Button::new("Close", format!("close {id}")),
            reopen(),
        ],
        Status::Closed => vec![export()],
    }
}

pub(super) fn topic(incident: &Incident) -> String {
    let (id, severity, status) = (incident.id, incident.severity, incident.status);
    cut(
        &format!("{id} {severity} {status}: {}", incident.title),
        240,
    )
}
