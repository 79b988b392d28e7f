//! `[store]`: where the bot keeps what it knows.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::Env;
use super::reader::Reader;
use super::secret::{environment, file};
use super::sections::elsewhere;
use super::source::Report;

/// The environment variable that wins over the file.
const VARIABLE: &str = "TREASURY_BOT_STORE_URL";

/// `[store]`; `None` after an error.
pub(super) fn url(
    report: &mut Report<'_>,
    mut section: Reader<'_, '_>,
    env: Env<'_>,
) -> Option<SecretString> {
    let written = section.text(report, "url");
    let named = section.text(report, "url_file");
    section.finish(report, elsewhere);
    let both = written.is_some() && named.is_some();
    if let (true, Some(named)) = (both, &named) {
        let hint = "keep one of them".to_owned();
        report.error(
            named.span.clone(),
            "`store` has both `url` and `url_file`",
            Some(hint),
        );
    }
    if let Some(written) = &written {
        match check(written.value) {
            Err(why) => report.error(written.span.clone(), format!("`store.url`: {why}"), None),
            Ok(true) => {
                let hint = format!("put it in {VARIABLE} or url_file");
                let message = "`store.url` holds a password, which doesn't belong in this file";
                report.error(written.span.clone(), message, Some(hint));
            }
            Ok(false) => {}
        }
    }
    if let Some(url) = environment(env, VARIABLE) {
        if let Err(why) = check(url.expose_secret()) {
            report.error(None, format!("{VARIABLE}: {why}"), None);
        }
        return Some(url);
    }
    if both {
        return None;
    }
    if let Some(named) = named {
        let url = file(report, "store.url_file", &named)?;
        if let Err(why) = check(url.expose_secret()) {
            let message = format!("the file that `store.url_file` names: {why}");
            report.error(named.span, message, None);
        }
        return Some(url);
    }
    Some(
        written
            .map_or("sqlite://treasury-bot.db", |text| text.value)
            .into(),
    )
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
    Ok(parsed.password().is_some() || parsed.query_pairs().any(|(key, _)| key == "password"))
}
