//! The Web API: `POST /api/{method}`, and the two addresses that stand beside it in Slack, the
//! `response_url` and the upload.

mod chat;
mod conversations;
mod files;
mod history;
pub(super) mod marks;
pub(super) mod modals;
mod people;
mod request;
pub(super) mod respond;
mod stream;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use serde_json::{Value, json};
use tokio::time::Instant;

use request::{ApiError, Args, Outcome};

use super::fault_plan::Fault;
use super::sandbox::Sandbox;
use super::socket;
use super::wire::Wire;
use super::workspace::{FILES_TOTAL, Workspace, unix_seconds};

/// The largest body of a call.
const BODY: usize = 4 * 1024 * 1024;

/// Everything the bot may call.
pub(crate) fn router(sandbox: &Sandbox) -> Router {
    Router::new()
        .route("/api/{method}", any(call))
        .route("/commands/{team}/{number}/{secret}", post(respond_to))
        .route("/actions/{team}/{number}/{secret}", post(respond_to))
        .route("/link/", get(socket::link))
        .route("/link", get(socket::link))
        .layer(DefaultBodyLimit::max(BODY))
        .route(
            "/upload/v1/{file}",
            post(files::upload).layer(DefaultBodyLimit::max(FILES_TOTAL)),
        )
        .with_state(sandbox.clone())
}

/// Larger bodies are not kept in the record of calls.
const RECORDED: usize = 128 * 1024;

async fn call(
    State(sandbox): State<Sandbox>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    Path(method): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let args = request::parse(&headers, query.as_deref(), &body);
    let channel = args.as_ref().ok().and_then(|args| args.text("channel"));
    let channel = channel.unwrap_or_default();
    let id = sandbox.look(|world| world.channel(&channel).map(|c| c.id.clone()));
    let channel = id.unwrap_or(channel);
    let fault = sandbox.plan().due(&method, &channel, Instant::now());
    let given = match &args {
        Ok(_) if body.len() > RECORDED => json!({"left_out": body.len()}),
        Ok(args) => args.without_token(),
        Err(_) => Value::Null,
    };
    let record = |answer: &Value, status| {
        sandbox.record(&method, given.clone(), answer.clone(), status);
    };
    match &fault {
        Some(Fault::RateLimited { retry_after_s }) => {
            let answer = ApiError::from("ratelimited").answer();
            record(&answer, 429);
            let seconds = [(header::RETRY_AFTER, retry_after_s.to_string())];
            return (StatusCode::TOO_MANY_REQUESTS, seconds, axum::Json(answer)).into_response();
        }
        Some(Fault::ServerError(status)) => {
            record(&Value::Null, *status);
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return (status, "<html><body>Server Error</body></html>").into_response();
        }
        Some(Fault::Hang) => {
            record(&Value::Null, 0);
            sandbox.stopped().cancelled().await;
            return Response::new(Body::empty());
        }
        Some(Fault::ApiError(code)) => {
            let answer = ApiError::new(code).answer();
            record(&answer, 200);
            return json_answer(&answer);
        }
        Some(Fault::Slow(_) | Fault::DropAfterAccept) | None => {}
    }
    let outcome = args.and_then(|args| {
        authorise(&sandbox, &method, &args)?;
        let lacks = sandbox.plan().lacking(&method);
        if let Some(scope) = lacks {
            let lacks = ApiError::from("missing_scope").with("needed", json!(scope));
            return Err(lacks.with("provided", json!(sandbox.plan().granted())));
        }
        if method == "apps.connections.open" && sandbox.plan().link_disabled {
            return Err("link_disabled".into());
        }
        sandbox.change(|world| dispatch(world, &method, &args))
    });
    let answer = match outcome {
        Ok(mut answer) => {
            answer["ok"] = json!(true);
            answer
        }
        Err(error) => error.answer(),
    };
    record(&answer, 200);
    match fault {
        Some(Fault::Slow(pause)) => tokio::time::sleep(pause).await,
        Some(Fault::DropAfterAccept) => wire.cut(),
        _ => {}
    }
    let mut response = json_answer(&answer);
    if answer["ok"] == true || answer["error"] == "missing_scope" {
        // https://docs.slack.dev/authentication/installing-with-oauth
        let scopes = sandbox.plan().granted();
        if let Ok(scopes) = HeaderValue::from_str(&scopes) {
            response.headers_mut().insert("x-oauth-scopes", scopes);
        }
    }
    response
}

fn json_answer(answer: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (kind, answer.to_string()).into_response()
}

/// Which token may call which method.
fn authorise(sandbox: &Sandbox, method: &str, args: &Args) -> Result<(), ApiError> {
    if method == "api.test" {
        return Ok(());
    }
    let token = args.token().ok_or("not_authed")?;
    let is_app = token == sandbox.app_token();
    if !is_app && token != sandbox.bot_token() {
        return Err("invalid_auth".into());
    }
    let wants_app = method == "apps.connections.open";
    if is_app == wants_app {
        Ok(())
    } else {
        Err("not_allowed_token_type".into())
    }
}

fn dispatch(world: &mut Workspace, method: &str, args: &Args) -> Outcome {
    match method {
        "api.test" => api_test(args),
        "auth.test" => Ok(people::auth_test(world)),
        "apps.connections.open" => Ok(connections_open(world)),
        "chat.postMessage" => chat::post_message(world, args),
        "chat.postEphemeral" => chat::post_ephemeral(world, args),
        "chat.update" => chat::update(world, args),
        "chat.delete" => chat::delete(world, args),
        "chat.getPermalink" => chat::permalink(world, args),
        "chat.startStream" => stream::start(world, args),
        "chat.appendStream" => stream::append(world, args, false),
        "chat.stopStream" => stream::append(world, args, true),
        "assistant.threads.setStatus"
        | "assistant.threads.setTitle"
        | "assistant.threads.setSuggestedPrompts" => stream::in_thread(world, args),
        "views.open" => modals::open(world, args),
        "views.push" => modals::push(world, args),
        "views.update" => modals::update(world, args),
        "views.publish" => modals::publish(world, args),
        "conversations.create" => conversations::create(world, args),
        "conversations.list" => conversations::list(world, args),
        "conversations.info" => conversations::info(world, args),
        "conversations.join" => conversations::join(world, args),
        "conversations.invite" => conversations::invite(world, args),
        "conversations.setTopic" => conversations::set_topic(world, args),
        "conversations.members" => conversations::members(world, args),
        "conversations.open" => conversations::open(world, args),
        "conversations.archive" => conversations::archive(world, args),
        "conversations.rename" => conversations::rename(world, args),
        "conversations.kick" => conversations::kick(world, args),
        "conversations.mark" => conversations::mark(world, args),
        "conversations.history" => history::history(world, args),
        "conversations.replies" => history::replies(world, args),
        "pins.add" => marks::pin(world, args),
        "pins.remove" => marks::unpin(world, args),
        "pins.list" => marks::pins(world, args),
        "reactions.add" => marks::add_reaction(world, args),
        "bookmarks.add" => marks::add_bookmark(world, args),
        "bookmarks.edit" => marks::edit_bookmark(world, args),
        "bookmarks.list" => marks::bookmarks(world, args),
        "emoji.list" => Ok(json!({"emoji": {}, "cache_ts": unix_seconds().to_string()})),
        "bots.info" => people::bot(world, args),
        "users.info" => people::info(world, args),
        "users.list" => people::list(world, args),
        "usergroups.users.list" => people::group_members(world, args),
        "files.getUploadURLExternal" => files::upload_address(world, args),
        "files.completeUploadExternal" => files::complete(world, args),
        _ => Err(ApiError::new("unknown_method").with("req_method", json!(method))),
    }
}

fn api_test(args: &Args) -> Outcome {
    match args.text("error") {
        Some(error) => Err(ApiError::new(&error).with("args", args.without_token())),
        None => Ok(json!({"args": args.without_token()})),
    }
}

/// Tickets given out and not yet used; the bot asks again when its ticket is gone.
const TICKETS: usize = 100;

fn connections_open(world: &mut Workspace) -> Value {
    if world.tickets.len() >= TICKETS {
        world.tickets.clear();
    }
    let ticket = super::workspace::uuid();
    let host = world.base_url.trim_start_matches("http://");
    let url = format!(
        "ws://{host}/link/?ticket={ticket}&app_id={}",
        world.bot.app_id
    );
    world.tickets.insert(ticket);
    json!({"url": url})
}

/// `POST {response_url}`: JSON, no token; the secret in the address is all there is.
async fn respond_to(
    State(sandbox): State<Sandbox>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    Path((_, number, secret)): Path<(String, u64, String)>,
    body: Bytes,
) -> Response {
    let fault = sandbox.plan().due("response_url", "", Instant::now());
    match &fault {
        Some(Fault::RateLimited { retry_after_s }) => {
            let seconds = [(header::RETRY_AFTER, retry_after_s.to_string())];
            return (StatusCode::TOO_MANY_REQUESTS, seconds).into_response();
        }
        Some(Fault::ServerError(status)) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return status.into_response();
        }
        Some(Fault::Hang) => sandbox.stopped().cancelled().await,
        Some(Fault::Slow(pause)) => tokio::time::sleep(*pause).await,
        _ => {}
    }
    let given: Option<Value> = serde_json::from_slice(&body).ok().filter(Value::is_object);
    let outcome = match (&fault, &given) {
        (Some(Fault::ApiError(code)), _) => Err((StatusCode::NOT_FOUND, ApiError::new(code))),
        (_, None) => Err((StatusCode::BAD_REQUEST, ApiError::from("invalid_payload"))),
        (_, Some(given)) => sandbox.change(|world| {
            let target = world
                .redeem_response_url(number, &secret, Instant::now())
                .map_err(|code| (StatusCode::NOT_FOUND, ApiError::from(code)))?;
            respond::answer(world, &target, given).map_err(|e| (StatusCode::BAD_REQUEST, e))
        }),
    };
    let (status, answer) = match outcome {
        Ok(()) => (StatusCode::OK, json!({"ok": true})),
        Err((status, error)) => (status, error.answer()),
    };
    let given = given.unwrap_or_default();
    sandbox.record("response_url", given, answer.clone(), status.as_u16());
    if fault == Some(Fault::DropAfterAccept) {
        wire.cut();
    }
    (status, axum::Json(answer)).into_response()
}
