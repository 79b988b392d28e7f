//! What the bot changed lately, by whomever's wish.

use std::time::Duration;

use crate::bot::Context;
use crate::domain::duration::between;
use crate::domain::{Entry, EntryKind, Stream};
use crate::store::StoreError;

/// Changes that are shown.
const MOST: usize = 8;

/// What was changed within this time, oldest first.
pub(super) async fn changes(context: &Context, within: Duration) -> Result<Vec<Entry>, StoreError> {
    let (store, since) = (context.store(), context.now() - within);
    let (mut entries, _) = store.entries_since(&Stream::Audit, since, 500).await?;
    // What was asked, but cancelled or not confirmed, changed nothing.
    entries.retain(|entry| entry.kind == EntryKind::Outcome && entry.data["action"].is_i64());
    let surplus = entries.len().saturating_sub(MOST);
    entries.drain(..surplus);
    Ok(entries)
}

/// What was changed since a conversation began.
pub(super) async fn changes_since_begin(
    context: &Context,
    conversation: &str,
) -> Result<Vec<Entry>, StoreError> {
    match context.store().conversation(conversation).await? {
        Some(one) => changes(context, between(one.began_at, context.now())).await,
        None => Ok(Vec::new()),
    }
}
