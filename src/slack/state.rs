//! What Slack refuses at present, since when, and who is to hear of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::error::ApiError;
use super::lock::lock;
use crate::bot::ChatRefusal;

/// Stands among the methods for posting in the main channel.
pub(super) const MAIN_CHANNEL: &str = "the main channel";
/// A method that the bot also tries without counting on it, or that says nothing of the bot token.
const NOT_JUDGED: [&str; 4] = [
    "apps.connections.open",
    "conversations.list",
    "files.upload",
    "response_url",
];

/// Something that Slack refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Slack's word.
    pub error: String,
    /// The scope that lacks.
    pub needed: Option<String>,
    /// It is the token that is refused.
    pub is_token: bool,
    /// Since when it is known.
    pub since: Timestamp,
}

/// What is refused, by method. Clones share it.
#[derive(Clone)]
pub(super) struct State(Arc<Known>);

struct Known {
    refused: Mutex<BTreeMap<&'static str, Refused>>,
    /// Words of Slack that the bot does not know, and has told of.
    puzzles: Mutex<BTreeSet<String>>,
    news: UnboundedSender<ChatRefusal>,
}

impl State {
    /// Nothing is refused yet; and what people are to hear.
    pub(super) fn new() -> (Self, UnboundedReceiver<ChatRefusal>) {
        let (news, heard) = unbounded_channel();
        let known = Known {
            refused: Mutex::default(),
            puzzles: Mutex::default(),
            news,
        };
        (Self(Arc::new(known)), heard)
    }

    /// What is refused now.
    pub(super) fn all(&self) -> Vec<(&'static str, Refused)> {
        let refused = lock(&self.0.refused);
        refused
            .iter()
            .map(|(method, one)| (*method, one.clone()))
            .collect()
    }

    /// Learns from what became of a call.
    pub(super) fn called<T>(
        &self,
        method: &'static str,
        result: &Result<T, ApiError>,
        needed: Option<String>,
    ) {
        if NOT_JUDGED.contains(&method) {
            return;
        }
        match result {
            Ok(_) => self.works(method),
            Err(ApiError::Token(code)) => self.enter(method, code, None, true),
            Err(ApiError::Refused(code)) if code == "missing_scope" => {
                self.enter(method, code, needed, false);
            }
            Err(_) => {}
        }
    }

    /// It is not refused, and so the token is not, either.
    pub(super) fn works(&self, method: &'static str) {
        lock(&self.0.refused).retain(|one, refused| *one != method && !refused.is_token);
    }

    /// It is refused until it works again.
    pub(super) fn refused(&self, method: &'static str, code: &str, needed: Option<String>) {
        self.enter(method, code, needed, false);
    }

    /// A message was refused by a word that the bot does not know.
    pub(super) fn puzzled(&self, code: &str) {
        if lock(&self.0.puzzles).insert(code.to_owned()) {
            self.tell("a message", code, None, false);
        }
    }

    fn enter(&self, method: &'static str, code: &str, needed: Option<String>, is_token: bool) {
        let refused = Refused {
            error: code.to_owned(),
            needed: needed.clone(),
            is_token,
            since: Timestamp::now(),
        };
        let mut all = lock(&self.0.refused);
        // The token concerns all methods: told once.
        let is_known = all.contains_key(method) || is_token && all.values().any(|r| r.is_token);
        all.entry(method).or_insert(refused);
        if !is_known {
            let silent = is_token || method == MAIN_CHANNEL || method.starts_with("chat.post");
            self.tell(method, code, needed, silent);
        }
    }

    fn tell(&self, what: &str, error: &str, needed: Option<String>, silent: bool) {
        let refusal = ChatRefusal {
            what: what.to_owned(),
            error: error.to_owned(),
            needed,
            silent,
        };
        // Nobody listens any more: the process ends.
        self.0.news.send(refusal).ok();
    }
}
