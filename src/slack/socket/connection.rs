//! One connection: opened, read, answered, let go.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::shared::Shared;
use crate::slack::dispatch::NotRecorded;
use crate::slack::error::{ApiError, why_no_connection};
use crate::slack::inbound::Kind;
use crate::telemetry::metrics;

type Ws = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Frames waiting to be written.
const QUEUE: usize = 1_024;
/// Largest frame that is read: an envelope carries the whole message of a pressed button.
const MAX_FRAME: usize = 4 * 1024 * 1024;
/// How long one frame may take to be written.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// Why no connection came about.
pub(super) enum OpenError {
    /// May work in a while.
    Again(String),
    /// Works after this time.
    Wait(Duration),
    /// Won't work until somebody corrects it.
    Refused(String),
}

/// What these two say repeats no address.
fn cannot_open(error: &(dyn std::error::Error + 'static)) -> OpenError {
    let why = why_no_connection(error);
    OpenError::Again(format!("the socket could not be opened: {why}"))
}

/// Why a connection needs a successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Slack wants another; this one still delivers for a while.
    Renew(&'static str),
    /// It broke.
    Lost(&'static str),
    /// Slack will not take another.
    Refused(&'static str),
    /// We end.
    Shutdown,
}

/// An open connection over which Slack has said hello.
pub(super) struct Connection {
    sink: SplitSink<Ws, Frame>,
    stream: SplitStream<Ws>,
    /// What came before the hello, if anything did.
    early: Vec<Value>,
}

impl Connection {
    /// Asks for an address, connects, and waits for the hello.
    pub async fn open(shared: &Shared) -> Result<Self, OpenError> {
        let url = shared
            .client
            .socket_url()
            .await
            .map_err(|error| match error {
                ApiError::RateLimited { after } => OpenError::Wait(after),
                ApiError::Transient { cause, .. } => OpenError::Again(cause),
                ApiError::Token(code) | ApiError::Refused(code) => OpenError::Refused(code),
            })?;
        if url.scheme() != "wss" && !(url.scheme() == "ws" && shared.client.allows_plain()) {
            return Err(OpenError::Again("an address that isn't wss://".into()));
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_FRAME))
            .max_frame_size(Some(MAX_FRAME));
        let open = shared.times.open;
        // The address holds a ticket: errors that might repeat it are not shown.
        let connected = timeout(
            open,
            connect_async_with_config(url.as_str(), Some(config), true),
        );
        let (ws, _) = match connected.await {
            Err(_) => return Err(OpenError::Again("connecting took too long".into())),
            Ok(Err(Error::Io(error))) => return Err(cannot_open(&error)),
            Ok(Err(Error::Tls(error))) => return Err(cannot_open(&error)),
            Ok(Err(_)) => return Err(OpenError::Again("the socket could not be opened".into())),
            Ok(Ok(connected)) => connected,
        };
        let (sink, stream) = ws.split();
        let mut connection = Self {
            sink,
            stream,
            early: Vec::new(),
        };
        match timeout(open, connection.hello()).await {
            Err(_) => Err(OpenError::Again("no hello".into())),
            Ok(false) => Err(OpenError::Again("closed before its hello".into())),
            Ok(true) => {
                shared.health.hello();
                Ok(connection)
            }
        }
    }

    async fn hello(&mut self) -> bool {
        while let Some(Ok(frame)) = self.stream.next().await {
            let Some(envelope) = envelope(&frame) else {
                continue;
            };
            match envelope["type"].as_str() {
                Some("hello") => return true,
                Some("disconnect") => return false,
                _ => self.early.push(envelope),
            }
        }
        false
    }

    /// Reads until the end; tells through `renew`, once, that a successor is needed.
    pub async fn serve(mut self, shared: Shared, renew: oneshot::Sender<End>) {
        let (frames, queue) = mpsc::channel(QUEUE);
        let writer = tokio::spawn(write(self.sink, queue));
        let mut reader = Reader {
            shared: &shared,
            frames,
            in_hand: JoinSet::new(),
            renew: Some(renew),
        };
        for envelope in self.early {
            reader.take(envelope);
        }
        let end = reader.read(&mut self.stream).await;
        shared.health.gone();
        if let Some(renew) = reader.renew.take() {
            renew.send(end).ok();
        }
        // What is being recorded is still acknowledged, if the connection bears it.
        let rest = async { while reader.in_hand.join_next().await.is_some() {} };
        timeout(shared.times.close_within, rest).await.ok();
        // Not cut off: what is being recorded must not be left half-way.
        reader.in_hand.detach_all();
        drop(reader);
        // Read on until Slack has closed, too: closing over unread frames resets the connection,
        // and acknowledgements still on their way are lost with it.
        let stream = &mut self.stream;
        let close = async { while let Some(Ok(_)) = stream.next().await {} };
        let goodbye = async { tokio::join!(writer, close) };
        timeout(shared.times.close_within, goodbye).await.ok();
    }
}

struct Reader<'a> {
    shared: &'a Shared,
    frames: mpsc::Sender<Frame>,
    in_hand: JoinSet<()>,
    renew: Option<oneshot::Sender<End>>,
}

impl Reader<'_> {
    async fn read(&mut self, stream: &mut SplitStream<Ws>) -> End {
        let times = &self.shared.times;
        let mut pings = tokio::time::interval(times.ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut drained: Option<Instant> = None;
        loop {
            let deadline =
                drained.map_or(heard + times.silence, |end| end.min(heard + times.silence));
            tokio::select! {
                () = self.shared.shutdown.cancelled() => return End::Shutdown,
                () = tokio::time::sleep_until(deadline) => {
                    return End::Lost(if drained.is_some() { "drained" } else { "silence" });
                }
                _ = pings.tick() => {
                    // A full queue means that nothing goes out: the silence will tell.
                    self.frames.try_send(Frame::Ping("treasury-bot".into())).ok();
                }
                Some(_) = self.in_hand.join_next() => {}
                frame = stream.next() => {
                    let frame = match frame {
                        None | Some(Ok(Frame::Close(_))) => return End::Lost("closed"),
                        Some(Err(_)) => return End::Lost("broken"),
                        Some(Ok(frame)) => frame,
                    };
                    heard = Instant::now();
                    // Pings are answered by tungstenite, with the next read.
                    if let Some(envelope) = envelope(&frame)
                        && let Some(end) = self.take(envelope)
                    {
                        if matches!(end, End::Refused(_)) {
                            return end;
                        }
                        if let Some(renew) = self.renew.take() {
                            renew.send(end).ok();
                        }
                        drained.get_or_insert(Instant::now() + times.drain);
                    }
                }
            }
        }
    }

    /// Handles an envelope without waiting; says if a successor is needed.
    fn take(&mut self, mut envelope: Value) -> Option<End> {
        let kind = match envelope["type"].as_str().unwrap_or_default() {
            "slash_commands" => Some(Kind::Command),
            "interactive" => Some(Kind::Interaction),
            "events_api" => Some(Kind::Event),
            "disconnect" => {
                count("disconnect");
                return Some(match envelope["reason"].as_str() {
                    Some("link_disabled") => End::Refused("link_disabled"),
                    Some("refresh_requested") => End::Renew("refresh_requested"),
                    Some("warning") => End::Renew("warning"),
                    Some("too_many_websockets") => End::Refused("too_many_websockets"),
                    _ => End::Renew("other"),
                });
            }
            _ => None,
        };
        count(kind.map_or("other", Kind::as_str));
        let id = envelope["envelope_id"].as_str()?.to_owned();
        let frames = self.frames.clone();
        let Some(kind) = kind else {
            // Not ours to understand, but Slack wants every envelope acknowledged.
            frames.try_send(ack(&id)).ok();
            return None;
        };
        let Ok(permit) = self.shared.in_hand.clone().try_acquire_owned() else {
            metrics::SLACK_ACKS.count(&["overloaded"]);
            tracing::warn!(%kind, "too many requests at once: one is turned away");
            if kind == Kind::Command {
                // Slack sends none again.
                let told = NotRecorded::overloaded();
                frames.try_send(ack_with(&id, Some(told.answer()))).ok();
            }
            return None;
        };
        let dispatch = self.shared.dispatch.clone();
        let payload = envelope["payload"].take();
        let started = Instant::now();
        self.in_hand.spawn(async move {
            let (outcome, answer) = match dispatch.take(kind, &payload).await {
                Ok(()) => ("sent", None),
                Err(why) if kind == Kind::Command => ("told", Some(why.answer())),
                Err(_) => ("withheld", None),
            };
            let outcome = match outcome {
                "withheld" => outcome,
                _ if frames.send(ack_with(&id, answer)).await.is_ok() => outcome,
                // The connection is gone; the envelope comes again and is a duplicate.
                _ => "lost",
            };
            metrics::SLACK_ACKS.count(&[outcome]);
            metrics::SLACK_ACK.took(&["socket"], started.elapsed());
            drop(permit);
        });
        None
    }
}

/// Writes what is queued; ends with a closing frame when nobody can queue any more.
async fn write(mut sink: SplitSink<Ws, Frame>, mut queue: mpsc::Receiver<Frame>) {
    while let Some(frame) = queue.recv().await {
        if !matches!(timeout(WRITE_WITHIN, sink.send(frame)).await, Ok(Ok(()))) {
            // The reader notices by itself; acknowledgements from now on count as lost.
            return;
        }
    }
    timeout(WRITE_WITHIN, sink.close()).await.ok();
}

fn ack(envelope_id: &str) -> Frame {
    ack_with(envelope_id, None)
}

/// An acknowledgement with what the requester sees of it.
fn ack_with(envelope_id: &str, answer: Option<Value>) -> Frame {
    let mut ack = json!({ "envelope_id": envelope_id });
    if let Some(answer) = answer {
        ack["payload"] = answer;
    }
    Frame::text(ack.to_string())
}

fn envelope(frame: &Frame) -> Option<Value> {
    let Frame::Text(text) = frame else {
        return None;
    };
    let envelope: Option<Value> = serde_json::from_str(text).ok();
    if envelope.is_none() {
        count("unreadable");
    }
    envelope
}

fn count(kind: &'static str) {
    metrics::SLACK_ENVELOPES.count(&[kind]);
}
