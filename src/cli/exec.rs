//! `treasury-bot exec`: a chat command from a terminal, by the same road as from Slack.
//!
//! It works on the configured store beside a running `serve`, and without one; Slack may be down, and
//! its tokens need not be there. Help needs no configuration at all.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use futures_util::TryStreamExt;

use super::config_file::ConfigFile;
use super::messages;
use super::terminal::{Paint, put};
use crate::app::Plan;
use crate::bot::{self, Bot, answer_key};
use crate::command::words::{self, quote};
use crate::config::{Config, Secrets};
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
    /// Print the last answer as one JSON object, for scripts: {"result": "done", "warned", "refused",
    /// "failed" or "asks", "code": the exit code, "title", "lines": a list of texts, "fields": [{"name",
    /// "value"}], "commands": [{"label", "command"}] that it offers, "file": {"name", "text"} or null}
    #[arg(long)]
    json: bool,
    /// The command as it is typed in Slack; `/treasury` may be left out
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    text: Vec<String>,
}

impl Options {
    /// These words, and no yes to anything.
    pub(super) fn sentence(file: ConfigFile, text: Vec<String>) -> Self {
        Self {
            file,
            yes: false,
            json: false,
            text,
        }
    }

    /// One argument is a sentence as typed; several are words, kept together as the shell had them.
    fn sentence_text(&self) -> String {
        let words = match &self.text[..] {
            [sentence] => return sentence.clone(),
            words => words,
        };
        let quoted = words.iter().map(|word| match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => format!("{name}={}", quote(value)),
            None if word.starts_with("--") && !word.contains(char::is_whitespace) => word.clone(),
            _ => quote(word),
        });
        quoted.collect::<Vec<_>>().join(" ")
    }
}

/// What is said: at once, or its last state as JSON.
struct Teller<'a> {
    store: &'a Store,
    paint: Paint,
    json: bool,
    last: Option<Content>,
}

impl Teller<'_> {
    async fn tell(&mut self, outgoing: &Outgoing) -> anyhow::Result<()> {
        if self.json {
            self.last = Some(outgoing.content.clone());
            return Ok(());
        }
        if let Content::File { file, .. } = &outgoing.content {
            let mut pieces = bot::file_pieces(self.store, file);
            while let Some(piece) = pieces.try_next().await? {
                put(&piece)?;
            }
            return Ok(());
        }
        let mut text = messages::content(&outgoing.content, self.paint);
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(put(&text)?)
    }

    /// The end of it.
    async fn end(self, end: End) -> anyhow::Result<ExitCode> {
        if let Some(content) = self.last {
            let text: Option<String> = match &content {
                Content::File { file, .. } => {
                    Some(bot::file_pieces(self.store, file).try_collect().await?)
                }
                _ => None,
            };
            let told = messages::json(&content, text.as_deref(), end.word(), end.code());
            put(&format!("{told}\n"))?;
        }
        Ok(ExitCode::from(end.code()))
    }
}

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    /// It is answered, and something is not well.
    Warned,
    Failed,
    Refused,
    /// Nobody answered its question.
    Asks,
}

impl End {
    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Warned => "warned",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Asks => "asks",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Warned | Self::Failed => 1,
            Self::Refused | Self::Asks => 2,
        }
    }
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    log::start("warn", false);
    let text = options.sentence_text();
    if asks_for_help(&text) {
        return help(&options, text).await;
    }
    let (bot, store) = options.file.visit().await?;
    let code = talk(&bot, &store, text, &options).await;
    store.close().await;
    code
}

async fn talk(
    bot: &Bot,
    store: &Store,
    text: String,
    options: &Options,
) -> anyhow::Result<ExitCode> {
    bot::start_visit(bot).await?;
    let mut teller = Teller {
        store,
        paint: Paint::stdout(),
        json: options.json,
        last: None,
    };
    let mut seen = None;
    let end = converse(bot, store, text, options.yes, (&mut teller, &mut seen)).await;
    bot::runs_over(bot).await;
    bot::end_visit(bot).await?;
    let mut end = end?;
    // What was restarted may have fallen again while it was watched.
    if let Some((watched, shown)) = seen
        && let Some((outgoing, version)) = store.outbox_read(&watched).await?
        && version > shown
    {
        teller.tell(&outgoing).await?;
        if matches!(&outgoing.content, Content::Message(message) if message.tone == Tone::Bad) {
            end = End::Failed;
        }
    }
    teller.end(end).await
}

/// `help …`, or a command with `--help`, with or without the slash command's own name.
fn asks_for_help(text: &str) -> bool {
    let words = words::split(text);
    let named = usize::from(words.first().is_some_and(|word| word.starts_with('/')));
    let first = words.get(named).map(|word| word.to_lowercase());
    first.as_deref() == Some("help") || words.last().is_some_and(|word| word == "--help")
}

/// Help, by a bot that knows nothing but the slash command's name, on a store that is thrown away: who
/// asks may have no configuration, and the store may be what is down.
async fn help(options: &Options, text: String) -> anyhow::Result<ExitCode> {
    let configured = options.file.load_without_secrets().ok();
    let command = configured.map_or_else(|| "/treasury".to_owned(), |one| one.slack.command);
    let folder = std::env::temp_dir().join(format!("treasury-bot-{:016x}", rand::random::<u64>()));
    std::fs::create_dir(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    let store = format!("sqlite://{}", folder.join("help.db").display());
    let file = format!("slack.command = {command:?}\nstore.url = {store:?}\n");
    let told = async {
        let config = Config::parse_with(&file, "help.toml", &|_| None, Secrets::ButSlacks)?;
        let (bot, store) = Plan::from_config(config)?.visit().await?;
        let code = talk(&bot, &store, text, options).await;
        store.close().await;
        code
    };
    let told = told.await;
    std::fs::remove_dir_all(&folder)
        .with_context(|| format!("{} can't be removed", folder.display()))?;
    told
}

/// Says the sentence, shows the answer as it changes, answers its question, says how it ended.
/// `seen`: the answer and its newest state that was shown.
async fn converse(
    bot: &Bot,
    store: &Store,
    text: String,
    yes: bool,
    (teller, seen): (&mut Teller<'_>, &mut Option<(String, i64)>),
) -> anyhow::Result<End> {
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
            teller.tell(&outgoing).await?;
        }
        let Content::Message(message) = &outgoing.content else {
            store.outbox_shown(&outgoing).await?;
            return Ok(End::Done);
        };
        match message.tone {
            Tone::Question => {
                let Some(answer) = ask(message, yes, teller.json)? else {
                    if !teller.json {
                        eprintln!(
                            "Nothing was done: say yes with --yes where there is no terminal"
                        );
                    }
                    return Ok(End::Asks);
                };
                let key = say(bot, &login, answer).await?;
                // A refusal of the answer itself is an answer of its own.
                if let Some((refusal, _)) = store.outbox_read(&answer_key(&key)).await? {
                    teller.tell(&refusal).await?;
                    return Ok(End::Refused);
                }
            }
            Tone::Progress => {
                tokio::select! {
                    () = store.outbox_changed() => {}
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                }
            }
            Tone::Plain | Tone::Good => return Ok(End::Done),
            // What is told to the asker alone is a refusal; to all, that something is not well.
            Tone::Warning if outgoing.audience == Audience::Requester => return Ok(End::Refused),
            Tone::Warning => return Ok(End::Warned),
            Tone::Bad => return Ok(End::Failed),
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

/// Shows a question's choices and reads yes or no. `None` where nobody can be asked, as by a script.
fn ask(message: &Message, yes: bool, is_script: bool) -> anyhow::Result<Option<String>> {
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
    if is_script || !std::io::stdin().is_terminal() {
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
