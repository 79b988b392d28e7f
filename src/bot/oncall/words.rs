//! The sentences about who is on call.
//!
//! Who asks who is on call wakes nobody: there people are named. Whom a change concerns is
//! mentioned.

use jiff::Timestamp;

use crate::bot::{Context, Zones};
use crate::command::words::quote;
use crate::domain::oncall::{Duty, Override, Rotation, Shift, ShiftReason};
use crate::domain::timeline::cut;
use crate::domain::{Button, Incident, Line, Message, Person, Tone, duration};

/// Incidents that are listed.
const LISTED: usize = 10;

/// A rotation as it stands.
pub(super) struct View<'a> {
    pub(super) rotation: &'a Rotation,
    pub(super) duty: Duty,
    /// Who is asked, one after another.
    pub(super) escalation_order: Vec<Person>,
    /// The shift under way and the next ones.
    pub(super) shifts: Vec<Shift>,
    /// Those of this rotation.
    pub(super) overrides: Vec<Override>,
}

/// ` for primary`, where there is more than one rotation.
fn which(bot: &Context, rotation: &Rotation) -> Line {
    match bot.on_call().rotations() {
        [_] => Line::new(),
        _ => Line::new().text(" for ").bold(&rotation.name),
    }
}

/// Who is on call.
pub(super) fn show(bot: &Context, views: &[View<'_>], now: Timestamp) -> Message {
    let mut message = match views {
        [] => {
            return Message::new(Tone::Warning, "Nobody is on call")
                .text("There are no rotations: after some time without `ack` everybody is asked");
        }
        [only] => {
            let line = Line::new().bold(&only.duty.person.name).text(" is on call");
            let line = line.line(which(bot, only.rotation));
            Message::new(Tone::Plain, line.line(until(&only.duty, now)))
        }
        _ => Message::new(Tone::Plain, "Who is on call"),
    };
    let mut buttons = Vec::new();
    for view in views {
        let name = &view.rotation.name;
        if views.len() > 1 {
            let line = Line::new()
                .bold(name)
                .text(": ")
                .bold(&view.duty.person.name);
            message = message.text(
                line.line(until(&view.duty, now))
                    .line(serves(view.rotation)),
            );
            buttons.push(Button::new(
                cut(name, 70),
                format!("oncall show --rotation {}", quote(name)),
            ));
        }
        for one in &view.overrides {
            let mut line = Line::new()
                .text("Override ")
                .code(one.id)
                .text(": ")
                .bold(&one.person.name);
            if one.from > now {
                line = line.text(" from ").time(one.from);
            }
            line = match one.until {
                Some(until) => line.text(" until ").time(until),
                None => line.text(" until it is taken back"),
            };
            message = message.text(line.text(format!(", by {}", one.by.name)));
        }
    }
    if let [only] = views {
        message = single(message, only);
        let name = quote(&only.rotation.name);
        buttons.push(Button::new(
            "I take it for 2 h",
            format!("oncall override me 2h --rotation {name}"),
        ));
        if only.rotation.handover.is_some() {
            buttons.push(Button::new(
                "I take it until the handover",
                format!("oncall set me --rotation {name}"),
            ));
        }
        buttons.extend(only.overrides.iter().take(3).map(|one| {
            Button::new(
                format!("Take back override {}", one.id),
                format!("oncall clear {}", one.id),
            )
        }));
    }
    buttons.truncate(10);
    message.buttons(buttons)
}

/// What is shown of a rotation that is shown alone.
fn single(mut message: Message, view: &View<'_>) -> Message {
    for shift in view.shifts.iter().skip(1) {
        let mut line = Line::new().text("From ").time(shift.from).text(": ");
        line = line.bold(&shift.person.name);
        line = match shift.reason {
            ShiftReason::Holiday(_) => line.text(" (holiday)"),
            ShiftReason::Override(id) => line.text(format!(" (override {id})")),
            ShiftReason::Always | ShiftReason::Turn(_) => line,
        };
        message = message.text(line);
    }
    let names: Vec<&str> = view
        .escalation_order
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    message = message.text(format!(
        "Asked one after another: {}, then everybody",
        names.join(", ")
    ));
    let zone = view.rotation.handover.as_ref();
    match zone.and_then(|handover| handover.zone().iana_name()) {
        Some(zone) => {
            let line = format!("Handovers by the clocks of {zone}");
            message
                .footer(line)
                .footer(format!("Table of time zones: {}", Zones::here().told))
        }
        None => message,
    }
}

/// ` until 09:00 (2h), then ben`
fn until(duty: &Duty, now: Timestamp) -> Line {
    match (duty.until, &duty.next) {
        (Some(until), Some(next)) => Line::new()
            .text(" until ")
            .time(until)
            .text(format!(
                " ({}), then ",
                duration::text(duration::between(now, until))
            ))
            .bold(&next.name),
        _ => Line::new(),
    }
}

fn serves(rotation: &Rotation) -> Line {
    let services = rotation.services.iter().map(ToString::to_string);
    let teams = rotation.teams.iter().map(|team| format!("team {team}"));
    let other = rotation.default.then(|| "everything else".to_owned());
    let all: Vec<String> = services.chain(teams).chain(other).collect();
    if all.is_empty() {
        return Line::new();
    }
    Line::new().text(format!(" — {}", cut(&all.join(", "), 300)))
}

/// Somebody has come on call.
pub(super) fn comes_on(
    bot: &Context,
    rotation: &Rotation,
    before: &Person,
    duty: &Duty,
    open: &[Incident],
) -> Message {
    let mut title = Line::new().person(&duty.person).text(" is on call");
    title = title.line(which(bot, rotation));
    if let Some(until) = duty.until {
        title = title.text(" until ").time(until);
    }
    if before.id != duty.person.id {
        title = title.text(" (was ").person(before).text(")");
    }
    let tone = if open.is_empty() {
        Tone::Plain
    } else {
        Tone::Warning
    };
    let mut message = Message::new(tone, title);
    if open.is_empty() {
        return message;
    }
    let count = match open.len() {
        1 => "1 incident is open:".to_owned(),
        n => format!("{n} incidents are open:"),
    };
    message = message.text(count);
    for incident in open.iter().take(LISTED) {
        let mut line = Line::new().bold(incident.id).text(format!(
            " {} {}: {}",
            incident.severity,
            incident.status,
            cut(&incident.title, 150)
        ));
        if let Some(place) = &incident.place {
            line = line.text(" ").channel(place.channel.clone());
        }
        message = message.text(line);
    }
    if open.len() > LISTED {
        message = message.text(format!("… and {} further ones", open.len() - LISTED));
    }
    message.buttons(vec![
        Button::new("Alerts", "alerts"),
        Button::new("Incidents", "incident list"),
    ])
}

/// Somebody will come on call.
pub(super) fn will_be_on(
    bot: &Context,
    rotation: &Rotation,
    before: &Person,
    new: &Override,
) -> Message {
    let mut title = Line::new().person(&new.person).text(" will be on call");
    title = title
        .line(which(bot, rotation))
        .text(" from ")
        .time(new.from);
    if let Some(until) = new.until {
        title = title.text(" until ").time(until);
    }
    if before.id != new.person.id {
        title = title.text(" in place of ").person(before);
    }
    Message::new(Tone::Plain, title)
}

/// Somebody who was to be relieved is not.
pub(super) fn stays_on(
    bot: &Context,
    rotation: &Rotation,
    before: &Person,
    duty: &Duty,
    at: Timestamp,
) -> Message {
    let mut title = Line::new().person(&duty.person).text(" will be on call");
    title = title.line(which(bot, rotation)).text(" at ").time(at);
    if before.id != duty.person.id {
        title = title.text(", not ").person(before);
    }
    Message::new(Tone::Plain, title)
}

/// The same with who said so, and a way back.
pub(super) fn said_by(message: Message, by: &Person, id: Option<i64>) -> Message {
    let message = message.footer(Line::new().text("Said by ").text(&by.name));
    match id {
        Some(id) => message.buttons(vec![
            Button::new("Who is on call?", "oncall"),
            Button::new("Take it back", format!("oncall clear {id}")),
        ]),
        None => message,
    }
}
