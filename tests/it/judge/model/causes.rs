//! What stands on a failed service, and whether people may be asked about it.

use super::super::history::service_of;
use super::alert::Alert;
use super::{Model, Second};

impl Model {
    /// What may be a consequence is not demanded to be asked about.
    pub fn excuse(&mut self, at: Second, name: &str) {
        let caused: Vec<usize> = self
            .members(name)
            .filter(|alert| {
                let mut others = self.alerts.values();
                others.any(|other| alert.may_be_caused_by(other, at))
            })
            .map(|alert| alert.number)
            .collect();
        for number in caused {
            self.alerts.entry(number).or_default().excuse(at);
        }
    }

    /// Everything that may fire here surely is a consequence of what is asked about elsewhere.
    pub fn is_consequence(&self, at: Second, name: &str) -> bool {
        // A person's incident may be the newest of the cause's service.
        if self
            .conversations
            .values()
            .any(|one| one.declared.is_some())
        {
            return false;
        }
        let mut loud = self
            .members(name)
            .filter(|alert| !alert.is_nothing(at) || alert.left_out > 0)
            .peekable();
        let is_told_alone = |other: &Alert| {
            // In an incident of its service, and not among others.
            let elsewhere = other.conversation.as_deref().unwrap_or_default();
            let first = self.conversations.get(elsewhere).and_then(|one| one.first);
            elsewhere != name
                && elsewhere.starts_with("incident:")
                && first.map(|(alert, _)| service_of(alert)) == Some(service_of(other.number))
        };
        loud.peek().is_some()
            && loud.all(|alert| {
                let mut others = self.alerts.values().filter(|one| is_told_alone(one));
                alert.left_out == 0
                    && alert.sure
                    && !alert.flaps(at)
                    && others.any(|other| alert.is_caused_by(other, at))
            })
    }
}
