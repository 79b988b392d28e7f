//! The bot's own database, and the room that it has.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::finding::{Check, Fault, Finding, Group, Limit};
use crate::domain::counted;
use crate::domain::duration::bytes_text;
use crate::store::{Dialect, Inspection, StoreError, inspect};

const OPENS: Check = Check {
    id: "store.opens",
    group: Group::Store,
    asks: "Is the database there, and can it be read? (Who serves from it now is told: that is fine.)",
    mend: "correct `[store] url` or TREASURY_BOT_STORE_URL, or the rights of the file; is PostgreSQL \
           running?",
};
const WRITABLE: Check = Check {
    id: "store.writable",
    group: Group::Store,
    asks: "May the bot write the file of SQLite, and beside it?",
    mend: "give the file and its folder to the user that the bot runs as: `chown`",
};
const SCHEMA: Check = Check {
    id: "store.schema",
    group: Group::Store,
    asks: "Is the schema one that this version knows? (An older one is brought up to date at the next \
           start.)",
    mend: "run the version of the bot that made it, or a newer one",
};
const DISK: Check = Check {
    id: "store.disk",
    group: Group::Store,
    asks: "Has the disk of SQLite at least 1 GiB free, or a tenth of it?",
    mend: "make room on the disk, or move the file: `[store] url`",
};
const CLOCK: Check = Check {
    id: "store.clock",
    group: Group::Store,
    asks: "Do PostgreSQL's clock and ours agree?",
    mend: "set the clock that is wrong: `timedatectl set-ntp true`, or chrony",
};
pub(super) const CHECKS: &[Check] = &[OPENS, WRITABLE, SCHEMA, DISK, CLOCK];

/// Below both it is a warning.
const ROOM: u64 = 1 << 30;
/// Below this it does not work for long, bytes.
const NO_ROOM: u64 = 64 << 20;

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self {
            what: error.what().into_owned(),
            hint: error.mend().map(Cow::into_owned),
        }
    }
}

/// Looks at it.
pub(super) async fn look(url: String, limit: Limit) -> Vec<Finding> {
    let (subject, began) = ("the store", Timestamp::now());
    let file = url.strip_prefix("sqlite://").map(|path| {
        let path = path.split('?').next().unwrap_or(path);
        PathBuf::from(path)
    });
    let mut found = match limit.ask(inspect(&url)).await {
        Ok(seen) => told(subject, seen, began),
        Err(fault) => vec![OPENS.broken(subject, fault)],
    };
    if let Some(file) = file {
        found.extend(room(&file));
    }
    found
}

fn told(subject: &str, seen: Inspection, began: Timestamp) -> Vec<Finding> {
    let kind = match seen.dialect {
        Dialect::Sqlite => "SQLite",
        Dialect::Postgres => "PostgreSQL",
    };
    if !seen.exists {
        let what = format!("{kind}: there is no file yet, it is made at the first start");
        return vec![OPENS.ok(subject, what)];
    }
    let serving = match seen.serving {
        0 => "no bot serves from it now".to_owned(),
        1 => "a bot serves from it now".to_owned(),
        count => format!("{count} bots serve from it now"),
    };
    let mut found = vec![OPENS.ok(subject, format!("{kind}: it can be read, {serving}"))];
    let (schema, newest) = (seen.schema, seen.newest);
    found.push(match (seen.to_go, schema) {
        (Err(error), _) => SCHEMA.broken(subject, error),
        (Ok(_), 0) => SCHEMA.ok(
            subject,
            "it is empty, its tables are made at the first start",
        ),
        (Ok(0), schema) => SCHEMA.ok(subject, format!("its schema is {schema}, the newest")),
        (Ok(left), schema) => {
            let left = counted(left, "step");
            let backup = match seen.dialect {
                Dialect::Sqlite => "after a backup",
                Dialect::Postgres => "back it up before, the bot does not",
            };
            let what =
                format!("its schema is {schema}; {left} to {newest} at the next start, {backup}");
            SCHEMA.ok(subject, what)
        }
    });
    if let Some(theirs) = seen.clock {
        found.push(CLOCK.clock(subject, "PostgreSQL's", theirs, began));
    }
    found
}

/// The file's folder: may it be written, and is there room?
fn room(file: &Path) -> Vec<Finding> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let subject = folder.display().to_string();
    let may = rustix::fs::Access::WRITE_OK;
    let mut places = vec![folder];
    places.extend(file.exists().then_some(file));
    let closed = places.into_iter().find_map(|place| {
        let error = rustix::fs::access(place, may).err()?;
        Some(WRITABLE.failed(
            &place.display().to_string(),
            format!("it can't be written: {error}"),
        ))
    });
    let mut found = vec![closed.unwrap_or_else(|| WRITABLE.ok(&subject, "it can be written"))];
    found.push(match rustix::fs::statvfs(folder) {
        Err(error) => DISK.unknown(&subject, format!("the disk does not tell: {error}")),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let whole = disk.f_blocks.saturating_mul(disk.f_frsize);
            let what = format!("{} of {} free", bytes_text(free), bytes_text(whole));
            if free < NO_ROOM {
                DISK.failed(&subject, what)
            } else if free < ROOM && free < whole / 10 {
                DISK.warning(&subject, what)
            } else {
                DISK.ok(&subject, what)
            }
        }
    });
    found
}
