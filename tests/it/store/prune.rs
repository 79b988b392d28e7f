//! What is over can be removed, and nothing else.

use std::time::Duration;

use treasury_bot::domain::question::QuestionState;
use treasury_bot::store::{NewRun, Place, Prunable, RunWrite, Sent, Store, StoreError};

use super::{outgoing, question, request};

pub async fn removes_what_is_over_and_nothing_else(store: &Store) {
    store.accept(request("p-asked"), None).await.unwrap();
    for (key, place) in [("p-waits", "C7"), ("p-said", "C8")] {
        store.outbox_put(outgoing(key, place, key)).await.unwrap();
    }
    for parcel in store.outbox_claim("prune", 99).await.unwrap() {
        if parcel.outgoing.key == "p-said" {
            store.outbox_sent(&parcel, Sent::default()).await.unwrap();
        }
    }
    store
        .write::<_, StoreError, _>(|tx| {
            Box::pin(async move {
                let until = tx.now() + Duration::from_secs(60);
                for token in ["p-open", "p-answered"] {
                    tx.question_put(token, token, &question(), until).await?;
                }
                tx.question_answer("p-answered", QuestionState::Confirmed)
                    .await?;
                for key in ["p-runs", "p-ran"] {
                    let run = NewRun {
                        key: key.into(),
                        name: "mend".into(),
                        source: String::new(),
                        start: "{}".into(),
                        message: "{}".into(),
                        incident: None,
                    };
                    let (id, _) = tx.run_begin(&run, "one").await?;
                    let mut write = RunWrite {
                        steps: vec![("look".into(), "{}".into())],
                        ..RunWrite::default()
                    };
                    write.verdict = (key == "p-ran").then(|| "\"succeeded\"".into());
                    tx.run_write(id, "one", &write).await?;
                    tx.run_tell(id, &format!("{key}-told"), "{}").await?;
                }
                tx.alert_groups(&["p-group".to_owned()].into()).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
    assert!(store.run_goes_on("p-runs").await.unwrap());
    assert!(!store.run_goes_on("p-ran").await.unwrap());

    // Of nothing that is over now it is said that it was over before all of it began.
    let (epoch, later) = (
        jiff::Timestamp::UNIX_EPOCH + Duration::from_secs(1),
        store.now() + Duration::from_secs(3_600),
    );
    for what in Prunable::ALL {
        if !matches!(
            what,
            Prunable::Conversations | Prunable::Groups | Prunable::Silences
        ) {
            assert_eq!(removed(store, what, epoch).await.0, [""; 0], "{what:?}");
        }
    }
    let mut left = Vec::new();
    for what in Prunable::ALL {
        let (gone, stays) = removed(store, what, later).await;
        assert_eq!(
            removed(store, what, later).await.0,
            [""; 0],
            "{what:?}: {gone:?} is gone already"
        );
        left.extend(stays);
    }
    left.retain(|about| about.starts_with("p-"));
    assert_eq!(left, ["p-waits", "p-asked"]);
    assert_eq!(store.runs(9).await.unwrap().len(), 1);
    let running = store.runs(9).await.unwrap().remove(0).id;
    assert_eq!(store.run_steps(running).await.unwrap().len(), 1);
    assert_eq!(store.run_events(running).await.unwrap().len(), 1);
    let question = store.question("p-open").await.unwrap();
    assert_eq!(question.unwrap().state, QuestionState::Open);
    assert_eq!(store.question("p-answered").await.unwrap(), None);
    assert!(store.outbox_read("p-said").await.unwrap().is_none());

    // The room of what is gone goes back to the disk, a little at a time.
    let size = async || store.figures().await.unwrap().size;
    let before = size().await;
    while store
        .give_back(2)
        .await
        .unwrap()
        .is_some_and(|left| left > 0)
    {}
    store.checkpoint().await.unwrap();
    assert!(size().await <= before);
}

/// Removes what is over, two rows at a time; about what these were, and about what those that stay.
async fn removed(
    store: &Store,
    what: Prunable,
    before: jiff::Timestamp,
) -> (Vec<String>, Vec<String>) {
    let mut place = Place::default();
    let (mut gone, mut stays) = (Vec::new(), Vec::new());
    loop {
        let page = store.prunable(what, before, &place, 2).await.unwrap();
        if let Some(last) = page.rows.last() {
            assert_ne!(last.place, place, "{what:?} goes on");
            place = last.place.clone();
        }
        let (over, others): (Vec<_>, Vec<_>) = page.rows.into_iter().partition(|row| row.is_over);
        gone.extend(over.iter().map(|row| row.about.clone()));
        stays.extend(others.into_iter().map(|row| row.about));
        let count = over.len() as u64;
        let write = store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move { tx.prune(what, before, &over).await })
        });
        assert_eq!(write.await.unwrap(), count, "{what:?}");
        if page.is_last {
            return (gone, stays);
        }
    }
}
