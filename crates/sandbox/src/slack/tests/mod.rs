//! The sandbox against slack-morphism's own client and types, and against a bot of a few lines.

mod faulty;
mod http;
mod methods;
mod morphism;
mod people;
mod subscriptions;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{Sandbox, SandboxConfig};

const PATIENCE: Duration = Duration::from_secs(10);
const ROOM: &str = "#treasury-incidents";

async fn start() -> Sandbox {
    Sandbox::start(SandboxConfig::default()).await.unwrap()
}

/// A call of the Web API as a bot makes it.
async fn call(sandbox: &Sandbox, method: &str, body: Value) -> Value {
    let token = match method {
        "apps.connections.open" => sandbox.app_token(),
        _ => sandbox.bot_token(),
    };
    let request = reqwest::Client::new().post(format!("{}/{method}", sandbox.api_url()));
    request
        .bearer_auth(token)
        .json(&body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

fn room(sandbox: &Sandbox) -> String {
    sandbox.look(|w| w.channel(ROOM).unwrap().id.clone())
}

async fn post(sandbox: &Sandbox, body: Value) -> String {
    let mut body = body;
    body["channel"] = json!(room(sandbox));
    let answer = call(sandbox, "chat.postMessage", body).await;
    assert_eq!(answer["ok"], true, "{answer}");
    answer["ts"].as_str().unwrap().to_string()
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(sandbox: &Sandbox) -> Stream {
    let url = call(sandbox, "apps.connections.open", json!({})).await["url"].clone();
    connect_async(url.as_str().unwrap()).await.unwrap().0
}

async fn next(stream: &mut Stream) -> Option<Value> {
    loop {
        match tokio::time::timeout(PATIENCE, stream.next())
            .await
            .unwrap()?
        {
            Ok(Frame::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Frame::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// Acknowledges every envelope with what `answer` says, and hands the envelopes out.
async fn bot(
    sandbox: &Sandbox,
    answer: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static,
) -> mpsc::UnboundedReceiver<Value> {
    let mut stream = connect(sandbox).await;
    assert_eq!(next(&mut stream).await.unwrap()["type"], "hello");
    let (tell, told) = mpsc::unbounded_channel();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Some(envelope) = next(&mut stream).await {
            let mut ack = json!({"envelope_id": envelope["envelope_id"]});
            if let Some(payload) = answer(&envelope) {
                ack["payload"] = payload;
            }
            if stream
                .send(Frame::Text(ack.to_string().into()))
                .await
                .is_err()
                || tell.send(envelope).is_err()
            {
                return;
            }
        }
    });
    told
}
