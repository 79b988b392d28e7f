//! `treasury-bot setup`: from two tokens to a configuration that answers.
//!
//! - `tokens`: where the tokens are; `slack`: scopes, people, the channel; `services`: what runs here
//! - `file`: what is written; `ask`: questions on the terminal; `options`, `report`: both ends
//!
//! Each step is told in a line. The first that fails ends it, with what to press: exit code 1. What
//! is there already stays as it is.

mod ask;
mod file;
mod options;
mod report;
mod services;
mod slack;
mod tokens;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use url::Url;

use self::file::Content;
pub(super) use self::options::Options;
use self::report::{Report, Trouble};
use self::slack::{Channel, Member};
use self::tokens::{APP, BOT};
use super::config_file::{ConfigFile, Refused};
use super::manifest::{Wanted, manifest};
use super::terminal::{Paint, put};
use crate::app;
use crate::config::Config;
use crate::domain::counted;
use crate::domain::service::Found;
use crate::slack::client::Client;
use crate::slack::granted::Granted;
use crate::slack::{Mode, SlackConfig};
use crate::telemetry::log;

/// The main channel where nobody names another.
const CHANNEL: &str = "#treasury-incidents";

pub(super) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    log::start("error", false);
    let report = Report(Paint::stdout());
    let Err(error) = steps(options, &report).await else {
        return Ok(ExitCode::SUCCESS);
    };
    let Some(trouble) = error.downcast_ref::<Trouble>() else {
        return Err(error);
    };
    report.put("❌", &trouble.what)?;
    if !trouble.mend.is_empty() {
        put(&format!("   → {}\n", trouble.mend))?;
    }
    Ok(ExitCode::FAILURE)
}

async fn steps(options: &Options, report: &Report) -> anyhow::Result<()> {
    if !options.yes && !std::io::stdin().is_terminal() {
        let message = "setup asks questions, and there is no terminal to ask them on: add --yes";
        return Err(Refused(message.to_owned()).into());
    }
    let path = &options.config;
    let anew = options.force
        || !path.exists()
        || !options.yes
            && ask::agrees(
                &format!("{} is there. Write it anew?", path.display()),
                false,
            )?;
    if anew {
        write_new(options, report, path.exists()).await
    } else {
        look_over(options, report).await
    }
}

/// With a configuration that is there: looks whether it works, and changes nothing of it.
async fn look_over(options: &Options, report: &Report) -> anyhow::Result<()> {
    let config = ConfigFile {
        config: options.config.clone(),
    };
    let config = config.load()?;
    let path = options.config.display();
    report.put(
        "✅",
        &format!("{path} is there and stays as it is (--force writes it anew)"),
    )?;
    let client = client(&config.slack)?;
    let (wanted, channel) = (Wanted::by(&config), config.slack.channel.clone());
    let granted = app_checks(&client, &config.slack, &wanted, report).await?;
    enter(&client, &channel, &granted, &[], report).await?;
    check(&config, options, report)?;
    next(options, &channel)
}

/// Without one: finds out what belongs in it.
async fn write_new(options: &Options, report: &Report, replace: bool) -> anyhow::Result<()> {
    let (bot, app) = (BOT.find(options)?, APP.find(options)?);
    if bot.is_none() || app.is_none() {
        put(&how_to_make_the_app(options))?;
        if options.yes {
            let missing = [(BOT, &bot), (APP, &app)].into_iter();
            let missing = missing.filter(|(_, token)| token.is_none());
            let missing: Vec<&str> = missing.map(|(token, _)| token.variable).collect();
            return Err(Trouble {
                what: format!("Not set: {}", missing.join(", ")),
                mend: "make the app as told above, set them, and run setup again".to_owned(),
            }
            .into());
        }
    }
    let bot = tokens::given_or_asked(BOT, bot).await?;
    let app = tokens::given_or_asked(APP, app).await?;
    let slack = SlackConfig {
        mode: Mode::Socket,
        api_url: options.api_url.clone(),
        bot_token: bot.secret.clone(),
        app_token: Some(app.secret.clone()),
        signing_secret: None,
        channel: channel(options)?,
        command: "/treasury".to_owned(),
        groups: Vec::new(),
    };
    let client = client(&slack)?;
    let granted = app_checks(&client, &slack, &Wanted::default(), report).await?;
    let token_files = tokens::keep([(BOT, bot), (APP, app)], options, report)?;
    let responders = responders(options, &client).await?;
    let at = enter(&client, &slack.channel, &granted, &responders, report).await?;
    let found = services::found(options, report).await?;
    let found = chosen(options, found)?;
    let content = Content {
        channel: Some(slack.channel.as_str()).filter(|channel| *channel != CHANNEL),
        api_url: slack.api_url.as_ref().map(Url::as_str),
        token_files: &token_files,
        listen: options.listen.map(|listen| listen.to_string()),
        responders: &responders,
        services: &found,
    };
    let text = content.text();
    let file = options.config.display().to_string();
    // Before it is written: what is wrong with it would be ours.
    let config = Config::parse(&text, &file, &|name| std::env::var(name).ok())?;
    file::write(&options.config, &text, replace)?;
    let lines = text.lines().count();
    report.put(
        "✅",
        &format!("{file} written: {lines} lines, no secret in it"),
    )?;
    check(&config, options, report)?;
    slack::hello(&client, &at, &slack.command).await?;
    report.put("✅", &format!("Said hello in {}", slack.channel))?;
    next(options, &slack.channel)
}

fn client(slack: &SlackConfig) -> anyhow::Result<Client> {
    let (bot, app) = (&slack.bot_token, slack.app_token.as_ref());
    Ok(Client::new(slack.api_url.as_ref(), bot, app)?)
}

/// Tokens and scopes.
async fn app_checks(
    client: &Client,
    config: &SlackConfig,
    wanted: &Wanted,
    report: &Report,
) -> anyhow::Result<Granted> {
    let granted = slack::tokens(client, config).await?;
    let (user, team, url) = (&granted.user, &granted.team, &granted.url);
    let tokens = match config.mode {
        Mode::Socket => "both tokens are",
        Mode::Http => "the bot token is",
    };
    report.put(
        "✅",
        &format!("Slack: {tokens} good; the bot is @{user} of {team} ({url})"),
    )?;
    let lacking = slack::scopes(&granted, wanted.uses)?;
    let count = wanted.uses.scopes().count();
    match (&granted.scopes, lacking.as_slice()) {
        (None, _) => report.put("➖", "Scopes: Slack did not tell which the token has")?,
        (Some(_), []) => report.put("✅", &format!("Scopes: all {count} are granted"))?,
        (Some(_), lacking) => {
            report.put("⚠️", "Scopes: those that are needed are granted; without")?;
            for scope in lacking {
                let without = scope.without.unwrap_or_default();
                put(&format!("   {}: {without}\n", scope.name))?;
            }
        }
    }
    Ok(granted)
}

/// The channel's id, once the bot is in it.
async fn enter(
    client: &Client,
    name: &str,
    granted: &Granted,
    responders: &[Member],
    report: &Report,
) -> anyhow::Result<String> {
    let (id, how) = slack::channel(client, name, granted).await?;
    let how = match how {
        Channel::There => "the bot is in it",
        Channel::Joined => "the bot has joined it",
        Channel::Made if responders.is_empty() => "made; only the bot is in it so far: join it",
        Channel::Made if slack::invite(client, &id, responders).await => {
            "made; the responders are invited"
        }
        Channel::Made => "made; only the bot is in it so far: join it",
    };
    report.put("✅", &format!("{name}: {how}"))?;
    Ok(id)
}

/// What `config check` would say.
fn check(config: &Config, options: &Options, report: &Report) -> anyhow::Result<()> {
    app::platforms(config).map_err(|error| Refused(format!("{error:#}")))?;
    for warning in &config.warnings {
        report.put("⚠️", &warning.message)?;
        if let Some(hint) = &warning.hint {
            put(&format!("   → {hint}\n"))?;
        }
    }
    let services = counted(config.services.len(), "service");
    let path = options.config.display();
    Ok(report.put("✅", &format!("{path} is good: {services}"))?)
}

fn next(options: &Options, channel: &str) -> anyhow::Result<()> {
    let path = &options.config;
    let by = if path == Path::new("treasury-bot.toml")
        || std::env::var_os("TREASURY_BOT_CONFIG").is_some()
    {
        String::new()
    } else {
        format!(" --config {}", path.display())
    };
    Ok(put(&format!(
        "\nNext: treasury-bot serve{by}\nThen, in {channel}: /treasury status\n"
    ))?)
}

fn channel(options: &Options) -> anyhow::Result<String> {
    let named = match &options.channel {
        Some(channel) => channel.clone(),
        None if options.yes => CHANNEL.to_owned(),
        None => ask::ask("The main channel (it is made if it isn't there)", CHANNEL)?,
    };
    // A name has its mark; an id has none.
    let is_name = named.contains(|c: char| c.is_lowercase()) && !named.starts_with('#');
    Ok(if is_name { format!("#{named}") } else { named })
}

async fn responders(options: &Options, client: &Client) -> anyhow::Result<Vec<Member>> {
    let mut wanted = options.responder.clone();
    if wanted.is_empty() && !options.yes {
        let question = "Who may restart, deploy and the like? @names or ids; empty: nobody yet";
        let typed = ask::ask(question, "")?;
        let typed = typed.split([' ', ',']).filter(|one| !one.is_empty());
        wanted = typed.map(str::to_owned).collect();
    }
    Ok(slack::people(client, &wanted).await?)
}

fn chosen(options: &Options, found: Vec<Found>) -> anyhow::Result<Vec<Found>> {
    let all = found.len();
    if all == 0 || options.yes || ask::agrees(&format!("Take all {all} services?"), true)? {
        return Ok(found);
    }
    let mut taken = Vec::new();
    for one in found {
        if ask::agrees(&format!("Take {}?", one.service.name), true)? {
            taken.push(one);
        }
    }
    Ok(taken)
}

/// What to press at Slack.
fn how_to_make_the_app(options: &Options) -> String {
    let manifest = manifest(&Wanted::default()).to_string();
    let link = Url::parse_with_params(
        slack::APPS,
        [("new_app", "1"), ("manifest_json", manifest.as_str())],
    );
    // Spaces as `%20`, which every reader of addresses takes.
    let link = link.map_or_else(
        |_| slack::APPS.to_owned(),
        |link| link.as_str().replace('+', "%20"),
    );
    let path = options.config.display();
    format!(
        "The bot needs an app at Slack, which takes two minutes:\n\n\
         1. Open this, choose your workspace, press Next and Create:\n\n   {link}\n\n   \
         (or: api.slack.com/apps, Create New App, From a manifest, with what `treasury-bot \
         manifest` prints)\n\
         2. Basic Information, App-Level Tokens, Generate Token and Scopes: add connections:write, \
         press Generate.\n   It is TREASURY_BOT_SLACK_APP_TOKEN (xapp-…).\n\
         3. Install App, Install to Workspace, Allow.\n   \
         The Bot User OAuth Token is TREASURY_BOT_SLACK_BOT_TOKEN (xoxb-…).\n\n\
         Set both in the environment, or put them into the files {} and {} beside {path}.\n\n",
        BOT.file, APP.file
    )
}
