//! What one body of a sender says.

use super::{Alert, Malformed};

/// What one body of a sender says. One bad alert costs only itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Body {
    /// Reports that are understood.
    pub alerts: Vec<Alert>,
    /// Reports that are not, with their places.
    pub malformed: Vec<Malformed>,
    /// How many reports say neither that something fires nor that it is over.
    pub ignored: usize,
    /// How many alerts of the group the sender left out (`truncatedAlerts`): nothing is known of them.
    pub left_out: u64,
    /// Why Alertmanager sent it, where it says so.
    pub reason: Option<Reason>,
    /// What the sender tells together: Alertmanager's receiver and `groupKey`.
    pub group: Option<String>,
}

impl Body {
    /// The body, or what is wrong with it where nothing in it is understood.
    pub(super) fn unless_all_is_malformed(mut self) -> Result<Self, Malformed> {
        if self.alerts.is_empty() && self.ignored == 0 && !self.malformed.is_empty() {
            return Err(self.malformed.swap_remove(0));
        }
        Ok(self)
    }
}

impl From<Vec<Alert>> for Body {
    fn from(alerts: Vec<Alert>) -> Self {
        Self {
            alerts,
            ..Self::default()
        }
    }
}

/// Why Alertmanager sent a body: its `notification_reason`, since 0.33 (`notify.NotificationReason`
/// of github.com/prometheus/alertmanager).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It tells of the group for the first time, or anew.
    First,
    /// Further alerts of the group fire.
    Added,
    /// Some alerts of the group are over, others fire.
    SomeResolved,
    /// All alerts of the group are over.
    AllResolved,
    /// Nothing is new: `repeat_interval` has passed.
    Repeat,
}

impl Reason {
    /// Reads Alertmanager's words; `None` for any others.
    pub fn parse(words: &str) -> Option<Self> {
        Some(match words {
            "first notification" => Self::First,
            "new alerts added" => Self::Added,
            "some alerts resolved" => Self::SomeResolved,
            "all alerts resolved" => Self::AllResolved,
            "repeat interval elapsed" => Self::Repeat,
            _ => return None,
        })
    }
}
