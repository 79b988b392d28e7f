//! Socket Mode: a WebSocket from the upgrade to its end.

use std::time::Duration;

use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::hub::{Out, SOCKETS, disconnect};
use super::sandbox::Sandbox;
use super::websocket::{WebSocket, upgrade};
use super::wire::Wire;

const PING_EVERY: Duration = Duration::from_secs(10);
/// How long acknowledgements are still read after the closing frame.
const LINGER: Duration = Duration::from_secs(2);

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
    request: Request,
) -> Response {
    if sandbox.plan().refuse_connections {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if !sandbox.change(|world| world.tickets.remove(&link.ticket)) {
        return (StatusCode::UNAUTHORIZED, "unknown or used ticket").into_response();
    }
    upgrade(request, move |socket| serve(sandbox, wire, socket))
}

async fn serve(sandbox: Sandbox, wire: Wire, socket: WebSocket) {
    let greet = !sandbox.plan().no_hello;
    let (mut to_bot, mut from_bot) = socket.split();
    let entered = sandbox.hub().add(&sandbox.config().app_id, greet, wire);
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
    sandbox.hub().remove(socket.id);
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
