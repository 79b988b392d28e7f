//! The state of a service, for people.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use crate::bot::Context;
use crate::bot::services::short_name;
use crate::domain::duration::bytes_text;
use crate::domain::service::{
    Attachment, ReplicaStats, Service, ServiceStats, ServiceStatus, images, well_text,
};
use crate::domain::timeline::cut;
use crate::platform::Platform;

/// Figures that are older tell nothing of the state before a change.
const FRESH: Duration = Duration::from_secs(30);
/// So long figures are waited for: they are an addition.
const FIGURES_WITHIN: Duration = Duration::from_secs(1);

/// `healthy 2/3 · nginx:1.25`.
pub(in crate::bot) fn state_text(status: &ServiceStatus) -> String {
    let mut text = well_text(status);
    for image in images(status).keys() {
        text.push_str(" · ");
        text.push_str(&cut(image, 80));
    }
    text
}

/// How the memory begins in a state.
pub(super) const MEMORY: &str = " · memory ";

/// The memory before a change, where the platform has figures at hand that tell of now.
pub(super) async fn recent_memory(
    context: &Context,
    platform: &dyn Platform,
    service: &Service,
) -> Option<String> {
    memory_text(platform, service, context.now() - FRESH).await
}

/// ` · memory 92 % (frontend-1)`, of the fullest replica; `None` where nothing that was measured
/// since then is at hand.
pub(super) async fn memory_text(
    platform: &dyn Platform,
    service: &Service,
    since: Timestamp,
) -> Option<String> {
    let stats = timeout(FIGURES_WITHIN, platform.stats(service)).await;
    let stats = stats.ok()?.ok().filter(|stats| stats.taken_at >= since)?;
    fullest(&stats)
}

fn fullest(stats: &ServiceStats) -> Option<String> {
    let fill = |one: &&ReplicaStats| one.memory_percent().unwrap_or_default();
    let by_bytes = |a: &&ReplicaStats, b: &&ReplicaStats| a.memory_bytes.cmp(&b.memory_bytes);
    let worst = stats
        .replicas
        .iter()
        .max_by(|a, b| fill(a).total_cmp(&fill(b)).then(by_bytes(a, b)))?;
    let used = match worst.memory_percent() {
        Some(percent) => format!("{percent:.0} %"),
        None => bytes_text(worst.memory_bytes),
    };
    Some(match stats.replicas.len() {
        1 => format!("{MEMORY}{used}"),
        _ => format!("{MEMORY}{used} ({})", short_name(&worst.replica)),
    })
}

/// What attachments lead to, each once: `network treasury_default`.
pub(in crate::bot) fn joined_to(attachments: &[Attachment]) -> String {
    let to: BTreeSet<&str> = attachments
        .iter()
        .map(|attachment| attachment.to.as_str())
        .collect();
    let shown: Vec<String> = to.iter().take(5).map(|to| cut(to, 80)).collect();
    match to.len().saturating_sub(shown.len()) {
        0 if to.is_empty() => "nothing".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
