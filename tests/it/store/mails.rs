//! Notifications: one process's at a time, sent once.

use std::time::Duration;

use treasury_bot::domain::mail::Mailbox;
use treasury_bot::domain::notification::{Channel, Notification, Purpose, Recipient, Thread};
use treasury_bot::domain::{IncidentId, Message, Tone};
use treasury_bot::store::{Attempt, Store, StoreError};

pub async fn a_mail_is_one_process_s_at_a_time_and_sent_once(store: &Store) {
    let lease = Duration::from_millis(200);
    let claim = |owner, most| store.notifications_claim(&Channel::Email, owner, most, lease);
    for owner in ["one", "two", "three"] {
        store.instance_heartbeat(owner, true).await.unwrap();
    }
    for (key, purpose) in [
        ("told", Purpose::Stakeholders),
        ("asked", Purpose::Escalation),
        ("told", Purpose::Stakeholders),
    ] {
        let mail = mail(key, purpose);
        store
            .write(move |tx| Box::pin(async move { tx.notification_put(&mail).await }))
            .await
            .unwrap();
    }
    // Whoever is asked goes first; a mail of a known key is not wanted twice.
    let first = claim("one", 1).await.unwrap();
    assert_eq!(first[0].notification, mail("asked", Purpose::Escalation));
    let rest = claim("two", 9).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].notification.key, "told");
    // Its process is slow: it is not robbed, though it may begin anew itself.
    tokio::time::sleep(lease).await;
    assert_eq!(claim("three", 9).await.unwrap(), []);
    assert_eq!(claim("one", 9).await.unwrap()[0].id, first[0].id);
    // It is dead: another takes it, and the first has no more say in it.
    store.instance_stop("one").await.unwrap();
    let again = claim("three", 1).await.unwrap();
    store.instance_heartbeat("one", true).await.unwrap();
    assert_eq!(again[0].id, first[0].id);
    let ended = |id: i64, owner: &'static str, dead: bool| {
        store.write(move |tx| {
            Box::pin(async move {
                let attempt = if dead {
                    Attempt::Dead("no such mailbox".into())
                } else {
                    Attempt::Sent
                };
                tx.notification_attempted(id, owner, &attempt).await
            })
        })
    };
    let (asked, told) = (first[0].id, rest[0].id);
    assert!(!ended(asked, "one", false).await.unwrap());
    assert!(ended(asked, "three", false).await.unwrap());
    assert!(!ended(asked, "three", true).await.unwrap(), "it was sent");
    let backlog = store.notification_backlog(&Channel::Email).await.unwrap();
    assert_eq!((backlog.waiting, backlog.dead), (1, 0));
    assert!(backlog.oldest.is_some_and(|at| at < store.now()));
    assert!(ended(told, "two", true).await.unwrap());
    let backlog = store.notification_backlog(&Channel::Email).await.unwrap();
    assert_eq!(
        (backlog.waiting, backlog.dead, backlog.oldest),
        (0, 1, None)
    );
    assert_eq!(
        store.notification_next(&Channel::Email).await.unwrap(),
        None
    );
    let known = store.write(|tx| {
        Box::pin(async move {
            let (told, other) = (Purpose::Stakeholders, Purpose::Runbook);
            let told = tx.was_notified(IncidentId(7), told).await?;
            Ok::<_, StoreError>((told, tx.was_notified(IncidentId(7), other).await?))
        })
    });
    assert_eq!(known.await.unwrap(), (true, false));
}

fn mail(key: &str, purpose: Purpose) -> Notification {
    Notification {
        key: key.into(),
        to: Recipient::Email(Mailbox::parse("ana@example.com").unwrap()),
        purpose,
        incident: Some(IncidentId(7)),
        thread: Thread::new("INC-7/1".into(), "[INC-7] Down"),
        message: Message::new(Tone::Plain, "Down"),
        at: jiff::Timestamp::UNIX_EPOCH,
        ack: None,
    }
}
