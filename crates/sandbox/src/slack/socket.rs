//! Socket Mode: the open WebSockets, in turn, and who waits for which acknowledgement.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::sandbox::{Sandbox, locked};
use super::wire::Wire;

/// Slack allows so many sockets for one app.
const SOCKETS: usize = 10;
/// Frames waiting to be written to one socket.
const QUEUE: usize = 1_024;
const PING_EVERY: Duration = Duration::from_secs(10);
/// How long acknowledgements are still read after the closing frame.
const LINGER: Duration = Duration::from_secs(2);

enum Out {
    Text(String),
    Close,
}

/// One open socket, as the deliverer sees it.
#[derive(Clone)]
pub(super) struct Socket {
    pub id: u64,
    frames: mpsc::Sender<Out>,
    /// Cancelled when the connection has ended.
    pub gone: CancellationToken,
    wire: Wire,
}

impl Socket {
    /// Queues a text frame; `false` when the socket takes no more.
    pub fn send(&self, text: String) -> bool {
        self.frames.try_send(Out::Text(text)).is_ok()
    }
}

#[derive(Default)]
struct Sockets {
    open: Vec<Socket>,
    turn: usize,
    last_id: u64,
    waiting: HashMap<String, oneshot::Sender<Option<Value>>>,
}

/// All sockets of the app.
#[derive(Default)]
pub(super) struct Hub(Mutex<Sockets>);

impl Hub {
    pub fn count(&self) -> usize {
        locked(&self.0).open.len()
    }

    /// The next socket in turn, preferably one that is not in `tried`.
    pub fn next(&self, tried: &[u64]) -> Option<Socket> {
        let mut sockets = locked(&self.0);
        let count = sockets.open.len();
        let turns = (0..count).map(|i| (sockets.turn + i) % count);
        let at = turns
            .clone()
            .find(|at| !tried.contains(&sockets.open[*at].id));
        let at = at.or_else(|| turns.clone().next())?;
        sockets.turn = at + 1;
        Some(sockets.open[at].clone())
    }

    /// Registers a wait for an acknowledgement.
    pub fn expect(&self, envelope_id: &str) -> oneshot::Receiver<Option<Value>> {
        let (tell, told) = oneshot::channel();
        locked(&self.0)
            .waiting
            .insert(envelope_id.to_string(), tell);
        told
    }

    /// Gives a wait up.
    pub fn forget(&self, envelope_id: &str) {
        locked(&self.0).waiting.remove(envelope_id);
    }

    fn acknowledge(&self, envelope_id: &str, payload: Option<Value>) {
        // Late and repeated acknowledgements find nobody waiting; Slack ignores them too.
        if let Some(tell) = locked(&self.0).waiting.remove(envelope_id) {
            tell.send(payload).ok();
        }
    }

    /// Cuts all sockets as a network would.
    pub fn drop_all(&self) -> usize {
        let open = std::mem::take(&mut locked(&self.0).open);
        for socket in &open {
            socket.wire.cut();
        }
        open.len()
    }

    /// Tells all sockets to reconnect. A `warning` leaves them open.
    pub fn disconnect_all(&self, reason: &str) {
        let mut sockets = locked(&self.0);
        let text = disconnect(reason, sockets.open.len());
        for socket in &sockets.open {
            socket.send(text.clone());
            if reason != "warning" {
                socket.frames.try_send(Out::Close).ok();
            }
        }
        if reason != "warning" {
            sockets.open.clear();
        }
    }

    /// Takes a socket in and greets it; `None` when there are too many.
    fn enter(
        &self,
        app_id: &str,
        greet: bool,
        wire: Wire,
    ) -> Option<(Socket, mpsc::Receiver<Out>)> {
        let mut sockets = locked(&self.0);
        if sockets.open.len() == SOCKETS {
            return None;
        }
        sockets.last_id += 1;
        let (frames, queue) = mpsc::channel(QUEUE);
        let gone = CancellationToken::new();
        let socket = Socket {
            id: sockets.last_id,
            frames,
            gone,
            wire,
        };
        sockets.open.push(socket.clone());
        if greet {
            // Inside the lock, so that nothing can be delivered before the hello.
            let hello = json!({
                "type": "hello",
                "num_connections": sockets.open.len(),
                "connection_info": {"app_id": app_id},
                "debug_info": debug_info(),
            });
            socket.send(hello.to_string());
        }
        Some((socket, queue))
    }

    fn leave(&self, id: u64) {
        locked(&self.0).open.retain(|socket| socket.id != id);
    }
}

fn debug_info() -> Value {
    json!({
        "host": "applink-sandbox",
        "build_number": 1,
        "approximate_connection_time": 18_060,
    })
}

fn disconnect(reason: &str, connections: usize) -> String {
    json!({
        "type": "disconnect",
        "reason": reason,
        "num_connections": connections,
        "debug_info": debug_info(),
    })
    .to_string()
}

/// The query of the address that `apps.connections.open` gave out.
#[derive(Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    ticket: String,
}

/// `GET /link/?ticket=…`
pub(super) async fn link(
    State(sandbox): State<Sandbox>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    Query(link): Query<Link>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if sandbox.plan().refuse_connections {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if !sandbox.change(|world| world.tickets.remove(&link.ticket)) {
        return (StatusCode::UNAUTHORIZED, "unknown or used ticket").into_response();
    }
    upgrade.on_upgrade(move |socket| serve(sandbox, wire, socket))
}

async fn serve(sandbox: Sandbox, wire: Wire, socket: WebSocket) {
    let greet = !sandbox.plan().no_hello;
    let (mut to_bot, mut from_bot) = socket.split();
    let entered = sandbox.hub().enter(&sandbox.config().app_id, greet, wire);
    let Some((socket, mut queue)) = entered else {
        to_bot
            .send(Frame::Text(
                disconnect("too_many_websockets", SOCKETS + 1).into(),
            ))
            .await
            .ok();
        to_bot.send(Frame::Close(None)).await.ok();
        return;
    };
    sandbox.touch();
    let reading = async {
        while let Some(Ok(frame)) = from_bot.next().await {
            if let Frame::Text(text) = frame {
                read_ack(&sandbox, &text);
            }
        }
    };
    let writing = async {
        let mut pings = tokio::time::interval(PING_EVERY);
        pings.tick().await;
        loop {
            let frame = tokio::select! {
                out = queue.recv() => match out {
                    Some(Out::Text(text)) => Frame::Text(text.into()),
                    Some(Out::Close) | None => break,
                },
                _ = pings.tick() => Frame::Ping("Ping from applink-sandbox".into()),
            };
            if to_bot.send(frame).await.is_err() {
                return;
            }
        }
        to_bot.send(Frame::Close(None)).await.ok();
        tokio::time::sleep(LINGER).await;
    };
    tokio::select! { () = reading => {}, () = writing => {} }
    sandbox.hub().leave(socket.id);
    socket.gone.cancel();
    sandbox.touch();
}

fn read_ack(sandbox: &Sandbox, text: &str) {
    #[derive(Deserialize)]
    struct Ack {
        envelope_id: String,
        payload: Option<Value>,
    }
    match serde_json::from_str::<Ack>(text) {
        Ok(ack) => sandbox.hub().acknowledge(&ack.envelope_id, ack.payload),
        Err(error) => tracing::warn!(%error, "the sandbox got a frame that is no acknowledgement"),
    }
}
