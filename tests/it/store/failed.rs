//! Writes that fail.

use treasury_bot::domain::timeline::Draft;
use treasury_bot::domain::{EntryKind, IncidentId, Person, Stream};
use treasury_bot::store::{Store, StoreError};

pub async fn a_failed_write_leaves_nothing_and_harms_no_other(store: &Store) {
    let stream = Stream::Incident(IncidentId(501));
    let note = |text: &str| Draft::new(&Person::bot(), EntryKind::Note, text);
    let (good, bad, panics) = (note("good"), note("bad"), note("panics"));
    let (s1, s2, s3) = (stream.clone(), stream.clone(), stream.clone());
    // All three may share one transaction (SQLite): only the good one stays.
    let (good, bad, panicked) = tokio::join!(
        store.write::<_, StoreError, _>(move |tx| Box::pin(async move {
            tx.append(&s1, good).await.map(|_| ())
        })),
        store.write::<(), StoreError, _>(move |tx| Box::pin(async move {
            tx.append(&s2, bad).await?;
            Err(StoreError::Unreadable("on purpose".into()))
        })),
        store.write::<(), StoreError, _>(move |tx| Box::pin(async move {
            tx.append(&s3, panics).await?;
            panic!("on purpose")
        })),
    );
    good.unwrap();
    assert!(matches!(bad, Err(StoreError::Unreadable(_))));
    assert!(matches!(panicked, Err(StoreError::Closed)));
    let entries = store.entries(&stream).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].text, "good");

    // The same with each in a transaction of its own.
    let (alone, last) = (stream.clone(), stream.clone());
    let failed = store.write::<(), StoreError, _>(move |tx| {
        Box::pin(async move {
            tx.append(&alone, Draft::new(&Person::bot(), EntryKind::Note, "bad"))
                .await?;
            Err(StoreError::Unreadable("on purpose".into()))
        })
    });
    assert!(matches!(failed.await, Err(StoreError::Unreadable(_))));
    let panicked = store.write::<(), StoreError, _>(move |tx| {
        Box::pin(async move {
            tx.append(&last, Draft::new(&Person::bot(), EntryKind::Note, "panics"))
                .await?;
            panic!("on purpose")
        })
    });
    assert!(matches!(panicked.await, Err(StoreError::Closed)));
    assert_eq!(store.entries(&stream).await.unwrap().len(), 1);
}
