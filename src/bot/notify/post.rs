//! The post: takes mails that are due and hands them over, again and again until a server has taken
//! them, or says that it never will, or a day has passed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::words;
use crate::bot::Context;
use crate::domain::duration::between;
use crate::domain::timeline::Draft;
use crate::domain::{Destination, EntryKind, IncidentId, Outgoing, Person, Status, Stream};
use crate::notify::{SendError, Smtp};
use crate::store::{MailRow, StoreError, Tx};

/// Mails that are handed over at the same time.
const AT_ONCE: usize = 4;
/// Looked for new mails at least so often: another process may write one.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A process has so long to record what became of a mail, beyond handing it over.
const LEASE_SPARE: Duration = Duration::from_secs(10);
const BACKOFF: Duration = Duration::from_secs(2);
const BACKOFF_MAX: Duration = Duration::from_mins(10);
/// A mail that waits for so long is told of.
const LATE: Duration = Duration::from_mins(5);
/// A mail is given up after this time.
const GIVE_UP: Duration = Duration::from_hours(24);

/// What a failed attempt leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Again after this time. `tell`: it is late by now, and was not at the last attempt.
    Again {
        after: Duration,
        tell: bool,
    },
    GiveUp,
}

/// What follows the attempt after `attempts` failed ones, for a mail of this age; `chance` is from 0
/// to 1, so that mails that failed together don't come back together.
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
        // The attempt that is the first beyond the limit tells.
        tell: age < LATE && age + after >= LATE,
    }
}

/// Sends mails until the shutdown; those under way then are finished.
pub async fn keep_mailing(context: Context, smtp: Smtp) {
    let smtp = Arc::new(smtp);
    let mut under_way = JoinSet::new();
    if let Err(error) = context.store().mails_inherit().await {
        tracing::error!(%error, "mails of a former process wait until its lease is over");
    }
    loop {
        while under_way.try_join_next().is_some() {}
        let wait = match send_due(&context, &smtp, &mut under_way).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(%error, "mails can't be read");
                LOOK_EVERY
            }
        };
        tokio::select! {
            () = context.shutdown().cancelled() => break,
            () = context.store().mails_changed() => {}
            Some(_) = under_way.join_next() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    let rest = async { while under_way.join_next().await.is_some() {} };
    if timeout(smtp.timeout() + LEASE_SPARE, rest).await.is_err() {
        tracing::warn!("mails were cut short; they are taken up again at the next start");
    }
}

/// Begins what is due; says how long nothing more will be.
async fn send_due(
    context: &Context,
    smtp: &Arc<Smtp>,
    under_way: &mut JoinSet<()>,
) -> Result<Duration, StoreError> {
    let free = AT_ONCE.saturating_sub(under_way.len());
    if free > 0 {
        let lease = smtp.timeout() + LEASE_SPARE;
        let owner = context.instance();
        let due = context
            .store()
            .mails_claim(owner, free as i64, lease)
            .await?;
        for row in due {
            let (bot, smtp) = (context.clone(), smtp.clone());
            under_way.spawn(async move { send_mail(&bot, &smtp, row).await });
        }
    }
    if under_way.len() >= AT_ONCE {
        // One that ends makes room.
        return Ok(LOOK_EVERY);
    }
    let due = context.store().mail_next().await?;
    let wait = due.map_or(LOOK_EVERY, |due| between(context.store().now(), due));
    Ok(wait.clamp(Duration::from_millis(20), LOOK_EVERY))
}

async fn send_mail(context: &Context, smtp: &Smtp, row: MailRow) {
    let sent = smtp.send(&row.mail).await;
    let key = row.mail.key.clone();
    let recorded = match sent {
        Ok(()) => {
            count("sent");
            was_sent(context, row).await
        }
        Err(SendError::Refused(why)) => {
            count("dead");
            tracing::error!(key, "a mail is refused for good: {why}");
            is_dead(context, row, why, false).await
        }
        Err(SendError::Later(why)) => {
            let age = between(row.created_at, context.store().now());
            match next(row.attempts, age, rand::random()) {
                Next::GiveUp => {
                    count("dead");
                    tracing::error!(key, "a mail is given up after a day: {why}");
                    is_dead(context, row, why, true).await
                }
                Next::Again { after, tell } => {
                    count("retry");
                    tracing::warn!(
                        key,
                        attempts = row.attempts,
                        "a mail was not sent; again in {} s: {why}",
                        after.as_secs()
                    );
                    again_later(context, row, why, after, tell).await
                }
            }
        }
    };
    if let Err(error) = recorded {
        // The lease runs out, and it is sent once more: under the same Message-ID.
        tracing::error!(key, %error, "what became of a mail could not be recorded");
    }
}

async fn was_sent(context: &Context, row: MailRow) -> Result<(), StoreError> {
    let late = between(row.created_at, context.store().now()) >= LATE;
    let key = trouble_key(row.created_at);
    let told = late && context.store().outbox_read(&key).await?.is_some();
    let owner = context.instance().to_owned();
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                if tx.mail_sent(row.id, &owner).await? && told {
                    let message = words::again(&tx.mail_backlog().await?);
                    tx.outbox_put(&Outgoing::announcement(key, Destination::Home, message))
                        .await?;
                }
                Ok(())
            })
        })
        .await
}

async fn again_later(
    context: &Context,
    row: MailRow,
    why: String,
    after: Duration,
    tell: bool,
) -> Result<(), StoreError> {
    let owner = context.instance().to_owned();
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let at = tx.now().checked_add(after).unwrap_or(tx.now());
                if tx.mail_later(row.id, &owner, at, &why).await? && tell {
                    let backlog = tx.mail_backlog().await?;
                    let message = words::trouble(&backlog, &why, tx.now());
                    let key = trouble_key(row.created_at);
                    tx.outbox_put(&Outgoing::announcement(key, Destination::Home, message))
                        .await?;
                }
                Ok(())
            })
        })
        .await
}

/// It is kept, counted, and told: in the main channel and on the incident's timeline. Of those
/// that were given up, a day's are told together.
async fn is_dead(
    context: &Context,
    row: MailRow,
    why: String,
    given_up: bool,
) -> Result<(), StoreError> {
    let owner = context.instance().to_owned();
    context
        .store()
        .write(move |tx| {
            Box::pin(async move {
                if !tx.mail_dead(row.id, &owner, &why).await? {
                    return Ok(());
                }
                let mail = &row.mail;
                let (key, message) = if given_up {
                    let backlog = tx.mail_backlog().await?;
                    let message = words::trouble(&backlog, &why, tx.now());
                    (trouble_key(row.created_at), message)
                } else {
                    (format!("mail-dead:{}", mail.key), words::dead(mail, &why))
                };
                tx.outbox_put(&Outgoing::announcement(key, Destination::Home, message))
                    .await?;
                let text = format!("an e-mail to {} was not delivered: {why}", mail.to);
                let draft = Draft::new(&Person::bot(), EntryKind::Update, text).data(json!({
                    "mail": mail.key,
                    "purpose": mail.purpose,
                    "attempts": row.attempts + 1,
                }));
                let stream = stream_of(tx, mail.incident).await?;
                tx.append(&stream, draft).await?;
                Ok(())
            })
        })
        .await
}

/// The incident's timeline, or the audit's once nothing more is added to that.
async fn stream_of(tx: &mut Tx, id: Option<IncidentId>) -> Result<Stream, StoreError> {
    let Some(id) = id else {
        return Ok(Stream::Audit);
    };
    let open = tx
        .incident(id)
        .await?
        .is_some_and(|incident| incident.status != Status::Closed);
    Ok(if open {
        Stream::Incident(id)
    } else {
        Stream::Audit
    })
}

/// The message about mails of a day that don't get out.
fn trouble_key(created_at: Timestamp) -> String {
    let day = created_at.to_zoned(TimeZone::UTC).date();
    format!("mail-trouble:{day}")
}

fn count(outcome: &'static str) {
    metrics::counter!("treasury_bot_mails_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mail::{Mail, Mailbox, Purpose};
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
                Next::Again { after, tell } => {
                    assert!(after >= BACKOFF / 2 && after <= BACKOFF_MAX);
                    told += u32::from(tell);
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
            let mail = Mail {
                key: key.into(),
                to: Mailbox::parse("ana@example.com").unwrap(),
                purpose: Purpose::Ask,
                incident: None,
                thread: "t".into(),
                subject: "Down".into(),
                message: Message::new(Tone::Bad, "Please acknowledge"),
                at: store.now(),
            };
            store
                .write(move |tx| Box::pin(async move { tx.mail_put(&mail).await }))
                .await
                .unwrap();
            let owner = bot.instance().to_owned();
            mails.extend(store.mails_claim(&owner, 1, LATE).await.unwrap());
        }
        let said = || async {
            let key = trouble_key(mails[0].created_at);
            let said = store.outbox_read(&key).await.unwrap()?;
            let Content::Message(message) = said.0.content else {
                panic!("{said:?}");
            };
            Some(message.title.plain())
        };
        let long_ago = |row: &MailRow| MailRow {
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
        again_later(&bot, late.clone(), why(), LATE, false)
            .await
            .unwrap();
        assert_eq!(said().await, None, "too early");
        again_later(&bot, late.clone(), why(), LATE, true)
            .await
            .unwrap();
        let told = said().await.unwrap();
        assert!(
            told.starts_with("E-mail does not get out: 3 e-mails waiting"),
            "{told}"
        );
        is_dead(&bot, long_ago(&mails[1]), why(), true)
            .await
            .unwrap();
        let told = said().await.unwrap();
        assert!(told.contains("2 e-mails waiting"), "{told}");
        let audit = store.entries(&Stream::Audit).await.unwrap();
        assert_eq!(audit[0].kind, EntryKind::Update);
        assert!(audit[0].text.contains("connecting: refused"), "{audit:?}");
        was_sent(&bot, mails[2].clone()).await.unwrap();
        assert!(
            said().await.unwrap().contains("2 e-mails waiting"),
            "not late"
        );
        was_sent(&bot, late).await.unwrap();
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
