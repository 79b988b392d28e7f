//! The open sockets in turn, and who waits for which acknowledgement.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::wire::Wire;
use super::workspace::locked;

/// Slack allows so many sockets for one app.
pub(super) const SOCKETS: usize = 10;
/// Frames waiting to be written to one socket.
const QUEUE: usize = 1_024;

/// What is written to a socket.
pub(super) enum Out {
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

    pub fn acknowledge(&self, envelope_id: &str, payload: Option<Value>) {
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

    /// Adds a socket and greets it; `None` when there are too many.
    pub fn add(
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

    pub fn remove(&self, id: u64) {
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

/// The envelope that tells a socket to go.
pub(super) fn disconnect(reason: &str, connections: usize) -> String {
    json!({
        "type": "disconnect",
        "reason": reason,
        "num_connections": connections,
        "debug_info": debug_info(),
    })
    .to_string()
}
