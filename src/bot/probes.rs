//! The commands that ask databases, caches and web addresses.

use serde_json::json;

use super::actions::client::KillClient;
use super::actions::session::EndSession;
use super::request::{Ask, Effect};
use super::{Context, Fault, actions};
use crate::command::{CacheCommand, DbCommand};
use crate::domain::question::QuestionRow;
use crate::domain::service::End;

/// `db …`
pub(super) async fn db(
    context: &Context,
    ask: &Ask,
    what: Option<DbCommand>,
    database: Option<String>,
    confirmed: Option<QuestionRow>,
) -> Result<Effect, Fault> {
    use DbCommand as D;
    let how = match what {
        Some(D::Cancel { .. }) => End::Cancel,
        _ => End::Terminate,
    };
    let name = match what.unwrap_or(D::Summary) {
        D::Summary => "db.summary",
        D::Connections => "db.connections",
        D::Locks => "db.locks",
        D::Slow => "db.slow",
        D::Replication => "db.replication",
        D::Size => "db.size",
        D::Cancel { pid, started } | D::Terminate { pid, started } => {
            let words = EndSession {
                database,
                pid,
                started_at: started,
                how,
            };
            return actions::propose(context, ask, &words, confirmed).await;
        }
    };
    crate::bot::registry::ask(context, name, json!({ "database": database })).await
}

/// `cache …`
pub(super) async fn cache(
    context: &Context,
    ask: &Ask,
    what: Option<CacheCommand>,
    cache: Option<String>,
    confirmed: Option<QuestionRow>,
) -> Result<Effect, Fault> {
    use CacheCommand as C;
    let name = match what.unwrap_or(C::Summary) {
        C::Summary => "cache.summary",
        C::Memory => "cache.memory",
        C::Slowlog => "cache.slowlog",
        C::Clients => "cache.clients",
        C::Keys { prefix } => {
            let params = json!({"cache": cache, "prefix": prefix});
            return crate::bot::registry::ask(context, "cache.keys", params).await;
        }
        C::Kill { client, server } => {
            let words = KillClient {
                cache,
                client,
                server,
            };
            return actions::propose(context, ask, &words, confirmed).await;
        }
    };
    crate::bot::registry::ask(context, name, json!({ "cache": cache })).await
}
