//! `[access]`: who may do what.

use super::AccessSection;
use super::reader::Reader;
use super::sections::elsewhere;
use super::source::Report;

/// `[access]`
pub(super) fn access(report: &mut Report<'_>, mut section: Reader<'_, '_>) -> AccessSection {
    let access = AccessSection {
        viewers: people(report, &mut section, "viewers", true),
        responders: people(report, &mut section, "responders", false),
        commanders: people(report, &mut section, "commanders", false),
    };
    let header = section.span.clone();
    section.finish(report, elsewhere);
    if access.responders.is_empty() && access.commanders.is_empty() {
        let hint = "list user ids in `access.responders`".to_owned();
        report.warning(header, "nobody is a responder: nobody can act", Some(hint));
    }
    access
}

fn people(
    report: &mut Report<'_>,
    section: &mut Reader<'_, '_>,
    key: &'static str,
    all: bool,
) -> Vec<String> {
    let mut people = Vec::new();
    for entry in section.texts(report, key).unwrap_or_default() {
        let text = entry.value;
        let id = text.starts_with(['U', 'W', 'S'])
            && text.len() > 1
            && text
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let name = text
            .strip_prefix('@')
            .is_some_and(|name| !name.is_empty() && !name.contains(char::is_whitespace));
        if text == "*" && !all {
            let message = format!("`*` is not allowed in `access.{key}`, only among viewers");
            let hint = "list the people who may act, or a user group (`S…`)".to_owned();
            report.error(entry.span, message, Some(hint));
            continue;
        }
        if !id && !name && text != "*" {
            let message = format!("`{text}` in `access.{key}` is neither a user nor a user group");
            let hint = "write a user id (`U…`), a user group's id (`S…`) or `@name`".to_owned();
            report.error(entry.span, message, Some(hint));
            continue;
        }
        if name {
            let message = format!("`{text}` in `access.{key}` is a name, and names can be changed");
            let hint = "prefer the user id (`U…`): in Slack, Profile, Copy member ID".to_owned();
            report.warning(entry.span, message, Some(hint));
        }
        people.push(text.to_owned());
    }
    people
}
