//! The sentences about a silence.

use crate::command::words::quote;
use crate::domain::alert::Silence;
use crate::domain::timeline::cut;
use crate::domain::{Button, Content, Line, Message, Tone};

/// What the timeline says of a change.
pub(super) fn news(before: &Silence, now: &Silence, over: bool) -> Option<String> {
    if over {
        return match &now.ended {
            None => None,
            Some(None) => Some("the silence was ended in Alertmanager".to_owned()),
            Some(Some(_)) => Some("the silence is ended in Alertmanager too".to_owned()),
        };
    }
    let ids = made(now);
    if ids.len() > made(before).len() {
        let more = match ids.len().saturating_sub(3) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let ids = ids[..ids.len().min(3)].join(", ");
        return Some(format!("silenced in Alertmanager too: {ids}{more}"));
    }
    match (&before.fault, &now.fault) {
        (None, Some(why)) => Some(format!("not silenced in Alertmanager: {}", cut(why, 200))),
        _ => None,
    }
}

/// The message, with how far it has come in Alertmanager.
pub(super) fn message(silence: &Silence) -> Message {
    let Content::Message(mut message) = silence.answer.content.clone() else {
        return Message::new(Tone::Good, "");
    };
    let open = silence.pieces.iter().filter(|piece| !piece.ended).count();
    let made = made(silence);
    let line = if let (Some(by), 0) = (&silence.ended, open) {
        match by {
            Some(person) => Line::new().text("Ended by ").person(person),
            None => Line::new().text("Ended in Alertmanager: it is told again"),
        }
    } else if open == 0 {
        Line::new().text("It is over")
    } else if let Some(why) = &silence.fault {
        message.tone = Tone::Warning;
        let line = Line::new().text(format!("⚠️ {}. ", cut(why, 200)));
        if made.is_empty() {
            line.text("It is quiet here only; Alertmanager is asked again")
        } else {
            line.text("It is asked again")
        }
    } else if silence.ended.is_some() {
        Line::new().text("Alertmanager is being asked to end it …")
    } else if made.len() < silence.pieces.len() {
        Line::new().text("Alertmanager is being asked to be quiet too …")
    } else if let [only] = made.as_slice() {
        Line::new()
            .text("Alertmanager is quiet too: silence ")
            .code(cut(only, 60))
    } else {
        Line::new().text(format!(
            "Alertmanager is quiet too: {} silences",
            made.len()
        ))
    };
    message = message.text(line);
    if open > 0 && silence.ended.is_none() {
        let name = quote(&silence.name);
        message = message.buttons(vec![Button::new(
            "End silence",
            format!("silence {name} --end"),
        )]);
    }
    message
}

/// The ids of what was made in Alertmanager.
fn made(silence: &Silence) -> Vec<&str> {
    let pieces = silence.pieces.iter();
    pieces.filter_map(|one| one.made.as_deref()).collect()
}
