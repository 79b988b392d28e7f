//! What is new of the alerts of one group.

use std::collections::BTreeMap;

use crate::domain::Severity;
use crate::domain::alert::AlertRecord;

/// Alerts of one group that people may have to be told of.
#[derive(Default)]
pub(super) struct News {
    /// They began to fire.
    pub(super) fired: Vec<AlertRecord>,
    /// They fire, and their severity was another.
    pub(super) changed: Vec<(AlertRecord, Severity)>,
}

impl News {
    pub(super) fn records(&self) -> impl Iterator<Item = &AlertRecord> {
        self.fired
            .iter()
            .chain(self.changed.iter().map(|(record, _)| record))
    }
}

/// The news of one group. Those of alerts that are known are sorted by their conversation.
#[derive(Default)]
pub(super) struct Group {
    /// The group's last conversation.
    pub(super) conversation: Option<String>,
    pub(super) news: News,
    /// Alerts that are over (`true`), and others that only say something new.
    pub(super) others: BTreeMap<String, Vec<(AlertRecord, bool)>>,
    /// Alerts that changed but flap, and whether they begin to.
    pub(super) flapping: BTreeMap<String, Vec<(AlertRecord, bool)>>,
}
