//! `runbook …` in chat: looking, starting, answering, stopping.

use super::about::About;
use super::commit::streams;
use super::load::{Loaded, Unreadable, load};
use super::overview::run_message;
use super::params::{typed, usage};
use super::start::{new_run, start};
use crate::bot::policy::{authorise, who_may};
use crate::bot::request::{Answer, Ask, Done, Effect, Next};
use crate::bot::retention::forgotten;
use crate::bot::{Context, Failure, Fault, Refusal, incidents};
use crate::command::{nearest, words::quote};
use crate::domain::timeline::{Draft, cut};
use crate::domain::{
    Audience, Button, Content, EntryKind, Line, Message, Outgoing, Role, Tone, duration,
};
use crate::runbook::engine::{Decision, Drive, Event, NotNow, RunState};
use crate::runbook::model::Runbook;
use crate::runbook::show;

/// The runs that `runbook runs` shows.
const SHOWN: u32 = 15;

/// Where a run is.
pub(in crate::bot) async fn runbook_at(context: &Context, run: i64) -> Result<Effect, Fault> {
    let loaded = loaded(context, run).await?;
    Ok(say(run_message(&loaded.runbook, &loaded.state)))
}

pub(in crate::bot) async fn decide(
    context: &Context,
    ask: &Ask,
    run: i64,
    path: String,
    decision: Decision,
    reason: Option<String>,
) -> Result<Effect, Fault> {
    let by = ask.request.person.name.clone();
    let event = Event::Decide {
        path,
        decision,
        by,
        reason,
    };
    tell(context, ask, run, event).await
}

pub(in crate::bot) fn runbook_list(context: &Context) -> Message {
    let library = context.library();
    let mut message = Message::new(
        Tone::Plain,
        Line::new().text(format!("{} runbooks", library.runbooks().count())),
    );
    for runbook in library.runbooks() {
        message = message.text(
            Line::new()
                .code(&runbook.name.value)
                .text(format!(" {}", runbook.summary)),
        );
    }
    let broken: Vec<String> = library
        .problems()
        .iter()
        .filter(|problem| problem.is_error())
        .map(|problem| {
            let first = problem.findings.first();
            let told = first.map(|finding| {
                let told = problem.source.explain(finding);
                format!(":{}:{}: {}", told.line, told.column, told.message)
            });
            format!("{}{}", problem.source.name, told.unwrap_or_default())
        })
        .collect();
    if !broken.is_empty() {
        message = message
            .text("These can't be run:")
            .code(cut(&broken.join("\n"), 1_500));
    }
    message.footer(format!(
        "{} shows one, {} runs it",
        context.typed("runbook show NAME"),
        context.typed("runbook run NAME key=value")
    ))
}

pub(in crate::bot) fn runbook_show(context: &Context, name: &str) -> Result<Message, Refusal> {
    let runbook = find_runbook(context, name, "runbook show")?;
    let library = context.library();
    let mut message =
        Message::new(Tone::Plain, Line::new().bold(&runbook.title)).text(runbook.summary.clone());
    let lines: Vec<String> = show::outline(runbook, library.vocabulary())
        .into_iter()
        .map(|(number, text)| format!("{number} {text}"))
        .collect();
    for part in parts(&lines) {
        message = message.text(part);
    }
    if lines.iter().any(|line| line.contains('‹')) {
        message = message.footer("‹…› is filled in when it runs");
    }
    Ok(message
        .buttons(vec![
            Button::new("Rehearse", format!("runbook rehearse {name}")),
            Button::new("Run", format!("runbook run {name}")),
        ])
        .footer(Line::new().code(usage(runbook)))
        .footer(
            Line::new()
                .text("In full: ")
                .code(format!("treasury-bot runbook show {name}")),
        ))
}

fn find_runbook<'a>(context: &'a Context, name: &str, verb: &str) -> Result<&'a Runbook, Refusal> {
    let library = context.library();
    if let Some(runbook) = library.find(name) {
        return Ok(runbook);
    }
    let broken = library
        .problems()
        .iter()
        .find(|problem| problem.is_error() && problem.source.name.contains(name));
    if let (Some(problem), false) = (broken, name.is_empty()) {
        let told = problem.findings.first().map(|f| problem.source.explain(f));
        return Err(Refusal::new(
            Line::new()
                .code(cut(name, 60))
                .text(" has mistakes and can't be run"),
        )
        .detail(told.map(|told| told.to_string()).unwrap_or_default()));
    }
    let refusal = Refusal::new(Line::new().text("There is no runbook ").code(cut(name, 60)));
    let names = library
        .runbooks()
        .map(|runbook| runbook.name.value.as_str());
    Err(match nearest(name, names) {
        Some(near) => refusal.suggest(near.to_owned(), format!("{verb} {near}")),
        None => refusal.suggest("All runbooks", "runbook list"),
    })
}

pub(in crate::bot) async fn runbook_run(
    context: &Context,
    ask: &Ask,
    name: &str,
    given: &[String],
    (incident, alert): (Option<&str>, Option<&str>),
    about: Option<About>,
    rehearsal: bool,
) -> Result<Effect, Fault> {
    let verb = if rehearsal {
        "runbook rehearse"
    } else {
        "runbook run"
    };
    let runbook = find_runbook(context, name, verb)?;
    let tail = [("incident", incident), ("for", alert)];
    let tail = tail.map(|(name, given)| {
        given.map_or(String::new(), |given| format!(" --{name} {}", quote(given)))
    });
    let incident = match incident {
        Some(given) => Some(incidents::meant(context, ask, Some(given)).await?),
        None => ask.here.clone(),
    };
    let about = match (about, &incident) {
        (Some(about), _) => about,
        (None, Some(incident)) => About::incident(context, incident).await?,
        (None, None) => About::default(),
    };
    let params = typed(context, runbook, given, &about, (verb, &tail.concat()))?;
    let incident = incident.map(|incident| (incident.id.0, incident.title));
    let person = ask.request.person.clone();
    let start = start(context, &person, ask.role, params, incident, rehearsal);
    let message = ask.outgoing(
        Content::Message(Message::new(Tone::Progress, "")),
        Audience::Everyone,
    );
    let new = new_run(ask.request.key.clone(), runbook, &start, &message)?;
    let owner = context.instance().to_owned();
    let runbook = runbook.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let (id, _) = tx.run_begin(&new, &owner).await?;
            let name = &runbook.name.value;
            let text = if rehearsal {
                format!("rehearsal {id} of {name} begins: it changes nothing")
            } else {
                format!("run {id} of {name} begins")
            };
            let draft = Draft::new(&person, EntryKind::Run, text).data(serde_json::json!({
                "run": id,
                "runbook": runbook.name.value,
                "params": start.params,
                "rehearsal": rehearsal,
            }));
            let state = RunState::new(id, start);
            for stream in streams(&state) {
                tx.append(&stream, draft.clone()).await?;
            }
            tx.outbox_put(&Outgoing {
                content: Content::Message(run_message(&runbook, &state)),
                ..message
            })
            .await?;
            Ok(Done {
                next: Some(Next::Follow(id)),
                ..Done::default()
            })
        })
    }))
}

pub(in crate::bot) async fn runbook_runs(context: &Context) -> Result<Effect, Fault> {
    let rows = context.store().runs(SHOWN).await?;
    let forgotten = forgotten(context).await?;
    if rows.is_empty() {
        return Ok(say(match forgotten {
            None => Message::new(Tone::Plain, "Nothing has been run yet"),
            Some(forgotten) => Message::new(Tone::Plain, "No run is known").footer(forgotten),
        }));
    }
    let now = context.store().now();
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let rehearsal = is_rehearsal(&row.start);
            let word = match row.verdict.as_deref() {
                None if rehearsal => "rehearsal, under way",
                None => "is running",
                // A rehearsal did nothing that could succeed.
                Some(_) if rehearsal => "rehearsed, nothing changed,",
                Some(verdict) => verdict.trim_matches('"'),
            };
            let (word_of_time, until) = match row.ended_at {
                Some(ended) => ("in", ended),
                None => ("for", now),
            };
            let time = duration::text(duration::between(row.started_at, until));
            let name = cut(&row.name, 28);
            format!("{:>5}  {name:<28} {word} {word_of_time} {time}", row.id)
        })
        .collect();
    let message = Message::new(Tone::Plain, "The newest runs").code(lines.join("\n"));
    Ok(say(message.footer(format!(
        "{} shows one",
        context.typed("runbook runs NUMBER")
    ))))
}

/// A start that can't be read is that of a run: nobody may take it for harmless.
fn is_rehearsal(start: &str) -> bool {
    let start: Result<serde_json::Value, _> = serde_json::from_str(start);
    start.is_ok_and(|start| start["rehearsal"] == true)
}

async fn loaded(context: &Context, run: i64) -> Result<Loaded, Fault> {
    let unknown = match load(context.store(), run).await {
        Ok(loaded) => return Ok(loaded),
        Err(Unreadable::Store(error)) => return Err(error.into()),
        Err(Unreadable::Unknown(run)) => Refusal::new(format!("There is no run {run}")),
        Err(strange @ Unreadable::Strange { .. }) => {
            return Err(Fault::Failure(Failure::new(strange)));
        }
    };
    let unknown = unknown.suggest("All runs", "runbook runs");
    Err(match forgotten(context).await? {
        Some(forgotten) => unknown.detail(forgotten.plain()),
        None => unknown,
    }
    .into())
}

/// Tells a run what somebody wants, if the run can take it up now.
pub(in crate::bot) async fn tell(
    context: &Context,
    ask: &Ask,
    run: i64,
    event: Event,
) -> Result<Effect, Fault> {
    let Loaded { runbook, state, .. } = loaded(context, run).await?;
    authorise(
        context,
        ask,
        Role::Responder,
        &context.typed(&ask.request.text),
    )
    .await?;
    let mut trial = Drive::new(&runbook, context.library().vocabulary(), state);
    if let Err(why) = trial.tell(event.clone(), context.now()) {
        let mut refusal = Refusal::new(format!("Run {run}: {why}"));
        if let NotNow::Needs { role, other } = why {
            let but = other.then_some(&ask.request.person);
            let may = who_may(context, role, but).await?;
            refusal = refusal.detail(format!("Fix: have {may} answer"));
        }
        return Err(refusal.into());
    }
    let text =
        serde_json::to_string(&event).map_err(|error| Fault::Failure(Failure::new(error)))?;
    let key = ask.request.key.clone();
    let done = match event {
        Event::Vote { vote, .. } => format!("Run {run}: you answered “{}”", vote.answer),
        Event::Decide { decision, .. } => match decision {
            Decision::Retry => format!("Run {run}: it is tried again"),
            Decision::Skip => format!("Run {run}: it is left out"),
        },
        Event::Stop { .. } => format!("Run {run} is being stopped"),
        Event::Ended { .. } => String::new(),
    };
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            tx.run_tell(run, &key, &text).await?;
            Ok(Done {
                answer: Some(Answer::to_asker(Message::new(Tone::Plain, done))),
                next: Some(Next::Wake(run)),
                ..Done::default()
            })
        })
    }))
}

fn say(message: Message) -> Effect {
    Effect::Say(Answer::to_all(message))
}

/// Lines in parts that a message takes, at most four.
fn parts(lines: &[String]) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    for line in lines {
        let line = cut(line, 1_000);
        if part.len() + line.len() > 2_800 {
            parts.push(std::mem::take(&mut part));
        }
        if parts.len() == 4 {
            part.push_str("… and more: `treasury-bot runbook show` shows all");
            break;
        }
        part.push_str(&line);
        part.push('\n');
    }
    parts.push(part);
    parts
}
