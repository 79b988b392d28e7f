//! Looking on: status, logs, stats, events.

use std::time::{Duration, Instant};

use bollard::query_parameters::RenameContainerOptionsBuilder;
use jiff::Timestamp;
use treasury_bot::domain::service::{Health, LogQuery, Patience, ReplicaState, Target};
use treasury_bot::platform::{Platform, PlatformError, ProgressSink};

use crate::support::engine::{OBEYS, Stack, check, entry, eventually, intent};

fn newest(lines: usize) -> LogQuery {
    LogQuery {
        lines,
        since: None,
        grep: None,
        previous: false,
        container: None,
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_status_shows_every_replica_by_number_and_no_one_off_container() {
    let stack = Stack::new("status").await;
    stack.driver.ping().await.unwrap();
    stack.run("web", 10, OBEYS).await;
    let mut body = stack.body("web", 2, OBEYS);
    body.healthcheck = Some(check("true", 3));
    stack.start(&stack.container("web", 2), body).await;
    // The engine may note the start of a very short run after its end.
    stack.run("web", 3, "busybox sleep 1; exit 7").await;
    let mut body = stack.body("web", 4, OBEYS);
    let labels = body.labels.as_mut().unwrap();
    labels.insert("com.docker.compose.oneoff".into(), "True".into());
    stack
        .make(&format!("{}-web-run-1", stack.project), body)
        .await;
    let web = stack.service("web");

    let status = eventually("web-2 healthy and web-3 ended", async || {
        let status = stack.driver.status(&web).await.unwrap();
        let [two, three, _] = status.replicas.as_slice() else {
            panic!("{status:?}");
        };
        let ready = two.health == Health::Healthy && three.state == ReplicaState::Exited;
        ready.then_some(status)
    })
    .await;
    let names: Vec<_> = status.replicas.iter().map(|one| one.name.clone()).collect();
    assert_eq!(names, [2, 3, 10].map(|n| stack.container("web", n)));
    let [two, three, ten] = status.replicas.as_slice() else {
        unreachable!()
    };
    assert_eq!((two.exit_code, two.finished_at), (None, None));
    assert_eq!(three.exit_code, Some(7));
    assert!(three.finished_at >= three.started_at && three.started_at.is_some());
    assert_eq!((ten.health, ten.is_well()), (Health::Unchecked, true));
    assert!(status.replicas.iter().all(|one| one.image == stack.image()));

    let alone = entry(Target::Container {
        engine: None,
        name: names[2].clone(),
    });
    let status = stack.driver.status(&alone).await.unwrap();
    assert_eq!(status.replicas.as_slice(), std::slice::from_ref(ten));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_service_that_is_missing_names_those_that_are_there() {
    let stack = Stack::new("missing").await;
    let id = stack
        .make(&stack.container("web", 1), stack.body("web", 1, OBEYS))
        .await;
    let error = stack
        .driver
        .status(&stack.service("wep"))
        .await
        .unwrap_err();
    assert!(matches!(error, PlatformError::NotFound { .. }));
    let text = error.to_string();
    assert!(text.contains("com.docker.compose.service=wep"), "{text}");
    assert!(
        text.contains(&format!("the project {} has: web.", stack.project)),
        "{text}"
    );
    // Neither the start of a name nor that of an id will do.
    for name in [format!("{}-web", stack.project), id[..12].to_owned()] {
        let alone = entry(Target::Container { engine: None, name });
        let error = stack.driver.status(&alone).await.unwrap_err();
        assert!(matches!(error, PlatformError::NotFound { .. }), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_use_of_what_has_no_container_or_does_not_run_is_answered_at_once() {
    let stack = Stack::new("nothing").await;
    stack.run("web", 1, "exit 3").await;
    eventually("its end", async || {
        let status = stack.driver.status(&stack.service("web")).await.unwrap();
        (status.replicas[0].state == ReplicaState::Exited).then_some(())
    })
    .await;
    let soon = Duration::from_millis(1_500);
    for _ in 0..2 {
        let begun = Instant::now();
        let wep = stack.service("wep");
        let error = stack.driver.stats(&wep).await.unwrap_err();
        assert!(matches!(error, PlatformError::NotFound { .. }), "{error}");
        let stats = stack.driver.stats(&stack.service("web")).await.unwrap();
        assert_eq!(stats.replicas, []);
        assert!(begun.elapsed() < soon, "{:?}", begun.elapsed());
    }
    // Once there is one, it is measured.
    stack.run("wep", 1, OBEYS).await;
    eventually("its figures", async || {
        let stats = stack.driver.stats(&stack.service("wep")).await.ok()?;
        (stats.replicas.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn logs_are_merged_searched_and_clean() {
    let stack = Stack::new("logs").await;
    let script = "echo first; busybox printf '\\033[31mRED error\\033[0m\\ttab\\n' >&2; \
                  i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; echo last; ";
    let done = format!("{script}{OBEYS}");
    stack.run("web", 1, &done).await;
    let web = stack.service("web");
    let logs = eventually("the last line", async || {
        let logs = stack.driver.logs(&web, &newest(3)).await.unwrap();
        (logs.lines.last()?.text == "last").then_some(logs)
    })
    .await;
    let texts: Vec<_> = logs.lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(
        (texts, logs.truncated),
        (vec!["line 2998", "line 2999", "last"], true)
    );

    // Further back than the first portion.
    let mut query = newest(5);
    query.grep = Some("red ERROR".into());
    let logs = stack.driver.logs(&web, &query).await.unwrap();
    assert_eq!((logs.lines.len(), logs.truncated), (1, false));
    assert_eq!(
        (logs.lines[0].text.as_str(), logs.lines[0].stderr),
        ("RED error tab", true)
    );
    assert_eq!(logs.lines[0].replica, stack.container("web", 1));

    // A second replica writes later, so its lines come last.
    let begun = Timestamp::now();
    stack.run("web", 2, &format!("echo other; {OBEYS}")).await;
    let mut query = newest(2);
    let logs = eventually("the other's line", async || {
        let logs = stack.driver.logs(&web, &query).await.unwrap();
        (logs.lines.last()?.text == "other").then_some(logs)
    })
    .await;
    assert_eq!(logs.lines[0].text, "last");
    assert!(logs.lines[0].at < logs.lines[1].at && logs.lines[0].at.is_some());
    query.lines = 500;
    query.since = Some(begun);
    let logs = stack.driver.logs(&web, &query).await.unwrap();
    let texts: Vec<_> = logs.lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!((texts, logs.truncated), (vec!["other"], false));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_previous_run_has_its_own_lines() {
    let stack = Stack::new("previous").await;
    // Last words need no line end.
    let script = format!("[ -f /b ] && echo second || busybox printf first; echo > /b; {OBEYS}");
    stack.run("web", 1, &script).await;
    let web = stack.service("web");
    let mut query = newest(9);
    query.previous = true;
    assert_eq!(stack.driver.logs(&web, &query).await.unwrap().lines, []);
    let (patience, quiet) = (Patience::default(), ProgressSink::none());
    stack
        .driver
        .restart(&web, None, &intent(), patience, &quiet)
        .await
        .unwrap();
    let lines = stack.driver.logs(&web, &query).await.unwrap().lines;
    let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["first"]);
    let lines = stack.driver.logs(&web, &newest(9)).await.unwrap().lines;
    let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["first", "second"]);
    assert!(lines[0].at < lines[1].at);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_log_that_nobody_keeps_names_what_would_help() {
    let stack = Stack::new("nolog").await;
    let mut body = stack.body("web", 1, OBEYS);
    let driver = serde_json::json!({"Type": "none"});
    body.host_config.as_mut().unwrap().log_config = serde_json::from_value(driver).unwrap();
    stack.start(&stack.container("web", 1), body).await;
    let error = stack
        .driver
        .logs(&stack.service("web"), &newest(1))
        .await
        .unwrap_err();
    let text = error.to_string();
    for part in [
        "does not support reading",
        "the log driver local or json-file",
        "--stored",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn samples_are_taken_in_the_background() {
    let stack = Stack::new("stats").await;
    stack.run("web", 2, OBEYS).await;
    let mut body = stack.body("web", 1, "while :; do :; done");
    let host = body.host_config.as_mut().unwrap();
    host.memory = Some(64 << 20);
    host.nano_cpus = Some(300_000_000);
    let busy = stack.start(&stack.container("web", 1), body).await;
    let web = stack.service("web");

    let asked = Instant::now();
    let stats = stack.driver.stats(&web).await.unwrap();
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    let [one, two] = stats.replicas.as_slice() else {
        panic!("{stats:?}");
    };
    assert!((15.0..45.0).contains(&one.cpu_percent), "{one:?}");
    assert!(two.cpu_percent < 10.0, "{two:?}");
    assert_eq!(one.memory_limit_bytes, Some(64 << 20));
    assert_eq!(two.memory_limit_bytes, None);
    assert!(
        one.memory_bytes > 0 && one.pids >= 1 && two.pids >= 2,
        "{stats:?}"
    );

    let asked = Instant::now();
    assert_eq!(stack.driver.stats(&web).await.unwrap().replicas.len(), 2);
    assert!(
        asked.elapsed() < Duration::from_millis(50),
        "{:?}",
        asked.elapsed()
    );

    stack.remove(&busy).await;
    let left = eventually(
        "the removed replica's sample goes and another is newer",
        async || {
            let now = stack.driver.stats(&web).await.unwrap();
            (now.replicas.len() == 1 && now.taken_at > stats.taken_at).then_some(now)
        },
    )
    .await;
    assert_eq!(left.replicas[0].replica, stack.container("web", 2));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn events_are_those_of_the_service_without_noise() {
    let stack = Stack::new("events").await;
    let before = Timestamp::now();
    let wait = "until [ -e /end ]; do busybox sleep 0.1; done; exit 5";
    let mut body = stack.body("web", 1, wait);
    body.healthcheck = Some(check("true", 3));
    let one = stack.start(&stack.container("web", 1), body).await;
    stack.run("other", 1, "exit 6").await;
    let web = stack.service("web");
    eventually("web-1 healthy", async || {
        let status = stack.driver.status(&web).await.unwrap();
        (status.replicas[0].health == Health::Healthy).then_some(())
    })
    .await;
    stack.exec(&one, ": >/end").await;
    let events = eventually("the end of web-1", async || {
        let events = stack.driver.events(&web, before).await.unwrap().list;
        events
            .iter()
            .any(|event| event.what == "die")
            .then_some(events)
    })
    .await;
    let whats: Vec<_> = events.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(whats, ["create", "start", "health_status: healthy", "die"]);
    assert_eq!(events[3].detail.as_deref(), Some("exit code 5"));
    assert!(
        events
            .iter()
            .all(|event| event.replica == stack.container("web", 1))
    );
    let later = stack.driver.events(&web, events[3].at).await.unwrap().list;
    assert_eq!(later, events[3..]);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_the_engine_has_forgotten_is_not_told_as_nothing() {
    let stack = Stack::new("forgotten").await;
    let before = Timestamp::now();
    let web = stack.service("web");
    stack.run("web", 1, "exit 7").await;
    eventually("its end", async || {
        let status = stack.driver.status(&web).await.unwrap();
        (status.replicas[0].state == ReplicaState::Exited).then_some(())
    })
    .await;
    // The engine keeps 256 events of all together; a neighbour makes more.
    let other = stack.run("other", 1, OBEYS).await;
    for count in 0..260 {
        let name = format!("{}-{count}", stack.project);
        let options = RenameContainerOptionsBuilder::default().name(&name);
        let renamed = stack.client.rename_container(&other, options.build());
        renamed.await.unwrap();
    }
    let events = stack.driver.events(&web, before).await.unwrap();
    assert!(
        events.reaches.is_some_and(|reaches| reaches > before),
        "{events:?}"
    );
    // What `inspect` knows is told all the same, once no event of it can be on its way.
    let (events, end) = eventually("its end is told", async || {
        let events = stack.driver.events(&web, before).await.unwrap();
        let end = events
            .list
            .iter()
            .find(|event| event.what == "die")
            .cloned();
        end.map(|end| (events, end))
    })
    .await;
    assert_eq!(end.detail.as_deref(), Some("exit code 7"));
    assert!(events.list.iter().any(|event| event.what == "start"));
}
