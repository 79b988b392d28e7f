//! `treasury-bot exec`: a chat command from a terminal, by the same road as from Slack.
//!
//! It works on the configured store beside a running `serve`, and without one; Slack may be down.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::config_file::ConfigFile;
use super::messages;
use super::terminal::Paint;
use crate::bot::{self, Bot, answer_key};
use crate::command::words::quote;
use crate::domain::{
    Audience, Content, Door, Message, Outgoing, Part, Person, Place, Reply, Request, Tone,
};
use crate::store::Store;
use crate::telemetry::log;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// Answer questions with yes
    #[arg(long, short)]
    yes: bool,
    /// The command as it is typed in Slack, without `/treasury`
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    text: Vec<String>,
}

impl Options {
    /// These words, and no yes to anything.
    pub(super) fn sentence(file: ConfigFile, text: Vec<String>) -> Self {
        Self {
            file,
            yes: false,
            text,
        }
    }
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    log::start("warn", false);
    let (bot, store) = options.file.visit().await?;
    bot::start_visit(&bot).await?;
    // One argument is a sentence as typed; several are words, kept together as the shell had them.
    let text = match &options.text[..] {
        [sentence] => sentence.clone(),
        words => {
            let quoted = words.iter().map(|word| match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => format!("{name}={}", quote(value)),
                None if word.starts_with("--") && !word.contains(char::is_whitespace) => {
                    word.clone()
                }
                _ => quote(word),
            });
            quoted.collect::<Vec<_>>().join(" ")
        }
    };
    let mut seen = None;
    let mut code = converse(&bot, &store, text, options.yes, &mut seen).await;
    bot::runs_over(&bot).await;
    bot::end_visit(&bot).await?;
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
    let login = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let login = login.ok().filter(|login| !login.is_empty());
    let login = login.unwrap_or_else(|| "terminal".to_owned());
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
    let request = Request {
        key: key.clone(),
        door: Door::Terminal,
        person: Person::terminal(login),
        place: Place::terminal(),
        text,
        reply: Reply::default(),
    };
    bot::visit(bot, request).await?;
    Ok(key)
}

fn print(outgoing: &Outgoing, paint: Paint) {
    let text = messages::content(&outgoing.content, paint);
    print!("{text}");
    if !text.ends_with('\n') {
        println!();
    }
    // A closed pipe (`| head`) is the reader's choice.
    let _ = std::io::stdout().flush();
}

/// Shows a question's choices and reads yes or no. `None` where nobody can be asked.
fn ask(message: &Message, yes: bool) -> anyhow::Result<Option<String>> {
    let buttons = message.parts.iter().filter_map(|part| match part {
        Part::Buttons(buttons) => Some(buttons),
        _ => None,
    });
    let buttons: Vec<_> = buttons.flatten().collect();
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
