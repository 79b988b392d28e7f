//! A checklist begins, its boxes are ticked, it ends.

use serde_json::json;

use super::words;
use crate::bot::request::Done;
use crate::bot::{Fault, Refusal};
use crate::domain::checklist::Checklist;
use crate::domain::timeline::Draft;
use crate::domain::{Content, EntryKind, Line, Person};
use crate::store::{StoreError, Tx};

/// One of this number that is not ended, locked.
pub(super) async fn open(tx: &mut Tx, id: i64) -> Result<Checklist, Fault> {
    let Some(list) = tx.checklist(id).await? else {
        return Err(unknown(id).into());
    };
    match &list.ended {
        None => Ok(list),
        Some((by, at)) => {
            let line = Line::new()
                .text(format!("Checklist {id} was ended by "))
                .person(by);
            let line = line.text(" at ").time(*at).text(". Nothing was changed");
            Err(Refusal::new(line).into())
        }
    }
}

pub(super) fn unknown(id: i64) -> Refusal {
    Refusal::new(format!("There is no checklist {id}"))
        .suggest("Which are there?", "checklist list")
}

/// Records what it has become, on the timeline and in its message.
pub(super) async fn put(
    tx: &mut Tx,
    list: &Checklist,
    by: &Person,
    text: String,
) -> Result<(), StoreError> {
    tx.checklist_put(list).await?;
    let draft = Draft::new(by, EntryKind::Note, text).data(json!({"checklist": list.id}));
    tx.append(&list.stream(), draft).await?;
    show(tx, list).await
}

pub(super) async fn show(tx: &mut Tx, list: &Checklist) -> Result<(), StoreError> {
    let message = list.message.with(Content::Message(words::message(list)));
    tx.outbox_put(&message).await
}

/// Ticks a box, or takes its tick back. A tick twice is one tick.
pub(super) async fn tick(
    tx: &mut Tx,
    id: i64,
    number: usize,
    by: &Person,
    ticks: bool,
) -> Result<Done, Fault> {
    let mut list = open(tx, id).await?;
    let now = tx.now();
    let count = list.boxes.len();
    let found = number.checked_sub(1).and_then(|at| list.boxes.get_mut(at));
    let Some(one) = found else {
        let title = format!("Checklist {id} has boxes from 1 to {count}. Nothing was changed");
        return Err(Refusal::new(title).into());
    };
    let text = one.text.clone();
    match (&one.tick, ticks) {
        (Some((who, at)), true) => {
            let line = Line::new()
                .text(format!("“{text}” was ticked by "))
                .person(who);
            return Err(Refusal::new(line.text(" at ").time(*at)).into());
        }
        (None, false) => {
            let title = format!("“{text}” is not ticked. Nothing was changed");
            return Err(Refusal::new(title).into());
        }
        (None, true) => one.tick = Some((by.clone(), now)),
        (Some(_), false) => one.tick = None,
    }
    let text = if ticks {
        format!("checklist {id}: ticked: {text}")
    } else {
        format!("checklist {id}: tick taken back: {text}")
    };
    put(tx, &list, by, text).await?;
    Ok(Done::default())
}
