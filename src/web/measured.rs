//! `/metrics`: what was counted, and how it stands now by what the store says.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{Health, in_time};
use crate::bot::{self, pruned};
use crate::domain::Severity;
use crate::domain::notification::Channel;
use crate::store::{Figures, Queue};
use crate::telemetry::metrics::{
    self, ALERTS_FIRING, Gauge, INBOX_OLDEST, INBOX_WAITING, INCIDENTS_OPEN, NOTIFICATIONS_DEAD,
    NOTIFICATIONS_OLDEST, NOTIFICATIONS_WAITING, OUTBOX_OLDEST, OUTBOX_WAITING, SLACK_CONNECTED,
    SLACK_REFUSED, STORE_PRUNED_AT, STORE_SIZE, STORE_UP, TIMERS_DUE, TIMERS_LATE,
};

pub(super) async fn page(State(health): State<Health>) -> Response {
    let figures = in_time(health.store.figures()).await;
    if let Err(error) = &figures {
        tracing::warn!(error, "the store's figures are not known");
    }
    let writes = in_time(bot::store_takes_writes(&health.bot)).await;
    let up = figures.is_ok() && writes.is_ok();
    STORE_UP.set(&[], f64::from(u8::from(up)));
    let (connected, refused, _) = (health.door)();
    SLACK_CONNECTED.set(&[], f64::from(u8::from(connected)));
    SLACK_REFUSED.set(&[], refused as f64);
    set(figures.ok().as_ref(), health.bot.notifies());
    let pruned = in_time(pruned(&health.bot)).await.ok();
    let ended = pruned.and_then(|pruned| pruned.ended);
    STORE_PRUNED_AT.set(&[], ended.map(|at| at.as_second() as f64));
    match metrics::page() {
        Some(page) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], page).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// What the store does not say is no number.
fn set(figures: Option<&Figures>, mails: bool) {
    STORE_SIZE.set(&[], figures.map(|figures| figures.size as f64));
    let inbox = figures.map(|figures| figures.inbox);
    queue(inbox, &[], &INBOX_WAITING, &INBOX_OLDEST);
    let outbox = figures.map(|figures| figures.outbox);
    queue(outbox, &[], &OUTBOX_WAITING, &OUTBOX_OLDEST);
    let timers = figures.map(|figures| figures.timers);
    queue(timers, &[], &TIMERS_DUE, &TIMERS_LATE);
    for (at, severity) in Severity::ALL.iter().enumerate() {
        let labels = [severity.to_string()];
        let labels = [labels[0].as_str()];
        INCIDENTS_OPEN.set(&labels, figures.map(|figures| figures.incidents[at] as f64));
        ALERTS_FIRING.set(&labels, figures.map(|figures| figures.alerts[at] as f64));
    }
    for way in ways(figures, mails) {
        let found = figures.map(|figures| {
            let mut all = figures.notifications.iter();
            let nothing = (Queue::default(), 0);
            all.find(|(name, ..)| *name == way)
                .map_or(nothing, |(_, queue, dead)| (*queue, *dead))
        });
        let labels = [way.as_str()];
        let waiting = found.map(|(queue, _)| queue);
        queue(
            waiting,
            &labels,
            &NOTIFICATIONS_WAITING,
            &NOTIFICATIONS_OLDEST,
        );
        NOTIFICATIONS_DEAD.set(&labels, found.map(|(_, dead)| dead as f64));
    }
}

fn queue(found: Option<Queue>, labels: &[&str], waiting: &Gauge, oldest: &Gauge) {
    waiting.set(labels, found.map(|queue| queue.waiting as f64));
    oldest.set(labels, found.map(|queue| queue.oldest.as_secs_f64()));
}

/// The ways of which something waited or died since the process began: one that has nothing any
/// more is told to have nothing.
fn ways(figures: Option<&Figures>, mails: bool) -> BTreeSet<String> {
    static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if mails {
        seen.insert(Channel::Email.as_str().into_owned());
    }
    let known = figures
        .into_iter()
        .flat_map(|figures| &figures.notifications);
    seen.extend(known.map(|(way, ..)| way.clone()));
    seen.clone()
}
