//! What is said of a run: its own message, which is edited, a message for each question, and
//! entries on the timeline.

use serde_json::json;

use super::overview::run_message;
use crate::bot::actions::intent_text;
use crate::command::words::quote;
use crate::domain::action::ActionRecord;
use crate::domain::timeline::{Draft, cut};
use crate::domain::{
    Button, Content, EntryKind, Line, Message, Outgoing, Person, Role, Style, Tone, counted,
    duration,
};
use crate::runbook::Runbook;
use crate::runbook::engine::{
    Announcement, Approval, Phase, RunState, StepState, Verdict, can_be_left_out,
};
use crate::runbook::model::{Step, Work};

/// What is said of one run.
pub(super) struct RunMessages<'a> {
    pub(super) runbook: &'a Runbook,
    pub(super) outgoing: &'a Outgoing,
}

impl RunMessages<'_> {
    /// The run's own message as it stands now.
    pub(super) fn run(&self, state: &RunState) -> Outgoing {
        Outgoing {
            content: Content::Message(run_message(self.runbook, state)),
            ..self.outgoing.clone()
        }
    }

    /// A message of its own: the run's own one is only edited, and an edit rings no phone.
    fn beside(&self, key: String, message: Message) -> Outgoing {
        Outgoing::announcement(key, self.outgoing.to.clone(), message)
    }

    /// A question that fails becomes the message about its failure.
    fn held_key(state: &RunState, path: &str, step: &StepState) -> String {
        format!("run:{}:ask:{path}:{}", state.id, step.attempt)
    }

    fn question_key(state: &RunState, path: &str, step: &StepState) -> String {
        match &step.approval {
            // A change that fails later has a message of its own.
            Some(approval) => format!("run:{}:approval:{path}:{}", state.id, approval.attempt),
            None => Self::held_key(state, path, step),
        }
    }

    pub(super) fn message(&self, state: &RunState, said: &Announcement) -> Option<Outgoing> {
        let path = said.path();
        let step = state.steps.get(path)?;
        match said {
            Announcement::Notify { text, .. } => Some(
                self.beside(
                    format!("run:{}:notify:{path}", state.id),
                    Message::new(Tone::Plain, Line::new().text(text.clone()))
                        .footer(format!("run {} of {}", state.id, self.runbook.name.value)),
                ),
            ),
            Announcement::Step { .. } if step.phase == Phase::Asking => {
                let message = self.question(state, path, step)?;
                Some(self.beside(Self::question_key(state, path, step), message))
            }
            // It has just been approved: not a further attempt with it.
            Announcement::Step { .. }
                if step.phase == Phase::Scheduled
                    && step.approval.as_ref().map(|approval| approval.attempt)
                        == Some(step.attempt) =>
            {
                Some(self.answered(state, path, step, Tone::Good))
            }
            Announcement::Step { .. } if step.is_held() => {
                let message = held(self.runbook, state, path, step);
                Some(self.beside(Self::held_key(state, path, step), message))
            }
            Announcement::Step { .. } | Announcement::Note { .. } => None,
        }
    }

    fn question(&self, state: &RunState, path: &str, step: &StepState) -> Option<Message> {
        let own = self.step(path)?;
        let answer = |label: &str, word: &str| {
            Button::new(
                label,
                format!(
                    "runbook answer {} {} {}",
                    state.id,
                    quote(path),
                    quote(word)
                ),
            )
        };
        let approval = || {
            vec![
                answer("Approve", "approve").style(Style::Primary),
                answer("Decline", "decline").style(Style::Danger),
            ]
        };
        let can_approve = |count: u32, by: Role, other: bool| {
            let other = other.then(|| format!(", other than {}", state.start.by));
            format!(
                "{} can approve{}",
                counted(count, by.as_str()),
                other.unwrap_or_default()
            )
        };
        let (buttons, who) = match &own.work {
            Work::Ask { choices, by, .. } => (
                choices
                    .iter()
                    .map(|choice| answer(&cut(&choice.value, 75), &choice.value))
                    .collect(),
                format!("A {by} can answer"),
            ),
            Work::Approve {
                by, count, other, ..
            } => (approval(), can_approve(*count, *by, *other)),
            Work::Manual { by, .. } => (
                vec![answer("Done", "done").style(Style::Primary)],
                format!("A {by} can say that it is done"),
            ),
            Work::Use(_) => {
                let needed = step.approval.as_ref()?;
                (approval(), can_approve(1, needed.by, needed.other))
            }
            _ => return None,
        };
        let mut message = Message::new(Tone::Question, Line::new().text(step.line.clone()));
        if !step.votes.is_empty() {
            let names: Vec<&str> = step.votes.iter().map(|vote| vote.by.as_str()).collect();
            message = message.text(format!("So far: {}", names.join(", ")));
        }
        let within = step.until.map(|until| {
            let time = duration::between(step.began_at, until);
            format!(" within {}", duration::text(time))
        });
        Some(message.buttons(buttons).footer(format!(
            "{who}{} · run {} of {}",
            within.unwrap_or_default(),
            state.id,
            self.runbook.name.value
        )))
    }

    /// The question's message, once it is answered or over.
    pub(super) fn question_over(&self, state: &RunState, path: &str) -> Option<Outgoing> {
        let step = state.steps.get(path)?;
        let own = self.step(path)?;
        let asks = matches!(
            own.work,
            Work::Ask { .. } | Work::Approve { .. } | Work::Manual { .. }
        );
        if step.approval.is_some() {
            let given = step.votes.iter().any(|vote| vote.answer == "approve");
            let over = !given && matches!(step.phase, Phase::Failed | Phase::Skipped);
            return over.then(|| self.answered(state, path, step, Tone::Bad));
        }
        if !asks || !step.asked {
            return None;
        }
        if step.phase == Phase::Asking {
            // One of several has approved.
            let message = self.question(state, path, step)?;
            return (!step.votes.is_empty())
                .then(|| self.beside(Self::question_key(state, path, step), message));
        }
        if !step.phase.is_end() || step.is_held() {
            return None;
        }
        let tone = match step.phase {
            Phase::Succeeded => Tone::Good,
            Phase::Failed => Tone::Bad,
            _ => Tone::Plain,
        };
        Some(self.answered(state, path, step, tone))
    }

    /// A question's message once it has been answered, or can't be any more.
    fn answered(&self, state: &RunState, path: &str, step: &StepState, tone: Tone) -> Outgoing {
        let text = format!("{}: {}", step.title, step.line);
        let message = Message::new(tone, Line::new().text(text))
            .footer(format!("run {} of {}", state.id, self.runbook.name.value));
        self.beside(Self::question_key(state, path, step), message)
    }

    fn step(&self, path: &str) -> Option<&Step> {
        self.runbook.step(path.split('[').next().unwrap_or(path))
    }

    /// What goes on the timeline.
    pub(super) fn entry(&self, state: &RunState, said: &Announcement) -> Option<Draft> {
        let path = said.path();
        let step = state.steps.get(path)?;
        let (kind, text) = match said {
            Announcement::Note { text, .. } => (EntryKind::Note, text.clone()),
            Announcement::Notify { text, .. } => (EntryKind::Run, format!("said: {text}")),
            Announcement::Step { .. } if state.start.rehearsal => {
                // Nothing of it was done: no entry may read as if it had been.
                let word = match step.phase {
                    Phase::Failed => "would fail, as it stands now",
                    Phase::Skipped => "would be left out",
                    _ => "looked at",
                };
                let text = match line(step) {
                    line if line.starts_with("would ") => line,
                    line => format!("{word}: {line}"),
                };
                let text = format!("rehearsal {}: {}: {text}", state.id, step.title);
                (EntryKind::Run, text)
            }
            Announcement::Step { .. } => {
                let word = match step.phase {
                    Phase::Asking => "asks",
                    Phase::Failed => "failed",
                    Phase::Pausing => "is tried again",
                    Phase::Skipped => "left out",
                    Phase::Scheduled => "may begin",
                    _ => "done",
                };
                let text = format!("run {}: {} {word}: {}", state.id, step.title, line(step));
                (EntryKind::Run, text)
            }
        };
        Some(
            Draft::new(&Person::bot(), kind, cut(&text, 1_000)).data(json!({
                "run": state.id,
                "runbook": self.runbook.name.value,
                "step": path,
                "phase": step.phase,
                "attempt": step.attempt,
                "votes": step.votes,
                "cut": step.cut,
            })),
        )
    }

    /// The end of the run, for the timeline.
    pub(super) fn end(&self, state: &RunState, verdict: Verdict) -> Draft {
        let why = state
            .stop
            .as_ref()
            .map(|stop| format!(": {}", stop.reason))
            .unwrap_or_default();
        let (id, name) = (state.id, &self.runbook.name.value);
        let text = if state.start.rehearsal {
            let by = &state.start.by;
            let how = rehearsed(verdict);
            format!("rehearsal {id} of {name} by {by} is over: nothing was changed; {how}{why}")
        } else {
            format!("run {id} of {name} {}{why}", verdict.as_str())
        };
        let data = json!({"run": id, "verdict": verdict, "rehearsal": state.start.rehearsal});
        Draft::new(&Person::bot(), EntryKind::Run, text).data(data)
    }

    /// The intent of a change, for the timeline.
    pub(super) fn intent(&self, state: &RunState, path: &str, record: &ActionRecord) -> Draft {
        let text = format!(
            "{} (run {} of {})",
            intent_text(record),
            state.id,
            self.runbook.name.value
        );
        Draft::new(&record.actor, EntryKind::Intent, text).data(json!({
            "run": state.id,
            "step": path,
            "service": record.service,
            "what": record.what,
            "before": record.before,
        }))
    }
}

/// What a rehearsal came to.
pub(super) fn rehearsed(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Succeeded => "a run would go through, as it stands now",
        Verdict::Failed => "a run would fail, as it stands now",
        Verdict::Stopped => "it was stopped",
    }
}

/// Asks for the approval of a change.
pub(super) fn approval_question(state: &RunState, path: &str, approval: &Approval) -> String {
    let title = state.steps.get(path).map_or(path, |step| &step.title);
    let why = if approval.other {
        "the policy wants a second person".to_owned()
    } else {
        format!("{} is a {}", state.start.by, state.start.role)
    };
    format!("{title}: this needs a {} ({why}). Do it?", approval.by)
}

fn held(runbook: &Runbook, state: &RunState, path: &str, step: &StepState) -> Message {
    let says = |verb: &str| format!("runbook {verb} {} {}", state.id, quote(path));
    let within = step.until.zip(step.ended_at).map(|(until, ended)| {
        format!(
            " within {}, else the run fails",
            duration::text(duration::between(ended, until))
        )
    });
    let mut buttons = vec![Button::new("Try again", says("retry")).style(Style::Primary)];
    if can_be_left_out(runbook, path) {
        buttons.push(Button::new("Leave it out", says("skip")));
    }
    let stop = Button::new("Stop the run", format!("runbook stop {}", state.id));
    buttons.push(stop.style(Style::Danger));
    Message::new(Tone::Warning, Line::new().bold(&step.title).text(" failed"))
        .code(step.line.clone())
        .buttons(buttons)
        .footer(format!(
            "A responder can decide{} · run {} of {}",
            within.unwrap_or_default(),
            state.id,
            runbook.name.value
        ))
}

/// What a step says on the timeline: also that its result is not whole.
fn line(step: &StepState) -> String {
    match &step.cut {
        Some(cut) => format!("{} (its result was too large; kept: {cut})", step.line),
        None => step.line.clone(),
    }
}
