//! E-mail while processes die, and with two of them on one store.

use std::time::Duration;

use treasury_bot::notify::Security;
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};
use treasury_bot::store::{Store, Use};

use crate::alerts::{alert, post};
use crate::mail::{ANA, all_sent, counts, resolves, scenery};
use crate::support::postgres::Postgres;
use crate::support::process::Setup;
use crate::support::smtp::Smtp;
use crate::support::stage::{Scenery, Stage, another_bot};

/// The sections that a configuration needs for mail through this server.
pub fn email(smtp: &Smtp, stakeholders: &[&str]) -> String {
    format!(
        "[email]\nhost = \"localhost\"\nport = {}\nusername = \"treasury-bot\"\n\
         ca_file = \"{}\"\nfrom = \"bot@ops.example.com\"\ntimeout = \"2s\"\n\
         stakeholders = {stakeholders:?}\n",
        smtp.port,
        smtp.ca_file().display()
    )
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn killed_again_and_again_while_it_mails_nobody_misses_a_mail_and_doubles_are_seen_to_be_such()
 {
    let smtp = Smtp::start(Security::StartTls);
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let everybody: Vec<String> = (0..40).map(|n| format!("person{n}@example.com")).collect();
    let listed: Vec<&str> = everybody.iter().map(String::as_str).collect();
    let setup = Setup::new(false, &email(&smtp, &listed));
    let password = [("TREASURY_BOT_EMAIL_PASSWORD", "smtp-hunter2-secret")];
    let mut command = setup.command(&sandbox, "exec");
    command
        .args(["incident declare Down --severity SEV1"])
        .envs(password);
    assert!(command.output().unwrap().status.success());
    let mut kills = 0;
    while smtp.letters().len() < everybody.len() {
        let before = smtp.letters().len();
        let serve = setup.serve_with(&sandbox, &password).await;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        // In the middle of the next mails; what it had claimed is another's after the lease.
        while smtp.letters().len() < (before + 9).min(everybody.len()) {
            assert!(tokio::time::Instant::now() < deadline, "{before} mails");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        serve.kill();
        kills += 1;
    }
    assert!(kills >= 3, "{kills}");
    let serve = setup.serve_with(&sandbox, &password).await;
    let store = Store::open(&setup.store_url(), Use::Visit).await.unwrap();
    let backlog = all_sent(&store).await;
    assert_eq!(backlog.dead, 0);
    store.close().await;
    assert!(serve.end().await.success());
    let counts = counts(&smtp.letters());
    assert_eq!(counts.len(), everybody.len());
    // Of each kill, those that were being handed over may have come twice: as the same mail.
    assert!(counts.values().all(|(_, different)| *different == 1));
    let all = smtp.letters().len();
    eprintln!("{all} mails of {} arrived over {kills} kills", counts.len());
    assert!(all <= everybody.len() + 4 * kills, "{all}: {counts:?}");
    sandbox.stop();
}

#[tokio::test]
#[ignore = "needs aiosmtpd and PostgreSQL"]
async fn two_bots_on_one_store_send_each_mail_once() {
    let smtp = Smtp::plain();
    let server = Postgres::start().await;
    let everybody: Vec<String> = (0..30).map(|n| format!("person{n}@example.com")).collect();
    let listed: Vec<&str> = everybody.iter().map(String::as_str).collect();
    let scenery = Scenery {
        store_url: Some(server.url()),
        ..scenery(&smtp, &listed)
    };
    let stage = Stage::set(scenery.clone()).await;
    let other = another_bot(&stage.sandbox, &stage.stack, &scenery).await;
    post(&stage, &[alert("Down", &[("service", "api")], true)]).await;
    let room = stage.room(1).await;
    stage.types("ana", &room, "update We are on it").await;
    stage.said(&room, "30 e-mails to stakeholders").await;
    resolves(&stage, &room, "resolve").await;
    stage.said(&room, "INC-1 is resolved").await;
    all_sent(&stage.app.store).await;
    let counts = counts(&smtp.letters());
    for to in &everybody {
        assert_eq!(counts.get(to), Some(&(3, 3)), "{to}");
    }
    assert_eq!(counts.get(ANA), Some(&(1, 1)));
    assert_eq!(counts.len(), 31);
    other.stop().await;
    stage.finish().await;
}
