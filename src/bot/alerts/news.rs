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
    /// Firings that ended before those that are new, though nobody said so: of each alert as it was then.
    pub(super) former: BTreeMap<String, Vec<(AlertRecord, bool)>>,
    /// Alerts that are over (`true`), and others that only say something new.
    pub(super) others: BTreeMap<String, Vec<(AlertRecord, bool)>>,
    /// Alerts that changed but flap, and whether they begin to.
    pub(super) flapping: BTreeMap<String, Vec<(AlertRecord, bool)>>,
}

impl Group {
    /// A body may name an alert twice: what its last report says counts. True where an earlier one was
    /// sorted already, and this one needs no more. `fires`: this report comes to a new firing.
    pub(super) fn replaces(&mut self, key: &str, record: &AlertRecord, fires: bool) -> bool {
        let is_same =
            |one: &AlertRecord| one.tracked.alert.fingerprint == record.tracked.alert.fingerprint;
        let firing = record.tracked.alert.firing;
        if let Some(at) = self.news.fired.iter().position(is_same) {
            if firing {
                self.news.fired[at] = record.clone();
            } else {
                // It fired and was over before anybody could be told.
                self.news.fired.remove(at);
                let others = self.others.entry(key.to_owned()).or_default();
                others.push((record.clone(), false));
            }
            return true;
        }
        if let Some(at) = self.news.changed.iter().position(|(one, _)| is_same(one)) {
            if firing {
                self.news.changed[at].0 = record.clone();
                return true;
            }
            self.news.changed.remove(at);
        }
        let mut others = self.others.values_mut();
        let Some((list, at)) = others.find_map(|list| {
            let at = list.iter().position(|(one, _)| is_same(one))?;
            Some((list, at))
        }) else {
            return false;
        };
        if fires {
            list.remove(at);
            return false;
        }
        list[at].1 |= !firing && list[at].0.tracked.alert.firing;
        list[at].0 = record.clone();
        true
    }
}
