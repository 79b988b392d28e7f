//! Which backup is meant.

use crate::bot::{Context, Refusal};
use crate::domain::Line;
use crate::domain::backup::Backup;
use crate::domain::timeline::cut;
use crate::store::StoreError;

pub(super) async fn newest_good(
    context: &Context,
    name: &str,
) -> Result<Option<Backup>, StoreError> {
    let all = context.store().backups().await?;
    Ok(all
        .into_iter()
        .find(|one| one.name == name && one.is_good()))
}

/// By `ID`, or by `NAME/ID` where two began in the same second.
pub(super) fn meant(all: &[Backup], verb: &str, words: &str) -> Result<Backup, Refusal> {
    let is_meant = |one: &&Backup| match words.split_once('/') {
        Some((name, id)) => one.name == name && one.id == id,
        None => one.id == words,
    };
    let found: Vec<&Backup> = all.iter().filter(is_meant).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let line = Line::new().text("There is no backup ").code(cut(words, 60));
            Err(Refusal::new(line.text(". Nothing was done"))
                .suggest("Which are there?", "backup list"))
        }
        several => {
            let line = Line::new().text("Several backups are called ").code(words);
            let mut refusal = Refusal::new(line.text(". Nothing was done"));
            for one in several {
                let full = format!("{}/{}", one.name, one.id);
                refusal = refusal.suggest(full.clone(), format!("backup {verb} {full}"));
            }
            Err(refusal)
        }
    }
}
