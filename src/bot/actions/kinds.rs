//! From an action as it is recorded to its kind: the only place that tells them apart.

use super::kind::Kind;
use super::restart::Restarting;
use crate::domain::action::{ActionKind, ActionRecord};
use crate::domain::service::foretold;

/// The kind of a recorded action.
pub(in crate::bot) fn kind_of(what: &ActionKind) -> &dyn Kind {
    match what {
        ActionKind::Restart => &Restarting,
        ActionKind::Scale(kind) => kind,
        ActionKind::Bounds(kind) => kind,
        ActionKind::Deploy(kind) => kind,
        ActionKind::Isolate(kind) => kind,
        ActionKind::Release(kind) => kind,
        ActionKind::Session(kind) => kind,
        ActionKind::Client(kind) => kind,
    }
}

/// `restarting frontend (healthy 2/2)`: an intent, for the timeline.
pub(in crate::bot) fn intent_text(record: &ActionRecord) -> String {
    let sentences = kind_of(&record.what).sentences(record);
    let mut text = sentences.intent.unwrap_or(sentences.doing.plain());
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    text.push_str(&format!(" ({})", record.before_text));
    if let Some(foretold) = foretold(&record.along) {
        text.push_str(&format!("; {foretold}"));
    }
    text
}
