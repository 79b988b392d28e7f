//! What Slack refuses until somebody mends it: nothing is given up, and people hear of it.

use super::answers::{answer, asked, texts};
use crate::bot::ChatRefusal;
use crate::domain::{Audience, Destination, Tone};
use crate::sandbox::slack::Fault;
use crate::slack::tests::{Bench, in_channel, message};

const CHANNEL: &str = "#treasury-incidents";

fn refusal(what: &str, error: &str, needed: Option<&str>, silent: bool) -> ChatRefusal {
    ChatRefusal {
        what: what.into(),
        error: error.into(),
        needed: needed.map(str::to_owned),
        silent,
    }
}

#[tokio::test]
async fn without_the_scope_answers_go_their_own_way_and_the_rest_waits_for_it() {
    let bench = Bench::start().await;
    let request = asked(&bench, "treasury-incidents").await;
    let faults = bench.sandbox.faults();
    faults.lacks("chat:write", true);
    for n in 0..3 {
        let content = message(Tone::Plain, &format!("alert {n}"));
        bench
            .put(&format!("m{n}"), Destination::Home, content)
            .await;
    }
    let open = answer("a", &request, Audience::Everyone, Tone::Good, "for all");
    bench.store.outbox_put(open).await.unwrap();
    let said = bench.said(CHANNEL, |said| !said.is_empty()).await;
    assert_eq!(said, ["✅ for all"]);
    let health = bench.slack.health();
    assert!(!health.connected, "{health:?}");
    let error = health.last_error.unwrap();
    assert_eq!(
        error,
        "chat.postMessage: missing_scope (needed: chat:write)"
    );
    let missing = refusal(
        "chat.postMessage",
        "missing_scope",
        Some("chat:write"),
        true,
    );
    assert_eq!(*bench.told.lock().unwrap(), [missing], "once");

    faults.lacks("chat:write", false);
    bench.until_empty().await;
    let said = bench.said(CHANNEL, |_| true).await;
    assert_eq!(said[1..], ["alert 0", "alert 1", "alert 2"], "in order");
    assert_eq!(bench.slack.health().refused, []);
    assert!(bench.slack.health().connected);
    bench.stop().await;
}

#[tokio::test]
async fn a_word_of_slacks_that_nobody_knows_holds_up_no_other_message() {
    let bench = Bench::start().await;
    let odd = Fault::ApiError("brand_new_policy".into());
    bench.sandbox.faults().next("chat.postMessage", 1, odd);
    for n in ["first", "second"] {
        bench
            .put(n, Destination::Home, message(Tone::Plain, n))
            .await;
    }
    let said = bench.said(CHANNEL, |said| said.len() == 1).await;
    assert_eq!(said, ["second"]);
    bench.until_empty().await;
    assert_eq!(bench.said(CHANNEL, |_| true).await, ["second", "first"]);
    let told = bench.told.lock().unwrap().clone();
    assert_eq!(
        told,
        [refusal("a message", "brand_new_policy", None, false)]
    );
    bench.stop().await;
}

#[tokio::test]
async fn where_the_main_channel_is_closed_all_waits_and_that_is_told_elsewhere() {
    for code in [
        "posting_to_general_channel_denied",
        "is_archived",
        "restricted_action",
    ] {
        let bench = Bench::start().await;
        let faults = bench.sandbox.faults();
        faults.closed(CHANNEL, Some(code));
        bench
            .put("m", Destination::Home, message(Tone::Plain, "kept"))
            .await;
        bench
            .put("n", Destination::Home, message(Tone::Plain, "too"))
            .await;
        while bench.told.lock().unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let told = bench.told.lock().unwrap().clone();
        assert_eq!(told, [refusal("the main channel", code, None, true)]);
        assert!(!bench.slack.health().connected);
        faults.closed(CHANNEL, None);
        bench.until_empty().await;
        assert_eq!(bench.said(CHANNEL, |_| true).await, ["kept", "too"]);
        assert!(bench.slack.health().connected);
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_closed_channel_sends_answers_to_who_asked_and_the_rest_to_the_main_channel() {
    let bench = Bench::start().await;
    let request = asked(&bench, "general").await;
    bench
        .sandbox
        .faults()
        .closed("general", Some("posting_to_general_channel_denied"));
    let open = answer("a", &request, Audience::Everyone, Tone::Good, "typed");
    bench.store.outbox_put(open).await.unwrap();
    // A mention has no address of its own for answers.
    let mut mention = request.clone();
    mention.reply.response_url = None;
    let open = answer("b", &mention, Audience::Everyone, Tone::Good, "mentioned");
    bench.store.outbox_put(open).await.unwrap();
    bench
        .put(
            "c",
            in_channel("#general"),
            message(Tone::Plain, "by itself"),
        )
        .await;
    bench.until_empty().await;
    let seen = bench.sandbox.person("ben").sees("general");
    assert_eq!(texts(&seen), [("✅ typed", false)]);
    let direct = bench.sandbox.look(|world| {
        let direct = world.channels.values().find(|c| c.id.starts_with('D'));
        direct.map(|c| {
            c.messages
                .iter()
                .map(treasury_sandbox::slack::Message::shown)
                .collect::<String>()
        })
    });
    let direct = direct.unwrap();
    assert!(
        direct.contains("mentioned") && direct.contains("Meant for"),
        "{direct}"
    );
    let home = bench.sandbox.messages("treasury-incidents");
    let home = home.last().unwrap().shown();
    let why = "where it can't be posted (posting_to_general_channel_denied)";
    assert!(home.contains("by itself") && home.contains(why), "{home}");
    bench.stop().await;
}
