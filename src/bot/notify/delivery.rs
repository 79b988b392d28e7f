//! Delivery: takes notifications that are due and hands them over, again and again until they are
//! taken, or refused for good, or a day has passed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Instrument;

use super::link::ack_link;
use super::words;
use crate::bot::Context;
use crate::domain::duration::between;
use crate::domain::notification::Channel;
use crate::domain::timeline::Draft;
use crate::domain::{Destination, EntryKind, IncidentId, Outgoing, Person, Status, Stream};
use crate::notify::{SendError, Sender};
use crate::store::{Attempt, NotificationRow, StoreError, Tx};
use crate::telemetry::metrics::NOTIFICATIONS;

/// Notifications that a sender hands over at the same time.
const AT_ONCE: usize = 4;
/// They are looked for at least so often: one that another process wrote may go unheard of, and one that
/// it claimed is left when it dies.
const POLL: Duration = Duration::from_secs(2);
/// At the end of the process, what is under way has so long beyond handing it over.
const SPARE: Duration = Duration::from_secs(10);
/// What became of one is recorded within so long, while the store is away. One of which nothing was
/// recorded by then is handed over again.
const RECORD_WITHIN: Duration = Duration::from_mins(10);
/// What is to be acknowledged and does not fire just now is looked at again after this time.
const QUIET: Duration = Duration::from_secs(5);
const BACKOFF: Duration = Duration::from_secs(2);
const BACKOFF_MAX: Duration = Duration::from_mins(10);
/// People hear of one that waits for so long.
const LATE: Duration = Duration::from_mins(5);
/// It is given up after this time.
const GIVE_UP: Duration = Duration::from_hours(24);

/// What a failed attempt leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Again after this time. `is_late`: it is late by now, and was not at the last attempt.
    Again {
        after: Duration,
        is_late: bool,
    },
    GiveUp,
}

/// What follows the attempt after `attempts` failed ones, at this age; `chance` is from 0 to 1, so that
/// what failed together does not come back together.
fn next(attempts: u32, age: Duration, chance: f64) -> Next {
    if age >= GIVE_UP {
        return Next::GiveUp;
    }
    let most = BACKOFF
        .saturating_mul(2_u32.saturating_pow(attempts.min(16)))
        .min(BACKOFF_MAX);
    let after = most.mul_f64(0.5 + chance / 2.0);
    Next::Again {
        after,
        // Only of the first attempt beyond the limit.
        is_late: age < LATE && age + after >= LATE,
    }
}

/// What people hear of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    /// Notifications of this channel don't get out.
    Late,
    /// They do again.
    Again,
    /// This one will never arrive.
    Refused,
}

/// Sends notifications by this way until the shutdown; those under way then are finished.
pub async fn deliver(context: Context, sender: Arc<dyn Sender>) {
    let mut under_way = JoinSet::new();
    for outcome in ["sent", "retry", "dead"] {
        // The first of them is an increase.
        NOTIFICATIONS.add(&[&sender.channel().as_str(), outcome], 0);
    }
    loop {
        while under_way.try_join_next().is_some() {}
        let wait = match send_due(&context, &sender, &mut under_way).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(%error, "notifications can't be read");
                POLL
            }
        };
        tokio::select! {
            () = context.shutdown().cancelled() => break,
            () = context.store().notifications_changed() => {}
            Some(_) = under_way.join_next() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    let rest = async { while under_way.join_next().await.is_some() {} };
    if timeout(sender.timeout() + SPARE, rest).await.is_err() {
        tracing::warn!("notifications were cut short; they are taken up again at the next start");
    }
}

/// Begins what is due; says how long nothing more will be.
async fn send_due(
    context: &Context,
    sender: &Arc<dyn Sender>,
    under_way: &mut JoinSet<()>,
) -> Result<Duration, StoreError> {
    let (store, channel) = (context.store(), &sender.channel());
    let free = AT_ONCE.saturating_sub(under_way.len());
    if free > 0 {
        let lease = sender.timeout() + RECORD_WITHIN + SPARE;
        let owner = context.instance();
        let due = store
            .notifications_claim(channel, owner, free as i64, lease)
            .await?;
        for row in due {
            let (bot, sender) = (context.clone(), sender.clone());
            let span = tracing::error_span!(
                "notification",
                notification = row.notification.key,
                way = %channel.as_str(),
                incident = row.notification.incident.map(tracing::field::display),
            );
            let work = async move { send(&bot, sender.as_ref(), row).await };
            under_way.spawn(work.instrument(span));
        }
    }
    if under_way.len() >= AT_ONCE {
        // One that ends makes room.
        return Ok(POLL);
    }
    let due = store.notification_next(channel).await?;
    let wait = due.map_or(POLL, |due| between(context.now(), due));
    Ok(wait.clamp(Duration::from_millis(20), POLL))
}

async fn send(context: &Context, sender: &dyn Sender, row: NotificationRow) {
    let key = row.notification.key.clone();
    if let Some(ack) = &row.notification.ack
        && is_silent(context, &ack.conversation).await
    {
        let at = context.now() + QUIET;
        let held = Attempt::Later(at, "nothing of it fires now".to_owned());
        if let Err(error) = record(context, row, held, None).await {
            tracing::error!(key, %error, "what became of a notification could not be recorded");
        }
        return;
    }
    let link = ack_link(context, &row.notification).await;
    let link = link.unwrap_or_else(|error| {
        // The words say what to type.
        tracing::error!(key, %error, "a notification goes out without its link");
        None
    });
    let handed_over = if context.store().is_still_held(row.claimed_at) {
        sender.send(&row.notification, link.as_deref()).await
    } else {
        // Halted or cut off for so long that another process may have handed it over.
        Err(SendError::Later(
            "this process was cut off from the store".into(),
        ))
    };
    let recorded = match handed_over {
        Ok(()) => sent(context, row).await,
        Err(SendError::Refused(why)) => {
            tracing::error!(key, "a notification is refused for good: {why}");
            record(context, row, Attempt::Dead(why), Some(News::Refused)).await
        }
        Err(error) => {
            let (least, why) = match error {
                SendError::Wait(least, why) => (least, why),
                SendError::Later(why) | SendError::Refused(why) => (Duration::ZERO, why),
            };
            let age = between(row.created_at, context.now());
            match next(row.attempts, age, rand::random()) {
                Next::GiveUp => {
                    tracing::error!(key, "a notification is given up after a day: {why}");
                    record(context, row, Attempt::Dead(why), Some(News::Late)).await
                }
                Next::Again { after, is_late } => {
                    let after = after.max(least);
                    tracing::warn!(
                        key,
                        attempts = row.attempts,
                        "a notification was not sent; again in {} s: {why}",
                        after.as_secs()
                    );
                    let at = context.now().checked_add(after).unwrap_or(context.now());
                    let news = is_late.then_some(News::Late);
                    record(context, row, Attempt::Later(at, why), news).await
                }
            }
        }
    };
    if let Err(error) = recorded {
        // It is sent once more: under the same Message-ID.
        tracing::error!(key, %error, "what became of a notification could not be recorded");
    }
}

/// There are alerts, and none of them fires and is heard: nobody is woken by it now. It may fire again
/// before it counts as over.
async fn is_silent(context: &Context, conversation: &str) -> bool {
    match context.store().alert_summary(conversation).await {
        Ok(summary) => summary.firing + summary.resolved > 0 && summary.audible() == 0,
        Err(error) => {
            tracing::error!(conversation, %error, "whether alerts fire can't be read");
            false
        }
    }
}

async fn sent(context: &Context, row: NotificationRow) -> Result<(), StoreError> {
    let was_late = between(row.created_at, context.now()) >= LATE;
    let key = late_key(&row.notification.to.channel(), row.created_at);
    let again = was_late && context.store().outbox_read(&key).await?.is_some();
    let news = again.then_some(News::Again);
    record(context, row, Attempt::Sent, news).await
}

/// Records an attempt with what people hear of it. One that is dead is kept, counted, and said: in
/// the main channel and on the incident's timeline. Those that are late or given up on one day share
/// a message.
async fn record(
    context: &Context,
    row: NotificationRow,
    attempt: Attempt,
    news: Option<News>,
) -> Result<(), StoreError> {
    let outcome = match &attempt {
        Attempt::Sent => "sent",
        Attempt::Dead(_) => "dead",
        Attempt::Later(..) => "retry",
    };
    let way = row.notification.to.channel();
    NOTIFICATIONS.count(&[&way.as_str(), outcome]);
    let began = Instant::now();
    loop {
        match record_once(context, row.clone(), attempt.clone(), news).await {
            // What was handed over must not stay unrecorded: it would be handed over again.
            Err(error) if began.elapsed() < RECORD_WITHIN => {
                tracing::warn!(key = row.notification.key, %error, "it is recorded later");
                let pause = tokio::time::sleep(BACKOFF);
                if context
                    .shutdown()
                    .run_until_cancelled(pause)
                    .await
                    .is_none()
                {
                    return Err(error);
                }
            }
            recorded => return recorded,
        }
    }
}

async fn record_once(
    context: &Context,
    row: NotificationRow,
    attempt: Attempt,
    news: Option<News>,
) -> Result<(), StoreError> {
    let owner = context.instance().to_owned();
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                if !tx.notification_attempted(row.id, &owner, &attempt).await? {
                    let key = &row.notification.key;
                    tracing::warn!(key, "another process has taken a notification over");
                    return Ok(());
                }
                let why = match &attempt {
                    Attempt::Dead(why) | Attempt::Later(_, why) => why,
                    Attempt::Sent => "",
                };
                if let Some(news) = news {
                    report(tx, &row, why, news).await?;
                }
                if let Attempt::Dead(why) = &attempt {
                    note_dead(tx, &row, why).await?;
                }
                Ok(())
            })
        })
        .await
}

async fn report(
    tx: &mut Tx,
    row: &NotificationRow,
    why: &str,
    news: News,
) -> Result<(), StoreError> {
    let channel = &row.notification.to.channel();
    let backlog = tx.notification_backlog(channel).await?;
    let late = late_key(channel, row.created_at);
    let (key, message) = match news {
        News::Late => (late, words::late(channel, &backlog, why, tx.now())),
        News::Again => (late, words::again(channel, &backlog)),
        News::Refused => (
            format!("{}-dead:{}", channel.as_str(), row.notification.key),
            words::dead(&row.notification, why),
        ),
    };
    tx.outbox_put(&Outgoing::announcement(key, Destination::Home, message))
        .await
}

async fn note_dead(tx: &mut Tx, row: &NotificationRow, why: &str) -> Result<(), StoreError> {
    let NotificationRow { notification, .. } = row;
    let (noun, to) = (notification.to.channel().noun(), &notification.to);
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    let text = format!("{article} {noun} to {to} was not delivered: {why}");
    let draft = Draft::new(&Person::bot(), EntryKind::Update, text).data(json!({
        "notification": notification.key,
        "purpose": notification.purpose,
        "attempts": row.attempts + 1,
    }));
    let stream = stream_of(tx, notification.incident).await?;
    tx.append(&stream, draft).await?;
    Ok(())
}

/// The incident's timeline, or the audit's once nothing more is added to that.
async fn stream_of(tx: &mut Tx, id: Option<IncidentId>) -> Result<Stream, StoreError> {
    let incident = match id {
        Some(id) => tx.incident(id).await?,
        None => None,
    };
    let open = incident.filter(|incident| incident.status != Status::Closed);
    Ok(open.map_or(Stream::Audit, |incident| Stream::Incident(incident.id)))
}

/// The message about a day's notifications that don't get out.
fn late_key(channel: &Channel, created_at: Timestamp) -> String {
    let day = created_at.to_zoned(TimeZone::UTC).date();
    format!("{}-late:{day}", channel.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mail::Mailbox;
    use crate::domain::notification::{Notification, Purpose, Recipient, Thread};
    use crate::domain::{Content, Message, Tone};

    #[test]
    fn attempts_come_ever_later_and_end_after_a_day() {
        let mut age = Duration::ZERO;
        let mut told = 0;
        for attempts in 0.. {
            match next(attempts, age, 0.5) {
                Next::GiveUp => {
                    assert!(age >= GIVE_UP && age < GIVE_UP + BACKOFF_MAX, "{age:?}");
                    assert!((100..300).contains(&attempts), "{attempts}");
                    break;
                }
                Next::Again { after, is_late } => {
                    assert!(after >= BACKOFF / 2 && after <= BACKOFF_MAX);
                    told += u32::from(is_late);
                    age += after;
                }
            }
        }
        assert_eq!(told, 1);
    }

    #[tokio::test]
    async fn mails_that_are_late_are_told_of_once_and_so_is_that_they_go_out_again() {
        let folder = tempfile::tempdir().unwrap();
        let bot = crate::bot::commands::tests::bot(&folder, None).await;
        let store = bot.store().clone();
        let mut mails = Vec::new();
        for key in ["a", "b", "c"] {
            let mail = Notification {
                key: key.into(),
                to: Recipient::Email(Mailbox::parse("ana@example.com").unwrap()),
                purpose: Purpose::Escalation,
                incident: None,
                thread: Thread::new("t".into(), "Down"),
                message: Message::new(Tone::Bad, "Please acknowledge"),
                at: store.now(),
                ack: None,
            };
            store
                .write(move |tx| Box::pin(async move { tx.notification_put(&mail).await }))
                .await
                .unwrap();
            let owner = bot.instance().to_owned();
            mails.extend(
                store
                    .notifications_claim(&Channel::Email, &owner, 1, LATE)
                    .await
                    .unwrap(),
            );
        }
        let said = || async {
            let key = late_key(&Channel::Email, mails[0].created_at);
            let said = store.outbox_read(&key).await.unwrap()?;
            let Content::Message(message) = said.0.content else {
                panic!("{said:?}");
            };
            Some(message.title.plain())
        };
        let long_ago = |row: &NotificationRow| NotificationRow {
            created_at: row.created_at - LATE,
            ..row.clone()
        };
        let late = long_ago(&mails[0]);
        let day = late.created_at.to_zoned(TimeZone::UTC).date();
        if day != mails[0].created_at.to_zoned(TimeZone::UTC).date() {
            // Just after midnight these are two days' messages.
            return;
        }
        let why = || "smtp.example.com:587, connecting: refused".to_owned();
        let retry = || Attempt::Later(store.now() + LATE, why());
        record(&bot, late.clone(), retry(), None).await.unwrap();
        assert_eq!(said().await, None, "too early");
        record(&bot, late.clone(), retry(), Some(News::Late))
            .await
            .unwrap();
        let told = said().await.unwrap();
        assert!(
            told.starts_with("E-mail does not get out: 3 e-mails waiting"),
            "{told}"
        );
        record(
            &bot,
            long_ago(&mails[1]),
            Attempt::Dead(why()),
            Some(News::Late),
        )
        .await
        .unwrap();
        let told = said().await.unwrap();
        assert!(told.contains("2 e-mails waiting"), "{told}");
        let audit = store.entries(&Stream::Audit).await.unwrap();
        assert_eq!(audit[0].kind, EntryKind::Update);
        assert!(audit[0].text.contains("connecting: refused"), "{audit:?}");
        sent(&bot, mails[2].clone()).await.unwrap();
        assert!(
            said().await.unwrap().contains("2 e-mails waiting"),
            "not late"
        );
        sent(&bot, late).await.unwrap();
        assert_eq!(said().await.unwrap(), "E-mail goes out again: none waits");
    }

    #[test]
    fn what_failed_together_does_not_come_back_together() {
        let after = |chance| match next(5, Duration::ZERO, chance) {
            Next::Again { after, .. } => after,
            Next::GiveUp => panic!("given up at once"),
        };
        assert_eq!(after(0.0), Duration::from_secs(32));
        assert_eq!(after(1.0), Duration::from_secs(64));
    }
}
