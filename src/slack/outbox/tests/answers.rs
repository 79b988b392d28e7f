//! To one person, by the request's own address, and what is left when a way is closed.

use crate::domain::timeline::Draft;
use crate::domain::{
    Audience, Content, Destination, EntryKind, Message, Outgoing, Person, Place, Request, Severity,
    Stream, TimelineFile, Tone,
};
use crate::sandbox::slack::{Fault, Message as Seen};
use crate::slack::tests::{Bench, in_channel, message, outgoing};
use crate::store::{NewIncident, StoreError};

/// Ana types a command; the request has an address for answers.
pub(super) async fn asked(bench: &Bench, channel: &str) -> Request {
    bench
        .ana()
        .types(channel, "/treasury status")
        .await
        .unwrap();
    bench.library.lock().unwrap().last().unwrap().clone()
}

pub(super) fn answer(
    key: &str,
    request: &Request,
    audience: Audience,
    tone: Tone,
    title: &str,
) -> Outgoing {
    let to = Destination::Place(request.place.clone());
    Outgoing {
        audience,
        requester: Some(request.person.clone()),
        reply: request.reply.clone(),
        ..outgoing(key, to, message(tone, title))
    }
}

pub(super) fn texts(messages: &[Seen]) -> Vec<(&str, bool)> {
    let by_bot = messages.iter().filter(|m| m.by_bot);
    by_bot
        .map(|m| (m.text.as_str(), m.visible_to.is_some()))
        .collect()
}

#[tokio::test]
async fn an_answer_to_the_asker_is_seen_by_nobody_else() {
    let bench = Bench::start().await;
    let request = asked(&bench, "treasury-incidents").await;
    let put = |tone, title: &'static str| {
        let outgoing = answer("a", &request, Audience::Requester, tone, title);
        bench.store.outbox_put(outgoing)
    };
    put(Tone::Progress, "looking").await.unwrap();
    bench.until_empty().await;
    // Progress spends none of the five uses; the last word is said anew.
    put(Tone::Progress, "still looking").await.unwrap();
    bench.until_empty().await;
    put(Tone::Good, "found").await.unwrap();
    bench.until_empty().await;
    let seen = bench.ana().sees("treasury-incidents");
    assert_eq!(texts(&seen), [("⏳ looking", true), ("✅ found", true)]);
    assert!(texts(&bench.sandbox.person("ben").sees("treasury-incidents")).is_empty());
    assert_eq!(bench.calls("response_url"), 2);
    assert_eq!(bench.calls("chat.postMessage"), 0);
    bench.stop().await;
}

#[tokio::test]
async fn without_a_good_address_the_asker_gets_an_ephemeral_or_a_direct_message() {
    let bench = Bench::start().await;
    let mut request = asked(&bench, "treasury-incidents").await;
    let gone = Fault::ApiError("expired_url".into());
    bench.sandbox.faults().next("response_url", 1, gone);
    let first = answer("a", &request, Audience::Requester, Tone::Plain, "one");
    bench.store.outbox_put(first).await.unwrap();
    bench.until_empty().await;
    request.reply.response_url = None;
    let second = answer("b", &request, Audience::Requester, Tone::Plain, "two");
    bench.store.outbox_put(second).await.unwrap();
    bench.until_empty().await;
    let seen = bench.ana().sees("treasury-incidents");
    assert_eq!(texts(&seen), [("one", true), ("two", true)]);
    // Not even in the channel: a direct message.
    request.place = Place::channel("C0NOWHERE");
    let third = answer("c", &request, Audience::Requester, Tone::Plain, "three");
    bench.store.outbox_put(third).await.unwrap();
    bench.until_empty().await;
    let direct = bench.sandbox.look(|world| {
        let direct = world.channels.values().find(|c| c.id.starts_with('D'));
        direct.map(|c| {
            c.messages
                .iter()
                .map(|m| m.text.clone())
                .collect::<Vec<_>>()
        })
    });
    assert_eq!(direct, Some(vec!["three".to_owned()]));
    bench.stop().await;
}

#[tokio::test]
async fn a_channel_closed_to_the_bot_is_answered_through_the_request() {
    let bench = Bench::start().await;
    let request = asked(&bench, "general").await;
    let closed = Fault::ApiError("missing_scope".into());
    bench.sandbox.faults().lacks("chat:write.public", true);
    bench.sandbox.faults().next("conversations.join", 5, closed);
    let open = answer("a", &request, Audience::Everyone, Tone::Good, "for all");
    bench.store.outbox_put(open).await.unwrap();
    bench.until_empty().await;
    let seen = bench.sandbox.person("ben").sees("general");
    assert_eq!(texts(&seen), [("✅ for all", false)]);
    // Without an address there is no way; the lane goes on all the same.
    let mut no_way = request.clone();
    no_way.reply.response_url = None;
    let lost = answer("b", &no_way, Audience::Everyone, Tone::Good, "lost");
    bench.store.outbox_put(lost).await.unwrap();
    let next = answer("c", &request, Audience::Everyone, Tone::Good, "next");
    bench.store.outbox_put(next).await.unwrap();
    bench.until_empty().await;
    let seen = bench.sandbox.person("ben").sees("general");
    assert_eq!(texts(&seen), [("✅ for all", false), ("✅ next", false)]);
    bench.stop().await;
}

#[tokio::test]
async fn an_address_that_is_out_of_order_for_a_while_is_not_used_up() {
    let bench = Bench::start().await;
    let request = asked(&bench, "treasury-incidents").await;
    let bench = bench.by_hand().await;
    let faults = bench.sandbox.faults();
    faults.next("response_url", 6, Fault::ServerError(500));
    let kept = answer("a", &request, Audience::Requester, Tone::Plain, "kept");
    bench.store.outbox_put(kept).await.unwrap();
    let parcel = bench.store.outbox_claim("test", 1).await.unwrap().remove(0);
    let outbox = bench.outbox(crate::slack::tests::PATIENCE);
    for _ in 0..7 {
        outbox.deliver(parcel.clone()).await;
    }
    let seen = bench.ana().sees("treasury-incidents");
    assert_eq!(texts(&seen), [("kept", true)]);
    assert_eq!(bench.calls("chat.postEphemeral"), 0);
    bench.stop().await;
}

#[tokio::test]
async fn an_address_that_is_not_slacks_is_never_posted_to() {
    let bench = Bench::start().await;
    let mut request = asked(&bench, "treasury-incidents").await;
    // As if somebody had written it into the database.
    request.reply.response_url = Some("http://127.0.0.1:9/steal".into());
    let sly = answer("a", &request, Audience::Requester, Tone::Plain, "secret");
    bench.store.outbox_put(sly).await.unwrap();
    bench.until_empty().await;
    assert_eq!(bench.calls("chat.postEphemeral"), 1);
    bench.stop().await;
}

#[tokio::test]
async fn an_edited_message_that_is_gone_is_posted_anew() {
    let bench = Bench::start().await;
    let to = || in_channel("#treasury-incidents");
    bench.put("m", to(), message(Tone::Plain, "before")).await;
    bench.until_empty().await;
    let gone = Fault::ApiError("message_not_found".into());
    bench.sandbox.faults().next("chat.update", 1, gone);
    bench.put("m", to(), message(Tone::Plain, "after")).await;
    bench.until_empty().await;
    let said = bench.said("#treasury-incidents", |_| true).await;
    assert_eq!(said, ["before", "after"]);
    // From now on the new one is edited.
    bench.put("m", to(), message(Tone::Plain, "last")).await;
    bench.until_empty().await;
    let said = bench.said("#treasury-incidents", |_| true).await;
    assert_eq!(said, ["before", "last"]);
    bench.stop().await;
}

#[tokio::test]
async fn a_thread_that_is_gone_does_not_swallow_its_messages() {
    let bench = Bench::start().await;
    let place = Place {
        channel: "#treasury-incidents".into(),
        thread: Some("1.000100".into()),
    };
    let content = message(Tone::Plain, "to nobody's thread");
    bench.put("m", Destination::Place(place), content).await;
    bench.until_empty().await;
    let said = bench.said("#treasury-incidents", |_| true).await;
    assert_eq!(said, ["to nobody's thread"]);
    bench.stop().await;
}

#[tokio::test]
async fn a_refused_token_loses_nothing() {
    let bench = Bench::start().await;
    let revoked = Fault::ApiError("invalid_auth".into());
    bench.sandbox.faults().next("chat.postMessage", 1, revoked);
    let bench = bench.by_hand().await;
    bench
        .put("m", Destination::Home, message(Tone::Plain, "kept"))
        .await;
    let outbox = bench.outbox(crate::slack::tests::PATIENCE);
    for parcel in bench.store.outbox_claim("test", 9).await.unwrap() {
        outbox.deliver(parcel).await;
    }
    assert_eq!(
        bench.store.outbox_depth().await.unwrap(),
        1,
        "it waits for the mend"
    );
    bench.stop().await;
}

/// An incident with these entries and one more; its export from before that one.
async fn declared(bench: &Bench, entries: &[&'static str]) -> TimelineFile {
    let texts = entries.to_vec();
    let write = bench.store.write::<_, StoreError, _>(move |tx| {
        Box::pin(async move {
            let new = NewIncident {
                title: "Frontend is down".into(),
                severity: Severity::Sev2,
                services: Vec::new(),
                declared_by: Person::bot(),
            };
            let incident = tx.incident_insert(new).await?;
            let stream = Stream::Incident(incident.id);
            let mut head = (0, String::new());
            for text in texts {
                let draft = Draft::new(&Person::bot(), EntryKind::Note, text);
                let entry = tx.append(&stream, draft).await?;
                head = (entry.seq, entry.hash);
            }
            let later = Draft::new(&Person::bot(), EntryKind::Note, "later");
            tx.append(&stream, later).await?;
            let (entries, head) = head;
            Ok(TimelineFile {
                format: "csv".into(),
                incident,
                entries,
                head,
                at: tx.now(),
            })
        })
    });
    write.await.unwrap()
}

#[tokio::test]
async fn a_file_is_uploaded_or_shown_as_text() {
    let bench = Bench::start().await;
    let of = declared(&bench, &["Frontend is down", "ä"]).await;
    let file = |name: &str| Content::File {
        name: name.into(),
        title: "Timeline of INC-1".into(),
        file: Box::new(of.clone()),
        comment: Message::new(Tone::Plain, "The timeline"),
    };
    bench.put("f1", Destination::Home, file("a.md")).await;
    bench.until_empty().await;
    let files = bench.sandbox.files();
    let lines = String::from_utf8(files[0].content.clone()).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert!(lines[0].starts_with("timeline,seq,at"), "{lines:?}");
    assert!(
        lines[1].contains("Frontend is down") && lines[2].contains(",ä,"),
        "{lines:?}"
    );
    // What came after it was asked for is not in it.
    assert_eq!(lines.len(), 3);
    assert_eq!(
        (files[0].name.as_str(), files[0].channels.len()),
        ("a.md", 1)
    );
    let scope = Fault::ApiError("missing_scope".into());
    bench
        .sandbox
        .faults()
        .next("files.getUploadURLExternal", 1, scope);
    bench.put("f2", Destination::Home, file("b.md")).await;
    bench.until_empty().await;
    let shown = bench.sandbox.messages("treasury-incidents");
    let last = shown.iter().rfind(|m| m.by_bot).unwrap();
    assert!(
        last.blocks
            .iter()
            .any(|b| b.to_string().contains("```\\ntimeline,seq,at")),
        "{last:?}"
    );
    // For one person only: in their direct messages, nowhere else.
    let ana = Person {
        id: "U0ANA00001".into(),
        name: "ana".into(),
    };
    let private = Outgoing {
        audience: Audience::Requester,
        requester: Some(ana),
        ..outgoing("f3", Destination::Home, file("c.md"))
    };
    bench.store.outbox_put(private).await.unwrap();
    bench.until_empty().await;
    let files = bench.sandbox.files();
    let last = files.last().unwrap();
    assert_eq!(last.name, "c.md");
    assert!(
        last.channels.iter().all(|id| id.starts_with('D')),
        "{:?}",
        last.channels
    );
    bench.stop().await;
}
