//! `[store]`: where the bot keeps what it knows.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::kind::Kind;
use super::section::Section;
use crate::bot::Settings;

/// What came to the bot may come again within a day: of what is asked once more, nothing may be forgotten.
const LEAST: Duration = Duration::from_secs(7 * 86_400);
/// So long is as good as for ever.
const MOST: Duration = Duration::from_secs(3_660 * 86_400);

pub(super) const STORE: Kind = Kind::single("store", "url url_file keep keep_incidents");

/// `[store]`: `sqlite://<path>` or `postgres://…`, from the environment, else `url_file`, else `url`
/// (default `sqlite://treasury-bot.db`, relative to the working directory). `None` after an error.
pub(super) fn url(section: &Section<'_>) -> Option<SecretString> {
    let variable = section.variable("url");
    let written = section.text("url");
    let named = section.text("url_file");
    let both = written.as_ref().and(named.as_ref());
    if let Some(named) = both {
        named.error("`store` has both `url` and `url_file`", "keep one of them");
    }
    if let Some(written) = &written
        && written.parsed(check(written.value)) == Some(true)
    {
        let message = "`store.url` holds a password, which doesn't belong in this file";
        written.error(message, format!("put it in {variable} or url_file"));
    }
    if let Some(url) = section.source.environment(&variable) {
        if let Err(why) = check(url.expose_secret()) {
            section.source.error(None, format!("{variable}: {why}"), "");
        }
        return Some(url);
    }
    if both.is_some() {
        return None;
    }
    if let Some(named) = named {
        let url = named.secret()?;
        if let Err(why) = check(url.expose_secret()) {
            let message = format!("the file that `store.url_file` names: {why}");
            named.error(message, "");
        }
        return Some(url);
    }
    Some(
        written
            .map_or("sqlite://treasury-bot.db", |text| text.value)
            .into(),
    )
}

/// `keep`: how long what is over is kept (default 90 days). `keep_incidents` can only be `forever`: their
/// timelines are chains that nothing may be taken out of.
pub(super) fn keep(section: &Section<'_>) -> Duration {
    section.word("keep_incidents", &[("forever", ())]);
    let keep = section.duration_or("keep", Settings::KEEP);
    if !(LEAST..=MOST).contains(&keep) {
        let hint =
            "Slack sends again what it doubts for a day; what is removed could be done twice";
        section.error_at("keep", "`store.keep` must be from 7d to 3660d", hint);
    }
    keep
}

/// Whether the store's URL holds a password, or what is wrong with it. Nothing of the URL is told.
fn check(url: &str) -> Result<bool, String> {
    if let Some(path) = url.strip_prefix("sqlite://") {
        let path = path.split('?').next().unwrap_or_default();
        let missing = path.is_empty() || path.ends_with('/');
        return if missing {
            Err("no file is named after sqlite://".to_owned())
        } else {
            Ok(false)
        };
    }
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err("it must begin with sqlite://, postgres:// or postgresql://".to_owned());
    }
    let parsed = Url::parse(url).map_err(|error| format!("it is not a URL: {error}"))?;
    Ok(holds_password(&parsed))
}

/// The URL of a database or a cache has a password in it.
pub(super) fn holds_password(url: &Url) -> bool {
    url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password")
}
