//! `heartbeat list|pause|resume`.

use std::time::Duration;

use crate::bot::request::{Answer, Ask, Effect};
use crate::bot::{Context, Fault, Refusal};
use crate::domain::duration::{between, text, utc_text};
use crate::domain::heartbeat::{Heard, Heartbeat, Pause, Trouble};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Tone, counted};

pub(crate) async fn heartbeat_list(context: &Context) -> Result<Effect, Fault> {
    let all = &context.settings().alerts.heartbeats;
    let known = context.store().heartbeats().await?;
    let fires = |one: &&Heartbeat| {
        known
            .get(&one.name)
            .is_some_and(|one| !one.fires.is_empty())
    };
    let troubled = all.iter().filter(fires).count();
    let (tone, title) = match (all.len(), troubled) {
        (0, _) => (Tone::Plain, "No heartbeat is configured".to_owned()),
        (n, 0) => (
            Tone::Good,
            format!("{}, nothing is wrong", counted(n, "heartbeat")),
        ),
        (n, bad) => (
            Tone::Warning,
            format!("{}, something is wrong with {bad}", counted(n, "heartbeat")),
        ),
    };
    let mut message = Message::new(tone, title);
    for heartbeat in all {
        message = message.text(line(context, heartbeat, known.get(&heartbeat.name)));
    }
    if all.is_empty() {
        message =
            message.text("Add a [[heartbeat]] to the configuration for each job that has to run.");
    }
    Ok(Effect::Say(Answer::to_all(message)))
}

/// How one stands, as the last look found it.
fn line(context: &Context, heartbeat: &Heartbeat, heard: Option<&Heard>) -> Line {
    let now = context.now();
    let line = |mark: &str| Line::new().text(format!("{mark} ")).code(&heartbeat.name);
    let Some(heard) = heard else {
        return line("❔").text("  not listened for yet");
    };
    let last = match (&heard.last, heard.last_text()) {
        (Some(last), Some(words)) => {
            format!("heard of {words}, {} ago", text(between(last.at, now)))
        }
        _ => format!("not heard of since {}", utc_text(heard.since)),
    };
    if let Some(pause) = heard.paused.as_ref().filter(|_| heard.is_paused(now)) {
        let until = pause
            .until
            .map_or("until it is resumed".to_owned(), |until| {
                format!("until {}", utc_text(until))
            });
        let why = match pause.reason.as_str() {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        return line("⏸️").text(format!("  paused {until} by {}{why}; {last}", pause.by));
    }
    let every = text(heartbeat.every);
    if heard.fires.is_empty() {
        let mark = if heard.last.is_some() { "✅" } else { "⏳" };
        return line(mark).text(format!("  {last}; every {every}"));
    }
    let words = heard.fires.keys().map(|trouble| match trouble {
        Trouble::Missing => "missing",
        Trouble::Failed => "failed",
        Trouble::Small => "too small",
    });
    let words: Vec<&str> = words.collect();
    line("❌").text(format!("  {}: {last}; every {every}", words.join(", ")))
}

/// The one that is meant.
fn named<'c>(context: &'c Context, name: &str) -> Result<&'c Heartbeat, Refusal> {
    let all = &context.settings().alerts.heartbeats;
    if let Some(found) = all.iter().find(|one| one.name == name) {
        return Ok(found);
    }
    let line = Line::new()
        .text("There is no heartbeat ")
        .code(cut(name, 60));
    let refusal = Refusal::new(line.text(". Nothing was changed"));
    let names = all.iter().map(|one| one.name.as_str());
    Err(refusal
        .suggest_nearest(name, names, |near| format!("heartbeat pause {near}"))
        .suggest("Which are there?", "heartbeat list"))
}

pub(crate) fn heartbeat_pause(
    context: &Context,
    ask: &Ask,
    name: &str,
    within: Option<Duration>,
    reason: Option<String>,
) -> Result<Effect, Fault> {
    let name = named(context, name)?.name.clone();
    let by = ask.request.person.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let now = tx.now();
            let until = within.map(|within| now + within);
            let known = tx.heartbeat(&name).await?;
            let mut heard = known.unwrap_or_else(|| Heard::since(now));
            heard.paused = Some(Pause {
                until,
                by,
                reason: reason.unwrap_or_default(),
            });
            tx.heartbeat_put(&name, &heard).await?;
            let title = Line::new().code(&name).text(match until {
                Some(until) => format!(" is not expected until {}", utc_text(until)),
                None => " is not expected until it is resumed".to_owned(),
            });
            let resume = Button::new("Resume", format!("heartbeat resume {name}"));
            let message = Message::new(Tone::Plain, title).buttons(vec![resume]);
            Ok(Answer::to_all(message).into())
        })
    }))
}

pub(crate) fn heartbeat_resume(context: &Context, name: &str) -> Result<Effect, Fault> {
    let heartbeat = named(context, name)?;
    let (name, patience) = (heartbeat.name.clone(), heartbeat.patience());
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let now = tx.now();
            let known = tx.heartbeat(&name).await?;
            let mut heard = known.unwrap_or_else(|| Heard::since(now));
            let title = if heard.resume(now) {
                tx.heartbeat_put(&name, &heard).await?;
                let due = utc_text(now + patience);
                Line::new()
                    .code(&name)
                    .text(format!(" is expected by {due} again"))
            } else {
                Line::new()
                    .code(&name)
                    .text(" was not paused. Nothing was changed")
            };
            Ok(Answer::to_all(Message::new(Tone::Plain, title)).into())
        })
    }))
}
