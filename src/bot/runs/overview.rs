//! The run's own message: a list of its steps with marks, one line each.

use std::collections::BTreeMap;

use super::messages::rehearsed;
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Style, Tone, duration};
use crate::runbook::Runbook;
use crate::runbook::engine::{Phase, RunState, StepState, Verdict, titles};
use crate::runbook::model::Step;

/// Most steps that the message shows.
const MAX_LINES: usize = 30;
/// Most characters of what a step says there.
const MAX_LINE: usize = 140;

/// The run's message: a list of its steps with marks, one line each, a bar, buttons.
pub(super) fn run_message(runbook: &Runbook, state: &RunState) -> Message {
    let word = if state.start.rehearsal {
        "Rehearsal"
    } else {
        "Run"
    };
    let (tone, how) = match state.verdict {
        None if state.stop.is_some() => (Tone::Progress, "is being stopped".to_owned()),
        None if state
            .steps
            .values()
            .any(|s| s.phase == Phase::Asking || s.is_held()) =>
        {
            // Its questions are messages of their own; this one's only button stops it.
            (Tone::Progress, "waits for an answer".to_owned())
        }
        None => (Tone::Progress, "is running".to_owned()),
        Some(verdict) if state.start.rehearsal => {
            let tone = if verdict == Verdict::Succeeded {
                Tone::Plain
            } else {
                Tone::Warning
            };
            (tone, format!("is over: {}", rehearsed(verdict)))
        }
        Some(Verdict::Succeeded) => (Tone::Good, "succeeded".to_owned()),
        Some(Verdict::Failed) => (Tone::Bad, "failed".to_owned()),
        Some(Verdict::Stopped) => (Tone::Warning, "was stopped".to_owned()),
    };
    let title = Line::new()
        .text(format!("{word} {} of ", state.id))
        .bold(&runbook.title)
        .text(format!(" {how}"));
    let mut message = Message::new(tone, title);
    let titles = titles(runbook, state);
    let mut lines = Vec::new();
    step_lines(&runbook.steps, state, &titles, "", 0, &mut lines);
    if state.verdict.is_some() || state.stop.is_some() {
        step_lines(&runbook.finally, state, &titles, "", 0, &mut lines);
    }
    let left = lines.len().saturating_sub(MAX_LINES);
    let mut text = lines
        .iter()
        .take(MAX_LINES)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    if left > 0 {
        text.push_str(&format!("\n… and {left} more"));
    }
    message = message.text(Line::new().text(text));
    if let Some(stop) = &state.stop {
        let by = stop.by.as_deref().unwrap_or("the time-out");
        message = message.text(format!("Stopped by {by}: {}", stop.reason));
    }
    if state.verdict.is_none() {
        message = message.buttons(vec![
            Button::new("Stop", format!("runbook stop {}", state.id)).style(Style::Danger),
        ]);
    }
    let ended = |step: &&Step| {
        let state = state.steps.get(&step.id.value);
        state.is_some_and(|state| state.phase.is_end())
    };
    let done = runbook.steps.iter().filter(ended).count();
    let total = runbook.steps.len();
    let bar: String = (0..10)
        .map(|n| if n * total < done * 10 { '▰' } else { '▱' })
        .collect();
    let nothing = if state.start.rehearsal {
        " · nothing is changed"
    } else {
        ""
    };
    message.footer(format!(
        "{bar} {done}/{total} · {} · started by {}{nothing}",
        runbook.name.value, state.start.by
    ))
}

/// A rehearsal names what a run would do or wait for.
fn is_only_named(state: &RunState, step: Option<&StepState>) -> bool {
    state.start.rehearsal && step.is_some_and(|step| step.line.starts_with("would "))
}

fn step_lines(
    steps: &[Step],
    state: &RunState,
    titles: &BTreeMap<String, String>,
    suffix: &str,
    depth: usize,
    lines: &mut Vec<String>,
) {
    for step in steps {
        let path = format!("{}{suffix}", step.id.value);
        let known = state.steps.get(&path);
        let mark = match known.map(|step| (step.phase, step.is_held())) {
            None => "▫️",
            Some((_, true)) => "⚠️",
            // Nothing was done or seen to be so.
            Some((Phase::Succeeded, _)) if is_only_named(state, known) => "▫️",
            Some((Phase::Succeeded, _)) => "✅",
            Some((Phase::Failed, _)) => "❌",
            Some((Phase::Skipped, _)) => "➖",
            Some((Phase::Running, _)) => "▶️",
            Some((Phase::Asking, _)) => "❓",
            Some(_) => "⏳",
        };
        let title = known.map_or_else(
            || titles.get(&step.id.value).cloned().unwrap_or_default(),
            |known| known.title.clone(),
        );
        let said = known
            .filter(|known| !known.line.is_empty() && known.line != title)
            .map(|known| format!(" — {}", first_line(&known.line)))
            .unwrap_or_default();
        let cut = known.and_then(|known| known.cut.as_ref());
        let cut = cut.map_or(String::new(), |cut| format!(" ✂️ kept {cut}"));
        let again = known.map_or(String::new(), |known| {
            if known.attempt > 1 && !matches!(known.phase, Phase::Succeeded) {
                format!(" (attempt {})", known.attempt)
            } else {
                String::new()
            }
        });
        lines.push(format!(
            "{}{mark} {title}{again}{said}{cut}{}",
            // Spaces at the start of a line are lost in a chat; these are not.
            "\u{2003}".repeat(depth),
            known.map_or(String::new(), took)
        ));
        if known.is_some() {
            let turn = known.and_then(|known| known.items.as_ref()).map_or_else(
                || suffix.to_owned(),
                |items| {
                    // The turn that is under way, or the last.
                    (0..items.len())
                        .rev()
                        .find(|n| {
                            let inner = format!("{suffix}[{n}]");
                            state.steps.keys().any(|path| path.ends_with(&inner))
                        })
                        .map_or(format!("{suffix}[0]"), |n| format!("{suffix}[{n}]"))
                },
            );
            step_lines(step.inner(), state, titles, &turn, depth + 1, lines);
        }
    }
}

/// How long a step took, where that is worth a word.
fn took(step: &StepState) -> String {
    let done = matches!(step.phase, Phase::Succeeded | Phase::Failed);
    match step.ended_at.filter(|_| done) {
        Some(ended) if duration::between(step.began_at, ended).as_secs() >= 1 => {
            format!(
                " · {}",
                duration::text(duration::between(step.began_at, ended))
            )
        }
        _ => String::new(),
    }
}

fn first_line(text: &str) -> String {
    cut(text.lines().next().unwrap_or_default(), MAX_LINE)
}
