//! The store keeps its promises on both databases: the same suite, twice.

use std::time::Duration;

use treasury_bot::domain::action::{ActionKind, ActionRecord};
use treasury_bot::domain::question::{Question, QuestionState};
use treasury_bot::domain::timeline::{Draft, GENESIS, verify};
use treasury_bot::domain::{
    Audience, Content, Destination, Door, EntryKind, IncidentId, Message, Outgoing, Person, Place,
    Reply, Request, Severity, Stream, Tone,
};
use treasury_bot::store::{
    Accepted, Delivered, NewIncident, Sent, Store, StoreError, Trouble, Use,
};

use self::mails::a_mail_is_one_process_s_at_a_time_and_sent_once;
use crate::support::postgres::Postgres;

mod alert_counts;
mod failed;
mod figures;
mod halted;
mod mails;
mod opened;
mod prune;

#[tokio::test]
async fn the_suite_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("bot.db").display());
    suite(&url).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_suite_on_postgresql() {
    let postgres = Postgres::start().await;
    suite(&postgres.url()).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_database_that_goes_away_is_an_error_soon_and_no_hang() {
    let mut postgres = Postgres::start().await;
    let store = Store::open(&postgres.url(), Use::Serve).await.unwrap();
    store.inbox_depth().await.unwrap();
    postgres.kill();
    let answer = tokio::time::timeout(Duration::from_secs(15), store.accept(request("k"), None));
    let error = answer.await.unwrap().unwrap_err();
    assert_eq!(error.trouble(), Some(Trouble::Away), "{error}");
}

async fn suite(url: &str) {
    let store = Store::open(url, Use::Serve).await.unwrap();
    store.instance_start("one", true).await.unwrap();
    a_request_is_recorded_once(&store).await;
    a_request_of_a_dead_process_is_taken_over(&store).await;
    a_chain_has_no_gaps_though_many_write_at_once(&store).await;
    nothing_is_changed_or_removed(&store, url).await;
    failed::a_failed_write_leaves_nothing_and_harms_no_other(&store).await;
    a_service_has_one_unfinished_action(&store).await;
    a_question_is_answered_once(&store).await;
    the_outbox_keeps_the_order_and_only_the_newest_state(&store).await;
    the_outbox_hands_out_the_worst_first(&store).await;
    incidents_are_found_by_their_place(&store).await;
    halted::what_a_halted_process_lost_is_no_longer_its_own(&store).await;
    a_mail_is_one_process_s_at_a_time_and_sent_once(&store).await;
    figures::tell_what_waits_and_what_is_open(&store).await;
    figures::what_follows_a_commit_follows_no_failed_write(&store).await;
    alert_counts::are_what_the_rows_say(url).await;
    prune::removes_what_is_over_and_nothing_else(&store).await;
    store.close().await;
    assert!(matches!(
        store.accept(request("late"), None).await,
        Err(StoreError::Closed)
    ));

    // The schema is there already: opening again changes nothing.
    let again = Store::open(url, Use::Serve).await.unwrap();
    assert_eq!(
        again.accept(request("p-asked"), None).await.unwrap(),
        Accepted::Duplicate
    );
    again.close().await;
}

async fn a_request_is_recorded_once(store: &Store) {
    let same = futures_util::future::join_all((0..5).map(|_| store.accept(request("a"), None)));
    let accepted: Vec<_> = same.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(accepted.iter().filter(|a| **a == Accepted::New).count(), 1);
    store.accept(request("b"), None).await.unwrap();

    assert!(store.inbox_waits("one").await.unwrap());
    let claims = store.claim("one", 10).await.unwrap();
    let keys: Vec<_> = claims.iter().map(|c| c.request.key.as_str()).collect();
    assert_eq!(keys, ["a", "b"], "oldest first");
    assert!(
        store.claim("one", 10).await.unwrap().is_empty(),
        "claimed twice"
    );
    for claim in claims {
        store
            .write(move |tx| Box::pin(tx.inbox_done(claim.id, "one")))
            .await
            .unwrap();
    }
    assert_eq!(store.inbox_depth().await.unwrap(), 0);
}

async fn a_request_of_a_dead_process_is_taken_over(store: &Store) {
    store.instance_heartbeat("one", true).await.unwrap();
    // `ghost` never said that it is alive.
    store
        .accept(request("orphan"), Some("ghost".into()))
        .await
        .unwrap();
    let claims = store.claim("one", 10).await.unwrap();
    assert_eq!(claims.len(), 1);
    assert!(
        store.claim("two", 10).await.unwrap().is_empty(),
        "`one` is alive"
    );
    let id = claims[0].id;
    store
        .write(move |tx| Box::pin(tx.inbox_done(id, "one")))
        .await
        .unwrap();
}

async fn a_chain_has_no_gaps_though_many_write_at_once(store: &Store) {
    let stream = Stream::Incident(IncidentId(500));
    let writes = (0..50).map(|n| {
        let stream = stream.clone();
        store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                let draft =
                    Draft::new(&Person::bot(), EntryKind::Note, format!("note {n} äö\n'\""));
                tx.append(&stream, draft).await
            })
        })
    });
    for written in futures_util::future::join_all(writes).await {
        written.unwrap();
    }
    let entries = store.entries(&stream).await.unwrap();
    assert_eq!(entries.len(), 50);
    assert_ne!(verify(&stream, &entries).unwrap(), GENESIS);
    let (newest, more) = store
        .entries_since(&stream, jiff::Timestamp::UNIX_EPOCH, 10)
        .await
        .unwrap();
    assert!(more);
    assert_eq!(newest, entries[40..]);
}

async fn nothing_is_changed_or_removed(store: &Store, url: &str) {
    let outsider = sqlx::AnyPool::connect(url).await.unwrap();
    for tampering in ["UPDATE entry SET text = 'x'", "DELETE FROM entry"] {
        let error = sqlx::query(tampering).execute(&outsider).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    outsider.close().await;
    assert_eq!(
        store
            .entries(&Stream::Incident(IncidentId(500)))
            .await
            .unwrap()
            .len(),
        50
    );
}

async fn a_service_has_one_unfinished_action(store: &Store) {
    let intend = |key: &'static str, owner: &'static str| async move {
        store
            .write::<_, StoreError, _>(move |tx| {
                Box::pin(async move { tx.action_intend(key, owner, &record()).await })
            })
            .await
            .unwrap()
    };
    let finish = |id: i64, owner: &'static str| async move {
        store
            .write::<_, StoreError, _>(move |tx| Box::pin(tx.action_finish(id, owner, true)))
            .await
            .unwrap()
    };
    let id = intend("q-1", "ghost").await.unwrap();
    assert_eq!(intend("q-2", "one").await, None, "the service is busy");
    assert_eq!(
        store
            .action_on(&record().service)
            .await
            .unwrap()
            .unwrap()
            .id,
        id
    );

    let taken = store.actions_take_over("one").await.unwrap();
    assert_eq!(taken.len(), 1, "`ghost` is dead");
    assert_eq!(taken[0].record, record());
    assert!(!finish(id, "ghost").await, "it is no longer the ghost's");
    assert!(finish(id, "one").await);
    assert_eq!(
        intend("q-1", "one").await,
        None,
        "the same question acts once for ever"
    );
    let next = intend("q-3", "one").await.unwrap();
    assert!(finish(next, "one").await);
}

async fn a_question_is_answered_once(store: &Store) {
    let ask = |token: &'static str| async move {
        store
            .write::<_, StoreError, _>(move |tx| {
                Box::pin(async move {
                    let until = tx.now() + Duration::from_secs(60);
                    tx.question_put(token, "ana restart api", &question(), until)
                        .await
                })
            })
            .await
            .unwrap()
    };
    assert_eq!(ask("t1").await, None);
    assert_eq!(
        ask("t2").await.unwrap().token,
        "t1",
        "the same is asked once at a time"
    );
    let answers = futures_util::future::join_all((0..4).map(|_| {
        store.write::<_, StoreError, _>(move |tx| {
            Box::pin(tx.question_answer("t1", QuestionState::Confirmed))
        })
    }))
    .await;
    let saw_open = answers
        .into_iter()
        .filter(|a| a.as_ref().unwrap().as_ref().unwrap().state == QuestionState::Open)
        .count();
    assert_eq!(saw_open, 1);
    assert_eq!(ask("t2").await, None, "answered: it can be asked again");
}

async fn the_outbox_keeps_the_order_and_only_the_newest_state(store: &Store) {
    store.instance_heartbeat("one", true).await.unwrap();
    for (key, channel, text) in [
        ("m1", "C1", "one"),
        ("m2", "C1", "two"),
        ("m3", "C2", "other"),
        ("m1", "C1", "one, edited"),
    ] {
        store
            .outbox_put(outgoing(key, channel, text))
            .await
            .unwrap();
    }
    let heads = store.outbox_claim("one", 10).await.unwrap();
    let keys: Vec<_> = heads.iter().map(|p| p.outgoing.key.as_str()).collect();
    assert_eq!(keys, ["m1", "m3"], "the head of each channel");
    assert_eq!(heads[0].version, 2);
    assert_eq!(heads[0].outgoing, outgoing("m1", "C1", "one, edited"));
    assert!(
        store.outbox_claim("two", 10).await.unwrap().is_empty(),
        "both heads are leased"
    );

    // An edit that comes while the post is under way stays waiting.
    store
        .outbox_put(outgoing("m1", "C1", "done"))
        .await
        .unwrap();
    let sent = Sent {
        channel: Some("C1".into()),
        ts: Some("1.0".into()),
        via_response_url: false,
    };
    // What was delivered is recorded with the next turn; once more changes nothing.
    let delivered = vec![Delivered::new(&heads[0], sent).unwrap()];
    let none = store.outbox_turn("one", 0, &mut delivered.clone()).await;
    assert_eq!(none.unwrap(), []);
    let next = store
        .outbox_turn("one", 10, &mut delivered.clone())
        .await
        .unwrap();
    let keys: Vec<_> = next.iter().map(|p| p.outgoing.key.as_str()).collect();
    assert_eq!(
        keys,
        ["m1", "m2"],
        "the edit, and what is new, beside each other"
    );
    assert_eq!((next[0].version, next[0].ts.as_deref()), (3, Some("1.0")));
    store.outbox_sent(&next[0], Sent::default()).await.unwrap();

    let second = &next[1..];
    let later = store.now() + Duration::from_secs(3_600);
    store.outbox_retry(&second[0], later, "slow").await.unwrap();
    assert!(
        store.outbox_claim("one", 10).await.unwrap().is_empty(),
        "not due"
    );
    assert!(store.outbox_next_due().await.unwrap().is_some());
    store.outbox_dead(&second[0], "gone").await.unwrap();
    store.outbox_dead(&heads[1], "gone").await.unwrap();
    assert_eq!(store.outbox_depth().await.unwrap(), 0);
    assert_eq!(
        store.outbox_posted("m1").await.unwrap(),
        Some(("C1".to_owned(), "1.0".to_owned()))
    );
}

async fn the_outbox_hands_out_the_worst_first(store: &Store) {
    let id = IncidentId(77);
    let there = || Destination::Incident(id);
    let put = |key: &str, to: Destination, severity: Option<Severity>| Outgoing {
        to,
        severity,
        ..outgoing(key, "C", key)
    };
    let room = Content::Room {
        incident: id,
        name: None,
        topic: String::new(),
    };
    let (sev1, sev4) = (Some(Severity::Sev1), Some(Severity::Sev4));
    for one in [
        put("w-nuisance", Destination::Home, sev4),
        put("w-answer", Destination::Home, None),
        put("w-ask", there(), sev1),
        put("w-room", there(), sev4).with(room),
        put("w-outage", Destination::Home, sev1),
    ] {
        store.outbox_put(one).await.unwrap();
    }
    let mut order = Vec::new();
    loop {
        let next = store.outbox_claim("one", 1).await.unwrap();
        let Some(next) = next.into_iter().next() else {
            break;
        };
        order.push(next.outgoing.key.clone());
        let sent = Sent::default();
        store.outbox_sent(&next, sent).await.unwrap();
    }
    // A room comes before what is said in it, and is as urgent as that.
    let wanted = ["w-room", "w-ask", "w-outage", "w-answer", "w-nuisance"];
    assert_eq!(order, wanted);

    // What is refused for a reason of its own is tried again beside its lane.
    for key in ["w-odd", "w-next"] {
        store
            .outbox_put(put(key, Destination::Home, None))
            .await
            .unwrap();
    }
    let odd = store.outbox_claim("one", 9).await.unwrap().remove(0);
    let (now, error) = (store.now(), "brand_new_policy");
    store.outbox_aside(&odd, now, error).await.unwrap();
    let both = store.outbox_claim("one", 9).await.unwrap();
    assert_eq!(both.len(), 2);
    for one in both {
        store.outbox_sent(&one, Sent::default()).await.unwrap();
    }

    // What was surely not said yet can be taken back.
    let withdraw = |key: &'static str| {
        store.write::<_, StoreError, _>(move |tx| Box::pin(tx.outbox_withdraw(key)))
    };
    store
        .outbox_put(put("w-ask2", Destination::Home, None))
        .await
        .unwrap();
    assert!(withdraw("w-ask2").await.unwrap());
    assert!(!withdraw("w-ask").await.unwrap(), "it was said");
    assert_eq!(store.outbox_depth().await.unwrap(), 0);
}

async fn incidents_are_found_by_their_place(store: &Store) {
    let declare = |title: &'static str| async move {
        store
            .write::<_, StoreError, _>(move |tx| {
                Box::pin(tx.incident_insert(NewIncident {
                    title: title.into(),
                    severity: Severity::Sev2,
                    services: vec![record().service],
                    declared_by: Person::bot(),
                }))
            })
            .await
            .unwrap()
    };
    let (room, thread) = (
        declare("has a channel").await,
        declare("has a thread").await,
    );
    let in_thread = Place {
        channel: "CHOME".into(),
        thread: Some("7.7".into()),
    };
    store
        .incident_place_set(room.id, Place::channel("CROOM"))
        .await
        .unwrap();
    store
        .incident_place_set(thread.id, in_thread.clone())
        .await
        .unwrap();

    let at = |place: Place| async move {
        store
            .incident_at(&place)
            .await
            .unwrap()
            .map(|incident| incident.id)
    };
    assert_eq!(at(Place::channel("CROOM")).await, Some(room.id));
    let deep = Place {
        channel: "CROOM".into(),
        thread: Some("1.1".into()),
    };
    assert_eq!(at(deep).await, Some(room.id), "any thread of its channel");
    assert_eq!(at(in_thread).await, Some(thread.id));
    assert_eq!(
        at(Place::channel("CHOME")).await,
        None,
        "not the whole main channel"
    );
    assert_eq!(store.incidents_open().await.unwrap().len(), 2);
}

fn request(key: &str) -> Request {
    Request {
        key: key.into(),
        door: Door::Command,
        person: Person {
            id: "U1".into(),
            name: "ana".into(),
        },
        place: Place::channel("C1"),
        text: "status".into(),
        reply: Reply::default(),
    }
}

fn outgoing(key: &str, channel: &str, text: &str) -> Outgoing {
    Outgoing {
        key: key.into(),
        to: Destination::Place(Place::channel(channel)),
        audience: Audience::Everyone,
        requester: None,
        reply: Reply::default(),
        severity: None,
        content: Content::Message(Message::new(Tone::Plain, text)),
    }
}

fn question() -> Question {
    Question {
        sentence: "restart api".into(),
        requester: Person::bot(),
        message: outgoing("q", "C9", "Restart api?"),
    }
}

fn record() -> ActionRecord {
    ActionRecord {
        service: treasury_bot::domain::ServiceName::parse("api").unwrap(),
        what: ActionKind::Restart,
        actor: Person::bot(),
        reason: None,
        incidents: vec![IncidentId(1)],
        messages: vec![outgoing("q", "C9", "Restarting api")],
        before: Vec::new(),
        before_text: "healthy 1/1".into(),
        along: Vec::new(),
        step: None,
    }
}
