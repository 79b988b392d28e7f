//! Reaching people: each service at the wire, in the order and after the delays of the configuration,
//! with a link that acknowledges once.

mod killed;
mod services;

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use treasury_bot::bot::AlertSettings;
use treasury_bot::config::Config;
use treasury_bot::sandbox::slack::Message;

use crate::alerts::{alert, hasty, post};
use crate::support::receiver::{Receiver, Reply};
use crate::support::smtp::Smtp;
use crate::support::stage::{HOME, PATIENCE, Scenery, Stage, words_of};

/// Ana is on call, and nobody else is asked by itself.
fn on_call() -> AlertSettings {
    AlertSettings {
        ack_within: Duration::from_secs(600),
        ..hasty()
    }
}

/// A stage whose `[reach]`, `[[person]]` and the like are read from a configuration.
fn scenery(sections: &str) -> Scenery {
    let secrets = |name: &str| match name {
        "TREASURY_BOT_SLACK_BOT_TOKEN" => Some("xoxb-1".to_owned()),
        "TREASURY_BOT_SLACK_APP_TOKEN" => Some("xapp-1".to_owned()),
        _ if name.starts_with("TREASURY_BOT_REACH_") => Some("S3CRET".to_owned()),
        _ => None,
    };
    let text = format!("[store]\nurl = \"sqlite://bot.db\"\n{sections}");
    let mut config = Config::parse(&text, "treasury-bot.toml", &secrets)
        .unwrap_or_else(|errors| panic!("{errors}"));
    config.settings.reach.links = true;
    Scenery {
        alerts: on_call(),
        reach: config.settings.reach,
        ways: config.ways,
        smtp: config.smtp,
        mail: config.settings.notify,
        ..Scenery::default()
    }
}

/// Ana with these ways.
fn ana(ways: &str) -> String {
    format!("[[person]]\nid = \"U0ANA00001\"\nname = \"Ana Ruiz\"\nreach = [{ways}]\n")
}

async fn fires(stage: &Stage) -> String {
    let (code, _) = post(
        stage,
        &[alert("HighErrorRate", &[("service", "api")], true)],
    )
    .await;
    assert_eq!(code, 200);
    stage.room(1).await
}

/// The states of all notifications, in their order.
async fn states(stage: &Stage) -> Vec<String> {
    sqlx::query_scalar("SELECT state FROM notification ORDER BY id")
        .fetch_all(&stage.pool().await)
        .await
        .unwrap()
}

async fn becomes(stage: &Stage, expected: &[&str]) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while states(stage).await != expected {
        let states = states(stage).await;
        assert!(tokio::time::Instant::now() < deadline, "{states:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Everything that the bot told Ana alone.
async fn direct(stage: &Stage, words: &str) -> Message {
    let found = stage.sandbox.wait_for(PATIENCE, |workspace| {
        let mut all = workspace.messages().filter(|m| m.channel.starts_with('D'));
        all.find(|m| words_of(m).contains(words)).cloned()
    });
    found.await.unwrap()
}

/// Looks into the incident as people see it: who has acknowledged.
async fn acknowledged(stage: &Stage) -> usize {
    let entries = stage.timeline(1).await;
    let is_it = |text: &str| text.contains("alerts acknowledged");
    entries.iter().filter(|entry| is_it(&entry.text)).count()
}

#[tokio::test]
async fn a_look_at_the_link_changes_nothing_and_pressing_its_button_acknowledges_once() {
    let receiver = Receiver::start().await;
    let ways = format!(
        "[reach.hook]\nurl = \"{}\"\n{}",
        receiver.url(),
        ana("\"hook\"")
    );
    let stage = Stage::set(scenery(&ways)).await;
    fires(&stage).await;
    let link = receiver.wait("/", 1).await[0].json()["link"].clone();
    let link = link.as_str().unwrap();
    let browser = Client::new();
    // A chat's preview, a mail's scanner, a person who hesitates.
    for _ in 0..3 {
        let looked = browser.get(link).send().await.unwrap();
        assert_eq!(looked.status(), StatusCode::OK);
        assert_eq!(looked.headers()["cache-control"], "no-store");
        let page = looked.text().await.unwrap();
        assert!(
            page.contains("Acknowledge INC-1") && page.contains("method=\"post\""),
            "{page}"
        );
    }
    assert!(
        browser
            .head(link)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    assert_eq!(acknowledged(&stage).await, 0);
    // Another site's form is none of ours.
    let forged = browser.post(link).header("sec-fetch-site", "cross-site");
    assert_eq!(forged.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    // Nor does it open the incident pages.
    let entry = link.replace("/ack/", "/link/");
    assert_eq!(
        browser.post(&entry).send().await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(acknowledged(&stage).await, 0);

    let pressed = browser.post(link).send().await.unwrap();
    assert_eq!(pressed.status(), StatusCode::OK);
    let page = pressed.text().await.unwrap();
    assert!(
        page.contains("Ana Ruiz has acknowledged the alerts of INC-1"),
        "{page}"
    );
    assert_eq!(acknowledged(&stage).await, 1);
    let entries = stage.timeline(1).await;
    let entry = entries
        .iter()
        .find(|entry| entry.text.contains("alerts acknowledged"));
    assert_eq!(entry.unwrap().actor.id, "U0ANA00001");
    for again in [browser.post(link), browser.get(link)] {
        let again = again.send().await.unwrap();
        assert_eq!(again.status(), StatusCode::GONE);
        let page = again.text().await.unwrap();
        assert!(page.contains("This link was used already"), "{page}");
        assert!(
            page.contains("It came to this: Ana Ruiz has acknowledged"),
            "{page}"
        );
    }
    let unknown = format!("{link}0");
    assert_eq!(
        browser.post(&unknown).send().await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(acknowledged(&stage).await, 1);
    stage.finish().await;
}

#[tokio::test]
async fn a_link_that_is_too_old_or_whose_person_may_not_acknowledges_nothing_and_says_so() {
    let receiver = Receiver::start().await;
    let ways = format!(
        "[reach.hook]\nurl = \"{}\"\n{}{}",
        receiver.url(),
        ana("\"hook\""),
        ana("\"hook\"")
            .replace("U0ANA00001", "U0CHLOE001")
            .replace("Ana Ruiz", "Chloe")
    );
    let mut scenery = scenery(&ways);
    scenery.alerts.on_call[1].id = "U0CHLOE001".into();
    scenery.alerts.ack_within = Duration::from_secs(1);
    let stage = Stage::set(scenery).await;
    fires(&stage).await;
    let link = async |whose: &str| loop {
        let all = receiver.all();
        if let Some(one) = all.iter().find(|one| one.json()["person"] == whose) {
            break one.json()["link"].as_str().unwrap().to_owned();
        }
        receiver.wait("/", all.len() + 1).await;
    };
    let browser = Client::new();
    let (chloe, ana) = (link("Chloe").await, link("Ana Ruiz").await);
    let pressed = browser.post(chloe).send().await.unwrap();
    let page = pressed.text().await.unwrap();
    assert!(page.contains("Only a responder may do this"), "{page}");

    sqlx::query("UPDATE page_link SET expires_at = 1")
        .execute(&stage.pool().await)
        .await
        .unwrap();
    for late in [browser.get(&ana), browser.post(&ana)] {
        let late = late.send().await.unwrap();
        assert_eq!(late.status(), StatusCode::GONE);
        let page = late.text().await.unwrap();
        assert!(
            page.contains("This link is too old: nothing was acknowledged"),
            "{page}"
        );
        assert!(page.contains("/treasury ack"), "{page}");
    }
    assert_eq!(acknowledged(&stage).await, 0);
    stage.finish().await;
}

#[tokio::test]
async fn a_person_is_asked_in_their_order_and_an_acknowledgement_calls_off_the_rest() {
    let receiver = Receiver::start().await;
    let ways = format!(
        "[reach.hook]\nurl = \"{}/hook\"\n[reach.phone]\nurl = \"{}/phone\"\n{}",
        receiver.url(),
        receiver.url(),
        ana(r#"{by = "slack"}, {by = "hook", after = "1s"}, {by = "phone", after = "1h"}"#)
    );
    let stage = Stage::set(scenery(&ways)).await;
    let before = std::time::Instant::now();
    fires(&stage).await;
    let asked = direct(&stage, "Please acknowledge INC-1").await;
    let hook = receiver.wait("/hook", 1).await.remove(0);
    let after = hook.at - before;
    assert!(after >= Duration::from_secs(1), "too early: {after:?}");
    becomes(&stage, &["sent", "sent", "waiting"]).await;

    // The button of the direct message, where nothing has to be typed.
    assert!(
        !words_of(&asked).contains("treasury-bot exec"),
        "{}",
        words_of(&asked)
    );
    let person = stage.person("ana");
    person
        .clicks(&asked.channel, &asked.ts, "Acknowledge")
        .await
        .unwrap();
    becomes(&stage, &["sent", "sent", "cancelled", "sent"]).await;
    stage
        .becomes(&asked, "ana has acknowledged: [INC-1] api: HighErrorRate")
        .await;
    assert_eq!(receiver.to("/phone").len(), 0);
    assert_eq!(acknowledged(&stage).await, 1);
    // The timeline tells by which ways.
    let entries = stage.timeline(1).await;
    let asked = entries
        .iter()
        .find(|entry| entry.text.starts_with("asked ana to acknowledge"));
    assert_eq!(
        asked.unwrap().data["ways"],
        json!({"U0ANA00001": ["direct message", "hook message after 1s", "phone message after 1h"]})
    );
    stage.finish().await;
}

#[tokio::test]
async fn nobody_is_woken_by_what_does_not_fire_any_more() {
    let receiver = Receiver::start().await;
    let ways = format!(
        "[reach.hook]\nurl = \"{}\"\n{}",
        receiver.url(),
        ana(r#"{by = "hook", after = "2s"}"#)
    );
    let mut scenery = scenery(&ways);
    scenery.alerts.quiet = Duration::from_secs(3);
    let stage = Stage::set(scenery).await;
    fires(&stage).await;
    becomes(&stage, &["waiting"]).await;
    post(
        &stage,
        &[alert("HighErrorRate", &[("service", "api")], false)],
    )
    .await;
    becomes(&stage, &["cancelled"]).await;
    assert_eq!(receiver.all().len(), 0);
    stage.finish().await;
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_with_the_same_id_and_what_is_refused_is_told() {
    let receiver = Receiver::start().await;
    let url = receiver.url();
    receiver.reply(Reply::Status(500));
    receiver.reply(Reply::With(429, "retry-after", "3".into()));
    let ways = format!("[reach.hook]\nurl = \"{url}/hook\"\n{}", ana("\"hook\""));
    let stage = Stage::set(scenery(&ways)).await;
    fires(&stage).await;
    let tries = receiver.wait("/hook", 3).await;
    let ids: Vec<&str> = tries
        .iter()
        .map(|one| one.header("idempotency-key"))
        .collect();
    assert!(
        ids.iter().all(|id| *id == ids[0] && id.len() == 32),
        "{ids:?}"
    );
    let waited = tries[2].at - tries[1].at;
    assert!(
        waited >= Duration::from_secs(3),
        "Retry-After was not heeded: {waited:?}"
    );
    let links: Vec<Value> = tries.iter().map(|one| one.json()["link"].clone()).collect();
    assert_ne!(
        links[0], links[2],
        "each attempt has a link whose ten minutes are whole"
    );
    becomes(&stage, &["sent"]).await;
    stage.finish().await;

    // Refused for good: by a wrong request, or by sending us elsewhere.
    for reply in [
        Reply::Status(404),
        Reply::With(302, "location", format!("{url}/elsewhere")),
    ] {
        receiver.reply(reply);
        let stage = Stage::set(scenery(&ways)).await;
        fires(&stage).await;
        let told = stage
            .said(HOME, "Hook message to Ana Ruiz was refused for good")
            .await;
        let words = words_of(&told);
        assert!(
            words.contains("was not asked by hook message to acknowledge"),
            "{words}"
        );
        assert!(words.contains("[reach.hook]"), "{words}");
        assert!(!words.contains("S3CRET"), "{words}");
        becomes(&stage, &["dead"]).await;
        let entries = stage.timeline(1).await;
        let entry = entries
            .iter()
            .find(|entry| entry.text.contains("was not delivered"));
        let text = &entry.unwrap().text;
        assert!(
            text.starts_with("a hook message to Ana Ruiz was not delivered: 127.0.0.1:"),
            "{text}"
        );
        stage.finish().await;
    }
    assert_eq!(
        receiver.to("/elsewhere").len(),
        0,
        "no redirect is followed"
    );
}

#[tokio::test]
async fn one_that_hangs_holds_up_no_other_way_and_nothing_that_was_written_is_a_template() {
    let receiver = Receiver::start().await;
    let hanging = Receiver::start().await;
    for _ in 0..20 {
        hanging.reply(Reply::Never);
    }
    let ways = format!(
        "[reach.slow]\nurl = \"{}\"\ntimeout = \"1s\"\n[reach.quick]\nurl = \"{}\"\n{}",
        hanging.url(),
        receiver.url(),
        ana("\"slow\", \"quick\"")
    );
    let stage = Stage::set(scenery(&ways)).await;
    let mut evil = alert("Down", &[("service", "api")], true);
    evil["annotations"]["summary"] = json!("{token} \"}, \u{7}<b> http://169.254.169.254/ {link}");
    evil["labels"]["reach"] = json!("http://169.254.169.254/");
    post(&stage, &[evil]).await;
    let sent = receiver.wait("/", 1).await.remove(0);
    let body = sent.json();
    assert!(
        body["text"].as_str().unwrap().contains("{token} \"}"),
        "{body}"
    );
    assert!(!sent.body.contains("S3CRET"), "{body}");
    // Again and again, under one id.
    let tries = hanging.wait("/", 2).await;
    assert_eq!(
        tries[0].header("idempotency-key"),
        tries[1].header("idempotency-key")
    );
    assert_eq!(receiver.all().len(), 1);
    stage.finish().await;
}

#[tokio::test]
async fn without_an_address_of_the_pages_the_words_say_what_to_type() {
    let receiver = Receiver::start().await;
    let ways = format!(
        "[reach.ntfy]\npreset = \"ntfy\"\nurl = \"{}\"\n{}",
        receiver.url(),
        ana(r#"{by = "ntfy", to = "t"}"#)
    );
    let mut scenery = scenery(&ways);
    scenery.reach.links = false;
    let stage = Stage::set(scenery).await;
    fires(&stage).await;
    let body = receiver.wait("/", 1).await.remove(0).json();
    assert!(
        body.get("click").is_none() && body.get("actions").is_none(),
        "{body}"
    );
    let text = body["message"].as_str().unwrap();
    assert!(
        text.contains("Acknowledge in Slack: /treasury ack INC-1"),
        "{text}"
    );
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn a_mail_carries_the_link_as_well() {
    let smtp = Smtp::plain();
    let settings = smtp.config();
    let sections = format!(
        "[email]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\nfrom = \"bot@ops.example.com\"\n\
         {}email = \"ana@example.com\"\n",
        settings.port,
        ana(r#"{by = "email", after = "1s"}"#)
    );
    let stage = Stage::set(scenery(&sections)).await;
    fires(&stage).await;
    let letter = smtp
        .letter("ana@example.com", "Please acknowledge INC-1")
        .await;
    let base = format!("http://{}/incidents/ack/", stage.app.address);
    let at = letter
        .text
        .find(&base)
        .unwrap_or_else(|| panic!("{}", letter.text));
    let link = &letter.text[at..at + base.len() + 64];
    assert!(
        letter.html.contains(&format!("href=\"{link}\"")),
        "{}",
        letter.html
    );
    let pressed = Client::new().post(link).send().await.unwrap();
    assert!(
        pressed
            .text()
            .await
            .unwrap()
            .contains("Ana Ruiz has acknowledged")
    );
    stage.finish().await;
}

#[tokio::test]
async fn whoever_acknowledged_is_asked_whether_they_still_have_it_by_their_other_ways() {
    let receiver = Receiver::start().await;
    let ways = format!(
        "[reach.hook]\nurl = \"{}\"\n{}",
        receiver.url(),
        ana("\"hook\"")
    );
    let mut scenery = scenery(&ways);
    scenery.alerts.reask = Duration::from_secs(1);
    let stage = Stage::set(scenery).await;
    fires(&stage).await;
    let first = receiver.wait("/", 1).await.remove(0).body;
    assert!(first.contains("Please acknowledge"), "{first}");
    stage.ana("ack INC-1").await;
    // It hears of the acknowledgement, and is asked.
    let mut asked = receiver.wait("/", 3).await;
    asked.retain(|one| one.body.contains("do you still have it?"));
    assert_eq!(asked.len(), 1, "{asked:?}");
    // By the link of that one they say so.
    let link = asked[0].json()["link"].clone();
    let said = Client::new().post(link.as_str().unwrap()).send().await;
    assert!(said.unwrap().status().is_success());
    let entries = stage.timeline(1).await;
    let is_it = |text: &str| text.contains("alerts acknowledged again");
    assert!(
        entries.iter().any(|entry| is_it(&entry.text)),
        "{entries:?}"
    );
    stage.finish().await;
}
