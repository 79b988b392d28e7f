//! What is said is what was meant: options after a text, mentions, questions, rehearsals, endings.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use treasury_bot::domain::{EntryKind, Guarded};
use treasury_bot::sandbox::stack::Fault;

use crate::alerts;
use crate::support::stage::{HOME, Scenery, Stage, words_of};

async fn texts(stage: &Stage, id: i64) -> Vec<String> {
    stage.quiet().await;
    let entries = stage.timeline(id).await.into_iter();
    entries.map(|entry| entry.text).collect()
}

/// Presses a button of the newest message of the bot that holds these words.
async fn press(stage: &Stage, who: &str, channel: &str, words: &str, label: &str) {
    let message = stage.said(channel, words).await;
    let person = stage.person(who);
    person.clicks(channel, &message.ts, label).await.unwrap();
}

#[tokio::test]
async fn what_names_an_incident_after_its_text_lands_there() {
    let stage = Stage::new().await;
    stage.ana("incident declare One").await;
    let first = stage.room(1).await;
    stage.ana("Incident declare Two").await;
    let second = stage.room(2).await;

    let say = |words: &'static str| stage.types("ana", &second, words);
    say("Note rolled back --incident INC-1").await;
    stage.said(&first, "rolled back").await;
    say("update We are back —incident INC-1").await;
    stage.said(&first, "We are back").await;
    say("note rollback —done — all “well”").await;
    stage.said(&second, "rollback —done — all \"well\"").await;
    // From anywhere, though two are open.
    stage.ana("note seen --incident inc-1").await;
    stage.said(&first, "seen").await;

    assert_eq!(
        texts(&stage, 1).await,
        ["One", "rolled back", "We are back", "seen"]
    );
    assert_eq!(
        texts(&stage, 2).await,
        ["Two", "rollback —done — all \"well\""]
    );

    // Nobody can tell whether this one is meant: a press says which.
    say("note it --incident INC-1 was rolled back").await;
    let label = "note it was rolled back --incident INC-1";
    press(&stage, "ana", &second, "in the middle of the text", label).await;
    stage.said(&first, "it was rolled back").await;
    stage.finish().await;
}

#[tokio::test]
async fn whoever_is_mentioned_is_mentioned_in_slack_and_named_on_the_timeline() {
    let stage = Stage::new().await;
    stage.ana("incident declare Slow").await;
    let room = stage.room(1).await;
    stage
        .types(
            "ana",
            &room,
            "note cc @ben in #treasury-incidents, not @channel <!here>",
        )
        .await;
    let said = stage.said(&room, "Note by").await;
    let shown = said.shown();
    assert!(shown.contains("cc <@U0BEN00001> in <#C"), "{shown}");
    assert!(!shown.contains("<!"), "{shown}");
    stage
        .types("ana", &room, "resolve it was @ben, see #treasury-incidents")
        .await;
    let said = stage.said(&room, "INC-1 is resolved").await;
    assert!(said.shown().contains("it was <@U0BEN00001>, see <#C"));

    let told = texts(&stage, 1).await;
    assert_eq!(
        told[1],
        "cc @ben in #treasury-incidents, not @channel @here"
    );
    assert_eq!(
        told[2],
        "open → resolved: it was @ben, see #treasury-incidents"
    );
    for format in ["md", "json", "csv", "html"] {
        let words = format!("export --format {format}");
        stage.types("ana", &room, &words).await;
        let file = stage
            .sandbox
            .wait_for(Duration::from_secs(20), |workspace| {
                let mut files = workspace.files.iter();
                let end = format!(".{format}");
                files
                    .find(|f| f.is_complete() && f.name.ends_with(&end))
                    .cloned()
            })
            .await
            .unwrap();
        let text = String::from_utf8(file.content).unwrap().replace('\\', "");
        assert!(text.contains("cc @ben in #treasury-incidents"), "{text}");
        assert!(!text.contains("U0BEN00001>"), "{text}");
    }
    stage.finish().await;
}

/// Looks, asks, changes, notes, tells.
const MENDED: &str = "name: mended
title: Mend the api
summary: Mends it.
steps:
  - id: look
    uses: service.status
    with: {service: api}
  - id: agree
    approve: {text: 'Mend it?', by: responder, timeout: 5m}
  - id: restart
    title: Restart the api
    uses: service.restart
    with: {service: api}
  - id: never
    title: It is fast
    assert: 1 == 2
    message: it is slow
    on_failure: continue
  - note: 'the api was restarted and is well'
  - notify: 'the api is well'
";

#[tokio::test]
async fn a_rehearsal_leaves_that_it_was_rehearsed_and_nothing_that_reads_as_a_fact() {
    let stage = Stage::set(Scenery {
        runbooks: vec![MENDED.into()],
        ..Scenery::default()
    })
    .await;
    stage.ana("incident declare Slow --service api").await;
    let room = stage.room(1).await;
    stage.types("chloe", HOME, "runbook rehearse mended").await;
    stage
        .said(HOME, "Rehearsal 1 of Mend the api is over")
        .await;
    stage.types("ana", &room, "runbook rehearse mended").await;
    let run = stage.said(&room, "Rehearsal 2 of Mend the api").await;
    let run = stage.becomes(&run, "is over: a run would go through").await;
    let run = words_of(&run);
    for part in [
        "Restart the api — would call service.restart service=api",
        "would note: the api was restarted and is well",
        "would say: the api is well",
        "nothing is changed",
    ] {
        assert!(run.contains(part), "{part}: {run}");
    }

    let told = texts(&stage, 1).await;
    let told: Vec<&String> = told.iter().filter(|text| text.contains("ehears")).collect();
    let all = format!("{told:#?}");
    assert!(
        told.iter().all(|text| text.starts_with("rehearsal 2")),
        "{all}"
    );
    assert_eq!(told[0], "rehearsal 2 of mended begins: it changes nothing");
    for part in [
        "rehearsal 2: service.status: looked at: api healthy 2/2",
        "rehearsal 2 of mended by ana is over: nothing was changed; a run would go through",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    for fact in ["done", "succeeded", "failed", "run 2"] {
        assert!(!all.contains(fact), "{fact}: {all}");
    }
    let facts = texts(&stage, 1).await.join("\n");
    assert!(!facts.contains("\nthe api was restarted"), "{facts}");
    let notes = stage.timeline(1).await;
    assert!(notes.iter().all(|entry| entry.kind != EntryKind::Note));
    assert_eq!(stage.stack.calls(), [""; 0]);

    stage.ana("runbook runs").await;
    let runs = words_of(&stage.said(HOME, "The newest runs").await);
    assert!(runs.contains("rehearsed, nothing changed"), "{runs}");
    assert!(!runs.contains("succeeded"), "{runs}");
    stage.finish().await;
}

#[tokio::test]
async fn resolving_while_something_fires_says_what_and_asks_where_it_is_bad() {
    let stage = alerts::stage(alerts::hasty()).await;
    let labels = [("service", "api")];
    let fire = [
        alerts::alert("HighErrorRate", &labels, true),
        alerts::alert("LinkDown", &[("service", "api"), ("link", "a")], true),
        alerts::alert("LinkDown", &[("service", "api"), ("link", "b")], true),
    ];
    alerts::post(&stage, &fire).await;
    let room = stage.room(1).await;
    stage.ana("resolve --incident INC-1 looks fine").await;
    let asked = stage.said(HOME, "Resolve INC-1?").await;
    let words = words_of(&asked);
    assert!(
        words.contains("3 alerts still fire: LinkDown ×2, HighErrorRate"),
        "{words}"
    );
    assert!(words.contains("A responder can confirm within"), "{words}");
    // Chloe only looks: she is told who may.
    let chloe = stage.person("chloe");
    chloe
        .clicks(HOME, &asked.ts, "Resolve it all the same")
        .await
        .unwrap();
    let refused = words_of(&stage.said(HOME, "Only a responder may do this").await);
    assert!(refused.contains("ask a responder (ana, ben)"), "{refused}");

    let ana = stage.person("ana");
    ana.clicks(HOME, &asked.ts, "Resolve it all the same")
        .await
        .unwrap();
    let said = stage.becomes(&asked, "INC-1 is resolved").await;
    assert!(words_of(&said).contains("3 alerts still fire"));
    stage.said(&room, "INC-1 is resolved").await;
    let told = texts(&stage, 1).await;
    let told = told.iter().find(|text| text.contains("→ resolved"));
    assert_eq!(
        told.unwrap(),
        "open → resolved: looks fine. 3 alerts still fire: LinkDown ×2, HighErrorRate"
    );
    stage.finish().await;
}

#[tokio::test]
async fn the_button_asks_what_it_was_and_what_is_minor_is_only_said() {
    let stage = alerts::stage(alerts::hasty()).await;
    let mut fires = alerts::alert("DiskFilling", &[("service", "api")], true);
    fires["labels"]["severity"] = json!("warning");
    alerts::post(&stage, &[fires]).await;
    let room = stage.room(1).await;
    let header = stage.said(&room, "INC-1: ").await;
    let ana = stage.person("ana");
    ana.clicks(&room, &header.ts, "Resolve…").await.unwrap();
    let asked = words_of(&stage.said(&room, "What was INC-1?").await);
    assert!(
        asked.contains("/treasury resolve --incident INC-1 WHAT IT WAS"),
        "{asked}"
    );
    press(
        &stage,
        "ana",
        &room,
        "What was INC-1?",
        "Resolve, cause not known yet",
    )
    .await;
    let said = words_of(&stage.said(&room, "INC-1 is resolved").await);
    assert!(said.contains("the cause is not known yet"), "{said}");
    assert!(said.contains("1 alert still fires: DiskFilling"), "{said}");
    stage.finish().await;
}

#[tokio::test]
async fn a_rollback_does_not_go_back_to_what_was_rolled_back_from() {
    let stage = Stage::new().await;
    stage.stack.put_in(Fault::BadDeploy, None).unwrap();
    stage.stack.advance(Duration::from_secs(60));
    stage.ana("rollback api").await;
    press(&stage, "ana", HOME, "Roll api back to", "Roll api back").await;
    stage.said(HOME, "rolled back to").await;
    stage.ana("rollback api").await;
    let refused = stage.said(HOME, "api was rolled back from").await;
    let words = words_of(&refused);
    for part in [
        "ghcr.io/treasury/api:1.9.0-rc1 by <@U0ANA00001>",
        "rollback does not go there. Nothing was done",
        "Name the exact version: deploy api IMAGE",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert_eq!(stage.stack.calls(), ["deploy api 1.8.3"]);
    press(
        &stage,
        "ana",
        HOME,
        "was rolled back from",
        "Deploy ghcr.io/treasury/api:1.8.2",
    )
    .await;
    stage
        .said(HOME, "Change api to ghcr.io/treasury/api:1.8.2?")
        .await;
    stage.finish().await;
}

#[tokio::test]
async fn everybody_may_declare_and_only_declare() {
    let stage = Stage::set(Scenery {
        viewers: Vec::new(),
        ..Scenery::default()
    })
    .await;
    stage
        .types(
            "chloe",
            HOME,
            "incident declare The shop is down --severity SEV2",
        )
        .await;
    stage.said(HOME, "INC-1 SEV2: The shop is down").await;
    stage.types("chloe", HOME, "restart api").await;
    let refused = words_of(&stage.said(HOME, "Only a responder may do this").await);
    assert!(refused.contains("ask a responder (ana, ben)"), "{refused}");
    stage.finish().await;
}

#[tokio::test]
async fn a_question_for_a_second_person_says_so_and_offers_its_asker_no_yes() {
    let stage = Stage::set(Scenery {
        second_person: BTreeSet::from([Guarded::Isolate]),
        commanders: vec!["U0CHLOE001".into()],
        ..Scenery::default()
    })
    .await;
    stage.types("ben", HOME, "isolate redis").await;
    let asked = stage
        .said(HOME, "A commander other than ben can confirm")
        .await;
    stage.types("ben", HOME, "isolate redis").await;
    let again = stage
        .said(HOME, "it awaits a commander other than ben")
        .await;
    assert!(!words_of(&again).contains("Yes"), "{}", words_of(&again));
    let ben = stage.person("ben");
    let label = "Isolate redis";
    ben.clicks(HOME, &asked.ts, label).await.unwrap();
    stage
        .said(HOME, "have another commander (chloe) press the button")
        .await;
    let ana = stage.person("ana");
    ana.clicks(HOME, &asked.ts, label).await.unwrap();
    stage.said(HOME, "ask a commander (ben, chloe)").await;
    stage.finish().await;
}
