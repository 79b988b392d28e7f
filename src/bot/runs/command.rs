//! `runbook …` in chat: looking, starting, answering, stopping.

use serde_json::{Map, Value};

use super::told::run_message;
use super::{Event, Loaded, Unreadable, load};
use crate::bot::request::{Answer, Ask, Done, Effect};
use crate::bot::{Context, Failure, Fault, Refusal};
use crate::command::{RunbookCommand, nearest, words::quote};
use crate::domain::timeline::{Draft, cut};
use crate::domain::{
    Audience, Button, Content, EntryKind, Line, Message, Outgoing, Reply, Role, Tone, duration,
};
use crate::runbook::engine::{self, RunState, Start, Vote};
use crate::runbook::model::{Param, ParamKind, Runbook};
use crate::runbook::read::{allowed, parse_param};
use crate::runbook::show;
use crate::store::NewRun;

/// The runs that `runbook runs` shows.
const SHOWN: u32 = 15;

/// The step that a run was started by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) run: i64,
    pub(super) path: String,
    pub(super) attempt: u32,
}

impl Parent {
    /// What the message of a called run is named by.
    pub(super) fn key(&self) -> String {
        format!("run-of:{}:{}:{}", self.run, self.path, self.attempt)
    }

    /// The step that a run with this message was called by, if it was.
    pub(super) fn of(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix("run-of:")?.splitn(3, ':');
        Some(Self {
            run: parts.next()?.parse().ok()?,
            path: parts.next()?.to_owned(),
            attempt: parts.next()?.parse().ok()?,
        })
    }
}

pub(in crate::bot) async fn runbook(
    context: &Context,
    ask: &Ask,
    command: Option<RunbookCommand>,
) -> Result<Effect, Fault> {
    use RunbookCommand as R;
    match command.unwrap_or(R::List) {
        R::List => Ok(say(runbook_list(context))),
        R::Show { name } => Ok(say(runbook_show(context, &name)?)),
        R::Run {
            name,
            params,
            incident,
        } => runbook_run(context, ask, &name, &params, incident.as_deref(), false).await,
        R::Rehearse { name, params } => runbook_run(context, ask, &name, &params, None, true).await,
        R::Runs { run: Some(run) } => {
            let loaded = loaded(context, run).await?;
            Ok(say(run_message(&loaded.runbook, &loaded.state)))
        }
        R::Runs { run: None } => runbook_runs(context).await,
        R::Stop { run, reason } => {
            let by = ask.request.person.name.clone();
            let reason = reason.unwrap_or_else(|| "no reason was given".into());
            let event = Event::Stop { by, reason };
            tell(context, ask, run, event).await
        }
        R::Retry { run, step } => decide(context, ask, run, step, true, None).await,
        R::Skip { run, step, reason } => decide(context, ask, run, step, false, reason).await,
        R::Answer {
            run,
            step,
            answer,
            note,
        } => {
            let person = &ask.request.person;
            let event = Event::Vote {
                path: step,
                vote: Vote {
                    by_id: person.id.clone(),
                    by: person.name.clone(),
                    answer,
                    note,
                    role: ask.role,
                },
            };
            tell(context, ask, run, event).await
        }
    }
}

async fn decide(
    context: &Context,
    ask: &Ask,
    run: i64,
    path: String,
    retry: bool,
    reason: Option<String>,
) -> Result<Effect, Fault> {
    let by = ask.request.person.name.clone();
    let event = Event::Decide {
        path,
        retry,
        by,
        reason,
    };
    tell(context, ask, run, event).await
}

fn runbook_list(context: &Context) -> Message {
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

fn runbook_show(context: &Context, name: &str) -> Result<Message, Refusal> {
    let runbook = find_runbook(context, name, "runbook show")?;
    let library = context.library();
    let mut message =
        Message::new(Tone::Plain, Line::new().bold(&runbook.title)).text(runbook.summary.clone());
    let lines: Vec<String> = show::outline(runbook, library.vocabulary())
        .into_iter()
        .map(|(number, text)| format!("{number} {text}"))
        .collect();
    for part in parts(&lines) {
        message = message.code(part);
    }
    Ok(message
        .buttons(vec![
            Button::new("Rehearse", format!("runbook rehearse {name}")),
            Button::new("Run", format!("runbook run {name}")),
        ])
        .footer(usage(runbook)))
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

async fn runbook_run(
    context: &Context,
    ask: &Ask,
    name: &str,
    given: &[String],
    incident: Option<&str>,
    rehearsal: bool,
) -> Result<Effect, Fault> {
    let verb = if rehearsal {
        "runbook rehearse"
    } else {
        "runbook run"
    };
    let runbook = find_runbook(context, name, verb)?;
    let params = params(context, runbook, given)?;
    let incident = match incident {
        Some(given) => Some(crate::bot::incidents::meant(context, ask, Some(given)).await?),
        None => ask.here.clone(),
    };
    let person = ask.request.person.clone();
    let start = Start {
        params,
        by_id: person.id.clone(),
        by: person.name.clone(),
        role: ask.role,
        callers: Vec::new(),
        approvals: Vec::new(),
        incident: incident.map(|incident| (incident.id.0, incident.title)),
        rehearsal,
        at: context.store().now(),
        hold_ms: context.settings().hold.as_millis() as u64,
    };
    let told = ask.outgoing(
        Content::Message(Message::new(Tone::Progress, "")),
        Audience::Everyone,
    );
    let new = new_run(ask.request.key.clone(), runbook, &start, &told)?;
    let owner = context.instance().to_owned();
    let runbook = runbook.clone();
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            let (id, _) = tx.run_begin(&new, &owner).await?;
            let word = if rehearsal { "rehearsal" } else { "run" };
            let draft = Draft::new(
                &person,
                EntryKind::Run,
                format!("{word} {id} of {} begins", runbook.name.value),
            )
            .data(serde_json::json!({
                "run": id,
                "runbook": runbook.name.value,
                "params": start.params,
                "rehearsal": rehearsal,
            }));
            let state = RunState::new(id, start);
            for stream in super::drive::streams(&state) {
                tx.append(&stream, draft.clone()).await?;
            }
            tx.outbox_put(&Outgoing {
                content: Content::Message(run_message(&runbook, &state)),
                ..told
            })
            .await?;
            Ok(Done {
                run: Some(id),
                ..Done::default()
            })
        })
    }))
}

/// A run that a step of another calls; once for each attempt.
pub(super) async fn start_called(
    context: &Context,
    caller: Start,
    outgoing: &Outgoing,
    parent: &Parent,
    name: &str,
    with: &Map<String, Value>,
) -> Result<(), String> {
    let runbook = named_runbook(context, name)?;
    let mut params = Map::new();
    for param in &runbook.params {
        let key = &param.name.value;
        let value = match with.get(key) {
            Some(Value::String(text)) => parse_param(param.kind, text)?,
            Some(value) if !value.is_null() => value.clone(),
            _ => default_of(param)?,
        };
        allowed(param, &value).map_err(|why| format!("{key}: {why}"))?;
        params.insert(key.clone(), value);
    }
    let start = Start {
        params,
        at: context.store().now(),
        ..caller
    };
    let told = Outgoing {
        key: parent.key(),
        reply: Reply::default(),
        content: Content::Message(Message::new(Tone::Progress, "")),
        ..outgoing.clone()
    };
    let new = new_run(parent.key(), runbook, &start, &told).map_err(|fault| fault.line())?;
    crate::bot::runs::drive::begin_run(context, new)
        .await
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn named_runbook<'a>(context: &'a Context, name: &str) -> Result<&'a Runbook, String> {
    let found = context.library().find(name);
    found.ok_or_else(|| format!("there is no runbook {name}"))
}

/// A run that the bot begins by itself. What the runbook has to be told is the service, or has a
/// default.
pub(in crate::bot) fn run_by_itself(
    context: &Context,
    name: &str,
    service: Option<&crate::domain::ServiceName>,
    incident: Option<(i64, String)>,
    rehearsal: bool,
    told: Outgoing,
) -> Result<NewRun, String> {
    let runbook = named_runbook(context, name)?;
    let mut params = Map::new();
    for param in &runbook.params {
        let value = match (param.kind, service) {
            (ParamKind::Service, Some(service)) => Value::String(service.to_string()),
            _ => default_of(param)?,
        };
        allowed(param, &value)?;
        params.insert(param.name.value.clone(), value);
    }
    let start = Start {
        params,
        by_id: crate::domain::Person::BOT_ID.into(),
        by: crate::domain::Person::bot().name,
        // What needs a commander is not done by itself.
        role: Role::Responder,
        callers: Vec::new(),
        approvals: Vec::new(),
        incident,
        rehearsal,
        at: context.store().now(),
        hold_ms: context.settings().hold.as_millis() as u64,
    };
    new_run(told.key.clone(), runbook, &start, &told).map_err(|fault| fault.line())
}

/// The parameters as they are typed: `service=api limit=90`.
fn params(
    context: &Context,
    runbook: &Runbook,
    given: &[String],
) -> Result<Map<String, Value>, Refusal> {
    let name = &runbook.name.value;
    let refuse = |text: String| {
        Refusal::new(text)
            .detail(usage(runbook))
            .suggest("Show it", format!("runbook show {name}"))
    };
    let mut params = Map::new();
    for word in given {
        let Some((key, value)) = word.split_once('=') else {
            return Err(refuse(format!(
                "Parameters are given as key=value, not as “{}”",
                cut(word, 60)
            )));
        };
        let Some(param) = runbook.params.iter().find(|p| p.name.value == key) else {
            let names = runbook.params.iter().map(|p| p.name.value.as_str());
            let near = nearest(key, names).map(|near| format!(": did you mean {near}?"));
            return Err(refuse(format!(
                "{name} has no parameter “{}”{}",
                cut(key, 60),
                near.unwrap_or_default()
            )));
        };
        let value =
            parse_param(param.kind, value).map_err(|why| refuse(format!("{key}: {why}")))?;
        if param.kind == ParamKind::Service
            && let Some(service) = value.as_str()
        {
            context.catalogue().find(service, |near| {
                format!("runbook run {name} {key}={}", quote(near))
            })?;
        }
        params.insert(key.to_owned(), value);
    }
    for param in &runbook.params {
        let key = &param.name.value;
        let value = match params.remove(key) {
            Some(value) => value,
            None => default_of(param).map_err(|_| refuse(format!("{key} is missing")))?,
        };
        allowed(param, &value).map_err(|why| refuse(format!("{key}: {why}")))?;
        params.insert(key.clone(), value);
    }
    Ok(params)
}

async fn runbook_runs(context: &Context) -> Result<Effect, Fault> {
    let rows = context.store().runs(SHOWN).await?;
    if rows.is_empty() {
        return Ok(say(Message::new(Tone::Plain, "Nothing has been run yet")));
    }
    let now = context.store().now();
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let word = row
                .verdict
                .as_deref()
                .map_or("is running", |verdict| verdict.trim_matches('"'));
            let time = match row.ended_at {
                Some(ended) => {
                    format!(
                        "in {}",
                        duration::text(duration::between(row.started_at, ended))
                    )
                }
                None => {
                    format!(
                        "for {}",
                        duration::text(duration::between(row.started_at, now))
                    )
                }
            };
            format!("{:>5}  {:<28} {word} {time}", row.id, cut(&row.name, 28))
        })
        .collect();
    let message = Message::new(Tone::Plain, "The newest runs").code(lines.join("\n"));
    Ok(say(message.footer(format!(
        "{} shows one",
        context.typed("runbook runs NUMBER")
    ))))
}

async fn loaded(context: &Context, run: i64) -> Result<Loaded, Fault> {
    load(context.store(), run)
        .await
        .map_err(|error| match error {
            Unreadable::Store(error) => Fault::from(error),
            Unreadable::Unknown(run) => Refusal::new(format!("There is no run {run}"))
                .suggest("All runs", "runbook runs")
                .into(),
            strange @ Unreadable::Strange { .. } => Fault::Failure(Failure::new(strange)),
        })
}

/// Tells a run what somebody wants, if the run can take it up now.
async fn tell(context: &Context, ask: &Ask, run: i64, event: Event) -> Result<Effect, Fault> {
    let Loaded {
        runbook, mut state, ..
    } = loaded(context, run).await?;
    if ask.role < Role::Responder {
        return Err(Refusal::new("Only a responder may do this. Nothing was done").into());
    }
    let now = context.store().now();
    let tried = match &event {
        Event::Vote { path, vote } => {
            engine::vote(&runbook, &mut state, path, vote.clone(), now).map(|_| ())
        }
        Event::Decide {
            path,
            retry,
            by,
            reason,
        } => {
            let decision = Event::decision(*retry);
            engine::decide(
                &runbook,
                &mut state,
                path,
                &decision,
                by,
                reason.as_deref(),
                now,
            )
            .map(|_| ())
        }
        Event::Stop { by, reason } => engine::stop(&mut state, by, reason, now),
        Event::Ended { .. } => Ok(()),
    };
    if let Err(why) = tried {
        return Err(Refusal::new(format!("Run {run}: {why}")).into());
    }
    let text =
        serde_json::to_string(&event).map_err(|error| Fault::Failure(Failure::new(error)))?;
    let key = ask.request.key.clone();
    let done = match event {
        Event::Vote { vote, .. } => format!("Run {run}: noted, {}", vote.answer),
        Event::Decide { retry: true, .. } => format!("Run {run}: it is tried again"),
        Event::Decide { .. } => format!("Run {run}: it is left out"),
        Event::Stop { .. } => format!("Run {run} is being stopped"),
        Event::Ended { .. } => String::new(),
    };
    Ok(Effect::write(move |tx| {
        Box::pin(async move {
            tx.run_tell(run, &key, &text).await?;
            Ok(Done {
                answer: Some(Answer::to_asker(Message::new(Tone::Plain, done))),
                wake: Some(run),
                ..Done::default()
            })
        })
    }))
}

fn say(message: Message) -> Effect {
    Effect::Say(Answer::to_all(message))
}

fn new_run(
    key: String,
    runbook: &Runbook,
    start: &Start,
    told: &Outgoing,
) -> Result<NewRun, Fault> {
    let json = |error: serde_json::Error| Fault::Failure(Failure::new(error));
    Ok(NewRun {
        key,
        name: runbook.name.value.clone(),
        source: runbook.source.text.to_string(),
        start: serde_json::to_string(start).map_err(json)?,
        message: serde_json::to_string(told).map_err(json)?,
    })
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

/// The value of a parameter that is not given.
fn default_of(param: &Param) -> Result<Value, String> {
    match &param.default {
        Some(value) => Ok(value.clone()),
        None if param.optional => Ok(Value::Null),
        None => Err(format!("{} is missing", param.name.value)),
    }
}

/// `memory-leak service=SERVICE [limit=90]`.
fn usage(runbook: &Runbook) -> String {
    let mut text = runbook.name.value.clone();
    for param in &runbook.params {
        let name = &param.name.value;
        text.push_str(&match &param.default {
            Some(value) => {
                let value = crate::runbook::expr::text_of(value);
                let value = match (param.kind, param.default.as_ref().and_then(Value::as_u64)) {
                    (ParamKind::Duration, Some(ms)) => {
                        duration::text(std::time::Duration::from_millis(ms)).replace(' ', "")
                    }
                    _ => value,
                };
                format!(" [{name}={value}]")
            }
            None if param.optional => format!(" [{name}=…]"),
            None => format!(" {name}={}", param.kind.word().to_uppercase()),
        });
    }
    text
}
