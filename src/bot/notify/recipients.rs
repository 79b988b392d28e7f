//! Whom the configuration lists.

use crate::bot::{NotifySettings, Refusal};
use crate::domain::mail::Address;
use crate::domain::notification::Recipient;
use crate::domain::timeline::cut;
use crate::domain::{Line, Person};

/// The word for all stakeholders where recipients are named.
pub(crate) const STAKEHOLDERS: &str = "stakeholders";

impl NotifySettings {
    /// Where somebody is reached.
    pub(crate) fn of(&self, person: &Person) -> &[Recipient] {
        self.people.get(&person.id).map_or(&[], Vec::as_slice)
    }

    /// The name of somebody whose id is all that may be known.
    pub(crate) fn name<'a>(&'a self, person: &'a Person) -> &'a str {
        let listed = self.of(person).iter().find_map(Recipient::name);
        listed.unwrap_or(&person.name)
    }

    /// The recipients of words such as `stakeholders`, `U0123456789` or an address that is listed.
    /// Nobody else is reached, whatever a runbook or a person says.
    pub(crate) fn listed(&self, words: &[String]) -> Result<Vec<Recipient>, Refusal> {
        let mut found: Vec<Recipient> = Vec::new();
        for word in words {
            for one in self.named(word.trim())? {
                if !found.iter().any(|other| other.is_same(one)) {
                    found.push(one.clone());
                }
            }
        }
        if found.is_empty() {
            return Err(Refusal::new("The configuration lists no stakeholders"));
        }
        Ok(found)
    }

    fn named(&self, word: &str) -> Result<&[Recipient], Refusal> {
        if word == STAKEHOLDERS {
            return Ok(&self.stakeholders);
        }
        if let Some(all) = self.people.get(word) {
            return Ok(all);
        }
        let has_address = |one: &&Recipient| match one {
            Recipient::Email(mailbox) => {
                Address::parse(word).is_ok_and(|address| address.is_same(&mailbox.address))
            }
            Recipient::Slack(_) | Recipient::Way(_) => false,
        };
        let mut all = self
            .stakeholders
            .iter()
            .chain(self.people.values().flatten());
        let one = all.find(has_address).ok_or_else(|| {
            let title = Line::new()
                .text("No mail goes to ")
                .code(cut(word, 80))
                .text(": it is neither a stakeholder nor a person of the configuration");
            Refusal::new(title)
        })?;
        Ok(std::slice::from_ref(one))
    }
}
