//! A process that is taken for dead, and is not.

use treasury_bot::store::{Delivered, Sent, Store, StoreError};

use super::{outgoing, request};

/// `slow` is halted with a timer, a message and a request in its hands; `quick` takes them over.
pub async fn what_a_halted_process_lost_is_no_longer_its_own(store: &Store) {
    for owner in ["slow", "quick"] {
        store.instance_heartbeat(owner, true).await.unwrap();
    }
    store.accept(request("held"), None).await.unwrap();
    store
        .outbox_put(outgoing("held", "C9", "one"))
        .await
        .unwrap();
    store
        .write::<_, StoreError, _>(|tx| {
            Box::pin(async move {
                let (now, none) = (tx.now(), "null".to_owned());
                tx.timer_set("held", "timer", now, none).await
            })
        })
        .await
        .unwrap();
    let held = async |owner: &'static str| {
        let timers = store.timers_due(owner, 9).await.unwrap();
        let parcels = store.outbox_claim(owner, 9).await.unwrap();
        let requests = store.claim(owner, 9).await.unwrap();
        (timers, parcels, requests)
    };
    let slow = held("slow").await;
    assert_eq!((slow.0.len(), slow.1.len(), slow.2.len()), (1, 1, 1));
    let nothing = held("quick").await;
    assert_eq!(
        (nothing.0.len(), nothing.1.len(), nothing.2.len()),
        (0, 0, 0)
    );

    store.instance_stop("slow").await.unwrap();
    let quick = held("quick").await;
    assert_eq!(quick.0, slow.0);
    assert_eq!(quick.1[0].id, slow.1[0].id);
    assert_eq!((quick.2[0].id, quick.2[0].attempts), (slow.2[0].id, 2));

    // It goes on where it was halted: nothing of it is kept.
    store.instance_heartbeat("slow", true).await.unwrap();
    let nothing = held("slow").await;
    assert_eq!(
        (nothing.0.len(), nothing.1.len(), nothing.2.len()),
        (0, 0, 0)
    );
    let lost = |done: Result<(), StoreError>| assert!(matches!(done, Err(StoreError::Lost)));
    let (old, new, id) = (&slow.1[0], &quick.1[0], slow.2[0].id);
    lost(store.outbox_attempting(old).await);
    lost(store.outbox_retry(old, store.now(), "slow").await);
    let done = |owner: &'static str| store.write(move |tx| Box::pin(tx.inbox_done(id, owner)));
    lost(done("slow").await);
    done("quick").await.unwrap();
    lost(done("quick").await);

    // What it may have shown after the newer state is set right.
    store
        .outbox_put(outgoing("held", "C9", "two"))
        .await
        .unwrap();
    let sent = |ts: &str| Sent {
        channel: Some("C9".into()),
        ts: Some(ts.into()),
        via_response_url: false,
    };
    store.outbox_sent(new, sent("1.0")).await.unwrap();
    let newest = store.outbox_claim("quick", 9).await.unwrap().remove(0);
    store.outbox_sent(&newest, sent("1.0")).await.unwrap();
    assert!(!store.outbox_waits("held").await.unwrap());
    lost(store.outbox_sent(old, sent("1.0")).await);
    let again = store.outbox_claim("quick", 9).await.unwrap().remove(0);
    assert_eq!(again.outgoing, outgoing("held", "C9", "two"));
    store.outbox_sent(&again, sent("1.0")).await.unwrap();
    // The same where it is recorded with the next turn.
    let mut late = vec![Delivered::new(old, sent("1.0")).unwrap()];
    let turn = store.outbox_turn("quick", 9, &mut late).await.unwrap();
    assert_eq!(turn[0].outgoing, outgoing("held", "C9", "two"));
    assert_eq!((turn.len(), late.len()), (1, 0));
    store.outbox_sent(&turn[0], sent("1.0")).await.unwrap();

    let timer = quick.0[0].clone();
    let taken = store
        .write::<_, StoreError, _>(move |tx| Box::pin(async move { tx.timer_take(&timer).await }));
    assert!(taken.await.unwrap().is_some());
}
