//! Rooms for incidents: a channel, or a thread where none can be made; one, whatever happens.

use crate::domain::{
    Content, Destination, IncidentId, Message, Outgoing, Person, Place, Severity, Tone,
    announcement_key,
};
use crate::sandbox::slack::Fault;
use crate::slack::tests::{Bench, PATIENCE, message};
use crate::store::{NewIncident, StoreError};

async fn declared(bench: &Bench) -> IncidentId {
    let incident = bench.store.write::<_, StoreError, _>(|tx| {
        Box::pin(tx.incident_insert(NewIncident {
            title: "frontend 502".into(),
            severity: Severity::Sev2,
            services: Vec::new(),
            declared_by: Person::bot(),
        }))
    });
    incident.await.unwrap().id
}

async fn put_room(bench: &Bench, incident: IncidentId) {
    let announced = Outgoing::announcement(
        announcement_key(incident),
        Destination::Home,
        Message::new(Tone::Warning, "INC-1 frontend 502"),
    );
    bench.store.outbox_put(announced).await.unwrap();
    let room = Content::Room {
        incident,
        name: Some("INC-1 Frontend 502".into()),
        topic: "SEV2 · open".into(),
    };
    bench
        .put("room:1", Destination::Incident(incident), room)
        .await;
    for id in ["U0ANA00001", "U0NOBODY", "U0BEN00001"] {
        let invite = Content::Invite {
            incident,
            person: Person {
                id: id.into(),
                name: "x".into(),
            },
            message: Message::new(Tone::Plain, "You are on INC-1"),
        };
        bench.put(id, Destination::Incident(incident), invite).await;
    }
}

async fn place(bench: &Bench, incident: IncidentId) -> Place {
    bench.store.incident_place(incident).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_incident_gets_a_channel_its_people_and_an_announcement() {
    let bench = Bench::start().await;
    let incident = declared(&bench).await;
    put_room(&bench, incident).await;
    bench
        .put(
            "first",
            Destination::Incident(incident),
            message(Tone::Plain, "welcome"),
        )
        .await;
    bench.until_empty().await;
    let place = place(&bench, incident).await;
    assert_eq!(place.thread, None);
    let (topic, members) = bench.sandbox.look(|world| {
        let room = &world.channels[&place.channel];
        assert_eq!(room.name, "inc-1-frontend-502");
        (room.topic.clone(), room.members.clone())
    });
    assert_eq!(topic, "SEV2 · open");
    assert!(
        ["U0ANA00001", "U0BEN00001"]
            .iter()
            .all(|id| members.contains(*id)),
        "{members:?}"
    );
    let home = bench.sandbox.messages("treasury-incidents");
    let link = format!("<#{}>", place.channel);
    assert!(
        home.iter()
            .any(|m| m.blocks.iter().any(|b| b.to_string().contains(&link)))
    );
    assert_eq!(
        bench.said("inc-1-frontend-502", |_| true).await,
        ["welcome"]
    );
    // A new topic goes to the same channel.
    let topic = Content::Topic {
        incident,
        topic: "SEV1 · open".into(),
    };
    bench
        .put("topic:1", Destination::Incident(incident), topic)
        .await;
    bench.until_empty().await;
    bench
        .sandbox
        .look(|world| assert_eq!(world.channels[&place.channel].topic, "SEV1 · open"));
    bench.stop().await;
}

#[tokio::test]
async fn a_taken_name_gets_a_number_and_a_lost_answer_no_second_channel() {
    let bench = Bench::start().await;
    let first = declared(&bench).await;
    let faults = bench.sandbox.faults();
    faults.next("conversations.create", 1, Fault::DropAfterAccept);
    faults.next("conversations.setTopic", 1, Fault::ServerError(500));
    put_room(&bench, first).await;
    bench.until_empty().await;
    let rooms = || {
        bench.sandbox.look(|world| {
            let named = world.channels.values().map(|c| c.name.clone());
            named
                .filter(|name| name.starts_with("inc-"))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(rooms(), ["inc-1-frontend-502"]);
    assert_eq!(bench.said("treasury-incidents", |_| true).await.len(), 1);
    // Another incident of the same name is another channel.
    let second = declared(&bench).await;
    let room = Content::Room {
        incident: second,
        name: Some("inc-1-frontend-502".into()),
        topic: String::new(),
    };
    bench
        .put("room:2", Destination::Incident(second), room)
        .await;
    bench.until_empty().await;
    assert_eq!(rooms(), ["inc-1-frontend-502", "inc-1-frontend-502-2"]);
    assert_ne!(place(&bench, first).await, place(&bench, second).await);
    bench.stop().await;
}

#[tokio::test]
async fn where_no_channel_can_be_made_the_announcement_becomes_the_thread() {
    let bench = Bench::start().await.by_hand().await;
    let incident = declared(&bench).await;
    let faults = bench.sandbox.faults();
    faults.next(
        "conversations.create",
        9,
        Fault::ApiError("restricted_action".into()),
    );
    faults.next("chat.postMessage", 1, Fault::DropAfterAccept);
    put_room(&bench, incident).await;
    bench
        .put(
            "first",
            Destination::Incident(incident),
            message(Tone::Plain, "in the thread"),
        )
        .await;
    // Every attempt by another process, none of which remembers anything.
    let all = async {
        while bench.store.outbox_depth().await.unwrap() > 0 {
            for parcel in bench.store.outbox_claim("test", 16).await.unwrap() {
                bench.outbox(PATIENCE).deliver(parcel).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap();
    let thread = place(&bench, incident).await.thread.unwrap();
    let replies = bench.sandbox.thread("treasury-incidents", &thread);
    let texts: Vec<_> = replies.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(texts, ["in the thread"]);
    let home = bench.sandbox.messages("treasury-incidents");
    let roots: Vec<_> = home.iter().filter(|m| m.by_bot && m.ts == thread).collect();
    assert_eq!(roots.len(), 1);
    assert_eq!(roots[0].text, "⚠️ INC-1 frontend 502");
    assert_eq!(
        home.iter()
            .filter(|m| m.by_bot && m.text.starts_with("⚠️"))
            .count(),
        1
    );
    bench.stop().await;
}

#[tokio::test]
async fn what_is_for_an_incident_without_a_room_is_said_at_home() {
    let bench = Bench::start().await;
    let incident = declared(&bench).await;
    bench
        .put(
            "m",
            Destination::Incident(incident),
            message(Tone::Plain, "homeless"),
        )
        .await;
    bench.until_empty().await;
    assert_eq!(
        bench.said("treasury-incidents", |_| true).await,
        ["homeless"]
    );
    bench.stop().await;
}
