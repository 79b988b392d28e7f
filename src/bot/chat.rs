//! What Slack refuses: who can mend it hears of it, by a way that is open.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use super::Context;
use super::notify::{Notice, ways};
use crate::domain::notification::{Purpose, Recipient, Thread};
use crate::domain::{Destination, Line, Message, Outgoing, Person, Span, Tone};
use crate::store::{StoreError, Tx};

/// Where an app's scopes and its installation are.
const APPS: &str = "https://api.slack.com/apps";

/// Something that Slack refuses until somebody mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRefusal {
    /// What is refused: a method of Slack's, the main channel, a message.
    pub what: String,
    /// Slack's word.
    pub error: String,
    /// The scope that lacks, by Slack's own answer.
    pub needed: Option<String>,
    /// No message gets out because of it.
    pub silent: bool,
}

/// Tells it once in the main channel; or once a day by other ways, where no message gets out.
pub async fn chat_refuses(context: &Context, refusal: ChatRefusal) {
    let bot = context.clone();
    let told = context
        .store()
        .write(move |tx| Box::pin(async move { tell(tx, &bot, &refusal).await }))
        .await;
    if let Err(error) = told {
        tracing::error!(%error, "what Slack refuses could not be told");
    }
}

async fn tell(tx: &mut Tx, bot: &Context, refusal: &ChatRefusal) -> Result<(), StoreError> {
    let ChatRefusal {
        what,
        error,
        needed,
        silent,
    } = refusal;
    let key = format!("slack-refuses:{error}:{}", needed.as_ref().unwrap_or(what));
    let message = words(refusal);
    if !silent {
        if tx.outbox_wanted(&key).await?.is_none() {
            let told = Outgoing::announcement(key, Destination::Home, message);
            tx.outbox_put(&told).await?;
        }
        return Ok(());
    }
    let day = tx.now().to_zoned(TimeZone::UTC).date();
    let key = format!("{key}:{day}");
    let notice = Notice {
        thread: Thread::new(key.clone(), "Slack takes no messages of the bot"),
        key,
        purpose: Purpose::Escalation,
        incident: None,
        message: message.text(
            "What is to be said waits and is posted then. Alerts are taken in, and mail goes out.",
        ),
    };
    let to = recipients(tx, bot).await?;
    notice.send(tx, &to).await
}

fn words(refusal: &ChatRefusal) -> Message {
    let ChatRefusal {
        what,
        error,
        needed,
        silent,
    } = refusal;
    let title = Line::new().text("Slack refuses ").code(what);
    let title = match needed {
        Some(scope) => title.text(": the app lacks the scope ").code(scope),
        None => title.text(": ").code(error),
    };
    let tone = if *silent { Tone::Bad } else { Tone::Warning };
    let message = Message::new(tone, title);
    let apps = Line(vec![Span::Link {
        url: APPS.to_owned(),
        text: "The app".to_owned(),
    }]);
    match (needed, error.as_str()) {
        (Some(scope), _) => message.text(
            apps.text(" → OAuth & Permissions → Bot Token Scopes → add ")
                .code(scope)
                .text(", then Reinstall to Workspace"),
        ),
        (None, "missing_scope") => {
            message.text(apps.text(" → OAuth & Permissions: compare its scopes with the README's"))
        }
        _ if what == "a message" => message.text("It waits, and is tried again for a day"),
        (None, "is_archived") => {
            message.text("Unarchive the channel, or set another one in [slack] channel")
        }
        _ if what == "the main channel" => {
            message.text("Let the bot post there, or set another one in [slack] channel")
        }
        _ => message.text("Check the bot's token, or install the app again"),
    }
}

/// Those on call now who are reached by other ways than Slack; else everybody who is.
async fn recipients(tx: &mut Tx, bot: &Context) -> Result<Vec<Recipient>, StoreError> {
    let (overrides, now) = (tx.overrides().await?, tx.now());
    let rotations = bot.on_call().rotations().iter();
    let on_call = rotations.map(|rotation| rotation.shift(&overrides, now).person.id);
    let mut to = reached(bot, on_call.collect());
    let settings = bot.settings();
    if to.is_empty() {
        let mut everybody: BTreeSet<String> = settings.reach.people.keys().cloned().collect();
        let notify = settings.notify.iter();
        everybody.extend(notify.flat_map(|notify| notify.people.keys().cloned()));
        to = reached(bot, everybody);
    }
    if to.is_empty() {
        let notify = settings.notify.iter();
        to = notify
            .flat_map(|notify| notify.stakeholders.clone())
            .collect();
    }
    Ok(to)
}

fn reached(bot: &Context, ids: BTreeSet<String>) -> Vec<Recipient> {
    let people = ids.into_iter().map(|id| Person {
        name: id.clone(),
        id,
    });
    let to = people
        .flat_map(|person| ways(bot, &person))
        .map(|way| way.to);
    to.filter(|to| !matches!(to, Recipient::Slack(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bot::commands::tests::bot;
    use crate::domain::Content;

    #[tokio::test]
    async fn a_scope_that_lacks_is_told_once_in_the_main_channel_with_what_to_press() {
        let folder = tempfile::tempdir().unwrap();
        let bot = bot(&folder, None).await;
        for _ in 0..2 {
            let refusal = ChatRefusal {
                what: "conversations.create".into(),
                error: "missing_scope".into(),
                needed: Some("channels:manage".into()),
                silent: false,
            };
            chat_refuses(&bot, refusal).await;
        }
        let said = bot.store().outbox_claim("test", 9).await.unwrap();
        assert_eq!((said.len(), said[0].version), (1, 1));
        let Content::Message(message) = &said[0].outgoing.content else {
            panic!("{said:?}");
        };
        assert_eq!(
            message.title.plain(),
            "Slack refuses conversations.create: the app lacks the scope channels:manage"
        );
        let pressed = format!("{:?}", message.parts);
        assert!(pressed.contains("Reinstall to Workspace"), "{pressed}");
    }
}
