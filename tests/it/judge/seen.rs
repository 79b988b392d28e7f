//! What the bot is seen to do, by another way than its own: its store is read.

use treasury_bot::domain::{Content, Outgoing};

use super::history::{ALERTS, OF_FRONTEND, ON_CALL};
use super::model::{Fact, Said};
use super::play::{Play, fingerprint};

impl Play<'_> {
    /// Writes down what the bot has done since the last look.
    pub async fn look(&mut self, by_hand: bool) {
        const NEW: &str = "SELECT 'alert', 0, fingerprint, conversation FROM alert \
            UNION ALL SELECT 'message', id, key, outgoing FROM outbox WHERE id > ?1 \
            UNION ALL SELECT 'incident', id, status, '' FROM incident";
        let rows: Vec<(String, i64, String, String)> = sqlx::query_as(NEW)
            .bind(self.last_message)
            .fetch_all(&mut self.seen)
            .await
            .unwrap();
        for (what, id, first, second) in rows {
            match what.as_str() {
                "alert" => self.joined(&first, second),
                "message" => {
                    self.last_message = self.last_message.max(id);
                    self.told(&first, &second);
                }
                _ if first == "resolved" && !self.resolved.contains(&id) => {
                    self.resolved.push(id);
                    let conversation = format!("incident:{id}");
                    let fact = if by_hand {
                        Fact::ResolvedByHand { conversation }
                    } else {
                        Fact::Resolved { conversation }
                    };
                    self.facts.push((self.now, fact));
                }
                _ if first != "resolved" => self.resolved.retain(|one| *one != id),
                _ => {}
            }
        }
    }

    fn joined(&mut self, name: &str, conversation: String) {
        let mut all = 0..ALERTS.len();
        let Some(alert) = all.find(|alert| fingerprint(*alert) == name) else {
            return;
        };
        if self.conversations.get(&alert) != Some(&conversation) {
            self.conversations.insert(alert, conversation.clone());
            let fact = Fact::Joined {
                alert,
                conversation,
            };
            self.facts.push((self.now, fact));
        }
    }

    /// A new message of a conversation; those that mention somebody are facts.
    fn told(&mut self, key: &str, outgoing: &str) {
        let of = |conversation: &&String| {
            let at = key.find(conversation.as_str());
            let rest = at.map(|at| &key[at + conversation.len()..]);
            !conversation.is_empty()
                && rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let message: Outgoing = serde_json::from_str(outgoing).unwrap();
        let mut all = self.conversations.values().chain(&self.declared);
        let Some(conversation) = all.find(of).cloned() else {
            return;
        };
        let said = match key.split(':').next() {
            Some("escalation") if outgoing.contains("do you still have it?") => Said::StillYours,
            Some("escalation") if outgoing.contains("please acknowledge") => Said::Ask,
            Some("news") => Said::News,
            // What a conversation is told in, answers and headers ask nobody.
            _ => return,
        };
        let mut whom = ON_CALL
            .iter()
            .chain(&OF_FRONTEND)
            .copied()
            .collect::<Vec<_>>();
        whom.retain(|person| outgoing.contains(person));
        if matches!(message.content, Content::Message(_)) && !whom.is_empty() {
            let fact = Fact::Told {
                conversation,
                said,
                whom,
            };
            self.facts.push((self.now, fact));
        }
    }
}
