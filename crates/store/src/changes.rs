//! Word of new work: within this process, and between those on one PostgreSQL.
//!
//! What a process puts it also says there (`NOTIFY`), and others hear of it at once (`LISTEN`). It is said
//! right after the commit and not in it: PostgreSQL lets commits with a NOTIFY through one after another,
//! each with its own flush, and an acknowledgement would wait for all of them. What nobody says, because
//! its process died in between, or nobody hears, is found by looking: all who wait here also look every
//! few seconds.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{AnyPool, AssertSqlSafe, Executor};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::writer::Changed;

const CHANNEL: &str = "treasury_bot";
/// What is put within so long after a word is said in the next one.
const GATHER: Duration = Duration::from_millis(50);
/// A word of one's own is to be heard at least so often, and so soon.
const ECHO_EVERY: Duration = Duration::from_secs(30);
const ECHO_WITHIN: Duration = Duration::from_secs(5);
/// Listening is tried again after this, and ever later.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_mins(1);

const INBOX: u8 = 1;
const OUTBOX: u8 = 2;
const TIMERS: u8 = 4;
const NOTIFICATIONS: u8 = 8;
const ALL: u8 = INBOX | OUTBOX | TIMERS | NOTIFICATIONS;
/// Says nothing but that it was said.
const ECHO: u8 = 16;

/// Who waits for new work, and what is to be said of it.
pub(super) struct Changes {
    /// What the words of this process begin with.
    name: String,
    pub(super) inbox: Notify,
    pub(super) outbox: Notify,
    pub(super) timers: Notify,
    pub(super) notifications: Notify,
    unsaid: AtomicU8,
    to_say: Notify,
    ending: AtomicBool,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self {
            // As random as a table's seed.
            name: format!("{:016x}", RandomState::new().build_hasher().finish()),
            inbox: Notify::new(),
            outbox: Notify::new(),
            timers: Notify::new(),
            notifications: Notify::new(),
            unsaid: AtomicU8::new(0),
            to_say: Notify::new(),
            ending: AtomicBool::new(false),
        }
    }

    /// New work was committed.
    pub(super) fn committed(&self, changed: Changed) {
        let bits = (u8::from(changed.inbox) * INBOX)
            | (u8::from(changed.outbox) * OUTBOX)
            | (u8::from(changed.timers) * TIMERS)
            | (u8::from(changed.notifications) * NOTIFICATIONS);
        if bits != 0 {
            self.wake(bits);
            // Requests are taken up by whoever accepted them, in their order; others help out by looking.
            if bits != INBOX {
                self.say(bits & !INBOX);
            }
        }
    }

    fn wake(&self, bits: u8) {
        for (bit, waiting) in [
            (INBOX, &self.inbox),
            (OUTBOX, &self.outbox),
            (TIMERS, &self.timers),
            (NOTIFICATIONS, &self.notifications),
        ] {
            if bits & bit != 0 {
                waiting.notify_one();
            }
        }
    }

    fn say(&self, bits: u8) {
        self.unsaid.fetch_or(bits, Ordering::SeqCst);
        self.to_say.notify_one();
    }

    /// Nothing will be put any more: [`tell`] says what is left to say, and ends.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.to_say.notify_one();
    }

    /// Wakes whom a word is for; whether it was one's own.
    fn hear(&self, word: &str) -> bool {
        let Some((name, bits)) = word.split_once(' ') else {
            return false;
        };
        if name == self.name {
            return true;
        }
        // A word of another version may have further bits.
        self.wake(bits.parse().unwrap_or(ALL));
        false
    }
}

/// Says what is to be said to the other processes.
pub(super) async fn tell(changes: Arc<Changes>, pool: AnyPool) {
    loop {
        changes.to_say.notified().await;
        // Asked first: what is put before the end is said.
        let ending = changes.ending.load(Ordering::SeqCst);
        let bits = changes.unsaid.swap(0, Ordering::SeqCst);
        if bits != 0 {
            let word = format!("NOTIFY {CHANNEL}, '{} {bits}'", changes.name);
            if let Err(error) = pool.execute(AssertSqlSafe(word)).await {
                tracing::debug!(%error, "other processes were not told of new work: they look for it");
            }
        }
        if ending {
            return;
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Hears what other processes say, on a connection of its own.
pub(super) async fn listen(changes: Arc<Changes>, url: String) {
    let (mut deaf, mut pause) = (false, AGAIN);
    loop {
        let Err(why) = hear(&changes, &url, &mut deaf).await;
        if !deaf {
            (deaf, pause) = (true, AGAIN);
            tracing::warn!(
                %why,
                "work that other processes put is not heard of at once: it is looked for every few seconds"
            );
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AGAIN_MAX);
    }
}

#[derive(Debug, thiserror::Error)]
enum Deaf {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(
        "a word of its own did not come back: a pooler in between, such as pgbouncer in transaction mode, \
         does not carry LISTEN"
    )]
    NoEcho,
}

async fn hear(
    changes: &Changes,
    url: &str,
    deaf: &mut bool,
) -> Result<std::convert::Infallible, Deaf> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(CHANNEL).await?;
    // Something was perhaps said meanwhile.
    changes.wake(ALL);
    loop {
        changes.say(ECHO);
        let mut heard = false;
        let (began, mut until) = (Instant::now(), Instant::now() + ECHO_WITHIN);
        while let Ok(word) = timeout_at(until, listener.try_recv()).await {
            match word? {
                Some(word) if changes.hear(word.payload()) && !heard => {
                    (heard, until) = (true, began + ECHO_EVERY);
                    if std::mem::take(deaf) {
                        tracing::info!("work that other processes put is heard of at once again");
                    }
                }
                Some(_) => {}
                // The connection was lost, and is there again.
                None => changes.wake(ALL),
            }
        }
        if !heard {
            return Err(Deaf::NoEcho);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_word_wakes_whom_it_is_for_but_for_ones_own() {
        let (here, there) = (Changes::new(), Changes::new());
        let woken = async |waiting: &Notify| {
            let waited = tokio::time::timeout(Duration::from_millis(20), waiting.notified());
            waited.await.is_ok()
        };
        let word = format!("{} {}", here.name, OUTBOX | TIMERS);
        assert!(here.hear(&word));
        assert!(!woken(&here.outbox).await && !woken(&here.timers).await);
        assert!(!there.hear(&word));
        assert!(woken(&there.outbox).await && woken(&there.timers).await);
        assert!(!woken(&there.notifications).await);
        // What a later version says may be for anybody; what is no word of ours, for nobody.
        assert!(!there.hear("later all") && !there.hear("other"));
        assert!(woken(&there.inbox).await && woken(&there.notifications).await);

        // Requests stay with who accepted them.
        let put = |inbox, outbox| Changed {
            inbox,
            outbox,
            ..Changed::NOTHING
        };
        here.committed(put(true, false));
        assert_eq!(here.unsaid.load(Ordering::SeqCst), 0);
        here.committed(put(true, true));
        assert_eq!(here.unsaid.load(Ordering::SeqCst), OUTBOX);
        assert!(woken(&here.inbox).await);
    }
}
