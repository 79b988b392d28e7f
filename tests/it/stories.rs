//! Stories: given this stack, when somebody types this, then these messages, this timeline, this
//! world.

use std::time::Duration;

use treasury_bot::domain::timeline::verify;
use treasury_bot::domain::{EntryKind, IncidentId, Stream};
use treasury_bot::sandbox::slack::Fault;
use treasury_bot::sandbox::stack::Fault as Trouble;

use crate::support::postgres::Postgres;
use crate::support::stage::{HOME, Scenery, Stage, another_bot, words_of};

#[tokio::test]
async fn a_restart_is_asked_confirmed_done_and_told_in_one_message() {
    restart_story(Stage::new().await).await;
}

#[tokio::test]
async fn a_graph_is_a_picture_with_words_and_a_private_address_is_not_asked() {
    let stage = Stage::new().await;
    // The first measurement is taken as soon as the bot is up.
    while stage.sandbox.files().is_empty() {
        stage.ana("graph frontend memory --since 10m").await;
        stage.quiet().await;
    }
    let file = &stage.sandbox.files()[0];
    assert!(file.content.starts_with(b"\x89PNG"), "{}", file.name);
    assert!(
        file.alt_txt.starts_with("Line chart: frontend memory.") && file.alt_txt.contains("MiB"),
        "{}",
        file.alt_txt
    );
    stage.ana("graph frontend memroy").await;
    stage
        .said(HOME, "There is no metric memroy of frontend")
        .await;
    stage
        .ana("check http://169.254.169.254/latest/meta-data/")
        .await;
    stage.said(HOME, "link-local address").await;
    stage.ana("db terminate 4711").await;
    stage.said(HOME, "4711").await;
    stage.finish().await;
}

#[tokio::test]
async fn the_same_by_http() {
    restart_story(
        Stage::set(Scenery {
            http: true,
            ..Scenery::default()
        })
        .await,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_same_on_postgresql() {
    let postgres = Postgres::start().await;
    let scenery = Scenery {
        store_url: Some(postgres.url()),
        ..Scenery::default()
    };
    restart_story(Stage::set(scenery).await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn two_replicas_on_one_database_have_one_effect() {
    let postgres = Postgres::start().await;
    let scenery = || Scenery {
        store_url: Some(postgres.url()),
        ..Scenery::default()
    };
    let stage = Stage::set(scenery()).await;
    let second = stage.another_bot(&scenery()).await;
    stage
        .sandbox
        .wait_for_sockets(4, Duration::from_secs(20))
        .await
        .unwrap();
    let ana = stage.person("ana");
    for service in ["api", "frontend", "redis"] {
        let line = format!("/treasury restart {service}");
        for receipt in ana.types_times(HOME, &line, 5).await.unwrap() {
            assert!(receipt.acked, "{receipt:?}");
        }
        let question = stage.said(HOME, &format!("Restart {service}?")).await;
        let label = format!("Restart {service}");
        ana.clicks_times(HOME, &question.ts, &label, 5)
            .await
            .unwrap();
        stage
            .becomes(&question, &format!("{service} restarted in"))
            .await;
    }
    stage.quiet().await;
    assert_eq!(
        stage.stack.calls(),
        ["restart api", "restart frontend", "restart redis"]
    );
    assert_eq!(stage.count("restarted in"), 3, "said once each");
    verify(&Stream::Audit, &stage.audit().await).unwrap();
    second.stop().await;
    stage.finish().await;
}

async fn restart_story(stage: Stage) {
    stage
        .ana("incident declare Frontend leaks --service frontend")
        .await;
    let room = stage.room(1).await;
    stage.said(&room, "INC-1: Frontend leaks").await;

    let receipt = stage.ana("restart frontend --reason 'memory leak'").await;
    assert!(
        receipt.acked && receipt.elapsed < Duration::from_secs(1),
        "{receipt:?}"
    );
    let question = stage.said(HOME, "Restart frontend?").await;
    assert!(
        stage.stack.calls().is_empty(),
        "nothing before the confirmation"
    );
    stage
        .person("ana")
        .clicks(HOME, &question.ts, "Restart frontend")
        .await
        .unwrap();

    let told = stage.becomes(&question, "frontend restarted in").await;
    let words = words_of(&told);
    for part in ["Before", "After", "healthy 2/2", "memory leak"] {
        assert!(words.contains(part), "no “{part}” in {words}");
    }
    assert_eq!(stage.stack.calls(), ["restart frontend"]);
    // The incident was worked on elsewhere: it is told there as well.
    stage.said(&room, "frontend restarted in").await;

    let timeline = stage.timeline(1).await;
    let kinds: Vec<_> = timeline.iter().map(|entry| entry.kind).collect();
    assert_eq!(
        kinds,
        [EntryKind::Declared, EntryKind::Intent, EntryKind::Outcome]
    );
    assert!(
        timeline[1].text.contains("restarting frontend"),
        "{}",
        timeline[1].text
    );
    assert!(
        timeline[2].text.contains("restarted frontend in"),
        "{}",
        timeline[2].text
    );
    verify(&Stream::Incident(IncidentId(1)), &timeline).unwrap();
    verify(&Stream::Audit, &stage.audit().await).unwrap();
    stage.quiet().await;
    stage.finish().await;
}

#[tokio::test]
async fn the_same_command_five_times_at_once_is_one_question_and_five_clicks_are_one_restart() {
    for http in [false, true] {
        let stage = Stage::set(Scenery {
            http,
            ..Scenery::default()
        })
        .await;
        let ana = stage.person("ana");
        for receipt in ana
            .types_times(HOME, "/treasury restart api", 5)
            .await
            .unwrap()
        {
            assert!(receipt.acked, "{receipt:?}");
        }
        let question = stage.said(HOME, "Restart api?").await;
        stage.quiet().await;
        assert_eq!(stage.count("Restart api?"), 1);

        for receipt in ana
            .clicks_times(HOME, &question.ts, "Restart api", 5)
            .await
            .unwrap()
        {
            assert!(receipt.acked, "{receipt:?}");
        }
        stage.becomes(&question, "api restarted in").await;
        stage.quiet().await;
        assert_eq!(stage.stack.calls(), ["restart api"]);
        let intents = stage
            .audit()
            .await
            .iter()
            .filter(|e| e.kind == EntryKind::Intent)
            .count();
        assert_eq!(intents, 1);
        stage.finish().await;
    }
}

#[tokio::test]
async fn an_impatient_second_request_points_to_the_open_question() {
    let stage = Stage::new().await;
    stage.ana("restart api").await;
    stage.said(HOME, "Restart api?").await;
    stage.ana("restart api").await;
    stage
        .said(HOME, "I have already asked you about restart api")
        .await;
    assert_eq!(stage.count("Restart api?"), 1);
    stage.finish().await;
}

#[tokio::test]
async fn only_responders_act_and_a_viewer_cannot_press_somebody_elses_button() {
    let stage = Stage::new().await;
    stage.types("chloe", HOME, "restart frontend").await;
    let refusal = stage.said(HOME, "Only a responder may do this").await;
    assert_eq!(
        refusal.visible_to.as_deref(),
        Some("U0CHLOE001"),
        "told to her alone"
    );

    stage.ana("restart frontend").await;
    let question = stage.said(HOME, "Restart frontend?").await;
    stage
        .person("chloe")
        .clicks(HOME, &question.ts, "Restart frontend")
        .await
        .unwrap();
    stage.quiet().await;
    assert_eq!(stage.count("Only a responder may do this"), 2);
    assert!(stage.stack.calls().is_empty());

    // The commander may press what ana asked for.
    stage
        .person("ben")
        .clicks(HOME, &question.ts, "Restart frontend")
        .await
        .unwrap();
    stage.becomes(&question, "frontend restarted in").await;
    let audit = stage.audit().await;
    let refused = audit
        .iter()
        .filter(|entry| entry.kind == EntryKind::Refused)
        .count();
    assert_eq!(refused, 2, "refusals are on the audit");
    stage.finish().await;
}

#[tokio::test]
async fn a_cancelled_and_an_expired_question_do_nothing() {
    let stage = Stage::set(Scenery {
        confirm_within: Duration::from_secs(1),
        ..Scenery::default()
    })
    .await;
    stage.ana("restart redis").await;
    let question = stage.said(HOME, "Restart redis?").await;
    stage
        .person("ana")
        .clicks(HOME, &question.ts, "Cancel")
        .await
        .unwrap();
    stage
        .becomes(&question, "was not done. Cancelled by ana")
        .await;

    stage.ana("restart api").await;
    let question = stage.said(HOME, "Restart api?").await;
    stage
        .becomes(&question, "was not done. Nobody answered in time")
        .await;
    assert!(stage.stack.calls().is_empty());
    stage.finish().await;
}

#[tokio::test]
async fn scaling_is_bounded_and_shows_before_and_after() {
    let stage = Stage::new().await;
    stage.ana("scale frontend 99").await;
    stage
        .said(HOME, "frontend may have 1 to 10 replicas, not 99")
        .await;
    stage.ana("scale postgres 2").await;
    stage
        .said(HOME, "postgres has exactly 1 replica, and may not have 2")
        .await;

    stage.ana("scale frontend 3").await;
    let question = stage
        .said(HOME, "Scale frontend from 2 to 3 replicas?")
        .await;
    stage
        .person("ana")
        .clicks(HOME, &question.ts, "Scale to 3")
        .await
        .unwrap();
    stage
        .becomes(&question, "frontend scaled from 2 to 3 replicas in")
        .await;
    assert_eq!(stage.stack.calls(), ["scale frontend 3"]);
    stage.ana("scale frontend 3").await;
    stage
        .said(HOME, "frontend already has 3 replicas: nothing to do")
        .await;
    stage.finish().await;
}

#[tokio::test]
async fn a_restart_that_does_not_help_says_so_and_what_to_do_next() {
    let stage = Stage::new().await;
    stage.stack.put_in(Trouble::CrashLoop, Some("api")).unwrap();
    stage.ana("restart api").await;
    let question = stage.said(HOME, "Restart api?").await;
    stage
        .person("ana")
        .clicks(HOME, &question.ts, "Restart api")
        .await
        .unwrap();
    let told = stage.becomes(&question, "The restart of api failed").await;
    let words = words_of(&told);
    assert!(words.contains("exited with code"), "{words}");
    assert!(
        words.contains("Try again") && words.contains("Logs"),
        "{words}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn a_platform_that_is_away_is_an_answer_that_names_the_mend() {
    let stage = Stage::new().await;
    stage.stack.put_in(Trouble::EngineGone, None).unwrap();
    stage.ana("restart api").await;
    let told = stage
        .said(HOME, "That did not work. Nothing was changed")
        .await;
    assert!(
        words_of(&told).contains("can't be reached"),
        "{}",
        words_of(&told)
    );
    stage.ana("status").await;
    stage
        .said(HOME, "Unknown: none of the 4 services can be looked at")
        .await;
    stage.finish().await;
}

#[tokio::test]
async fn a_mention_in_a_thread_takes_the_same_words() {
    let stage = Stage::new().await;
    stage.ana("status").await;
    let root = stage.said(HOME, "services are well").await;
    let ana = stage.person("ana");
    ana.says(HOME, "<@UTREASURYBOT> status redis", Some(&root.ts))
        .await
        .unwrap();
    let answer = stage.said(HOME, "redis healthy 1/1").await;
    assert_eq!(
        answer.thread_ts.as_deref(),
        Some(root.ts.as_str()),
        "answered in the thread"
    );
    stage.finish().await;
}

#[tokio::test]
async fn a_slack_that_answers_429_and_500_and_cuts_answers_off_gets_every_message_once() {
    let stage = Stage::new().await;
    let faults = stage.sandbox.faults();
    faults.next(
        "chat.postMessage",
        1,
        Fault::RateLimited { retry_after_s: 1 },
    );
    faults.next("chat.postMessage", 1, Fault::ServerError(500));
    faults.next("chat.postMessage", 1, Fault::DropAfterAccept);
    stage.ana("status").await;
    stage.said(HOME, "services are well").await;
    stage.ana("status redis").await;
    stage.said(HOME, "redis healthy 1/1").await;
    stage.quiet().await;
    assert_eq!(
        stage.count("services are well"),
        1,
        "{}",
        stage.sandbox.dump(10)
    );
    assert_eq!(stage.count("redis healthy 1/1"), 1);
    stage.finish().await;
}

#[tokio::test]
async fn sockets_that_drop_in_mid_command_lose_nothing_and_double_nothing() {
    let stage = Stage::new().await;
    let faults = stage.sandbox.faults();
    faults.redeliver(1);
    stage.ana("incident declare Slow").await;
    stage.room(1).await;
    faults.drop_sockets();
    stage
        .sandbox
        .wait_for_sockets(1, Duration::from_secs(20))
        .await
        .unwrap();
    faults.disconnect("refresh_requested");
    stage
        .sandbox
        .wait_for_sockets(1, Duration::from_secs(20))
        .await
        .unwrap();
    let receipt = stage.ana("status").await;
    assert!(receipt.acked, "{receipt:?}");
    stage.said(HOME, "services are well").await;
    stage.quiet().await;
    assert_eq!(
        stage.app.store.incidents(10).await.unwrap().len(),
        1,
        "one declaration, one incident"
    );
    stage.finish().await;
}

#[tokio::test]
async fn what_was_asked_before_a_restart_of_the_bot_is_answered_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("bot.db").display());
    let stage = Stage::set(Scenery {
        store_url: Some(url.clone()),
        ..Scenery::default()
    })
    .await;
    let faults = stage.sandbox.faults();
    // Slack takes no message now: the answer waits in the outbox when the bot ends.
    faults.next("chat.postMessage", 1_000, Fault::ServerError(503));
    stage.ana("note --incident INC-9 x").await;
    stage.ana("status").await;
    stage.app.stop().await;
    faults.clear();
    let scenery = Scenery {
        store_url: Some(url),
        ..Scenery::default()
    };
    let app = another_bot(&stage.sandbox, &stage.stack, &scenery).await;
    stage
        .sandbox
        .wait_for(Duration::from_secs(20), |workspace| {
            workspace
                .messages()
                .find(|m| words_of(m).contains("services are well"))
                .map(|_| ())
        })
        .await
        .unwrap();
    app.stop().await;
    stage.sandbox.stop();
}
