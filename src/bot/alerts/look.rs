//! What the first look asks of a service, all at the same time.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::changes::changes;
use super::words::{Answered, Findings, Image, LastWords, Said};
use crate::bot::Context;
use crate::domain::service::{
    Event, LogLine, LogQuery, Replica, ReplicaState, Service, ServiceStatus,
};
use crate::domain::timeline::cut;
use crate::domain::{ServiceName, duration};
use crate::platform::{Platform, PlatformError};
use crate::store::StoreError;

/// What has no answer in this time is left out.
const PATIENCE: Duration = Duration::from_secs(20);
/// How far back the bot looks for what was changed and what the platform saw.
const HOUR: Duration = Duration::from_secs(3_600);
/// How far back it looks for errors.
const ERRORS_WITHIN: Duration = Duration::from_secs(15 * 60);
/// Words by which a line of a log is taken for an error, in any case.
const ERROR_WORDS: [&str; 3] = ["error", "fatal", "panic"];
/// Kinds of errors, and of events, that are kept.
const KINDS: usize = 8;
/// Replicas whose last words are told, and how many lines of each.
const DEAD: usize = 2;
const LAST_LINES: usize = 6;

/// All questions about a service at the same time; `None` for one that the catalogue does not know.
pub(super) async fn findings(
    context: &Context,
    name: &ServiceName,
) -> Result<Option<Findings>, StoreError> {
    let Some((service, platform)) = context.catalogue().get(name) else {
        return Ok(None);
    };
    let (platform, now) = (platform.as_ref(), context.now());
    let (status, stats, image, events, errors, replicas) = futures_util::join!(
        ask(context, "service.status", json!({"service": name})),
        ask(context, "service.stats", json!({"service": name})),
        image(service, platform),
        in_time(platform.events(service, now - HOUR)),
        errors(service, platform, now),
        in_time(platform.status(service)),
    );
    let last_words = match &replicas {
        Ok(status) => last_words(service, platform, status, now).await,
        Err(_) => Vec::new(),
    };
    Ok(Some(Findings {
        status,
        stats,
        image,
        events: events.map(|events| grouped(events.list.iter().map(said_by_event))),
        unread: errors.as_ref().ok().and_then(|(_, unread)| unread.clone()),
        errors: errors.map(|(errors, _)| errors),
        last_words,
        changes: changes(context, HOUR).await?,
    }))
}

async fn ask(context: &Context, name: &str, params: Value) -> Answered {
    match tokio::time::timeout(PATIENCE, context.commands().call(context, name, params)).await {
        Ok(Ok(called)) => Ok((called.value, called.message)),
        Ok(Err(fault)) => Err(fault.line()),
        Err(_) => Err(late()),
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, PlatformError>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(late()),
    }
}

fn late() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}

/// The image it runs, since when, and the one before.
async fn image(service: &Service, platform: &dyn Platform) -> Result<Image, String> {
    let mut versions = in_time(platform.versions(service)).await?.into_iter();
    let present = versions.next().ok_or("no version of it is known")?;
    Ok(Image {
        present: present.image,
        since: present.since,
        former: versions.next().map(|one| one.image),
    })
}

/// The errors in its log, those of a kind together, the newest first; and whose log could not be
/// read.
async fn errors(
    service: &Service,
    platform: &dyn Platform,
    now: Timestamp,
) -> Result<(Vec<Said>, Option<String>), String> {
    let read = ERROR_WORDS.map(|word| async move {
        let query = LogQuery {
            lines: 200,
            since: Some(now - ERRORS_WITHIN),
            grep: Some(word.to_owned()),
            previous: false,
            container: None,
        };
        in_time(platform.logs(service, &query)).await
    });
    let (mut lines, mut unread) = (Vec::new(), None);
    for logs in join_all(read).await {
        let logs = logs?;
        unread = unread.or(logs.partial);
        for line in logs.lines {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines.sort_by_key(|line| line.at);
    // The same error of several replicas is one.
    let said = |line: LogLine| (line.at, String::new(), message_of(&line.text));
    Ok((grouped(lines.into_iter().map(said)), unread))
}

/// What a line says: of one in JSON, its message.
fn message_of(line: &str) -> String {
    let fields: Option<Value> = serde_json::from_str(line).ok();
    let text = fields.as_ref().and_then(|fields| {
        let mut names = ["msg", "message", "error", "err"].into_iter();
        names.find_map(|name| fields.get(name)?.as_str())
    });
    text.unwrap_or(line).to_owned()
}

fn said_by_event(event: &Event) -> (Option<Timestamp>, String, String) {
    let text = match &event.detail {
        Some(detail) => format!("{} ({detail})", event.what),
        None => event.what.clone(),
    };
    (Some(event.at), event.replica.clone(), text)
}

/// Those of a kind as one with their count, the newest first: texts that differ in numbers and
/// identifiers only are of a kind.
fn grouped(all: impl Iterator<Item = (Option<Timestamp>, String, String)>) -> Vec<Said> {
    let mut kinds: HashMap<(String, String), Said> = HashMap::new();
    for (order, (at, replica, text)) in all.enumerate() {
        let kind = kinds.entry((replica.clone(), shape(&text)));
        let said = kind.or_insert_with(|| Said {
            replica,
            text: String::new(),
            count: 0,
            last: None,
            order,
        });
        said.text = cut(&text, 200);
        said.count += 1;
        (said.last, said.order) = (at.or(said.last), order);
    }
    let mut kinds: Vec<Said> = kinds.into_values().collect();
    kinds.sort_by_key(|said| std::cmp::Reverse((said.last, said.order)));
    kinds.truncate(KINDS);
    kinds
}

/// The text without what differs from one to the next: each word with a digit in it is `#`.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for part in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let word = part.trim_end_matches(|c: char| !c.is_alphanumeric());
        if word.contains(|c: char| c.is_ascii_digit()) {
            shape.push('#');
            shape.push_str(&part[word.len()..]);
        } else {
            shape.push_str(part);
        }
    }
    shape
}

/// What the replicas that ended lately wrote at last.
async fn last_words(
    service: &Service,
    platform: &dyn Platform,
    status: &ServiceStatus,
    now: Timestamp,
) -> Vec<LastWords> {
    let lately = |at: Option<Timestamp>| at.is_none_or(|at| at + HOUR > now);
    let ended = |one: &&Replica| match one.state {
        ReplicaState::Running => one.restarts > 0 && lately(one.started_at),
        ReplicaState::Created | ReplicaState::Paused | ReplicaState::Unknown => false,
        ReplicaState::Restarting | ReplicaState::Exited | ReplicaState::Dead => true,
    };
    let dead = status.replicas.iter().filter(ended).take(DEAD);
    let words = dead.map(|one| async move {
        let query = LogQuery {
            lines: 100,
            since: None,
            grep: None,
            // What runs again has written since.
            previous: one.state == ReplicaState::Running,
            container: None,
        };
        let logs = in_time(platform.logs(service, &query)).await;
        let lines = logs.and_then(|logs| {
            let partial = logs.partial;
            let own = logs
                .lines
                .into_iter()
                .filter(|line| line.replica == one.name);
            let mut lines: Vec<String> = own.map(|line| cut(&line.text, 200)).collect();
            lines.drain(..lines.len().saturating_sub(LAST_LINES));
            match partial {
                Some(partial) if lines.is_empty() => Err(format!("lines are missing {partial}")),
                _ => Ok(lines),
            }
        });
        let ended = one.finished_at.or(one.started_at).map(|at| {
            let ago = duration::text(duration::between(at, now));
            match (one.state, one.exit_code) {
                (ReplicaState::Running, _) => format!("it runs again for {ago}"),
                (_, Some(code)) => format!("ended {ago} ago, exit code {code}"),
                (_, None) => format!("ended {ago} ago"),
            }
        });
        LastWords {
            replica: one.name.clone(),
            ended: ended.unwrap_or_default(),
            lines,
        }
    });
    join_all(words).await
}

/// Of the answers of probes what a timeline keeps.
pub(super) fn kept(value: &Value, keys: &[&str]) -> Value {
    let kept = keys
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), value.get(key)?.clone())));
    Value::Object(kept.collect())
}

/// As data, whatever it is.
pub(super) fn data<T: Serialize>(answer: &Result<T, String>) -> Result<Value, serde_json::Error> {
    match answer {
        Ok(found) => serde_json::to_value(found),
        Err(why) => Ok(json!({"unknown": cut(why, 200)})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_kind_are_one_with_their_count_and_the_newest_is_first() {
        let at = |second: i64| Some(Timestamp::from_second(1_800_000_000 + second).unwrap());
        let line = |second, text: &str| (at(second), "api-1".to_owned(), text.to_owned());
        let all = [
            line(1, "TypeError: x is undefined at app.js:17 (request 93a7f1)"),
            line(2, "connect ECONNREFUSED 10.0.0.7:5432"),
            line(3, "TypeError: x is undefined at app.js:17 (request 0b11e2)"),
            line(4, "TypeError: y is undefined at app.js:17 (request 0b11e2)"),
            line(5, "TypeError: x is undefined at app.js:17 (request 77aa01)"),
        ];
        let groups = grouped(all.into_iter());
        let told: Vec<_> = groups
            .iter()
            .map(|one| (one.count, one.text.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (3, "TypeError: x is undefined at app.js:17 (request 77aa01)"),
                (1, "TypeError: y is undefined at app.js:17 (request 0b11e2)"),
                (1, "connect ECONNREFUSED 10.0.0.7:5432"),
            ]
        );
        assert_eq!(groups[0].last, at(5));
        let json = r#"{"level":"error","msg":"TypeError: x","path":"/api"}"#;
        assert_eq!(message_of(json), "TypeError: x");
    }
}
