//! Asking a person by all their ways, and calling that off.

use std::collections::BTreeSet;
use std::time::Duration;

use super::slack::direct;
use crate::bot::Context;
use crate::domain::notification::{AckRequest, Notification, Purpose, Recipient, Thread, Way};
use crate::domain::{IncidentId, Line, Message, Person, Severity, Tone, duration};
use crate::store::{StoreError, Tx};

/// What people are asked to acknowledge.
pub(crate) struct Asking {
    /// The key of the conversation.
    pub(crate) conversation: String,
    /// What acknowledges it, without the command's name.
    pub(crate) sentence: String,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// The incident it is about.
    pub(crate) incident: Option<IncidentId>,
    /// What it belongs to.
    pub(crate) thread: Thread,
    /// What it says.
    pub(crate) message: Message,
    /// How to acknowledge where no button is: said beside a link, or without one.
    pub(crate) how: Vec<Line>,
}

/// Why nobody needs to be asked any more.
pub(crate) enum Ended<'a> {
    /// Somebody has acknowledged.
    Acknowledged(&'a Person),
    /// Nothing fires any more; the incident may be worked on all the same.
    Quiet,
    /// What is behind it is asked about instead, in these words.
    Elsewhere(&'a str),
    /// The incident is over, or what fired was none and has ended.
    Over,
}

/// Asks somebody by each of their ways, in their order and after their delays, once this transaction
/// is committed. Gives the ways as people name them; none: Slack's channel is all there is.
pub(crate) async fn reach(
    tx: &mut Tx,
    bot: &Context,
    person: &Person,
    asking: &Asking,
) -> Result<Vec<String>, StoreError> {
    let at = tx.now();
    let ways = ways(bot, person);
    for (n, way) in ways.iter().enumerate() {
        let mut message = asking.message.clone();
        if !matches!(way.to, Recipient::Slack(_)) {
            let how = asking.how.iter().cloned();
            message = how.fold(message, Message::text);
        }
        let person = Person {
            id: person.id.clone(),
            name: way.to.name().unwrap_or(&person.name).to_owned(),
        };
        let notification = Notification {
            // Asked anew is another notification, whatever was asked before.
            key: format!(
                "ask:{}:{}:{}:{n}",
                asking.conversation,
                at.as_microsecond(),
                person.id
            ),
            to: way.to.clone(),
            purpose: Purpose::Escalation,
            incident: asking.incident,
            thread: asking.thread.clone(),
            message,
            at,
            ack: Some(Box::new(AckRequest {
                person,
                conversation: asking.conversation.clone(),
                sentence: asking.sentence.clone(),
                severity: asking.severity,
            })),
        };
        tx.notification_put_for(&notification, at + way.after)
            .await?;
    }
    Ok(ways.iter().map(named).collect())
}

/// The ways of somebody; by e-mail at once where nothing else is said.
pub(crate) fn ways(bot: &Context, person: &Person) -> Vec<Way> {
    let settings = bot.settings();
    if let Some(ways) = settings.reach.people.get(&person.id) {
        return ways.clone();
    }
    let listed = settings.notify.as_ref().map(|notify| notify.of(person));
    let at_once = |to: &Recipient| Way {
        to: to.clone(),
        after: Duration::ZERO,
    };
    listed.unwrap_or_default().iter().map(at_once).collect()
}

fn named(way: &Way) -> String {
    let noun = way.to.channel().noun();
    match way.after {
        Duration::ZERO => noun,
        after => format!("{noun} after {}", duration::text(after)),
    }
}

/// Calls off what asks for an acknowledgement of this conversation and was not sent yet; ways that go
/// on by themselves hear that they need not, and nobody's direct message asks any more.
pub(crate) async fn forget(
    tx: &mut Tx,
    conversation: &str,
    why: &Ended<'_>,
) -> Result<(), StoreError> {
    let (purpose, text) = match why {
        Ended::Acknowledged(by) => (
            Some(Purpose::Acknowledged),
            format!("{by} has acknowledged"),
        ),
        Ended::Quiet => (None, "Nothing fires any more".to_owned()),
        Ended::Elsewhere(why) => (None, (*why).to_owned()),
        Ended::Over => (Some(Purpose::Over), "It is over".to_owned()),
    };
    let is_over = purpose == Some(Purpose::Over);
    // The newest ask of a way names the news: what was told of an older one is told.
    let mut told = BTreeSet::new();
    for (asked, is_sent) in tx.notifications_forget(conversation, is_over).await? {
        let title = Line::new()
            .text(format!("{text}: "))
            .text(&asked.thread.subject);
        let message = Message::new(Tone::Good, title);
        match &asked.to {
            Recipient::Slack(person) if is_sent => {
                tx.outbox_put(&direct(&asked.key, person, message)).await?;
            }
            Recipient::Way(to) if to.follows => {
                let Some(purpose) = purpose else { continue };
                if !told.insert((to.way.clone(), to.to.clone(), asked.thread.key.clone())) {
                    continue;
                }
                let news = Notification {
                    key: format!("{}:{purpose}", asked.key),
                    purpose,
                    message,
                    at: tx.now(),
                    ack: None,
                    ..asked
                };
                tx.notification_put(&news).await?;
            }
            _ => {}
        }
    }
    Ok(())
}
