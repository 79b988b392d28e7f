//! Ending a session of a database, or the connection of a client of a cache.
//!
//! Both name who is meant beyond doubt (a session's number with its start, a client's number that
//! is never used again), so that doing it again after a crash can't hit anybody else.

use std::time::Instant;

use super::{Intent, NOT_CONFIGURED, Outcome, outcome_failed};
use crate::bot::registry::{cache_question, session_question};
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault, Refusal};
use crate::domain::action::{ActionKind, ActionRecord};
use crate::domain::question::QuestionRow;
use crate::domain::service::End;
use crate::domain::{Guarded, Line, duration};
use crate::probe::cache::ClientId;

/// `db cancel` and `db terminate`: checks, asks, or records the intent.
pub(in crate::bot) async fn end_session(
    context: &Context,
    ask: &Ask,
    database: Option<&str>,
    pid: i32,
    started_at: Option<jiff::Timestamp>,
    how: End,
    confirmed: Option<QuestionRow>,
) -> Result<Effect, Fault> {
    let found = context.catalogue().database(database)?;
    let session = found.probe.session(pid).await?;
    if started_at.is_some_and(|at| at != session.started_at) {
        return Err(Refusal::new(format!(
            "Session {pid} is another one by now: the one you mean has ended. Nothing was done"
        ))
        .suggest("Connections", "db connections")
        .into());
    }
    if session.own || session.kind != "client backend" {
        let why = if session.own {
            "is the bot's own".to_owned()
        } else {
            format!("is the server's own ({})", session.kind)
        };
        return Err(Refusal::new(format!("Session {pid} {why}. Nothing was done")).into());
    }
    if crate::bot::confirm::must_ask(context, Guarded::Db) && confirmed.is_none() {
        let (about, label) = session_question(&session, how, context.store().now());
        let word = match how {
            End::Cancel => "cancel",
            End::Terminate => "terminate",
        };
        let sentence = format!(
            "db {word} {pid} --started {} --database {}",
            session.started_at, found.name
        );
        return Ok(crate::bot::confirm::question(
            context, ask, sentence, &label, about,
        ));
    }
    let intent = Intent {
        service: &found.service,
        kind: ActionKind::Session {
            database: found.name.clone(),
            pid,
            started_at: session.started_at,
            how,
        },
        reason: None,
        before: Vec::new(),
        before_text: format!(
            "{} of {}@{}, {}",
            if session.application.is_empty() {
                "a session"
            } else {
                &session.application
            },
            session.user,
            session.database,
            session.state
        ),
    };
    crate::bot::actions::intend(context, ask, intent, confirmed).await
}

/// `cache kill`: checks, asks, or records the intent.
pub(in crate::bot) async fn end_client(
    context: &Context,
    ask: &Ask,
    cache: Option<&str>,
    client: ClientId,
    confirmed: Option<QuestionRow>,
) -> Result<Effect, Fault> {
    let found = context.catalogue().cache(cache)?;
    let all = found.probe.clients().await?;
    let shown = all.list.iter().find(|one| {
        one.id == client.id
            && client
                .server
                .as_ref()
                .is_none_or(|server| *server == one.server)
    });
    if shown.is_some_and(|one| one.own) {
        let title = format!("Client {} is the bot itself. Nothing was done", client.id);
        return Err(Refusal::new(title).into());
    }
    if crate::bot::confirm::must_ask(context, Guarded::Db) && confirmed.is_none() {
        let (about, label) = cache_question(&client, shown);
        let server = client
            .server
            .as_ref()
            .map(|server| format!(" --server {}", crate::command::words::quote(server)))
            .unwrap_or_default();
        let sentence = format!("cache kill {}{server} --cache {}", client.id, found.name);
        return Ok(crate::bot::confirm::question(
            context, ask, sentence, &label, about,
        ));
    }
    let intent = Intent {
        service: &found.service,
        before_text: shown.map_or("not among those shown".to_owned(), |one| {
            format!("{} {}", one.address, one.name).trim().to_owned()
        }),
        kind: ActionKind::Client {
            cache: found.name.clone(),
            id: client.id,
            server: client.server,
        },
        reason: None,
        before: Vec::new(),
    };
    crate::bot::actions::intend(context, ask, intent, confirmed).await
}

/// Carries such an intent out, also again after a crash.
pub(in crate::bot) async fn end(
    context: &Context,
    record: &ActionRecord,
    started: Instant,
) -> Outcome {
    let result = match &record.what {
        ActionKind::Session {
            database,
            pid,
            started_at,
            how,
        } => match context.catalogue().database(Some(database.as_str())) {
            Ok(found) => found.probe.end(*pid, *started_at, *how).await,
            Err(_) => return outcome_failed(record, NOT_CONFIGURED, None, started),
        },
        ActionKind::Client { cache, id, server } => {
            let client = ClientId {
                id: *id,
                server: server.clone(),
            };
            match context.catalogue().cache(Some(cache.as_str())) {
                Ok(found) => found.probe.kill(&client).await,
                Err(_) => return outcome_failed(record, NOT_CONFIGURED, None, started),
            }
        }
        _ => {
            return outcome_failed(record, "a platform does this, not a probe", None, started);
        }
    };
    let took = started.elapsed();
    let there = match result {
        Ok(there) => there,
        Err(error) => return outcome_failed(record, &error.to_string(), None, started),
    };
    let (who, name, done, gone) = match &record.what {
        ActionKind::Session {
            database, pid, how, ..
        } => (
            format!("Session {pid}"),
            database,
            match how {
                End::Cancel => "has its query cancelled",
                End::Terminate => "is terminated",
            },
            match how {
                End::Cancel => "was running nothing any more: nothing was cancelled",
                End::Terminate => "had ended by itself before",
            },
        ),
        ActionKind::Client { cache, id, .. } => (
            format!("Client {id}"),
            cache,
            "has its connection closed",
            "was gone already",
        ),
        // Answered above.
        _ => (String::new(), &record.service, "", ""),
    };
    let what = if there { done } else { gone };
    let title = Line::new()
        .text(format!("{who} of "))
        .code(name)
        .text(format!(" {what}"));
    Outcome {
        good: true,
        text: format!(
            "{} ({}) in {}",
            title.plain(),
            record.before_text,
            duration::text(took)
        ),
        title,
        after: None,
        cause: None,
        took,
        there,
        evidence: None,
    }
}
