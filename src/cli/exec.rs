//! `treasury-bot exec`: a chat command from a terminal, by the same road as from Slack.
//!
//! It works on the configured store beside a running `serve`, and without one; Slack may be down.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::show::{self, Paint};
use crate::app::Plan;
use crate::bot::{Bot, answer_key};
use crate::domain::{
    Audience, Content, Door, Message, Outgoing, Part, Person, Place, Reply, Request, Tone,
};
use crate::probe::Http;
use crate::store::{Store, Use};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The configuration file
    #[arg(long, default_value = "treasury-bot.toml", env = "TREASURY_BOT_CONFIG")]
    config: PathBuf,
    /// Answer questions with yes
    #[arg(long, short)]
    yes: bool,
    /// The command as it is typed in Slack, without `/treasury`
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    text: Vec<String>,
}

impl Options {
    /// These words, and no yes to anything.
    pub(super) fn sentence(config: PathBuf, text: Vec<String>) -> Self {
        Self {
            config,
            yes: false,
            text,
        }
    }
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    super::log("warn", false);
    let config = match super::check::load(&options.config) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let plan = Plan::from_config(&config)?;
    let store = Store::open(&plan.store_url, Use::Visit).await?;
    let shutdown = CancellationToken::new();
    let bot = Bot::new(
        store.clone(),
        plan.settings,
        plan.catalogue,
        plan.library,
        Http::new(),
        shutdown.clone(),
    );
    crate::bot::start_visit(&bot).await?;
    // One argument is a sentence as typed; several are words, kept together as the shell had them.
    let text = match &options.text[..] {
        [sentence] => sentence.clone(),
        words => words
            .iter()
            .map(|w| crate::command::words::quote(w))
            .collect::<Vec<_>>()
            .join(" "),
    };
    let mut seen = None;
    let mut code = converse(&bot, &store, text, options.yes, &mut seen).await;
    crate::bot::runs_over(&bot).await;
    crate::bot::end_visit(&bot).await?;
    // What was restarted may have fallen again while it was watched.
    if let Some((watched, shown)) = seen
        && let Some((outgoing, version)) = store.outbox_read(&watched).await?
        && version > shown
    {
        print(&outgoing, Paint::stdout());
        if matches!(&outgoing.content, Content::Message(message) if message.tone == Tone::Bad) {
            code = Ok(ExitCode::FAILURE);
        }
    }
    store.close().await;
    code
}

/// Says the sentence, shows the answer as it changes, answers its question, says how it ended.
/// `seen`: the answer and its newest state that was shown.
async fn converse(
    bot: &Bot,
    store: &Store,
    text: String,
    yes: bool,
    seen: &mut Option<(String, i64)>,
) -> anyhow::Result<ExitCode> {
    let paint = Paint::stdout();
    let login = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_default();
    let login = if login.is_empty() {
        "terminal".to_owned()
    } else {
        login
    };
    let key = say(bot, &login, text).await?;
    let watched = answer_key(&key);
    let mut shown = 0;
    loop {
        let Some((outgoing, version)) = store.outbox_read(&watched).await? else {
            anyhow::bail!("the command was taken up by another process; see `audit`");
        };
        if version > shown {
            shown = version;
            *seen = Some((watched.clone(), shown));
            print(&outgoing, paint);
        }
        let Content::Message(message) = &outgoing.content else {
            return Ok(ExitCode::SUCCESS);
        };
        match message.tone {
            Tone::Question => {
                let Some(answer) = ask(message, yes)? else {
                    eprintln!("Nothing was done: say yes with --yes where there is no terminal");
                    return Ok(ExitCode::from(2));
                };
                let key = say(bot, &login, answer).await?;
                // A refusal of the answer itself is an answer of its own.
                if let Some((refusal, _)) = store.outbox_read(&answer_key(&key)).await? {
                    print(&refusal, paint);
                    return Ok(ExitCode::from(2));
                }
            }
            Tone::Progress => {
                tokio::select! {
                    () = store.outbox_changed() => {}
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                }
            }
            Tone::Plain | Tone::Good => return Ok(ExitCode::SUCCESS),
            // What is told to the asker alone is a refusal; to all, that something is not well.
            Tone::Warning if outgoing.audience == Audience::Requester => {
                return Ok(ExitCode::from(2));
            }
            Tone::Warning | Tone::Bad => return Ok(ExitCode::FAILURE),
        }
    }
}

async fn say(bot: &Bot, login: &str, text: String) -> anyhow::Result<String> {
    let key = format!("terminal:{:032x}", rand::random::<u128>());
    crate::bot::visit(
        bot,
        Request {
            key: key.clone(),
            door: Door::Terminal,
            person: Person::terminal(login),
            place: Place::terminal(),
            text,
            reply: Reply::default(),
        },
    )
    .await?;
    Ok(key)
}

fn print(outgoing: &Outgoing, paint: Paint) {
    let text = show::content(&outgoing.content, paint);
    print!("{text}");
    if !text.ends_with('\n') {
        println!();
    }
    // A closed pipe (`| head`) is the reader's choice.
    let _ = std::io::stdout().flush();
}

/// Shows a question's choices and reads yes or no. `None` where nobody can be asked.
fn ask(message: &Message, yes: bool) -> anyhow::Result<Option<String>> {
    let buttons: Vec<_> = message
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Buttons(buttons) => Some(buttons),
            _ => None,
        })
        .flatten()
        .collect();
    let [first, rest @ ..] = &buttons[..] else {
        return Ok(None);
    };
    if yes {
        return Ok(Some(first.sentence.clone()));
    }
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    print!("{}? [y/N] ", first.label);
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let agreed = matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    Ok(if agreed {
        Some(first.sentence.clone())
    } else {
        rest.first().map(|button| button.sentence.clone())
    })
}
