//! The sentences about backups.

use std::time::Duration;

use jiff::Timestamp;

use crate::backup::postgres::Drilled;
use crate::bot::settings::BackupPlan;
use crate::domain::backup::{Backup, BackupState};
use crate::domain::duration::{between, bytes_text, text, utc_text};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Tone, counted};

/// Differences that are told one by one.
const TOLD: usize = 10;
/// Backups that are listed of each name.
const LISTED: usize = 5;

fn named(row: &Backup) -> Line {
    Line::new()
        .text("Backup ")
        .code(&row.id)
        .text(" of ")
        .code(&row.name)
}

fn seconds(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        _ => text(Duration::from_secs(milliseconds / 1_000)),
    }
}

pub(super) fn begins(row: &Backup) -> String {
    format!("backup {} of {} begins", row.id, row.name)
}

pub(super) fn goes_on(row: &Backup, bytes: u64, since: Duration) -> Message {
    let line = named(row).text(" is being taken");
    let line = match bytes {
        0 => line,
        bytes => line.text(format!(": {} in {}", bytes_text(bytes), text(since))),
    };
    Message::new(Tone::Progress, line)
}

pub(super) fn reads(row: &Backup, since: Duration) -> Message {
    let line = named(row).text(format!(" is being read back for {}", text(since)));
    Message::new(Tone::Progress, line)
}

pub(super) fn tries(row: &Backup, since: Duration) -> Message {
    let line = named(row).text(format!(" is being tried out for {}", text(since)));
    Message::new(Tone::Progress, line)
}

/// How it ended, for the audit.
pub(super) fn ended(row: &Backup) -> String {
    let state = state(row);
    format!("backup {} of {}: {state}", row.id, row.name)
}

/// What is known of it, and no more.
fn state(row: &Backup) -> String {
    let why = row.why.as_deref().unwrap_or("nobody knows why");
    match row.state {
        BackupState::Running => "is being taken".to_owned(),
        BackupState::Verified => "whole: every block was read back".to_owned(),
        BackupState::Taken if row.why.is_some() => format!("taken, but {why}"),
        BackupState::Taken => {
            "taken: its checksums are right; without the key no block could be read".to_owned()
        }
        BackupState::Failed => format!("failed: {why}"),
        BackupState::Damaged => format!("damaged: {why}"),
        BackupState::Removed => "removed when its time had come".to_owned(),
    }
}

fn tone(row: &Backup) -> Tone {
    match row.state {
        BackupState::Running => Tone::Progress,
        BackupState::Verified => Tone::Good,
        BackupState::Taken if row.why.is_none() => Tone::Good,
        BackupState::Taken => Tone::Warning,
        BackupState::Failed | BackupState::Damaged => Tone::Bad,
        BackupState::Removed => Tone::Plain,
    }
}

fn size(row: &Backup) -> String {
    format!("{} in {}", bytes_text(row.bytes), seconds(row.milliseconds))
}

fn safe(row: &Backup) -> String {
    match &row.recipient {
        Some(recipient) => format!("encrypted to {recipient}"),
        None => "not encrypted: whoever reads the store reads it".to_owned(),
    }
}

/// How taking it ended.
pub(super) fn taken(row: &Backup) -> Message {
    let message = Message::new(
        tone(row),
        named(row).text(format!(" {}", cut(&state(row), 900))),
    );
    if row.state == BackupState::Failed {
        let again = Button::new("Try again", format!("backup now {}", row.name));
        return message.text("Nothing of it is kept").buttons(vec![again]);
    }
    let show = Button::new("Show", format!("backup show {}/{}", row.name, row.id));
    message
        .text(format!("{}; {}", size(row), row.covers))
        .text(format!("in {}, {}", row.to, safe(row)))
        .buttons(vec![show])
}

/// How reading it back ended. `unknown`: why it could not be read.
pub(super) fn verified(row: &Backup, unknown: Option<&str>) -> Message {
    if let Some(why) = unknown {
        let line = named(row).text(format!(
            " could not be read, which says nothing of it: {}",
            cut(why, 900)
        ));
        return Message::new(Tone::Warning, line);
    }
    Message::new(
        tone(row),
        named(row).text(format!(" {}", cut(&state(row), 900))),
    )
}

/// What a drill found, a line each.
pub(super) fn found(drilled: &Drilled) -> Vec<String> {
    let mut found: Vec<String> = drilled.differences.iter().take(TOLD).cloned().collect();
    let more = drilled.differences.len().saturating_sub(TOLD);
    if more > 0 {
        found.push(format!("and {} more", counted(more, "difference")));
    }
    for answer in &drilled.answers {
        let said = match &answer.said {
            Ok(said) => cut(said, 200),
            Err(why) => format!("no answer: {}", cut(why, 200)),
        };
        let mark = if answer.good { "" } else { ", which is wrong" };
        found.push(format!("{}: {said}{mark}", answer.name));
    }
    if drilled.is_good() {
        found.push(format!("all {} rows are as they were", drilled.rows));
    }
    found.extend(
        drilled
            .left
            .iter()
            .map(|left| format!("left behind: {left}")),
    );
    found
}

pub(super) fn drilled(row: &Backup) -> Message {
    let Some(drill) = &row.drill else {
        return shown(row, false);
    };
    let (tone, words) = match (drill.good, drill.restored_in_ms) {
        (true, _) => (Tone::Good, " restores"),
        (false, 0) => (Tone::Bad, " does not restore"),
        (false, _) => (Tone::Bad, " restores, but not as it was"),
    };
    let mut message = Message::new(tone, named(row).text(words));
    if drill.restored_in_ms > 0 {
        let age = text(Duration::from_secs(drill.data_age_s));
        let within = seconds(drill.restored_in_ms);
        message = message.text(format!("restored in {within}; its data were {age} old"));
    }
    drill
        .found
        .iter()
        .fold(message, |message, line| message.text(line.as_str()))
}

/// Why there is nothing to be read.
pub(super) fn not_there(row: &Backup) -> Option<Line> {
    let nothing = matches!(
        row.state,
        BackupState::Running | BackupState::Failed | BackupState::Removed
    );
    nothing.then(|| named(row).text(format!(" can't be read: {}", cut(&state(row), 300))))
}

/// All that is known of one.
pub(super) fn shown(row: &Backup, can_drill: bool) -> Message {
    let mut message = Message::new(
        tone(row),
        named(row).text(format!(" {}", cut(&state(row), 900))),
    )
    .text(
        Line::new()
            .text("begun ")
            .time(row.started_at)
            .text(format!(" by {}", row.by)),
    );
    if row.bytes > 0 {
        message = message
            .text(format!("{}; {}", size(row), row.covers))
            .text(format!("in {}, {}", row.to, safe(row)));
    }
    let versions: Vec<String> = row
        .versions
        .iter()
        .map(|(name, one)| format!("{name} {one}"))
        .collect();
    if !versions.is_empty() {
        message = message.text(versions.join(", "));
    }
    message = match row.verified_at {
        Some(at) => message.text(Line::new().text("last found good ").time(at)),
        None => message.text("never read back"),
    };
    message = match &row.drill {
        Some(drill) => {
            let how = if drill.good {
                "restored whole"
            } else {
                "did not come back as it was"
            };
            let line = Line::new()
                .text(format!("tried out, {how}, "))
                .time(drill.at);
            message.text(line.text(format!(": {}", cut(&drill.found.join("; "), 900))))
        }
        None => message.text("never tried out"),
    };
    let full = format!("{}/{}", row.name, row.id);
    let mut buttons = Vec::new();
    if not_there(row).is_none() {
        buttons.push(Button::new("Read it back", format!("backup verify {full}")));
        if can_drill {
            buttons.push(Button::new("Try it out", format!("backup drill {full}")));
        }
    }
    message.buttons(buttons)
}

/// What is there of each, the newest first.
pub(super) fn list(plans: &[BackupPlan], all: &[Backup], now: Timestamp) -> Message {
    let newest = |plan: &BackupPlan| {
        all.iter()
            .find(|one| one.name == plan.name && one.is_good())
    };
    let without = plans.iter().filter(|plan| newest(plan).is_none()).count();
    let (mood, title) = match (plans.len(), without) {
        (0, _) => (
            Tone::Plain,
            "No backup is configured: add a [[backup]]".to_owned(),
        ),
        (n, 0) => (
            Tone::Good,
            format!("{}, each has a good one", counted(n, "backup")),
        ),
        (n, bad) => (
            Tone::Warning,
            format!("{}, {bad} without a good one", counted(n, "backup")),
        ),
    };
    let mut message = Message::new(mood, title);
    for plan in plans {
        let line = Line::new().bold(&plan.name);
        let line = match newest(plan) {
            Some(row) => line.text(format!(
                ": the newest good one is {} old",
                text(between(row.started_at, now))
            )),
            None => line.text(": there is no good one"),
        };
        let line = match plan.schedule.as_ref().and_then(|one| one.next(now)) {
            Some(next) => line.text(format!("; next {}", utc_text(next))),
            None => line.text("; none is taken by itself"),
        };
        message = message.text(line);
        let of_plan = all
            .iter()
            .filter(|one| one.name == plan.name && one.state != BackupState::Removed);
        for row in of_plan.take(LISTED) {
            let mark = match tone(row) {
                Tone::Good => "✅",
                Tone::Bad => "❌",
                Tone::Warning => "⚠️",
                _ => "⏳",
            };
            let drill = match &row.drill {
                Some(drill) if drill.good => "; restored whole in a drill",
                Some(_) => "; its drill failed",
                None => "",
            };
            let line = Line::new().text(format!("{mark} ")).code(&row.id);
            let bytes = if row.bytes > 0 {
                format!("  {}", size(row))
            } else {
                String::new()
            };
            message = message.text(line.text(format!("{bytes}  {}{drill}", cut(&state(row), 200))));
        }
    }
    message
}
