//! A checklist as people see it.

use crate::domain::checklist::{Checklist, TickBox};
use crate::domain::duration::utc_text;
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Tone};

fn title(list: &Checklist) -> Line {
    let line = Line::new()
        .text("☑️ ")
        .bold(format!("Checklist {}", list.id));
    let line = line.text(format!(": {}", list.name));
    let line = match &list.service {
        Some(service) => line.text(" of ").code(service),
        None => line,
    };
    line.text(format!(", {} of {}", list.ticked(), list.boxes.len()))
}

/// Its message: a line and, until it is ticked, a button for each box.
pub(super) fn message(list: &Checklist) -> Message {
    let all = list.ticked() == list.boxes.len();
    let tone = if all { Tone::Good } else { Tone::Plain };
    let mut message = Message::new(tone, title(list));
    let open = list.ended.is_none();
    let mut at = 0;
    while let Some(first) = list.boxes.get(at) {
        let same = list.boxes[at..]
            .iter()
            .take_while(|one| one.phase == first.phase);
        let boxes: Vec<(usize, &TickBox)> =
            same.enumerate().map(|(n, one)| (at + n + 1, one)).collect();
        at += boxes.len();
        message = message.text(Line::new().bold(&first.phase));
        for (number, one) in &boxes {
            message = message.text(row(*number, one));
        }
        if open {
            let free = boxes.iter().filter(|(_, one)| one.tick.is_none());
            let buttons = free.map(|(number, _)| {
                Button::new(
                    format!("☐ {number}"),
                    format!("checklist tick {} {number}", list.id),
                )
            });
            message = message.buttons(buttons.collect());
        }
    }
    if let Some((by, when)) = &list.ended {
        let line = Line::new()
            .text("Ended by ")
            .person(by)
            .text(" at ")
            .time(*when);
        return message.text(line);
    }
    let mut buttons = Vec::new();
    if list.service.is_some()
        && list
            .boxes
            .iter()
            .any(|one| one.tick.is_none() && one.probe.is_some())
    {
        buttons.push(Button::new("Look", format!("checklist look {}", list.id)));
    }
    buttons.push(Button::new("End it", format!("checklist end {}", list.id)));
    message.buttons(buttons).footer(format!(
        "Take a tick back: checklist untick {} NUMBER",
        list.id
    ))
}

fn row(number: usize, one: &TickBox) -> Line {
    let mark = if one.tick.is_some() { "☑" } else { "☐" };
    let line = Line::new().text(format!("{mark} {number}. {}", one.text));
    let line = match &one.tick {
        Some((by, at)) => line.text(" — ").bold(&by.name).text(" ").time(*at),
        None => line,
    };
    match &one.found {
        Some((found, at)) => line
            .text(format!(" ({}, looked at ", cut(found, 150)))
            .time(*at)
            .text(")"),
        None if one.probe.is_some() && one.tick.is_none() => line.text(" 👁"),
        None => line,
    }
}

/// One of the list of all.
pub(super) fn line(list: &Checklist) -> Line {
    let line = title(list);
    let line = match list.incident {
        Some(id) => line.text(", ").bold(id),
        None => line,
    };
    match &list.ended {
        Some((_, at)) => line.text(", ended at ").time(*at),
        None => line.text(", since ").time(list.begun_at),
    }
}

/// What the timeline says at the end: all boxes, with who ticked them.
pub(super) fn ended(list: &Checklist) -> String {
    let open: Vec<String> = list
        .boxes
        .iter()
        .filter(|one| one.tick.is_none())
        .map(|one| one.text.clone())
        .collect();
    let begun = utc_text(list.begun_at);
    let all = format!("{} of {} ticked", list.ticked(), list.boxes.len());
    let open = match open.len() {
        0 => String::new(),
        _ => format!("; not ticked: {}", open.join(", ")),
    };
    format!(
        "checklist {} ({}) of {begun} is ended: {all}{open}",
        list.id, list.name
    )
}
