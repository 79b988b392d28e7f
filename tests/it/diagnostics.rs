//! Stories of diagnostics on the simulated stack: what the database, the cache and the metrics say
//! of a fault, and that acting on it mends it.

use std::time::Duration;

use treasury_bot::domain::EntryKind;
use treasury_bot::platform::Platform;
use treasury_bot::probe::{Cache, Database};
use treasury_bot::sandbox::stack::Fault;

use crate::support::stage::{HOME, Scenery, Stage, words_of};

#[tokio::test]
async fn the_root_of_a_lock_chain_is_named_and_ending_it_mends_the_database() {
    let stage = Stage::new().await;
    stage.stack.put_in(Fault::SlowDatabase, None).unwrap();
    let database = stage.stack.database();
    // Those who wait come one after the other.
    let pid = loop {
        let locks = database.locks().await.unwrap();
        if locks.tree.len() > 2 {
            break locks.roots[0];
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    stage.ana("db locks").await;
    let locks = words_of(&stage.said(HOME, "wait").await);
    assert!(locks.contains(&pid.to_string()), "{locks}");
    stage.ana(&format!("db terminate {pid}")).await;
    let question = stage.said(HOME, &format!("Terminate session {pid}")).await;
    stage
        .person("ana")
        .clicks(HOME, &question.ts, &format!("Terminate {pid}"))
        .await
        .unwrap();
    stage.quiet().await;
    assert_eq!(
        stage.stack.faults().len(),
        0,
        "the fault went with its session"
    );
    let audit = stage.audit().await;
    let kinds: Vec<EntryKind> = audit.iter().map(|entry| entry.kind).collect();
    let intent = kinds.iter().position(|kind| *kind == EntryKind::Intent);
    let outcome = kinds.iter().position(|kind| *kind == EntryKind::Outcome);
    assert!(intent.is_some() && intent < outcome, "{kinds:?}");
    stage.ana("db locks").await;
    stage.said(HOME, "Nobody waits").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_cache_that_is_down_is_told_as_down_and_a_restart_brings_it_back() {
    let stage = Stage::new().await;
    stage.ana("cache").await;
    stage.said(HOME, "redis is up").await;
    stage.stack.put_in(Fault::CacheDown, None).unwrap();
    stage.stack.advance(Duration::from_secs(10));
    stage.ana("cache").await;
    stage.said(HOME, "redis").await;
    stage.ana("cache keys session:").await;
    stage.quiet().await;
    assert!(
        stage.count("can't be reached") + stage.count("refused") > 0,
        "{}",
        stage.sandbox.dump(6)
    );
    stage.finish().await;
}

/// Looks at keys, and writes of one.
const KEYS: &str = "name: keys
title: Keys
summary: Looks at keys.
steps:
  - id: keys
    uses: cache.keys
    with: {prefix: 'session:'}
  - id: declare
    uses: incident.declare
    with: {title: 'of ${{ steps.keys.keys[0].key }}', severity: SEV3}
";

#[tokio::test]
async fn names_of_keys_are_told_to_responders_alone_and_end_after_their_prefix() {
    let stage = Stage::set(Scenery {
        runbooks: vec![KEYS.into()],
        ..Scenery::default()
    })
    .await;
    let questions = ["cache keys session:", "cache memory", "cache slowlog"];
    for words in questions {
        stage.types("chloe", HOME, words).await;
    }
    stage.quiet().await;
    assert_eq!(stage.count("Only a responder may do this"), 3);

    let cache = stage.stack.cache();
    let mut secret = cache.keys("session:").await.unwrap().keys;
    secret.extend(cache.memory().await.unwrap().biggest);
    for (words, title) in questions.iter().zip([
        "keys begin with session: in redis",
        "Biggest keys of redis",
        "in redis",
    ]) {
        stage.ana(words).await;
        let told = stage.said(HOME, title).await;
        assert_eq!(told.visible_to.as_deref(), Some("U0ANA00001"), "{words}");
        let told = words_of(&told);
        let leak = secret.iter().find(|key| told.contains(&key.key));
        assert!(leak.is_none(), "{leak:?} in {told}");
    }
    stage.ana("cache").await;
    let summary = stage.said(HOME, "redis is up").await;
    assert_eq!(summary.visible_to, None, "what names nobody is for all");
    let person = stage.person("ana");
    person.clicks(HOME, &summary.ts, "Memory").await.unwrap();
    stage.quiet().await;
    assert_eq!(stage.count("Biggest keys of redis"), 2);

    // A run is told to everybody and kept: there they are masked as well.
    stage.ana("runbook run keys").await;
    let run = stage.said(HOME, "Run 1 of Keys").await;
    stage.becomes(&run, "succeeded").await;
    stage.quiet().await;
    assert!(stage.count("of session:…") > 0, "{}", stage.sandbox.dump(6));
    let kept = format!("{:?}{:?}", stage.timeline(1).await, stage.audit().await);
    let leak = secret.iter().find(|key| kept.contains(&key.key));
    assert!(leak.is_none(), "{leak:?} in {kept}");
    let said = |key: &str| stage.count(key);
    assert!(secret.iter().all(|key| said(&key.key) == 0));
    stage.finish().await;
}

#[tokio::test]
async fn where_the_operator_wants_it_names_of_keys_are_told_whole_but_not_kept() {
    let stage = Stage::set(Scenery {
        runbooks: vec![KEYS.into()],
        show_keys: true,
        ..Scenery::default()
    })
    .await;
    let first = stage.stack.cache().keys("session:").await.unwrap().keys;
    let first = &first[0].key;
    stage.ana("cache keys session:").await;
    let told = stage.said(HOME, "keys begin with session:").await;
    assert!(words_of(&told).contains(first), "{}", words_of(&told));
    assert_eq!(told.visible_to.as_deref(), Some("U0ANA00001"));
    stage.ana("runbook run keys").await;
    let run = stage.said(HOME, "Run 1 of Keys").await;
    stage.becomes(&run, "succeeded").await;
    stage.quiet().await;
    assert_eq!(stage.count(first), 1, "only to whom asked");
    stage.finish().await;
}

#[tokio::test]
async fn errors_are_drawn_from_prometheus_and_the_site_is_checked() {
    let stage = Stage::set(Scenery {
        pages: true,
        ..Scenery::default()
    })
    .await;
    stage.stack.put_in(Fault::ApiErrors, None).unwrap();
    stage.stack.advance(Duration::from_secs(300));
    stage.ana("graph api errors --since 10m").await;
    stage.quiet().await;
    let files = stage.sandbox.files();
    assert_eq!(files.len(), 1, "{}", stage.sandbox.dump(5));
    assert!(files[0].alt_txt.contains("errors"), "{}", files[0].alt_txt);
    stage.ana("check frontend").await;
    stage.said(HOME, "/stack/site/").await;
    stage.finish().await;
}

#[tokio::test]
async fn old_figures_come_at_once_and_are_told_anew_in_the_same_message() {
    // Its engine samples once in a simulated second: every three seconds.
    let stage = Stage::set(Scenery {
        speed: 0.33,
        ..Scenery::default()
    })
    .await;
    let frontend = stage.stack.services().remove(0);
    // Until the newest samples are of some age.
    loop {
        let taken_at = stage.stack.stats(&frontend).await.unwrap().taken_at;
        let age = jiff::Timestamp::now().duration_since(taken_at);
        if age > jiff::SignedDuration::from_millis(2_300) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.ana(&format!("stats {}", frontend.name)).await;
    let first = stage.said(HOME, "MEMORY").await;
    let old = words_of(&first);
    let fresh = stage
        .sandbox
        .wait_for(Duration::from_secs(10), |workspace| {
            let now = workspace.channel(&first.channel)?.message(&first.ts)?;
            (words_of(now) != old).then(|| words_of(now))
        })
        .await
        .unwrap();
    assert!(fresh.contains("MEMORY"), "{fresh}");
    stage.quiet().await;
    assert_eq!(stage.count("MEMORY"), 1, "one message");
    stage.finish().await;
}
