//! What the questions about databases share.

use crate::bot::Context;
use crate::bot::probes::time;
use crate::domain::timeline::cut;
use crate::domain::{Button, duration};
use crate::probe::database::{Prepared, Slot, Vacuum};

/// Connections in use beyond this many percent are worth a warning.
pub(super) const MANY: f64 = 80.0;
/// Lag of a replica worth a warning, bytes.
pub(super) const LAG: u64 = 64 << 20;

/// The tail of a sentence that names this database, where there are several.
pub(super) fn tail(context: &Context, name: &impl ToString) -> String {
    match context.catalogue().databases().len() {
        0 | 1 => String::new(),
        _ => format!(" --database {}", name.to_string()),
    }
}

/// Buttons that ask this database further.
pub(super) fn buttons(tail: &str, words: &[(&str, &str)]) -> Vec<Button> {
    words
        .iter()
        .map(|(label, word)| Button::new(*label, format!("db {word}{tail}")))
        .collect()
}

/// `3 sessions`.
pub(super) fn sessions(n: u64) -> String {
    match n {
        1 => "1 session".into(),
        n => format!("{n} sessions"),
    }
}

/// Nobody uses it though it keeps much, or what it needs is gone.
pub(super) fn is_trouble(slot: &Slot) -> bool {
    let keeps_much = slot.kept_bytes.is_some_and(|kept| kept >= LAG);
    slot.lost.is_some() || (!slot.active && !slot.synced && keeps_much)
}

/// `slot archive NOT IN USE, keeps 1.2 GiB`.
pub(super) fn slot_text(slot: &Slot) -> String {
    let name = &slot.name;
    if let Some(why) = &slot.lost {
        return format!(
            "slot {name} is LOST ({why}): whoever used it has to be made anew; then drop it"
        );
    }
    let state = match (slot.active, slot.synced) {
        (true, _) => "in use",
        (false, true) => "a copy of the primary's",
        (false, false) => "NOT IN USE",
    };
    let kept = slot.kept_bytes.map_or(String::new(), |kept| {
        format!(", keeps {}", duration::bytes_text(kept))
    });
    format!("slot {name} is {state}{kept}")
}

/// `payments: scanning heap, 34 % scanned`.
pub(super) fn vacuum_text(vacuum: &Vacuum) -> String {
    let percent = vacuum.scanned_percent;
    let percent = percent.map_or(String::new(), |percent| format!(", {percent:.0} % scanned"));
    format!("{}: {}{percent}", vacuum.table, vacuum.phase)
}

/// `prepared transaction order-77 of shop in treasury, 3h old`.
pub(super) fn prepared_text(one: &Prepared) -> String {
    format!(
        "prepared transaction {} of {} in {}, {} old,",
        cut(&one.gid, 60),
        one.owner,
        one.database,
        time(one.age_ms)
    )
}
