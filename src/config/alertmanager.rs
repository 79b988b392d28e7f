//! `[alertmanager]`: where silences are made.

use std::time::Duration;

use super::probes::timeout;
use super::reader::Reader;
use super::secret::{environment, file};
use super::sections::elsewhere;
use super::source::Report;
use super::{AlertmanagerSection, Env, urls};

/// The keys of `[alertmanager]`.
pub(super) const ALERTMANAGER: [&str; 5] =
    ["url", "token_file", "user", "password_file", "timeout"];

/// The variable of its bearer token.
const TOKEN: &str = "TREASURY_BOT_ALERTMANAGER_TOKEN";
/// The variable of the user's password.
const PASSWORD: &str = "TREASURY_BOT_ALERTMANAGER_PASSWORD";

/// `[alertmanager]`
pub(super) fn alertmanager(
    report: &mut Report<'_>,
    mut section: Reader<'_, '_>,
    env: Env<'_>,
) -> Option<AlertmanagerSection> {
    let header = section.span.clone();
    let has_url = section.written("url").is_some();
    let written = section.text(report, "url");
    let token_file = section.text(report, "token_file");
    let user = section.text(report, "user");
    let password_file = section.text(report, "password_file");
    let timeout = timeout(
        report,
        &mut section,
        "alertmanager",
        Duration::from_secs(10),
    );
    section.finish(report, elsewhere);
    let header = header?;
    if !has_url {
        let hint = "such as `url = \"http://127.0.0.1:9093\"`".to_owned();
        report.error(header, "`alertmanager` without a `url`", Some(hint));
    }
    let url = urls::http(report, "alertmanager.url", &written?)?;
    let token = environment(env, TOKEN)
        .or_else(|| token_file.and_then(|path| file(report, "alertmanager.token_file", &path)));
    let has_file = password_file.is_some();
    let password = environment(env, PASSWORD).or_else(|| {
        password_file.and_then(|path| file(report, "alertmanager.password_file", &path))
    });
    let login = match (user, password) {
        (Some(user), Some(password)) => {
            if token.is_some() {
                let hint = "leave one of them out".to_owned();
                let message = "`alertmanager` has a token and a user: it can show only one";
                report.error(user.span.clone(), message, Some(hint));
            }
            Some((user.value.to_owned(), password))
        }
        // That the file can't be read was told.
        (Some(_), None) if has_file => None,
        (Some(user), None) => {
            let hint = format!("set {PASSWORD} or `password_file`");
            report.error(
                user.span,
                "`alertmanager.user` without a password",
                Some(hint),
            );
            None
        }
        (None, _) => None,
    };
    Some(AlertmanagerSection {
        url: url.as_str().trim_end_matches('/').to_owned(),
        token,
        login,
        timeout,
    })
}
