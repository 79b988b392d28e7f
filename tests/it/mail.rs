//! E-mail through a real SMTP server: who gets which, once each, whatever the server, the bot or Slack
//! does meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use treasury_bot::bot::{AlertSettings, NotifySettings};
use treasury_bot::domain::alert::Auto;
use treasury_bot::domain::notification::{Channel, Recipient};
use treasury_bot::domain::{EntryKind, Mailbox, Person, Severity};
use treasury_bot::notify::Security;
use treasury_bot::sandbox::slack::{Fault, Sandbox, SandboxConfig};
use treasury_bot::store::{Backlog, Store};

use crate::alerts::{alert, post};
use crate::mail_crashes::email;
use crate::support::browser::Browser;
use crate::support::process::Setup;
use crate::support::smtp::{Letter, Smtp};
use crate::support::stage::{HOME, Scenery, Stage, words_of};

pub const ANA: &str = "ana@example.com";
pub const BEN: &str = "ben@example.com";
pub const CFO: &str = "cfo@example.com";

fn settings(stakeholders: &[&str]) -> NotifySettings {
    let mailbox = |text: &str| Recipient::Email(Mailbox::parse(text).unwrap());
    let person = |id: &str, text: &str| (id.to_owned(), vec![mailbox(text)]);
    NotifySettings {
        people: BTreeMap::from([
            person("U0ANA00001", "Ana Ruiz <ana@example.com>"),
            person("U0BEN00001", "Ben Okafor <ben@example.com>"),
        ]),
        stakeholders: stakeholders.iter().map(|text| mailbox(text)).collect(),
        from_severity: Severity::Sev2,
    }
}

/// Ana is on call, then Ben; the bot does nothing else by itself.
fn on_call(ack_within: Duration) -> AlertSettings {
    let mut alerts = AlertSettings {
        ack_within,
        on_call: ["U0ANA00001", "U0BEN00001"]
            .map(|id| Person {
                id: id.into(),
                name: id.into(),
            })
            .into(),
        ..AlertSettings::default()
    };
    alerts.routes.auto = Auto::Off;
    alerts
}

pub fn scenery(smtp: &Smtp, stakeholders: &[&str]) -> Scenery {
    Scenery {
        smtp: Some(smtp.config()),
        mail: Some(settings(stakeholders)),
        alerts: on_call(Duration::from_secs(600)),
        ..Scenery::default()
    }
}

/// Waits until no mail waits, and gives the backlog.
pub async fn all_sent(store: &Store) -> Backlog {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let backlog = store.notification_backlog(&Channel::Email).await.unwrap();
        if backlog.waiting == 0 {
            return backlog;
        }
        assert!(tokio::time::Instant::now() < deadline, "{backlog:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many mails each got, and how many of them were different ones.
pub fn counts(letters: &[Letter]) -> BTreeMap<String, (usize, usize)> {
    let mut counted: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
    for letter in letters {
        let one = counted.entry(letter.to[0].clone()).or_default();
        one.0 += 1;
        one.1.insert(letter.header("Message-ID").to_owned());
    }
    counted
        .into_iter()
        .map(|(to, (all, ids))| (to, (all, ids.len())))
        .collect()
}

async fn health(stage: &Stage) -> Value {
    let url = format!("http://{}/health/ready", stage.app.address);
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

/// Ana resolves the incident of a room though an alert fires still.
pub async fn resolves(stage: &Stage, room: &str, words: &str) {
    stage.types("ana", room, words).await;
    let question = stage.said(room, "Resolve it all the same").await;
    stage
        .person("ana")
        .clicks(room, &question.ts, "Resolve it all the same")
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn who_is_on_call_is_asked_by_mail_and_stakeholders_hear_how_it_goes_in_one_thread() {
    let smtp = Smtp::start(Security::StartTls);
    let stage = Stage::set(Scenery {
        alerts: on_call(Duration::from_secs(2)),
        ..scenery(&smtp, &["Clara Fonseca <cfo@example.com>"])
    })
    .await;
    // A nuisance is nothing for stakeholders.
    stage
        .ana("incident declare The logo is blurred --severity SEV4")
        .await;
    stage.room(1).await;
    post(
        &stage,
        &[alert("HighErrorRate", &[("service", "api")], true)],
    )
    .await;
    let room = stage.room(2).await;

    let asked = smtp.letter(ANA, "Please acknowledge INC-2").await;
    for part in [
        "HighErrorRate: it hurts",
        "Severity:    SEV2",
        "Fires since: 2026-11-24 03:00:00 UTC",
        "12.5 %",
        "Acknowledge in Slack: /treasury ack INC-2",
        "treasury-bot exec ack INC-2",
        "If nobody does within 2s, the next is asked.",
    ] {
        assert!(asked.text.contains(part), "{part}:\n{}", asked.text);
    }
    assert_eq!(asked.header("Importance"), "high");
    assert_eq!(asked.header("To"), "Ana Ruiz <ana@example.com>");
    assert_eq!(asked.user.as_deref(), Some("treasury-bot"), "logged in");
    // Ana sleeps on: Ben is asked, in Slack and by mail.
    smtp.letter(BEN, "nobody has for 2s").await;
    stage.types("ana", &room, "ack").await;
    stage.types("ana", &room, "incident severity SEV1").await;
    stage
        .types("ana", &room, "mitigate restarted the api")
        .await;
    resolves(&stage, &room, "resolve a bad deploy").await;
    stage.types("ana", &room, "close").await;
    let question = stage.said(&room, "Close it all the same").await;
    let ana = stage.person("ana");
    let pressed = ana
        .clicks(&room, &question.ts, "Close it all the same")
        .await;
    pressed.unwrap();

    let mut told = Vec::new();
    for words in [
        "INC-2 declared as SEV2",
        "INC-2 is now SEV1 (was SEV2) — by ana",
        "INC-2 is mitigated, ",
        "after it was declared: a bad deploy — by ana",
        "INC-2 is closed",
    ] {
        told.push(smtp.letter(CFO, words).await);
    }
    all_sent(&stage.app.store).await;
    let letters = smtp.letters();
    assert_eq!(letters.len(), 7, "{:?}", counts(&letters));
    let ids: BTreeSet<&str> = letters.iter().map(|l| l.header("Message-ID")).collect();
    assert_eq!(ids.len(), 7);
    for letter in &letters {
        assert!(letter.tls);
        assert_eq!(letter.defects, Vec::<String>::new());
        assert_eq!(letter.from, "bot@ops.example.com");
        assert_eq!(letter.header("Auto-Submitted"), "auto-generated");
        for name in ["Subject", "In-Reply-To", "References"] {
            assert_eq!(letter.header(name), asked.header(name), "one thread");
        }
    }
    // Each mail carries the moment of what it tells of.
    let entries = stage.timeline(2).await;
    let closed = entries.iter().rev().find(|e| e.kind == EntryKind::Status);
    let date = jiff::fmt::rfc2822::parse(told[4].header("Date")).unwrap();
    let apart = closed.unwrap().at.duration_since(date.timestamp());
    assert!(apart.abs().as_secs() <= 1, "{apart}");
    stage.finish().await;
    look(&asked, "mail-ask").await;
    look(&told[3], "mail-resolved").await;
}

/// As the receiver sees it, where somebody wants to look (`SCREENSHOTS`).
async fn look(letter: &Letter, name: &str) {
    let Some(folder) = std::env::var_os("SCREENSHOTS") else {
        return;
    };
    let folder = std::path::Path::new(&folder);
    std::fs::write(folder.join(format!("{name}.eml")), &letter.raw).unwrap();
    std::fs::write(folder.join(format!("{name}.txt")), &letter.text).unwrap();
    let page = folder.join(format!("{name}.html"));
    std::fs::write(&page, &letter.html).unwrap();
    for (width, size) in [(420, "phone"), (900, "desk")] {
        let browser = Browser::open(width, 900).await;
        browser.go(&format!("file://{}", page.display())).await;
        browser.picture(&format!("{name}-{size}")).await;
    }
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn an_update_is_said_written_down_and_mailed_and_runbooks_mail_only_whom_the_file_lists() {
    let smtp = Smtp::start(Security::Tls);
    let tell = "name: tell\nsteps:\n  - uses: notify.email\n    with: {text: \"Rates are <frozen>\", to: [stakeholders, U0BEN00001]}\n";
    let leak = "name: leak\nsteps:\n  - uses: notify.email\n    with: {text: \"secret\", to: [eve@example.net]}\n";
    let stage = Stage::set(Scenery {
        runbooks: vec![tell.into(), leak.into()],
        ..scenery(&smtp, &[CFO, "board@example.com"])
    })
    .await;
    stage.ana("incident declare Payouts are slow").await;
    let room = stage.room(1).await;
    stage
        .types(
            "ana",
            &room,
            "update We've found it: \"a lock\".\nNext update at 04:00.",
        )
        .await;
    let said = words_of(&stage.said(&room, "Update by").await);
    assert!(said.contains("2 e-mails to stakeholders"), "{said}");
    for to in [CFO, "board@example.com"] {
        let letter = smtp.letter(to, "We've found it").await;
        assert!(
            letter.text.contains("\"a lock\".\nNext update at 04:00."),
            "{}",
            letter.text
        );
        assert!(letter.tls && letter.user.is_some());
    }
    let entries = stage.timeline(1).await;
    let update = entries
        .iter()
        .find(|e| e.kind == EntryKind::Update)
        .unwrap();
    assert_eq!(
        (update.actor.name.as_str(), &update.data),
        ("ana", &json!({"mails": 2}))
    );
    // Since they heard of it, they hear of its end, though it is only SEV3.
    stage.types("ana", &room, "resolve").await;
    smtp.letter(CFO, "INC-1 is resolved").await;

    stage.types("ana", &room, "runbook run tell").await;
    for to in [CFO, "board@example.com", BEN] {
        let letter = smtp.letter(to, "Rates are <frozen>").await;
        assert!(letter.html.contains("Rates are &lt;frozen&gt;"));
    }
    stage.types("ana", &room, "runbook run leak").await;
    stage.said(&room, "No mail goes to eve@example.net").await;
    stage.types("chloe", HOME, "update I may not").await;
    stage.said(HOME, "Only a responder may do this").await;
    all_sent(&stage.app.store).await;
    assert_eq!(
        counts(&smtp.letters()),
        BTreeMap::from([
            (CFO.to_owned(), (3, 3)),
            ("board@example.com".to_owned(), (3, 3)),
            (BEN.to_owned(), (1, 1)),
        ])
    );
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn one_that_is_put_off_arrives_once_one_that_is_refused_is_told_and_one_that_hangs_holds_up_nobody()
 {
    let smtp = Smtp::plain();
    let stage = Stage::set(scenery(
        &smtp,
        &[
            "hangs.a@example.com",
            "hangs.b@example.com",
            "hangs.c@example.com",
            "hangs.d@example.com",
            "hangs.e@example.com",
            "later@example.com",
            "never@example.com",
            "lost@example.com",
            CFO,
        ],
    ))
    .await;
    stage
        .ana("incident declare Nobody can log in --severity SEV1")
        .await;
    stage.room(1).await;
    smtp.letter(CFO, "INC-1 declared").await;
    smtp.letter("later@example.com", "INC-1 declared").await;
    let told = stage
        .said(HOME, "E-mail to never@example.com was refused")
        .await;
    let words = words_of(&told);
    for part in [
        "550 5.1.1 No such mailbox here",
        "[email] stakeholders",
        "[INC-1]",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    // The server had taken it, but its answer was lost: twice the same mail, and seen to be that.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while counts(&smtp.letters()).get("lost@example.com") != Some(&(2, 1)) {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{:?}",
            counts(&smtp.letters())
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.quiet().await;
    assert_eq!(stage.count("was refused for good"), 1);
    let told: Vec<String> = stage
        .timeline(1)
        .await
        .into_iter()
        .filter(|entry| entry.kind == EntryKind::Update)
        .map(|entry| entry.text)
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("an e-mail to never@example.com was not delivered: "));
    // Those that hang wait, and only those; the answer to the lost one may be noted only now.
    while stage
        .app
        .store
        .notification_backlog(&Channel::Email)
        .await
        .unwrap()
        .waiting
        > 5
    {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mail = health(&stage).await["mail"].clone();
    assert_eq!(
        (&mail["waiting"], &mail["dead"]),
        (&json!(5), &json!(1)),
        "{mail}"
    );
    let page = reqwest::get(format!("http://{}/metrics", stage.app.address));
    let page = page.await.unwrap().text().await.unwrap();
    for line in [
        "treasury_bot_notifications_dead{way=\"email\"} 1",
        "treasury_bot_notifications_waiting{way=\"email\"} 5",
    ] {
        assert!(page.contains(line), "{line}");
    }
    let one = |to: &str| counts(&smtp.letters()).get(to).copied();
    assert_eq!(one("later@example.com"), Some((1, 1)));
    assert_eq!(one(CFO), Some((1, 1)));
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn a_server_with_another_certificate_or_another_password_gets_nothing_and_the_mail_waits() {
    let smtp = Smtp::start(Security::StartTls);
    let other = Smtp::start(Security::StartTls);
    let mut stranger = smtp.config();
    stranger.extra_roots_pem = other.config().extra_roots_pem;
    let mut wrong_password = smtp.config();
    wrong_password.login = Some(("treasury-bot".into(), "guessed".into()));
    let downgraded = Smtp::plain();
    let mut no_tls = downgraded.config();
    no_tls.security = Security::StartTls;
    no_tls.login = smtp.config().login;
    for (config, why) in [
        (stranger, "certificate"),
        (wrong_password, "logging in: 535"),
        (no_tls, "STARTTLS"),
    ] {
        let stage = Stage::set(Scenery {
            smtp: Some(config),
            ..scenery(&smtp, &[CFO])
        })
        .await;
        stage.ana("incident declare Down --severity SEV1").await;
        stage.room(1).await;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        let error = loop {
            let unsent = stage.app.store.notifications_unsent(10).await.unwrap();
            // Who is on call is asked as well.
            let to_cfo = unsent.iter().find(|(mail, ..)| mail.to.address() == CFO);
            if let Some((_, 1.., error)) = to_cfo {
                break error.clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "{unsent:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(error.contains(why), "{why}: {error}");
        assert!(error.contains("check [email]"), "{error}");
        let backlog = stage
            .app
            .store
            .notification_backlog(&Channel::Email)
            .await
            .unwrap();
        // The stakeholder's, and that to who is on call.
        assert_eq!((backlog.waiting, backlog.dead), (2, 0));
        stage.finish().await;
    }
    assert_eq!(smtp.letters().len(), 0);
    assert_eq!(downgraded.letters().len(), 0);
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn while_slack_is_down_mail_is_the_way_out_and_slack_hears_it_once_when_it_is_back() {
    let smtp = Smtp::plain();
    let stage = Stage::set(scenery(&smtp, &[CFO])).await;
    stage.quiet().await;
    let faults = stage.sandbox.faults();
    faults.refuse_connections(true);
    faults.next("*", u32::MAX, Fault::ServerError(503));
    faults.drop_sockets();

    let (code, _) = post(&stage, &[alert("Down", &[("service", "postgres")], true)]).await;
    assert_eq!(code, 200);
    smtp.letter(ANA, "Please acknowledge INC-1").await;
    smtp.letter(CFO, "INC-1 declared as SEV2").await;
    assert_eq!(
        stage.count("please acknowledge"),
        0,
        "Slack has heard nothing"
    );

    faults.clear();
    let room = stage.room(1).await;
    stage.said(&room, "1 alert fires for postgres").await;
    stage.said(HOME, "please acknowledge").await;
    stage.quiet().await;
    assert_eq!(stage.count("please acknowledge"), 1);
    all_sent(&stage.app.store).await;
    assert_eq!(smtp.letters().len(), 2);
    stage.finish().await;
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn a_terminal_works_without_slack_and_its_mail_goes_out_when_the_bot_is_back() {
    let smtp = Smtp::start(Security::StartTls);
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    sandbox.faults().refuse_connections(true);
    sandbox
        .faults()
        .next("*", u32::MAX, Fault::ServerError(503));
    let setup = Setup::new(false, &email(&smtp, &[CFO]));
    let out = setup
        .command(&sandbox, "exec")
        .args(["incident declare Slack is down --severity SEV1"])
        .env("TREASURY_BOT_EMAIL_PASSWORD", "smtp-hunter2-secret")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success() && said.contains("INC-1 declared"),
        "{said}"
    );
    assert_eq!(smtp.letters().len(), 0);

    sandbox.faults().clear();
    let serve = setup
        .serve_with(
            &sandbox,
            &[("TREASURY_BOT_EMAIL_PASSWORD", "smtp-hunter2-secret")],
        )
        .await;
    smtp.letter(CFO, "INC-1 declared as SEV1").await;
    let found = sandbox.wait_for(Duration::from_secs(20), |workspace| {
        let mut all = workspace.messages();
        all.find(|m| words_of(m).contains("Slack is down"))
            .map(|_| ())
    });
    found.await.unwrap();
    assert!(serve.end().await.success());
    sandbox.stop();
}
