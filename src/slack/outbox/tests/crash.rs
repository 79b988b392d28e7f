//! Calls whose answer was lost, and posters that lost their memory: said once all the same.

use std::time::Duration;

use tokio::time::Instant;

use super::super::{ApiError, Outbox};
use crate::domain::{Destination, Place, Tone};
use crate::sandbox::slack::Fault;
use crate::slack::scopes::Method;
use crate::slack::tests::{Bench, PATIENCE, in_channel, message};

const CHANNEL: &str = "#treasury-incidents";

/// Delivers what is due, with one poster, until nothing waits.
async fn deliver_all(bench: &Bench, outbox: &Outbox) {
    let all = async {
        while bench.store.outbox_depth().await.unwrap() > 0 {
            for parcel in bench.store.outbox_claim("test", 16).await.unwrap() {
                outbox.deliver(parcel).await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap();
}

async fn attempt_once(bench: &Bench, outbox: &Outbox) {
    for parcel in bench.store.outbox_claim("test", 16).await.unwrap() {
        outbox.deliver(parcel).await;
    }
}

#[tokio::test]
async fn a_post_without_an_answer_is_found_again_and_brought_up_to_date() {
    let bench = Bench::start().await.by_hand().await;
    bench
        .put("m", in_channel(CHANNEL), message(Tone::Progress, "begun"))
        .await;
    bench
        .sandbox
        .faults()
        .next("chat.postMessage", 1, Fault::DropAfterAccept);
    attempt_once(&bench, &bench.outbox(PATIENCE)).await;
    assert_eq!(bench.store.outbox_depth().await.unwrap(), 1);
    // Meanwhile the news has changed, and the process has died.
    bench
        .put("m", in_channel(CHANNEL), message(Tone::Good, "done"))
        .await;
    deliver_all(&bench, &bench.outbox(PATIENCE)).await;
    assert_eq!(bench.said(CHANNEL, |_| true).await, ["✅ done"]);
    assert_eq!(bench.calls("chat.postMessage"), 1);
    bench.stop().await;
}

#[tokio::test]
async fn a_reply_without_an_answer_is_found_in_its_thread() {
    let bench = Bench::start().await.by_hand().await;
    let root = bench
        .ana()
        .says("treasury-incidents", "what now?", None)
        .await
        .unwrap();
    let thread = Destination::Place(Place {
        channel: CHANNEL.into(),
        thread: Some(root.ts.clone()),
    });
    bench.put("m", thread, message(Tone::Plain, "this")).await;
    bench
        .sandbox
        .faults()
        .next("chat.postMessage", 1, Fault::DropAfterAccept);
    attempt_once(&bench, &bench.outbox(PATIENCE)).await;
    deliver_all(&bench, &bench.outbox(PATIENCE)).await;
    let replies = bench.sandbox.thread("treasury-incidents", &root.ts);
    assert_eq!(replies.iter().filter(|m| m.by_bot).count(), 1);
    bench.stop().await;
}

#[tokio::test]
async fn a_crash_before_the_post_went_out_loses_nothing() {
    let bench = Bench::start().await.by_hand().await;
    bench
        .put("m", in_channel(CHANNEL), message(Tone::Plain, "said"))
        .await;
    let claimed = bench.store.outbox_claim("dead", 1).await.unwrap();
    bench.store.outbox_attempting(&claimed[0]).await.unwrap();
    bench
        .store
        .outbox_later(&claimed[0], bench.store.now())
        .await
        .unwrap();
    deliver_all(&bench, &bench.outbox(PATIENCE)).await;
    assert_eq!(bench.said(CHANNEL, |_| true).await, ["said"]);
    bench.stop().await;
}

#[tokio::test]
async fn where_history_may_not_be_read_it_is_said_twice_rather_than_never() {
    let bench = Bench::start().await.by_hand().await;
    bench
        .put("m", in_channel(CHANNEL), message(Tone::Plain, "said"))
        .await;
    let faults = bench.sandbox.faults();
    faults.next("chat.postMessage", 1, Fault::DropAfterAccept);
    faults.next(
        "conversations.history",
        1,
        Fault::ApiError("missing_scope".into()),
    );
    deliver_all(&bench, &bench.outbox(PATIENCE)).await;
    assert_eq!(bench.said(CHANNEL, |_| true).await, ["said", "said"]);
    bench.stop().await;
}

#[tokio::test]
async fn a_call_that_hangs_ends_and_is_repeated() {
    let bench = Bench::start().await.by_hand().await;
    bench
        .put("m", in_channel(CHANNEL), message(Tone::Plain, "said"))
        .await;
    bench
        .sandbox
        .faults()
        .next("chat.postMessage", 1, Fault::Hang);
    deliver_all(&bench, &bench.outbox(Duration::from_millis(300))).await;
    assert_eq!(bench.said(CHANNEL, |_| true).await, ["said"]);
    bench.stop().await;
}

#[tokio::test]
async fn a_post_that_was_surely_refused_is_not_searched_for() {
    let bench = Bench::start().await.by_hand().await;
    bench
        .put("m", in_channel(CHANNEL), message(Tone::Plain, "said"))
        .await;
    let limited = Fault::RateLimited { retry_after_s: 1 };
    bench.sandbox.faults().next("chat.postMessage", 1, limited);
    deliver_all(&bench, &bench.outbox(PATIENCE)).await;
    assert_eq!(bench.said(CHANNEL, |_| true).await, ["said"]);
    assert_eq!(bench.calls("conversations.history"), 0);
    bench.stop().await;
}

#[tokio::test]
async fn a_limit_met_in_two_channels_is_kept_in_all() {
    let bench = Bench::start().await.by_hand().await;
    let outbox = bench.outbox(PATIENCE);
    let long = Duration::from_secs(40);
    for lane in ["a", "b"] {
        outbox
            .pace
            .refused("chat.postMessage", lane, long, Instant::now());
    }
    // A delivery is put off without a call, and is no failure.
    bench
        .put("m", in_channel(CHANNEL), message(Tone::Plain, "later"))
        .await;
    let parcel = bench.store.outbox_claim("test", 1).await.unwrap().remove(0);
    let refused = outbox
        .call(
            Method::ChatPostMessage,
            &serde_json::json!({"channel": "c"}),
        )
        .await;
    assert!(matches!(refused, Err(ApiError::RateLimited { .. })));
    outbox.deliver(parcel).await;
    assert_eq!(bench.calls("chat.postMessage"), 0);
    assert_eq!(bench.store.outbox_depth().await.unwrap(), 1);
    bench.stop().await;
}

#[tokio::test]
async fn progress_is_edited_once_a_second_and_the_end_at_once() {
    let bench = Bench::start().await.by_hand().await;
    let outbox = bench.outbox(PATIENCE);
    bench
        .put("m", in_channel(CHANNEL), message(Tone::Progress, "1"))
        .await;
    attempt_once(&bench, &outbox).await;
    bench
        .put("m", in_channel(CHANNEL), message(Tone::Progress, "2"))
        .await;
    attempt_once(&bench, &outbox).await;
    assert_eq!(bench.calls("chat.update"), 0, "put off");
    // The end does not wait: by hand, because the lane itself is put off for the second.
    bench
        .put("m", in_channel(CHANNEL), message(Tone::Good, "3"))
        .await;
    deliver_all(&bench, &outbox).await;
    assert_eq!(bench.calls("chat.update"), 1);
    assert_eq!(bench.said(CHANNEL, |_| true).await, ["✅ 3"]);
    bench.stop().await;
}
