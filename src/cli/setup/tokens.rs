//! Slack's two tokens: where they are, and where they are kept.

use std::path::{Path, PathBuf};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};

use super::options::Options;
use super::report::{Report, Trouble};
use super::{ask, file};

/// One of Slack's tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    /// What people call it.
    name: &'static str,
    /// How it begins.
    begins: &'static str,
    pub(super) variable: &'static str,
    /// Its key in the file.
    key: &'static str,
    /// The file beside the configuration in which setup keeps it.
    pub(super) file: &'static str,
    option: fn(&Options) -> Option<&PathBuf>,
}

pub(super) const BOT: Token = Token {
    name: "bot token",
    begins: "xoxb-",
    variable: "TREASURY_BOT_SLACK_BOT_TOKEN",
    key: "bot_token_file",
    file: "slack-bot-token",
    option: |options| options.bot_token_file.as_ref(),
};
pub(super) const APP: Token = Token {
    name: "app-level token",
    begins: "xapp-",
    variable: "TREASURY_BOT_SLACK_APP_TOKEN",
    key: "app_token_file",
    file: "slack-app-token",
    option: |options| options.app_token_file.as_ref(),
};

/// A token, and where it was.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) secret: SecretString,
    from: Source,
}

#[derive(Debug)]
enum Source {
    Environment,
    /// A file, as the configuration is to name it.
    File(String),
    Typed,
}

impl Token {
    /// From the file that is named, the environment, or the file that setup has written before.
    pub(super) fn find(self, options: &Options) -> anyhow::Result<Option<Given>> {
        let read = |path: &Path, named: String| -> anyhow::Result<Option<Given>> {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("{} can't be read", path.display()))?;
            let (secret, from) = (self.checked(&text)?, Source::File(named));
            Ok(Some(Given { secret, from }))
        };
        if let Some(path) = (self.option)(options) {
            let named = std::path::absolute(path)?.display().to_string();
            return read(path, named);
        }
        let set = std::env::var(self.variable).unwrap_or_default();
        if !set.trim().is_empty() {
            let (secret, from) = (self.checked(&set)?, Source::Environment);
            return Ok(Some(Given { secret, from }));
        }
        let beside = options.config.with_file_name(self.file);
        if beside.is_file() {
            return read(&beside, self.file.to_owned());
        }
        Ok(None)
    }

    fn checked(self, text: &str) -> Result<SecretString, Trouble> {
        let text = text.trim();
        if text.starts_with(self.begins) && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(SecretString::from(text));
        }
        Err(Trouble {
            what: format!("That is no {}: one begins with {}", self.name, self.begins),
            mend: format!("copy it anew, into {} or a file", self.variable),
        })
    }
}

/// What was found, else what is typed.
pub(super) async fn given_or_asked(token: Token, given: Option<Given>) -> anyhow::Result<Given> {
    match given {
        Some(given) => Ok(given),
        None => {
            let question = format!(
                "The {} ({}…; what you type is not shown)",
                token.name, token.begins
            );
            let typed = ask::hidden(&question).await?;
            let (secret, from) = (token.checked(typed.expose_secret())?, Source::Typed);
            Ok(Given { secret, from })
        }
    }
}

/// Puts what was typed into files, and tells which keys the configuration needs for that.
pub(super) fn keep(
    tokens: [(Token, Given); 2],
    options: &Options,
    report: &Report,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut keys = Vec::new();
    for (token, given) in tokens {
        match given.from {
            Source::Environment => {}
            Source::File(named) => keys.push((token.key, named)),
            Source::Typed => {
                let path = options.config.with_file_name(token.file);
                file::write_secret(&path, &given.secret)?;
                let shown = path.display();
                report.put(
                    "✅",
                    &format!("{shown}: the {}, for your eyes only (0600)", token.name),
                )?;
                keys.push((token.key, token.file.to_owned()));
            }
        }
    }
    Ok(keys)
}
