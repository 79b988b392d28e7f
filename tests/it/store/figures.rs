//! What metrics tell of the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use treasury_bot::domain::mail::Mailbox;
use treasury_bot::domain::notification::{Channel, Notification, Purpose, Recipient, Thread};
use treasury_bot::domain::{Message, Person, Severity, Status, Tone};
use treasury_bot::store::{Attempt, Figures, NewIncident, Queue, Store, StoreError, Tx};

use super::request;

/// A mail whose way is not the other tests'.
fn mail(key: &str, store: &Store) -> Notification {
    Notification {
        key: key.into(),
        to: Recipient::Email(Mailbox::parse("ana@example.com").unwrap()),
        purpose: Purpose::Escalation,
        incident: None,
        thread: Thread::new("t".into(), "Down"),
        message: Message::new(Tone::Bad, "Please acknowledge"),
        at: store.now(),
        ack: None,
    }
}

pub async fn tell_what_waits_and_what_is_open(store: &Store) {
    let before = store.figures().await.unwrap();
    assert!(before.size > 10_000, "{before:?}");
    let mails = [mail("f-1", store), mail("f-2", store)];
    let ago = store.now() - SignedDuration::from_secs(90);
    store
        .write(move |tx| {
            Box::pin(async move {
                for severity in [Severity::Sev1, Severity::Sev3, Severity::Sev3] {
                    let incident = declared(tx, severity).await?;
                    if severity == Severity::Sev1 {
                        let over = Status::Resolved;
                        let incident = treasury_bot::domain::Incident {
                            status: over,
                            ..incident
                        };
                        tx.incident_update(&incident).await?;
                    }
                }
                for mail in &mails {
                    tx.notification_put(mail).await?;
                }
                tx.timer_set("f", "late", ago, "null".into()).await?;
                let later = tx.now() + SignedDuration::from_secs(90);
                tx.timer_set("f", "later", later, "null".into()).await
            })
        })
        .await
        .unwrap();
    store.accept(request("f-3"), None).await.unwrap();
    let lease = Duration::from_secs(60);
    let due = store.notifications_claim(&Channel::Email, "one", 9, lease);
    let dead = due
        .await
        .unwrap()
        .into_iter()
        .find(|row| row.notification.key == "f-1");
    store
        .write(move |tx| {
            Box::pin(async move {
                let gone = Attempt::Dead("no such mailbox".into());
                tx.notification_attempted(dead.unwrap().id, "one", &gone)
                    .await
            })
        })
        .await
        .unwrap();

    let after = store.figures().await.unwrap();
    let more = |of: fn(&Figures) -> u64| of(&after) - of(&before);
    assert_eq!(more(|f| f.inbox.waiting), 1);
    assert_eq!(more(|f| f.incidents[0]), 0, "what is resolved is not open");
    assert_eq!(more(|f| f.incidents[2]), 2);
    assert_eq!(
        more(|f| f.timers.waiting),
        1,
        "what is in the future is not due"
    );
    assert!(after.timers.oldest >= Duration::from_secs(90), "{after:?}");
    assert!(after.inbox.oldest < Duration::from_secs(60), "{after:?}");
    let of_mail = |figures: &Figures| {
        let mut all = figures.notifications.iter();
        let found = all.find(|(way, ..)| way == "email");
        found.map_or((Queue::default(), 0), |(_, queue, dead)| (*queue, *dead))
    };
    let ((was, were_dead), (is, are_dead)) = (of_mail(&before), of_mail(&after));
    assert_eq!((is.waiting - was.waiting, are_dead - were_dead), (1, 1));
    store
        .write(|tx| Box::pin(async move { tx.timer_unset("f", "late").await }))
        .await
        .unwrap();
}

async fn declared(
    tx: &mut Tx,
    severity: Severity,
) -> Result<treasury_bot::domain::Incident, StoreError> {
    let new = NewIncident {
        title: "Slow".into(),
        severity,
        services: Vec::new(),
        declared_by: Person::bot(),
    };
    tx.incident_insert(new).await
}

pub async fn what_follows_a_commit_follows_no_failed_write(store: &Store) {
    let done = Arc::new(AtomicU32::new(0));
    for good in [true, false, true] {
        let count = done.clone();
        let written = store.write(move |tx| {
            Box::pin(async move {
                tx.after_commit(move || {
                    count.fetch_add(1, Ordering::SeqCst);
                });
                if good {
                    Ok(())
                } else {
                    Err(StoreError::Unreadable("not so".into()))
                }
            })
        });
        assert_eq!(written.await.is_ok(), good);
    }
    assert_eq!(done.load(Ordering::SeqCst), 2);
}
