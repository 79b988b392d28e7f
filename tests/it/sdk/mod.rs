//! The sandbox against Slack's own SDK: an app of Bolt for Python gets along with it.

use std::process::{Child, Stdio};
use std::time::Duration;

use treasury_bot::sandbox::slack::{Delivery, Sandbox, SandboxConfig};

use crate::deploy::tool;
use crate::support::engine::eventually;
use crate::support::free_port;
use crate::support::stage::HOME;

const PATIENCE: Duration = Duration::from_secs(30);

/// The app; ended when dropped.
struct App(Child);

impl Drop for App {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        ended.unwrap();
    }
}

/// An app by Socket Mode, or by HTTP on a port.
fn app(sandbox: &Sandbox, port: Option<u16>) -> App {
    let mut command = tool("python");
    command
        .arg("tests/it/sdk/app.py")
        .env("API_URL", sandbox.api_url())
        .env("BOT_TOKEN", sandbox.bot_token())
        .env("APP_TOKEN", sandbox.app_token())
        .env("SIGNING_SECRET", sandbox.signing_secret())
        .stdin(Stdio::piped());
    if let Some(port) = port {
        command.env("PORT", port.to_string());
    }
    App(command.spawn().unwrap())
}

/// Waits until this is said in the main channel by a message's own text, whatever its blocks show;
/// gives its `ts`.
async fn said(sandbox: &Sandbox, words: &str) -> String {
    let found = sandbox.wait_for(PATIENCE, |world| {
        let mut all = world.channel(HOME)?.messages.iter();
        let said = all.find(|one| one.text.contains(words))?;
        Some(said.ts.clone())
    });
    found.await.unwrap()
}

/// What the app does with all that people can do, by either way.
async fn converses(sandbox: &Sandbox) {
    let ana = sandbox.person("ana");
    let receipt = ana.types(HOME, "/treasury hello <there> & *you*").await;
    let receipt = receipt.unwrap();
    assert_eq!(receipt.error, None, "{receipt:?}");
    let typed = said(sandbox, "typed: hello &lt;there&gt; &amp; *you*").await;
    let seen = ana.sees(HOME);
    assert!(seen.iter().any(|one| one.text == "taken"), "{seen:?}");

    ana.clicks(HOME, &typed, "open").await.unwrap();
    said(sandbox, "it is open").await;
    let form = ana.view().unwrap();
    let short = serde_json::json!({"why": "x"});
    ana.submits(&form.id, short).await.unwrap();
    assert_eq!(ana.view().map(|view| view.id), Some(form.id.clone()));
    let enough = serde_json::json!({"why": "a payment hangs"});
    ana.submits(&form.id, enough).await.unwrap();
    assert!(ana.view().is_none());
    let told = said(sandbox, "because of this: a payment hangs").await;
    let file = eventually("the file", async || sandbox.files().pop()).await;
    assert_eq!(
        (file.name.as_str(), file.content.as_slice()),
        ("table.csv", &b"a,b\n1,2\n"[..])
    );
    let pins = sandbox.pins(HOME);
    assert_eq!(pins.iter().map(|one| &one.ts).collect::<Vec<_>>(), [&told]);

    let bot = sandbox.look(|world| world.bot.user_id.clone());
    ana.says(HOME, &format!("<@{bot}> are you there?"), None)
        .await
        .unwrap();
    let answer = "ana mentioned me; 2 channels, 2 names; in here: True; refused: message_not_found";
    said(sandbox, answer).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tests/requirements.txt"]
async fn an_app_of_slacks_sdk_gets_along_by_socket_mode() {
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let _app = app(&sandbox, None);
    sandbox.wait_for_sockets(1, PATIENCE).await.unwrap();
    converses(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tests/requirements.txt"]
async fn an_app_of_slacks_sdk_gets_along_by_http() {
    let port = free_port();
    let delivery = Delivery::Http {
        base_url: format!("http://127.0.0.1:{port}"),
    };
    let config = SandboxConfig {
        delivery,
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::start(config).await.unwrap();
    let _app = app(&sandbox, Some(port));
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    eventually("the app listens", async || listens().then_some(())).await;
    converses(&sandbox).await;
}
