//! Direct messages in Slack, on their way into the outbox.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::notification::{Channel, Notification, Recipient};
use crate::domain::{Button, Destination, Message, Outgoing, Part, Person, Place, Style};
use crate::notify::{SendError, Sender};
use crate::store::Store;

/// Puts direct messages into the outbox; a second time is the same message.
pub struct DirectMessages(pub Store);

/// A message to somebody alone. Slack takes a person's id for their conversation with the bot.
pub(super) fn direct(key: &str, person: &Person, message: Message) -> Outgoing {
    let to = Destination::Place(Place::channel(&person.id));
    Outgoing::announcement(key.to_owned(), to, message)
}

#[async_trait]
impl Sender for DirectMessages {
    fn channel(&self) -> Channel {
        Channel::Slack
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    async fn send(&self, notification: &Notification, _: Option<&str>) -> Result<(), SendError> {
        let Recipient::Slack(person) = &notification.to else {
            return Err(SendError::Refused("it is for another way".to_owned()));
        };
        let mut message = notification.message.clone();
        let is_buttons = |part: &Part| matches!(part, Part::Buttons(_));
        if let Some(ack) = &notification.ack
            && !message.parts.iter().any(is_buttons)
        {
            let button = Button::new("Acknowledge", ack.sentence.clone());
            message = message.buttons(vec![button.style(Style::Primary)]);
        }
        let outgoing = direct(&notification.key, person, message);
        let put = self
            .0
            .write(move |tx| Box::pin(async move { tx.outbox_put(&outgoing).await }));
        put.await
            .map_err(|error| SendError::Later(error.to_string()))
    }
}
