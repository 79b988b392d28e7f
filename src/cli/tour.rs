//! `demo --tour`: a whole incident in the terminal, through the real path: an alert over HTTP, words
//! typed into the sandbox Slack, over its socket to the bot, to the simulated stack and back. Every
//! step is checked.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use super::stage::Demo;
use super::terminal::Paint;
use super::transcript;
use super::visit::visit;
use crate::domain::counted;
use crate::report;
use crate::sandbox::slack::{Human, Message, Sandbox};
use crate::sandbox::stack::Fault;

/// Simulated seconds in a second: nobody wants to wait for a believable restart.
pub(super) const SPEED: f64 = 8.0;

/// What a second person has to agree to in the tour.
pub(super) const SECOND_PERSON: &[&str] = &["restart"];

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

const HOME: &str = "#treasury-incidents";

pub(super) async fn play(demo: &Demo) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let tour = Tour {
        sandbox: demo.sandbox.clone(),
        paint: Paint::stdout(),
    };
    match tour.incident(demo).await {
        Ok(()) => {
            let seconds = started.elapsed().as_secs_f64();
            println!("\nThe tour took {seconds:.1} s; every step was as it should be.");
            println!("Try it yourself: treasury-bot demo");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("\nerror: a step of the tour went otherwise: {error:#}");
            eprintln!("What was said:\n{}", demo.sandbox.dump(20));
            Ok(ExitCode::FAILURE)
        }
    }
}

struct Tour {
    sandbox: Sandbox,
    paint: Paint,
}

impl Tour {
    async fn incident(&self, demo: &Demo) -> anyhow::Result<()> {
        let ana = self.sandbox.person("ana");
        let room = self.alert(demo, &ana).await?;
        self.nothing_by_mistake(demo, &ana, &room).await?;
        self.runbook(demo, &ana, &room).await?;
        self.action(&ana, &room).await?;
        self.page(demo, &ana, &room).await?;
        self.end(demo, &ana, &room).await
    }

    /// An alert comes in; gives the incident's channel.
    async fn alert(&self, demo: &Demo, ana: &Human) -> anyhow::Result<String> {
        self.scene("03:00. The frontend leaks memory, and Alertmanager says so.");
        demo.stack.put_in(Fault::MemoryLeak, Some("frontend"))?;
        demo.stack.advance(Duration::from_secs(185));
        // What has leaked stays; it grows no further, however long this machine takes for the tour.
        demo.stack.take_out(Fault::MemoryLeak);
        let alert = json!({"version": "4", "alerts": [{
            "status": "firing",
            "labels": {"alertname": "HighMemory", "service": "frontend", "severity": "critical"},
            "annotations": {
                "summary": "frontend uses over 85 % of its memory",
                "runbook": "memory-leak",
            },
        }]});
        let sender = self.paint.style("1;34", "alertmanager ›");
        println!("{sender} POST /alerts/alertmanager  HighMemory of frontend, critical");
        let token = &demo.alerts.token;
        let headers = format!("Authorization: Bearer {token}\r\n");
        let body = alert.to_string();
        let path = "/alerts/alertmanager";
        let reply = visit(demo.address(), "POST", path, &headers, &body).await?;
        ensure!(reply.status == 200, "the alert was refused: {}", reply.body);
        println!("    {} {}", reply.status, reply.body.trim());

        self.scene(
            "The bot opens an incident, asks who is on call, and looks before anybody is there.",
        );
        let asked = self.said(HOME, "please acknowledge", |_| true).await?;
        let room = self.room(ana).await?;
        self.said(&room, "alert fires for frontend", |_| true)
            .await?;
        let look = self
            .said(&room, "A first look at frontend", |_| true)
            .await?;
        ensure!(
            look.shown().contains("over 90 % of its memory"),
            "the first look did not see the memory"
        );
        // It says by itself what the runbook would do; nothing is changed by that.
        self.hears(&room, "Rehearsal 1 of").await?;

        self.scene("Ana takes it up, on her phone.");
        self.press(ana, HOME, &asked, "Acknowledge").await?;
        self.said(HOME, "has acknowledged", |_| true).await?;
        Ok(room)
    }

    async fn nothing_by_mistake(&self, demo: &Demo, ana: &Human, room: &str) -> anyhow::Result<()> {
        self.scene("Chloe is no responder: she may look, not act. And a typo does no harm.");
        let chloe = self.sandbox.person("chloe");
        let refusal = "Only a responder may do this";
        self.ask(&chloe, HOME, "restart frontend", refusal).await?;
        self.ask(ana, room, "restrat frontend", "did not understand")
            .await?;
        let calls = demo.stack.calls();
        ensure!(calls.is_empty(), "something was restarted: {calls:?}");
        Ok(())
    }

    /// The runbook; its restart is approved by a second person.
    async fn runbook(&self, demo: &Demo, ana: &Human, room: &str) -> anyhow::Result<()> {
        self.scene("Ana runs the runbook. A restart wants a second person here: Ben approves it.");
        // Who gets a role is invited to the incident's channel.
        self.types(ana, room, "incident assign commander @ben")
            .await?;
        self.room(&self.sandbox.person("ben")).await?;
        let run = "runbook run memory-leak service=frontend settle=1s";
        self.types(ana, room, run).await?;
        let question = self.said(room, "wants a second person", |_| true).await?;
        ensure!(demo.stack.calls().is_empty(), "it did not wait for Ben");
        let ben = self.sandbox.person("ben");
        self.press(&ben, room, &question, "Approve").await?;
        // What it says in the channel; lists of steps quote it.
        let is_said = |one: &Message| !one.shown().contains("Memory of");
        self.said(room, "was restarted: its memory fell", is_said)
            .await?;
        self.said(room, "of Memory leak succeeded", |_| true)
            .await?;
        let calls = demo.stack.calls();
        ensure!(
            calls == ["restart frontend"],
            "the stack saw {calls:?}, not one restart"
        );
        Ok(())
    }

    /// An action: asked first, told in one message with before and after.
    async fn action(&self, ana: &Human, room: &str) -> anyhow::Result<()> {
        self.scene("One replica more, until the leak is found. The bot asks first; the same message tells the rest.");
        let scale = "scale frontend 3 --reason 'room until the leak is fixed'";
        let question = self.ask(ana, room, scale, "Scale frontend").await?;
        self.press(ana, room, &question, "Scale to 3").await?;
        let scaled = self
            .said(room, "scaled from 2 to 3 replicas", |one| {
                one.ts == question.ts
            })
            .await?;
        let shown = scaled.shown();
        ensure!(
            shown.contains("healthy 2/2") && shown.contains("healthy 3/3"),
            "before and after are missing"
        );
        ensure!(
            shown.matches("memory").count() >= 2,
            "the memory before and after is missing"
        );
        Ok(())
    }

    /// The incident page, by the link that the bot gives.
    async fn page(&self, demo: &Demo, ana: &Human, room: &str) -> anyhow::Result<()> {
        self.scene("The same incident in a browser, also when Slack is down.");
        let link = self.ask(ana, room, "page", "Your link to INC-1").await?;
        let shown = link.shown();
        let (_, path) = shown
            .split_once("/incidents/link/")
            .context("there is no link")?;
        let ends = |c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_';
        let token = path.split(ends).next().unwrap_or_default();
        let (to, door) = (demo.address(), format!("/incidents/link/{token}"));
        let reply = visit(to, "GET", &door, "", "").await?;
        let cookie = format!("Cookie: {}\r\n", reply.cookies());
        let reply = visit(to, "POST", &door, &cookie, "").await?;
        ensure!(reply.status == 303, "the link did not open: {}", reply.body);
        let cookie = format!("Cookie: {}\r\n", reply.cookies());
        let reply = visit(to, "GET", "/incidents/1", &cookie, "").await?;
        let heading = reply.heading().context("the page has no heading")?;
        let browser = self.paint.style("1;34", "browser ›");
        println!("{browser} GET /incidents/1");
        println!("    {} {heading}", reply.status);
        for part in ["INC-1", "Timeline", "memory-leak", "scaled frontend"] {
            ensure!(
                reply.body.contains(part),
                "the page does not tell of “{part}”"
            );
        }
        let again = visit(to, "GET", &door, "", "").await?;
        ensure!(again.status != 200, "the link opened twice");
        println!(
            "    The link worked once; a second visit is refused ({}).",
            again.status
        );
        Ok(())
    }

    /// The end, and an export that proves itself.
    async fn end(&self, demo: &Demo, ana: &Human, room: &str) -> anyhow::Result<()> {
        self.scene("It is over. Resolve it, and export the timeline for the review.");
        let body = json!({"version": "4", "alerts": [{
            "status": "resolved",
            "labels": {"alertname": "HighMemory", "service": "frontend", "severity": "critical"},
        }]});
        let headers = format!("Authorization: Bearer {}\r\n", demo.alerts.token);
        let path = "/alerts/alertmanager";
        visit(demo.address(), "POST", path, &headers, &body.to_string()).await?;
        let resolve = "resolve the export job leaked, it streams now";
        self.ask(ana, room, resolve, "is resolved").await?;
        let json = self.export(ana, room, "json").await?;
        let markdown = self.export(ana, room, "md").await?;
        for word in [
            "HighMemory",
            "restarting frontend",
            "approved by ben",
            "scaled frontend",
        ] {
            ensure!(
                markdown.contains(word),
                "the export does not tell of “{word}”"
            );
        }
        println!("\n{}", shortened(&markdown));
        let verified = report::verify_export(json.as_bytes()).context("the export")?;
        let (entries, head) = (counted(verified.entries, "entry"), verified.head);
        println!("Verified offline: {entries}, unchanged, head {head}");
        let forged = json.replacen("approved by ben", "approved by ana", 1);
        match report::verify_export(forged.as_bytes()) {
            Ok(_) => anyhow::bail!("a changed export was taken for good"),
            Err(error) => println!("The same with one name changed: {error}"),
        }
        Ok(())
    }

    fn scene(&self, text: &str) {
        println!("\n{}\n", self.paint.style("1;35", &format!("── {text}")));
    }

    /// Types a command; it has to be acknowledged.
    async fn types(&self, person: &Human, channel: &str, words: &str) -> anyhow::Result<()> {
        let prompt = format!("{} ›", person.name());
        println!("{} /treasury {words}", self.paint.style("1;34", &prompt));
        let receipt = person.types(channel, &format!("/treasury {words}")).await?;
        let error = receipt.error;
        ensure!(receipt.acked, "`{words}` was not acknowledged: {error:?}");
        Ok(())
    }

    /// Types a command and waits for an answer with these words.
    async fn ask(
        &self,
        person: &Human,
        channel: &str,
        words: &str,
        expected: &str,
    ) -> anyhow::Result<Message> {
        let before = self.newest(channel);
        self.types(person, channel, words).await?;
        self.said(channel, expected, |message| message.ts > before)
            .await
            .with_context(|| format!("`{words}`"))
    }

    /// Waits until a message of the bot's says these words.
    async fn said(
        &self,
        channel: &str,
        expected: &str,
        meant: impl Fn(&Message) -> bool,
    ) -> anyhow::Result<Message> {
        let found = self.heard(channel, expected, meant).await?;
        self.show(&found);
        Ok(found)
    }

    async fn heard(
        &self,
        channel: &str,
        expected: &str,
        meant: impl Fn(&Message) -> bool,
    ) -> anyhow::Result<Message> {
        let says = |one: &&Message| one.by_bot && meant(one) && plain(one).contains(expected);
        let found = self.sandbox.wait_for(PATIENCE, |workspace| {
            let messages = &workspace.channel(channel)?.messages;
            messages.iter().find(says).cloned()
        });
        let found = found.await;
        found.with_context(|| format!("the bot did not say “{expected}”"))
    }

    /// Waits for words of the bot's without printing them.
    async fn hears(&self, channel: &str, expected: &str) -> anyhow::Result<Message> {
        self.heard(channel, expected, |_| true).await
    }

    async fn press(
        &self,
        person: &Human,
        channel: &str,
        message: &Message,
        label: &str,
    ) -> anyhow::Result<()> {
        println!(
            "{} presses [{label}]",
            self.paint.style("1;34", &format!("{} ›", person.name()))
        );
        let receipt = person.clicks(channel, &message.ts, label).await?;
        let error = receipt.error;
        ensure!(receipt.acked, "the press was not acknowledged: {error:?}");
        Ok(())
    }

    /// The incident's channel, once there is one and somebody was invited.
    async fn room(&self, person: &Human) -> anyhow::Result<String> {
        self.sandbox
            .wait_for(PATIENCE, |workspace| {
                workspace
                    .channels
                    .values()
                    .find(|channel| channel.name.starts_with("inc-1-"))
                    .filter(|channel| channel.members.contains(person.id()))
                    .map(|channel| channel.id.clone())
            })
            .await
            .context("no channel was made for the incident")
    }

    async fn export(&self, person: &Human, room: &str, format: &str) -> anyhow::Result<String> {
        let line = format!("export --format {format}");
        self.types(person, room, &line).await?;
        let file = self
            .sandbox
            .wait_for(PATIENCE, |workspace| {
                workspace
                    .files
                    .iter()
                    .find(|file| file.is_complete() && file.name.ends_with(&format!(".{format}")))
                    .cloned()
            })
            .await
            .with_context(|| format!("no {format} export came"))?;
        println!("{} {}", self.paint.style("1;32", "treasury ‹"), file.name);
        Ok(String::from_utf8_lossy(&file.content).into_owned())
    }

    fn newest(&self, channel: &str) -> String {
        self.sandbox.look(|workspace| {
            workspace
                .channel(channel)
                .and_then(|channel| channel.messages.back().map(|m| m.ts.clone()))
                .unwrap_or_default()
        })
    }

    fn show(&self, message: &Message) {
        let mark = if message.visible_to.is_some() {
            " (only you see this)"
        } else {
            ""
        };
        println!("{}{mark}", self.paint.style("1;32", "treasury ‹"));
        let lines = self.sandbox.look(|world| transcript::lines(world, message));
        for line in lines {
            println!("    {line}");
        }
    }
}

/// The timeline of an export, without how it is verified.
fn shortened(markdown: &str) -> &str {
    let end = markdown.find("## Verification");
    markdown[..end.unwrap_or(markdown.len())].trim_end()
}

/// The words of a message without Slack's marks.
fn plain(message: &Message) -> String {
    message.shown().replace(['`', '*'], "")
}
