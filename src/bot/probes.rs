//! The commands that ask databases, caches and web addresses.

use serde_json::json;

use super::request::{Ask, Effect};
use super::{Context, Fault};
use crate::command::{CacheCommand, DbCommand};
use crate::domain::question::QuestionRow;
use crate::domain::service::End;
use crate::probe::cache::ClientId;

/// `db …`
pub(super) async fn db(
    context: &Context,
    ask: &Ask,
    what: Option<DbCommand>,
    database: Option<String>,
    confirmed: Option<QuestionRow>,
) -> Result<Effect, Fault> {
    use DbCommand as D;
    let name = match what.unwrap_or(D::Summary) {
        D::Summary => "db.summary",
        D::Connections => "db.connections",
        D::Locks => "db.locks",
        D::Slow => "db.slow",
        D::Replication => "db.replication",
        D::Size => "db.size",
        D::Cancel { pid, started } => {
            let database = database.as_deref();
            return crate::bot::actions::sessions::end_session(
                context,
                ask,
                database,
                pid,
                started,
                End::Cancel,
                confirmed,
            )
            .await;
        }
        D::Terminate { pid, started } => {
            let database = database.as_deref();
            return crate::bot::actions::sessions::end_session(
                context,
                ask,
                database,
                pid,
                started,
                End::Terminate,
                confirmed,
            )
            .await;
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
            let client = ClientId { id: client, server };
            return crate::bot::actions::sessions::end_client(
                context,
                ask,
                cache.as_deref(),
                client,
                confirmed,
            )
            .await;
        }
    };
    crate::bot::registry::ask(context, name, json!({ "cache": cache })).await
}
