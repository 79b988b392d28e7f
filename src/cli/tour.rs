//! `demo --tour`: a whole incident in the terminal, through the real path: typed into the sandbox
//! Slack, over its socket to the bot, to the simulated stack and back. Every step is checked.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::stage::Demo;
use super::terminal::Paint;
use crate::report;
use crate::sandbox::slack::{Human, Message, Sandbox};
use crate::sandbox::stack::Fault;

/// Simulated seconds in a second: nobody wants to wait for a believable restart.
pub(super) const SPEED: f64 = 8.0;

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
        let (ana, chloe) = (self.sandbox.person("ana"), self.sandbox.person("chloe"));

        self.scene("03:00. The frontend leaks memory; on-call's phone rings.");
        demo.stack.put_in(Fault::MemoryLeak, Some("frontend"))?;
        demo.stack.advance(Duration::from_secs(120));
        self.ask(&ana, HOME, "status", "services are well").await?;
        self.ask(&ana, HOME, "stats frontend", "MEMORY").await?;

        self.scene("Ana declares an incident; it gets a channel of its own.");
        let declare =
            "incident declare Frontend runs out of memory --severity SEV2 --service frontend";
        let declared = "INC-1 declared as SEV2";
        self.ask(&ana, HOME, declare, declared).await?;
        let room = self.room(&ana).await?;
        let title = "INC-1: Frontend runs out of memory";
        self.said(&room, title, |_| true).await?;
        let note = "note it's the export job again, heap grows 2 MiB a second";
        let logs = "logs frontend --lines 5";
        self.ask(&ana, &room, note, "export job").await?;
        self.ask(&ana, &room, logs, "log line").await?;

        self.scene("Chloe is no responder: she may look, not act.");
        let refusal = "Only a responder may do this";
        self.ask(&chloe, HOME, "restart frontend", refusal).await?;
        let calls = demo.stack.calls();
        ensure!(calls.is_empty(), "something was restarted: {calls:?}");

        self.scene("A typo does no harm.");
        let typo = "restrat frontend";
        self.ask(&ana, &room, typo, "did not understand").await?;

        self.scene(
            "Ana restarts the frontend. The bot asks first; the same message then tells all.",
        );
        let restart = "restart frontend --reason 'memory leak'";
        let question = self.ask(&ana, &room, restart, "Restart frontend?").await?;
        self.press(&ana, &room, &question, "Restart frontend")
            .await?;
        let restarted = self
            .said(&room, "frontend restarted in", |one| one.ts == question.ts)
            .await?;
        let shown = restarted.shown();
        ensure!(
            shown.contains("healthy 2/2"),
            "before and after are missing"
        );
        let calls = demo.stack.calls();
        ensure!(
            calls == ["restart frontend"],
            "the stack saw {calls:?}, not one restart"
        );

        self.scene("It is better. Resolve, and export the timeline for the review.");
        demo.stack.take_out(Fault::MemoryLeak);
        let mitigate = "mitigate restart freed the memory";
        let resolve = "resolve the export job streams now";
        self.ask(&ana, &room, mitigate, "is mitigated").await?;
        self.ask(&ana, &room, resolve, "is resolved").await?;
        let json = self.export(&ana, &room, "json").await?;
        let verified = report::verify_export(json.as_bytes()).context("the export")?;
        let markdown = self.export(&ana, &room, "md").await?;
        for word in [
            "runs out of memory",
            "export job",
            "restarting frontend",
            "memory leak",
        ] {
            ensure!(
                markdown.contains(word),
                "the export does not tell of “{word}”"
            );
        }
        println!("\n{markdown}");
        let (entries, head) = (verified.entries, verified.head);
        println!("Verified offline: {entries} entries, head {head}");
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
        let says = |one: &&Message| one.by_bot && meant(one) && plain(one).contains(expected);
        let found = self.sandbox.wait_for(PATIENCE, |workspace| {
            let messages = &workspace.channel(channel)?.messages;
            messages.iter().find(says).cloned()
        });
        let found = found.await;
        let found = found.with_context(|| format!("the bot did not say “{expected}”"))?;
        self.show(&found);
        Ok(found)
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
        for line in plain(message)
            .lines()
            .filter(|line| !line.trim().is_empty())
        {
            println!("    {line}");
        }
    }
}

/// The words of a message without Slack's marks.
fn plain(message: &Message) -> String {
    message
        .shown()
        .replace("```", "")
        .replace(['`', '*'], "")
        .replace("<@U0ANA00001>", "@ana")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}
