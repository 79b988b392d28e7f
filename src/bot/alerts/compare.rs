//! What the bot holds to fire, beside what Alertmanager knows: it does not tell the end of an alert
//! that is silenced or inhibited, nor of one that it forgot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::conversation::{active, write_soon};
use super::kinds::COMPARE;
use super::{episode, flapping, over};
use crate::bot::{Context, timers};
use crate::domain::alert::{AlertRecord, Muted, Tracked, Transition};
use crate::domain::duration::between;
use crate::probe::alertmanager::{Known, KnownAlert};
use crate::store::{StoreError, TimerRow, Tx};

/// One comparison may take this long; shorter than the lease of a timer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Alerts that are compared.
const MOST: i64 = 10_000;
/// So many times the bot looks in vain until an alert counts as forgotten.
const LOOKS: u32 = 3;

/// Begins to compare, if there is something to compare with.
pub(crate) async fn begin_comparing(context: &Context) -> Result<(), StoreError> {
    if context.catalogue().alertmanager().is_none() {
        return Ok(());
    }
    let now = context.now();
    let store = context.store();
    store
        .write(move |tx| Box::pin(async move { COMPARE.set(tx, "", now).await }))
        .await
}

/// Compares once, and sets the next time.
pub(super) async fn compare(context: &Context, timer: &TimerRow) -> Result<(), StoreError> {
    let Some(there) = context.catalogue().alertmanager() else {
        return timers::discard(context, timer).await;
    };
    let known = match tokio::time::timeout(PATIENCE, there.alerts()).await {
        Ok(Ok(known)) => Some(known),
        Ok(Err(error)) => {
            tracing::warn!(%error, "Alertmanager can't be asked what fires");
            None
        }
        Err(_) => {
            tracing::warn!("Alertmanager does not say what fires");
            None
        }
    };
    timers::take(context, timer, move |tx, bot, _| {
        Box::pin(async move {
            let due = tx.now() + bot.settings().alerts.silence_check;
            COMPARE.set(tx, "", due).await?;
            match known {
                Some(known) => take(tx, bot, &known).await,
                None => Ok(()),
            }
        })
    })
    .await
}

async fn take(tx: &mut Tx, bot: &Context, known: &Known) -> Result<(), StoreError> {
    let now = tx.now();
    let own: Vec<String> = tx
        .silences_open()
        .await?
        .into_iter()
        .flat_map(|silence| silence.pieces)
        .filter_map(|piece| piece.made)
        .collect();
    let check = bot.settings().alerts.silence_check;
    // One that was just started knows nothing yet; one that is away may know more.
    let knows_all = known.away.is_empty() && between(known.since, now) > check * LOOKS;
    let firing = tx.alerts_firing(None, MOST).await?;
    let held: BTreeSet<&String> = firing
        .iter()
        .map(|(_, record)| &record.tracked.alert.fingerprint)
        .collect();
    // Whatever fires there is held to fire here: nothing of it was left out.
    let lists_no_other = known.alerts.keys().all(|one| held.contains(one));
    let mut news = News {
        again: fires_again(tx, bot, known, &firing).await?,
        ..News::default()
    };
    for (key, mut record) in firing {
        let tracked = &mut record.tracked;
        if !tracked.alert.is_from_alertmanager() || !tracked.alert.firing {
            continue;
        }
        let before = tracked.clone();
        let transition = match known.alerts.get(&tracked.alert.fingerprint) {
            Some(there) => {
                (tracked.was_listed, tracked.missing_since) = (true, None);
                tracked.heard_at = tracked.heard_at.max(Some(there.updated_at.min(now)));
                tracked.muted = muted(there, &own);
                Transition::Nothing
            }
            None if tracked.was_listed && knows_all => {
                let since = *tracked.missing_since.get_or_insert(now);
                if between(since, now) < check * (LOOKS - 1) {
                    Transition::Nothing
                } else {
                    tracked.end_unheard(bot.settings().alerts.damping, now)
                }
            }
            None => {
                // It may be another Alertmanager's: whether it fires is not known, so people are asked.
                let heard_at = tracked.heard_at.unwrap_or(tracked.changed_at);
                if knows_all && between(heard_at, now) > check {
                    tracked.missing_since.get_or_insert(now);
                }
                Transition::Nothing
            }
        };
        if *tracked != before {
            news.sort(key, record, transition, &before, now);
        }
    }
    news.record(tx, bot).await?;
    if knows_all && lists_no_other {
        for conversation in tx.conversations_left_out().await? {
            over::none_left_out(tx, bot, &conversation.key).await?;
        }
    }
    Ok(())
}

/// Alerts that are held to be over, and that Alertmanager was told to fire since then: its report was
/// lost, or taken for a late one. Others that it lists may never have been meant for the bot.
async fn fires_again(
    tx: &mut Tx,
    bot: &Context,
    known: &Known,
    firing: &[(String, AlertRecord)],
) -> Result<Vec<AlertRecord>, StoreError> {
    let (now, damping) = (tx.now(), bot.settings().alerts.damping);
    let firing: BTreeSet<&String> = firing
        .iter()
        .filter(|(_, record)| record.tracked.alert.firing)
        .map(|(_, record)| &record.tracked.alert.fingerprint)
        .collect();
    let listed = known.alerts.keys().filter(|name| !firing.contains(name));
    let listed: Vec<String> = listed.cloned().collect();
    let mut again = Vec::new();
    for (_, mut record) in tx.alerts(&listed).await? {
        let tracked = &mut record.tracked;
        if !tracked.alert.is_from_alertmanager() {
            continue;
        }
        let Some(there) = known.alerts.get(&tracked.alert.fingerprint) else {
            continue;
        };
        let seen = (there.starts_at, there.updated_at);
        if tracked.fire_listed(seen, damping, now) == Transition::Fired {
            again.push(record);
        }
    }
    Ok(again)
}

/// Why Alertmanager keeps quiet about an alert, apart from the bot's own silences.
fn muted(there: &KnownAlert, own: &[String]) -> Option<Muted> {
    let quiet = &there.kept_quiet;
    let silenced: Vec<String> = quiet
        .silenced_by
        .iter()
        .filter(|id| !own.contains(id))
        .cloned()
        .collect();
    if !silenced.is_empty() {
        return Some(Muted::Silenced(silenced));
    }
    let inhibited = quiet.inhibited_by.clone();
    (!inhibited.is_empty()).then_some(Muted::Inhibited(inhibited))
}

/// What a comparison comes to, by conversation.
#[derive(Default)]
struct News {
    over: BTreeMap<String, Vec<AlertRecord>>,
    damped: BTreeMap<String, Vec<(AlertRecord, bool)>>,
    changed: BTreeMap<String, Vec<AlertRecord>>,
    /// Conversations whose message says what has changed.
    shown: BTreeSet<String>,
    /// They are not kept quiet any more, by why.
    loud: BTreeMap<(String, &'static str), Vec<AlertRecord>>,
    /// They were held to be over.
    again: Vec<AlertRecord>,
}

impl News {
    fn sort(
        &mut self,
        key: String,
        record: AlertRecord,
        transition: Transition,
        before: &Tracked,
        now: Timestamp,
    ) {
        match transition {
            Transition::Resolved => self.over.entry(key).or_default().push(record),
            Transition::Damped { begins } => {
                self.damped.entry(key).or_default().push((record, begins));
            }
            _ if !before.is_audible(now) && record.tracked.is_audible(now) => {
                let why = match before.muted {
                    Some(Muted::Inhibited(_)) => "no other alert inhibits it any more",
                    Some(Muted::Unheard) => "Alertmanager has heard of it again",
                    _ => "the silence is over",
                };
                self.loud.entry((key, why)).or_default().push(record);
            }
            _ => {
                // When it was last heard of is not shown.
                if record.tracked.muted != before.muted
                    || record.tracked.is_unlisted() != before.is_unlisted()
                {
                    self.shown.insert(key.clone());
                }
                self.changed.entry(key).or_default().push(record);
            }
        }
    }

    async fn record(self, tx: &mut Tx, bot: &Context) -> Result<(), StoreError> {
        flapping::take(tx, bot, self.damped, &mut Vec::new()).await?;
        for (key, records) in self.over {
            let why = " (nobody said so: Alertmanager does not know it any more)";
            over::end(tx, bot, &key, why, &records).await?;
        }
        for (key, records) in &self.changed {
            tx.alerts_put(key, records).await?;
        }
        for key in self.shown {
            if let Some(conversation) = tx.conversation(&key).await? {
                write_soon(tx, &conversation).await?;
            }
        }
        let mut nowhere = self.again;
        for ((key, why), records) in self.loud {
            tx.alerts_put(&key, &records).await?;
            match active(tx, &key).await? {
                Some(mut conversation) => {
                    episode::tell_again(tx, bot, &mut conversation, &records, why).await?;
                    write_soon(tx, &conversation).await?;
                }
                None => nowhere.extend(records),
            }
        }
        episode::take_up(tx, bot, nowhere).await
    }
}
