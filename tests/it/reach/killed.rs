//! Killed while it asks.

use reqwest::{Client, StatusCode};
use serde_json::json;
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};
use treasury_bot::store::{Store, Use};

use super::ana;
use crate::alerts::alert;
use crate::support::process::Setup;
use crate::support::receiver::{Receiver, Reply};

#[tokio::test]
async fn killed_between_the_request_and_its_note_it_asks_once_more_with_the_same_id() {
    let receiver = Receiver::start().await;
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let setup = Setup::new(
        false,
        &format!(
            "[alerts]\non_call = [\"U0ANA00001\"]\nauto = \"off\"\n\
             [reach.hook]\nurl = \"{}\"\n{}",
            receiver.url(),
            ana("\"hook\"")
        ),
    );
    let secrets = [("TREASURY_BOT_ALERTS_TOKEN", "alerts-token")];
    // The service has it, and never answers.
    receiver.reply(Reply::Never);
    let serve = setup.serve_with(&sandbox, &secrets).await;
    let body = json!({"version": "4", "alerts": [alert("Down", &[], true)]});
    let sent = Client::new()
        .post(format!(
            "http://127.0.0.1:{}/alerts/alertmanager",
            setup.port
        ))
        .bearer_auth("alerts-token")
        .json(&body)
        .send();
    assert_eq!(sent.await.unwrap().status(), StatusCode::OK);
    let first = receiver.wait("/", 1).await.remove(0);
    serve.kill();

    let serve = setup.serve_with(&sandbox, &secrets).await;
    let both = receiver.wait("/", 2).await;
    assert_eq!(
        both[1].header("idempotency-key"),
        first.header("idempotency-key")
    );
    assert_eq!(both[1].json()["id"], first.json()["id"]);
    assert!(serve.end().await.success());
    let store = Store::open(&setup.store_url(), Use::Visit).await.unwrap();
    assert_eq!(store.notifications_unsent(10).await.unwrap(), []);
    store.close().await;
    // Once it is noted, a further start sends nothing.
    let serve = setup.serve_with(&sandbox, &secrets).await;
    assert!(serve.end().await.success());
    assert_eq!(receiver.all().len(), 2);
    sandbox.stop();
}
