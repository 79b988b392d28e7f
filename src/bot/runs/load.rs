//! Reading a run back from the store.

use crate::runbook::engine::{RunState, Start};
use crate::runbook::{Runbook, Source};
use crate::store::{RunRow, Store, StoreError};

/// A run with its runbook, as the store has it.
pub(super) struct Loaded {
    pub(super) row: RunRow,
    pub(super) runbook: Runbook,
    pub(super) state: RunState,
}

/// Why a run can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such run.
    #[error("there is no run {0}")]
    Unknown(i64),
    /// It was written by another version of the bot.
    #[error("run {run} was written by another version of the bot: {why}")]
    Strange {
        /// The run.
        run: i64,
        /// What can't be read.
        why: String,
    },
}

/// Reads a run.
pub(super) async fn load(store: &Store, id: i64) -> Result<Loaded, Unreadable> {
    let row = store.run(id).await?.ok_or(Unreadable::Unknown(id))?;
    let strange = |why: String| Unreadable::Strange { run: id, why };
    let source = Source::new(&format!("{}.yml", row.name), &row.source);
    let runbook = crate::runbook::read(&source).map_err(|findings| {
        strange(
            findings
                .first()
                .map(|finding| finding.message.clone())
                .unwrap_or_default(),
        )
    })?;
    let json = |error: serde_json::Error| strange(error.to_string());
    let start: Start = serde_json::from_str(&row.start).map_err(json)?;
    let mut state = RunState::new(id, start);
    for (path, record) in store.run_steps(id).await? {
        let step = serde_json::from_str(&record).map_err(json)?;
        state.steps.insert(path, step);
    }
    if let Some(stop) = &row.stop {
        state.stop = Some(serde_json::from_str(stop).map_err(json)?);
    }
    if let Some(verdict) = &row.verdict {
        state.verdict = Some(serde_json::from_str(verdict).map_err(json)?);
    }
    Ok(Loaded {
        row,
        runbook,
        state,
    })
}
