mod answers;
mod crash;
mod refused;
mod rooms;
mod storm;

use crate::domain::Tone;
use crate::sandbox::slack::Fault;
use crate::slack::tests::{Bench, in_channel, message};

const CHANNEL: &str = "#treasury-incidents";

#[tokio::test]
async fn the_order_of_a_channel_outlives_429_500_and_cut_answers() {
    let bench = Bench::start().await;
    let faults = bench.sandbox.faults();
    faults.next(
        "chat.postMessage",
        1,
        Fault::RateLimited { retry_after_s: 1 },
    );
    faults.next("chat.postMessage", 1, Fault::ServerError(502));
    faults.next("chat.postMessage", 1, Fault::DropAfterAccept);
    for n in 0..5 {
        let content = message(Tone::Plain, &format!("message {n}"));
        bench
            .put(&format!("m{n}"), in_channel(CHANNEL), content)
            .await;
    }
    bench.until_empty().await;
    let said = bench.said(CHANNEL, |_| true).await;
    let wanted: Vec<String> = (0..5).map(|n| format!("message {n}")).collect();
    assert_eq!(said, wanted, "each once, in order");
    bench.stop().await;
}

#[tokio::test]
async fn a_slow_slack_gets_the_newest_state_and_not_a_queue_of_old_ones() {
    let bench = Bench::start().await;
    bench
        .put("m", in_channel(CHANNEL), message(Tone::Progress, "step 0"))
        .await;
    bench.said(CHANNEL, |messages| !messages.is_empty()).await;
    let slow = Fault::Slow(std::time::Duration::from_millis(300));
    bench.sandbox.faults().next("chat.update", 100, slow);
    for n in 1..50 {
        bench
            .put(
                "m",
                in_channel(CHANNEL),
                message(Tone::Progress, &format!("step {n}")),
            )
            .await;
    }
    bench
        .put("m", in_channel(CHANNEL), message(Tone::Good, "done"))
        .await;
    bench.until_empty().await;
    assert_eq!(bench.said(CHANNEL, |_| true).await, ["✅ done"]);
    assert!(
        bench.calls("chat.update") < 10,
        "{} edits",
        bench.calls("chat.update")
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_channel_that_is_not_there_holds_up_no_other() {
    let bench = Bench::start().await;
    bench
        .put(
            "lost",
            in_channel("C0NOWHERE"),
            message(Tone::Plain, "lost"),
        )
        .await;
    bench
        .put("good", in_channel(CHANNEL), message(Tone::Plain, "good"))
        .await;
    bench.until_empty().await;
    // Nor is it lost: the main channel hears it.
    let mut said = bench.said(CHANNEL, |_| true).await;
    said.sort();
    assert_eq!(said, ["good", "lost"]);
    bench.stop().await;
}

#[tokio::test]
async fn blocks_that_slack_refuses_become_plain_text() {
    let bench = Bench::start().await;
    let refuse = Fault::ApiError("invalid_blocks".into());
    bench.sandbox.faults().next("chat.postMessage", 1, refuse);
    bench
        .put("m", in_channel(CHANNEL), message(Tone::Plain, "still said"))
        .await;
    bench.until_empty().await;
    assert_eq!(bench.said(CHANNEL, |_| true).await, ["*still said*"]);
    bench.stop().await;
}

#[tokio::test]
async fn a_public_channel_is_joined_to_be_posted_in() {
    let bench = Bench::start().await;
    bench.sandbox.faults().lacks("chat:write.public", true);
    bench
        .put("m", in_channel("#general"), message(Tone::Plain, "hello"))
        .await;
    bench.until_empty().await;
    assert_eq!(bench.said("#general", |_| true).await, ["hello"]);
    bench.stop().await;
}
