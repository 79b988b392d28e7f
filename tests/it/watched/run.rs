//! A real run to look at: the binary, a container, a mail server, and an incident from its alert to its end.

use serde_json::{Value, json};
use treasury_bot::sandbox::slack::{Message, Sandbox, SandboxConfig};

use crate::support::engine::{OBEYS, Stack};
use crate::support::process::{Serve, Setup};
use crate::support::smtp::Smtp;
use crate::support::stage::{HOME, PATIENCE, words_of};

/// What senders of alerts show.
pub const TOKEN: &str = "alerts-hunter1-secret";
/// What somebody types, and no log repeats.
pub const SAID: &str = "the vault key is hunter2";

pub struct Run {
    pub sandbox: Sandbox,
    pub setup: Setup,
    serve: Option<Serve>,
    _stack: Stack,
    smtp: Smtp,
}

impl Run {
    pub async fn begin() -> Self {
        let stack = Stack::new("watched").await;
        stack.run("web", 1, OBEYS).await;
        let smtp = Smtp::plain();
        let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
        let sections = format!(
            "[policy]\nstop_grace = \"3s\"\n\n[watch]\nenabled = false\n\n\
             [alerts]\ntoken_file = \"alerts.token\"\non_call = [\"U0ANA00001\"]\nauto = \"off\"\n\
             quiet = \"30s\"\n\n\
             [email]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
             from = \"bot@ops.example.com\"\n\
             stakeholders = [\"cfo@example.com\", \"never@example.com\"]\n\n\
             [[service]]\nname = \"web\"\ncompose_project = \"{}\"\ncompose_service = \"web\"\n",
            smtp.port, stack.project
        );
        let mut setup = Setup::new(false, &sections);
        setup.log = "level = \"info\"\nformat = \"json\"";
        std::fs::write(setup.folder.path().join("alerts.token"), TOKEN).unwrap();
        let serve = Some(setup.serve(&sandbox).await);
        Self {
            sandbox,
            setup,
            serve,
            _stack: stack,
            smtp,
        }
    }

    /// The process dies, and another one begins.
    pub async fn again(&mut self) {
        self.serve.take().unwrap().kill();
        self.serve = Some(self.setup.serve(&self.sandbox).await);
    }

    /// The page that Prometheus reads.
    pub async fn page(&self) -> String {
        let page = reqwest::get(format!("http://127.0.0.1:{}/metrics", self.setup.port));
        page.await.unwrap().text().await.unwrap()
    }

    async fn post(&self, token: &str, alerts: Value) -> u16 {
        let answer = reqwest::Client::new()
            .post(format!(
                "http://127.0.0.1:{}/alerts/alertmanager",
                self.setup.port
            ))
            .bearer_auth(token)
            .body(json!({"version": "4", "alerts": alerts}).to_string())
            .send();
        answer.await.unwrap().status().as_u16()
    }

    async fn types(&self, channel: &str, words: &str) {
        let ana = self.sandbox.person("ana");
        let receipt = ana.types(channel, &format!("/treasury {words}")).await;
        assert!(receipt.unwrap().acked, "{words}");
    }

    async fn said(&self, channel: &str, words: &str) -> Message {
        let found = self.sandbox.wait_for(PATIENCE, |workspace| {
            let mut messages = workspace.channel(channel)?.messages.iter().rev();
            let found = messages.find(|m| m.by_bot && words_of(m).contains(words));
            found.cloned()
        });
        let found = found.await;
        found.unwrap_or_else(|error| panic!("nobody said “{words}” in {channel}: {error}"))
    }

    async fn room(&self) -> String {
        let found = self.sandbox.wait_for(PATIENCE, |workspace| {
            let mut channels = workspace.channels.values();
            let room = channels.find(|one| one.name.starts_with("inc-1"))?;
            room.members.contains("U0ANA00001").then(|| room.id.clone())
        });
        found.await.unwrap()
    }

    /// Somebody looks around, an alert comes, is acknowledged, its service restarted by hand and by a
    /// runbook, and the incident resolved; another one stays open.
    pub async fn play(&self) {
        for (words, answer) in [
            ("status", "1 of 1 service"),
            ("status nothing", "no service nothing"),
            ("dance", "I did not understand that"),
        ] {
            self.types(HOME, words).await;
            self.said(HOME, answer).await;
        }
        let fires = |firing: bool| {
            json!([
                {
                    "status": if firing { "firing" } else { "resolved" },
                    "labels": {"alertname": "Slow", "severity": "critical", "service": "web"},
                    "annotations": {},
                    "startsAt": "2026-11-24T03:00:00Z",
                    "endsAt": if firing { "0001-01-01T00:00:00Z" } else { "2026-11-24T03:09:00Z" },
                },
                {"status": "firing", "labels": "none"},
            ])
        };
        assert_eq!(self.post("wrong", fires(true)).await, 401);
        assert_eq!(self.post(TOKEN, fires(true)).await, 200);
        self.said(HOME, "please acknowledge").await;
        let room = self.room().await;
        self.types(&room, "ack").await;
        self.said(&room, "has acknowledged").await;
        self.types(&room, &format!("note {SAID}")).await;
        self.types(&room, "restart web").await;
        let question = self.said(&room, "Restart web?").await;
        let ana = self.sandbox.person("ana");
        ana.clicks(&room, &question.ts, "Restart web")
            .await
            .unwrap();
        self.said(&room, "web restarted in").await;
        for (words, answer) in [
            (
                "runbook rehearse restart-service service=web steady=1s",
                "Rehearsal 1",
            ),
            (
                "runbook run restart-service service=web steady=1s",
                "Run 2 of Restart a service succeeded",
            ),
            ("page", "Your link to INC-1"),
            ("mitigate", "is mitigated"),
        ] {
            self.types(&room, words).await;
            self.said(&room, answer).await;
        }
        assert_eq!(self.post(TOKEN, fires(false)).await, 200);
        self.types(&room, "resolve").await;
        self.said(&room, "INC-1 is resolved").await;
        self.types(HOME, "incident declare Another --severity SEV3")
            .await;
        self.said(HOME, "INC-2").await;
        self.smtp.letter("cfo@example.com", "resolved").await;
    }
}
