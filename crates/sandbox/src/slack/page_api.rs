//! JSON for the chat page and for tests in other languages: people's acts, what a person sees,
//! and a stream of changes. `guard` keeps other sites out.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cannot_act::CannotAct;
use super::fault_plan::Fault;
use super::human::Human;
use super::message::last_change;
use super::sandbox::Sandbox;
use super::shapes;
use super::workspace::{Channel, Message, View, Workspace};

/// Messages of a channel in the state that the page reads; older ones are left out.
const SHOWN: usize = 500;

/// Everything under `/sandbox/`.
pub(super) fn router(sandbox: &Sandbox) -> Router {
    Router::new()
        .route("/sandbox/command", post(command))
        .route("/sandbox/message", post(message))
        .route("/sandbox/click", post(click))
        .route("/sandbox/select", post(select))
        .route("/sandbox/submit", post(submit))
        .route("/sandbox/close", post(close))
        .route("/sandbox/react", post(react))
        .route("/sandbox/faults", post(faults))
        .route("/sandbox/state", get(state))
        .route("/sandbox/calls", get(calls))
        .route("/sandbox/events", get(events))
        .route("/sandbox/files/{id}", get(file))
        .layer(DefaultBodyLimit::max(64 * 1024))
        .with_state(sandbox.clone())
}

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

fn answer<T: serde::Serialize>(outcome: Result<T, CannotAct>) -> Answer {
    match outcome {
        Ok(done) => Ok(Json(json!({"ok": true, "result": done}))),
        Err(error) => Err((
            StatusCode::UNPROCESSABLE_ENTITY,
            Json(json!({"ok": false, "error": error.to_string()})),
        )),
    }
}

/// Where a person acts: a message of a channel, or a view.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    person: String,
    channel: Option<String>,
    ts: Option<String>,
    view_id: Option<String>,
    text: Option<String>,
    thread_ts: Option<String>,
    /// action_id, label or value
    control: Option<String>,
    value: Option<Value>,
    values: Option<Value>,
}

impl Act {
    fn human(&self, sandbox: &Sandbox) -> Human {
        sandbox.person(&self.person)
    }

    fn channel(&self) -> &str {
        self.channel.as_deref().unwrap_or_default()
    }

    fn ts(&self) -> &str {
        self.ts.as_deref().unwrap_or_default()
    }

    fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    fn control(&self) -> &str {
        self.control.as_deref().unwrap_or_default()
    }

    fn view_id(&self) -> &str {
        self.view_id.as_deref().unwrap_or_default()
    }
}

async fn command(State(sandbox): State<Sandbox>, Json(act): Json<Act>) -> Answer {
    answer(act.human(&sandbox).types(act.channel(), act.text()).await)
}

async fn message(State(sandbox): State<Sandbox>, Json(act): Json<Act>) -> Answer {
    let thread = act.thread_ts.as_deref();
    answer(
        act.human(&sandbox)
            .says(act.channel(), act.text(), thread)
            .await,
    )
}

async fn click(State(sandbox): State<Sandbox>, Json(act): Json<Act>) -> Answer {
    let human = act.human(&sandbox);
    answer(match &act.view_id {
        Some(view) => human.clicks_in_view(view, act.control()).await,
        None => human.clicks(act.channel(), act.ts(), act.control()).await,
    })
}

async fn select(State(sandbox): State<Sandbox>, Json(act): Json<Act>) -> Answer {
    let human = act.human(&sandbox);
    let value = act.value.clone().unwrap_or_default();
    answer(match &act.view_id {
        Some(view) => human.selects_in_view(view, act.control(), value).await,
        None => {
            human
                .selects(act.channel(), act.ts(), act.control(), value)
                .await
        }
    })
}

async fn submit(State(sandbox): State<Sandbox>, Json(act): Json<Act>) -> Answer {
    let values = act.values.clone().unwrap_or_default();
    answer(act.human(&sandbox).submits(act.view_id(), values).await)
}

async fn close(State(sandbox): State<Sandbox>, Json(act): Json<Act>) -> Answer {
    answer(act.human(&sandbox).closes(act.view_id()).await)
}

async fn react(State(sandbox): State<Sandbox>, Json(act): Json<Act>) -> Answer {
    answer(
        act.human(&sandbox)
            .reacts(act.channel(), act.ts(), act.text())
            .await,
    )
}

/// One order to [`super::Faults`].
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
enum Order {
    Next {
        method: String,
        times: u32,
        fault: Fault,
        /// Left out: in any channel.
        channel: Option<String>,
    },
    Rate {
        method: String,
        per_second: u32,
    },
    DropSockets,
    Disconnect {
        reason: String,
    },
    RefuseConnections {
        refuse: bool,
    },
    NoHello {
        silent: bool,
    },
    Redeliver {
        times: u32,
    },
    Clear,
}

async fn faults(State(sandbox): State<Sandbox>, Json(order): Json<Order>) -> Json<Value> {
    let faults = sandbox.faults();
    match order {
        Order::Next {
            method,
            times,
            fault,
            channel,
        } => match channel {
            None => faults.next(&method, times, fault),
            Some(channel) => faults.next_in(&channel, &method, times, fault),
        },
        Order::Rate { method, per_second } => faults.rate(&method, per_second),
        Order::DropSockets => return Json(json!({"ok": true, "dropped": faults.drop_sockets()})),
        Order::Disconnect { reason } => faults.disconnect(&reason),
        Order::RefuseConnections { refuse } => faults.refuse_connections(refuse),
        Order::NoHello { silent } => faults.no_hello(silent),
        Order::Redeliver { times } => faults.redeliver(times),
        Order::Clear => faults.clear(),
    }
    Json(json!({"ok": true}))
}

/// Whose state, and what of it the page has already.
#[derive(Deserialize)]
struct Who {
    person: String,
    /// The `as_of` of the state that the page has.
    #[serde(default)]
    since: u64,
    /// Ids of the channels that it has, with commas between.
    #[serde(default)]
    known: String,
}

/// `GET /sandbox/state?person=ana` is everything that a person sees; with `since` and `known`, of the
/// known channels only the messages that were changed since.
async fn state(State(sandbox): State<Sandbox>, Query(who): Query<Who>) -> Response {
    let change = *sandbox.subscribe().borrow();
    let sockets = sandbox.sockets();
    let seen = sandbox.look(|world| seen_by(world, &who));
    match seen {
        Some(mut seen) => {
            seen["change"] = json!(change);
            seen["sockets"] = json!(sockets);
            seen["command"] = json!(sandbox.config().command);
            Json(seen).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// What a person may see, and the page has not seen yet.
fn seen_by(world: &Workspace, who: &Who) -> Option<Value> {
    let me = world.person(&who.person)?;
    let since = |channel: &Channel| {
        let known = who.known.split(',').any(|id| id == channel.id);
        if known { who.since } else { 0 }
    };
    let channels = world
        .channels
        .values()
        .filter(|c| c.members.contains(&me.id));
    let views: &[View] = world.views.get(&me.id).map_or(&[], Vec::as_slice);
    Some(json!({
        "me": me,
        "team": {"id": world.team_id, "domain": world.team_domain},
        "bot": world.bot,
        "people": world.people,
        "usergroups": world.usergroups,
        "channels": channels.map(|c| seen_channel(world, c, &me.id, since(c))).collect::<Vec<_>>(),
        "as_of": last_change(),
        "views": views,
        "home": world.homes.get(&me.id),
    }))
}

fn seen_channel(world: &Workspace, channel: &Channel, me: &str, since: u64) -> Value {
    let fresh = |m: &&Message| m.changed > since;
    let visible = channel.messages.iter().filter(|m| m.is_visible_to(me));
    let left_out = visible.clone().count().saturating_sub(SHOWN);
    let gone = channel.messages.iter().filter(|m| m.deleted);
    let one = |m: &Message| {
        let mut out = json!(m);
        out["changed"] = json!(m.changed);
        if let Some(chosen) = m.chosen.get(me) {
            out["chosen"] = json!(chosen);
        }
        let files = world.files.iter().filter(|f| m.files.contains(&f.id));
        out["files"] = files.map(|f| shapes::file(world, f)).collect();
        out
    };
    json!({
        "id": channel.id,
        "name": channel.name,
        "kind": channel.kind,
        "topic": channel.topic,
        "archived": channel.archived,
        "members": channel.members,
        "bot_is_member": channel.members.contains(&world.bot.user_id),
        "pins": channel.pins,
        "bookmarks": channel.bookmarks,
        "left_out": left_out,
        "messages": visible.skip(left_out).filter(fresh).map(one).collect::<Vec<_>>(),
        "gone": gone.filter(fresh).map(|m| &m.ts).collect::<Vec<_>>(),
    })
}

async fn calls(State(sandbox): State<Sandbox>) -> Json<Value> {
    let calls = sandbox.calls();
    let last = &calls[calls.len().saturating_sub(SHOWN)..];
    Json(json!({"calls": last}))
}

/// `{"change": n}` on every change; the browser reconnects by itself.
async fn events(
    State(sandbox): State<Sandbox>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut changes = sandbox.subscribe();
    // The first event tells where the count stands.
    changes.mark_changed();
    let events = stream::unfold(changes, async |mut changes| {
        changes.changed().await.ok()?;
        let n = *changes.borrow_and_update();
        let event = Event::default().data(json!({"change": n}).to_string());
        Some((Ok(event), changes))
    });
    let stopped = sandbox.stopped().clone().cancelled_owned();
    Sse::new(events.take_until(stopped))
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

/// The bytes of a file, always as a download: a report must not run as a page of this origin.
async fn file(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> Response {
    let file = sandbox.look(|w| {
        w.files
            .iter()
            .find(|f| f.id == id && f.is_complete())
            .cloned()
    });
    let Some(file) = file else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let name: String = file
        .name
        .chars()
        .filter(|c| c.is_ascii_graphic() && *c != '"')
        .collect();
    let headers = [
        (header::CONTENT_TYPE, file.media_type().to_string()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_string()),
    ];
    (headers, file.content).into_response()
}
