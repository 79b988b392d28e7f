//! A Slack at the wire, written from Slack's reference and not from the sandbox: the Web API's methods
//! that setting up and a first answer take, and Socket Mode (<https://docs.slack.dev/apis/events-api/using-socket-mode>).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::Message as Frame;

pub const BOT: &str = "xoxb-1-2-abc";
pub const APP: &str = "xapp-1-A1-2-def";

/// A channel as the API tells it.
#[derive(Debug, Clone)]
pub struct Channel {
    pub name: String,
    pub member: bool,
    pub private: bool,
}

/// What there is, and what was done.
#[derive(Debug, Default)]
pub struct World {
    pub scopes: Vec<String>,
    /// What `apps.connections.open` answers in place of an address.
    pub socket_error: Option<&'static str>,
    pub channels: Vec<Channel>,
    /// The app of the bot token.
    pub bot_of: &'static str,
    /// Methods in the order of their calls.
    pub calls: Vec<String>,
    /// What the bot has said: where, and the whole body.
    pub said: Vec<(String, Value)>,
    pub invited: Vec<String>,
    sockets: Vec<UnboundedSender<Value>>,
    acks: Vec<String>,
}

/// The running stand-in; it ends with the test's runtime.
#[derive(Clone)]
pub struct Slack {
    world: Arc<Mutex<World>>,
    api: String,
    socket: String,
}

impl Slack {
    /// A workspace with `#general`, and an app with all that the manifest asks for.
    pub async fn start(scopes: &[&str]) -> Self {
        let world = World {
            bot_of: "A1",
            scopes: scopes.iter().map(|one| (*one).to_owned()).collect(),
            channels: vec![Channel {
                name: "general".to_owned(),
                member: false,
                private: false,
            }],
            ..World::default()
        };
        let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sockets = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let slack = Self {
            world: Arc::new(Mutex::new(world)),
            api: format!("http://{}", web.local_addr().unwrap()),
            socket: format!("ws://{}/link", sockets.local_addr().unwrap()),
        };
        let router = Router::new()
            .route("/api/{method}", any(call))
            .route("/respond", post(respond))
            .with_state(slack.clone());
        tokio::spawn(async move { axum::serve(web, router).await });
        let shared = slack.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = sockets.accept().await {
                tokio::spawn(shared.clone().serve(stream));
            }
        });
        slack
    }

    /// Where the Web API is.
    pub fn api_url(&self) -> String {
        format!("{}/api", self.api)
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Somebody types a slash command; it has to be acknowledged within Slack's three seconds.
    pub async fn types(&self, channel: &str, text: &str) {
        let id = format!("e-{}", self.world().acks.len());
        let envelope = json!({
            "type": "slash_commands", "envelope_id": id, "accepts_response_payload": true,
            "payload": {
                "command": "/treasury", "text": text, "user_id": "U0ANA00001", "user_name": "ana",
                "channel_id": channel, "channel_name": "x", "team_id": "T1", "trigger_id": "1.2.abc",
                "response_url": format!("{}/respond", self.api),
            },
        });
        let sent = self.eventually("a socket", |world| {
            let mut sockets = world.sockets.iter();
            sockets
                .any(|socket| socket.send(envelope.clone()).is_ok())
                .then_some(())
        });
        sent.await;
        let acked = self.eventually("an acknowledgement", |world| {
            world.acks.contains(&id).then_some(())
        });
        tokio::time::timeout(Duration::from_secs(3), acked)
            .await
            .unwrap();
    }

    /// Waits until there is something, for at most 20 s.
    pub async fn eventually<T>(&self, what: &str, look: impl Fn(&mut World) -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(found) = look(&mut self.world()) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let looked = tokio::time::timeout(Duration::from_secs(20), looking).await;
        looked.unwrap_or_else(|_| panic!("never: {what}"))
    }

    /// One socket: hello, envelopes out, acknowledgements in.
    async fn serve(self, stream: TcpStream) {
        let Ok(ws) = tokio_tungstenite::accept_async(stream).await else {
            return;
        };
        let (mut sink, mut stream) = ws.split();
        let hello = json!({
            "type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"},
            "debug_info": {"host": "applink-1", "approximate_connection_time": 18060},
        });
        if sink.send(Frame::text(hello.to_string())).await.is_err() {
            return;
        }
        let (sender, mut envelopes): (_, UnboundedReceiver<Value>) = unbounded_channel();
        self.world().sockets.push(sender);
        loop {
            tokio::select! {
                envelope = envelopes.recv() => {
                    let Some(envelope) = envelope else { return };
                    if sink.send(Frame::text(envelope.to_string())).await.is_err() {
                        return;
                    }
                }
                frame = stream.next() => {
                    let Some(Ok(frame)) = frame else { return };
                    let read = frame.to_text().ok().and_then(|text| serde_json::from_str(text).ok());
                    let read: Value = read.unwrap_or_default();
                    if let Some(id) = read["envelope_id"].as_str() {
                        self.world().acks.push(id.to_owned());
                    }
                }
            }
        }
    }
}

async fn respond(State(slack): State<Slack>, body: Bytes) -> &'static str {
    let body = serde_json::from_slice(&body).unwrap();
    slack.world().said.push(("response_url".to_owned(), body));
    "ok"
}

async fn call(
    State(slack): State<Slack>,
    Path(method): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut given: Value = serde_json::from_slice(&body).unwrap_or_else(|_| json!({}));
    for (key, value) in query {
        given[key] = value.into();
    }
    let token = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let token = token
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    let mut world = slack.world();
    world.calls.push(method.clone());
    let answer = answer(&mut world, &slack.socket, &method, token, &given);
    let scopes = world.scopes.join(",");
    let body = match answer {
        Ok(mut answer) => {
            answer["ok"] = true.into();
            answer
        }
        Err(error) => {
            let mut body = json!({"ok": false, "error": error});
            if error == "missing_scope" {
                body["needed"] = needs(&method, &given).into();
                body["provided"] = scopes.clone().into();
            }
            body
        }
    };
    if body["error"] == "invalid_auth" {
        return axum::Json(body).into_response();
    }
    ([("x-oauth-scopes", scopes)], axum::Json(body)).into_response()
}

/// The scope of a method, by its page in Slack's reference.
fn needs(method: &str, given: &Value) -> &'static str {
    match method {
        "conversations.list"
            if given["types"]
                .as_str()
                .unwrap_or_default()
                .contains("private") =>
        {
            "groups:read"
        }
        "conversations.list" => "channels:read",
        "conversations.join" => "channels:join",
        "conversations.create" | "conversations.invite" => "channels:manage",
        "chat.postMessage" | "chat.postEphemeral" | "chat.update" => "chat:write",
        "users.list" | "users.info" | "bots.info" => "users:read",
        _ => "",
    }
}

fn answer(
    world: &mut World,
    socket: &str,
    method: &str,
    token: &str,
    given: &Value,
) -> Result<Value, &'static str> {
    if method == "apps.connections.open" {
        return match (token, world.socket_error) {
            (APP, Some(error)) => Err(error),
            (APP, None) => Ok(json!({"url": format!("{socket}?ticket=1")})),
            (BOT, _) => Err("not_allowed_token_type"),
            _ => Err("invalid_auth"),
        };
    }
    if token != BOT {
        return Err("invalid_auth");
    }
    let needed = needs(method, given);
    if !needed.is_empty() && !world.scopes.iter().any(|one| one == needed) {
        return Err("missing_scope");
    }
    let id = |n: usize| format!("C{n:08}");
    let at = given["channel"].as_str().unwrap_or_default().to_owned();
    let position = world.channels.iter().enumerate();
    let mut position = position.filter(|(n, one)| id(*n) == at || format!("#{}", one.name) == at);
    let position = position.next().map(|(n, _)| n);
    match method {
        "auth.test" => Ok(json!({
            "url": "https://acme.slack.com/", "team": "Acme Treasury", "user": "treasury-bot",
            "team_id": "T1", "user_id": "UBOT00001", "bot_id": "B1", "is_enterprise_install": false,
        })),
        "bots.info" => Ok(json!({"bot": {"id": "B1", "app_id": world.bot_of}})),
        "conversations.list" => {
            let private = given["types"]
                .as_str()
                .unwrap_or_default()
                .contains("private");
            let all = world.channels.iter().enumerate();
            let seen = all.filter(|(_, one)| !one.private || private && one.member);
            let shown = seen.map(|(n, one)| {
                json!({"id": id(n), "name": one.name, "is_member": one.member, "is_private": one.private})
            });
            let shown: Vec<Value> = shown.collect();
            Ok(json!({"channels": shown, "response_metadata": {"next_cursor": ""}}))
        }
        "conversations.create" => {
            let name = given["name"].as_str().unwrap().to_owned();
            if world.channels.iter().any(|one| one.name == name) {
                return Err("name_taken");
            }
            let (member, private) = (true, false);
            world.channels.push(Channel {
                name: name.clone(),
                member,
                private,
            });
            Ok(json!({"channel": {"id": id(world.channels.len() - 1), "name": name}}))
        }
        "conversations.join" => {
            let channel = &mut world.channels[position.ok_or("channel_not_found")?];
            if channel.private {
                return Err("method_not_supported_for_channel_type");
            }
            channel.member = true;
            Ok(json!({"channel": {"id": at}}))
        }
        "conversations.invite" => {
            let users = given["users"]
                .as_str()
                .unwrap()
                .split(',')
                .map(str::to_owned);
            world.invited.extend(users);
            Ok(json!({"channel": {"id": at}}))
        }
        "chat.postMessage" | "chat.postEphemeral" => {
            let n = position.ok_or("channel_not_found")?;
            if !world.channels[n].member {
                return Err("not_in_channel");
            }
            world
                .said
                .push((world.channels[n].name.clone(), given.clone()));
            let ts = format!("1700000000.{:06}", world.said.len());
            Ok(json!({"channel": id(n), "ts": ts, "message_ts": ts}))
        }
        "chat.update" => {
            world.said.push((at.clone(), given.clone()));
            Ok(json!({"channel": at, "ts": given["ts"]}))
        }
        "users.list" => Ok(people()),
        "users.info" => Ok(json!({"user": {"id": given["user"], "name": "ana", "profile": {}}})),
        _ => Err("unknown_method"),
    }
}

fn people() -> Value {
    json!({
        "members": [
            {"id": "U0ANA00001", "name": "ana", "profile": {"display_name": "Ana S"}},
            {"id": "U0OLD00001", "name": "ben", "deleted": true, "profile": {}},
            {"id": "UBOT00001", "name": "treasury-bot", "is_bot": true, "profile": {}},
        ],
        "response_metadata": {"next_cursor": ""},
    })
}
