//! `status`.

use std::time::Duration;

use clap::Args;
use futures_util::future::join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::actions::joined_to;
use crate::bot::alerts::{unread_page, unread_pages};
use crate::bot::entry::{Command, Probe};
use crate::bot::request::{Answer, Ask, Effect};
use crate::bot::services::soon;
use crate::bot::{Context, Fault};
use crate::domain::service::{
    Attachment, Health, Replica, ReplicaState, Service, ServiceStatus, images, well_text,
};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Part, ServiceName, Tone, counted, duration};
use crate::platform::PlatformError;
use crate::probe::ProbeError;

/// Most facts told with a status.
const FACTS: usize = 8;
/// What a database or cache does not answer in this time is not waited for.
const REACHED_WITHIN: Duration = Duration::from_secs(2);

/// Show the state of all services, or of one
#[derive(Debug, Args)]
pub struct Status {
    /// The service; all of them when left out
    service: Option<String>,
}

impl Command for Status {
    const WORDS: &'static str = "status";

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        let message = match self.service {
            Some(service) => StatusOf { service }.look(context).await?.1,
            None => all(context).await?,
        };
        Ok(Effect::Say(Answer::to_all(message)))
    }
}

/// Which service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusOf {
    /// The service.
    #[schemars(extend("format" = "service"))]
    service: String,
}

/// The state of a service.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// Its name.
    service: String,
    /// It has replicas, all are well, and what it is as a database or cache can be used.
    well: bool,
    /// How many replicas are well.
    well_replicas: usize,
    /// How many replicas there are.
    total_replicas: usize,
    /// How often the platform restarted them by itself.
    restarts: u64,
    /// A replica was ended for lack of memory.
    out_of_memory: bool,
    /// The bot has cut it off and not joined it again.
    isolated: bool,
    /// When the youngest replica started.
    started_at: Option<Timestamp>,
    /// For how long all of them have run without a start of any, ms; 0 unless all are well.
    steady_ms: u64,
    /// The images they run; more than one: a deployment under way or stuck.
    images: Vec<String>,
    /// What is wrong besides the replicas, such as a machine that is lost.
    warnings: Vec<String>,
    /// The replicas.
    replicas: Vec<Replica>,
}

impl Probe for StatusOf {
    const STEP: &'static str = "service.status";
    const SUMMARY: &'static str = "The replicas of a service now";
    type Found = State;

    async fn look(self, context: &Context) -> Result<(State, Message), Fault> {
        let (service, platform) = context
            .catalogue()
            .find(&self.service, |near| format!("status {near}"))?;
        let status = platform.status(service).await?;
        let cut = context.store().attachments_cut(&service.name).await?;
        let now = context.store().now();
        let down = match cut.as_slice() {
            [] => unusable(context, &service.name).await,
            _ => None,
        };
        let mut message = one(service, &status, &cut, down.as_deref(), now);
        if let Some(page) = unread_page(context, service.name.as_str()).await? {
            message = message.text(page.line(service.name.as_str()));
        }
        let started_at = youngest(&status);
        let well = status.is_well() && down.is_none();
        let state = State {
            steady_ms: started_at
                .filter(|_| well)
                .map_or(0, |at| duration::between(at, now).as_millis() as u64),
            isolated: !cut.is_empty(),
            service: service.name.to_string(),
            well,
            well_replicas: status.well(),
            total_replicas: status.replicas.len(),
            restarts: status.replicas.iter().map(|r| r.restarts).sum(),
            out_of_memory: status.replicas.iter().any(|r| r.oom_killed),
            started_at,
            images: images(&status).into_keys().map(str::to_owned).collect(),
            warnings: status.warnings,
            replicas: status.replicas,
        };
        Ok((state, message))
    }
}

/// How a service is, all in all: one verdict from its replicas and whether it is joined to the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Well,
    /// Well now, but a replica was ended for lack of memory.
    Shaken,
    /// Well as far as is known, but something else is wrong, such as a machine that is lost.
    Warned,
    /// It is to have no replicas.
    Idle,
    /// Cut off by the bot, whatever its replicas do.
    CutOff,
    /// Its replicas are well, but the database or cache that it is can't be used.
    Unusable,
    /// Some replicas are well.
    Partly,
    Unwell,
    /// It can't be looked at.
    Unknown,
}

impl Verdict {
    fn of(status: &Result<ServiceStatus, PlatformError>, is_cut: bool, is_unusable: bool) -> Self {
        match status {
            // That there is nothing of it is known.
            Err(PlatformError::NotFound { .. }) => Self::Unwell,
            Err(_) => Self::Unknown,
            Ok(_) if is_cut => Self::CutOff,
            Ok(status) if status.scaled_to_none => Self::Idle,
            Ok(status) => match (status.is_well(), status.well()) {
                (true, _) if is_unusable => Self::Unusable,
                (true, _) if status.replicas.iter().any(|r| r.oom_killed) => Self::Shaken,
                (true, _) if !status.warnings.is_empty() => Self::Warned,
                (true, _) => Self::Well,
                (_, 0) => Self::Unwell,
                _ => Self::Partly,
            },
        }
    }

    fn light(self) -> &'static str {
        match self {
            Self::Well => "🟢",
            Self::Shaken | Self::Warned | Self::Partly | Self::Idle => "🟡",
            Self::CutOff => "🚧",
            Self::Unwell | Self::Unusable => "🔴",
            Self::Unknown => "⚪",
        }
    }

    /// `2 of 4 services are well, 1 is cut off, 1 unknown`.
    fn title(all: &[Self]) -> String {
        let count = |one| all.iter().filter(|other| **other == one).count();
        let (total, unknown) = (all.len(), count(Self::Unknown));
        if unknown == total && total > 0 {
            return format!("Unknown: none of the {total} services can be looked at");
        }
        let well = count(Self::Well) + count(Self::Shaken) + count(Self::Warned);
        let are = if well == 1 { "is" } else { "are" };
        let mut title = format!("{well} of {} {are} well", counted(total, "service"));
        for (count, what) in [
            (count(Self::Shaken), "after running out of memory"),
            (count(Self::Warned), "with a warning"),
            (count(Self::Idle), "scaled to 0"),
            (count(Self::CutOff), "cut off"),
            (count(Self::Unusable), "can't be used"),
            (unknown, "unknown"),
        ] {
            if count > 0 {
                title.push_str(&format!(", {count} {what}"));
            }
        }
        title
    }
}

async fn all(context: &Context) -> Result<Message, Fault> {
    let now = context.store().now();
    let services = context.catalogue().services();
    // Asked at the same time: one platform that hangs doesn't hold up the others.
    let results = join_all(services.iter().map(|service| async {
        match context.catalogue().platform(service) {
            Ok(platform) => soon(platform.name(), platform.status(service)).await,
            Err(refusal) => Err(PlatformError::Unsupported(refusal.title.plain())),
        }
    }))
    .await;
    let asked = services.iter().map(|one| unusable(context, &one.name));
    let down = join_all(asked).await;
    let mut verdicts = Vec::new();
    for ((service, result), down) in services.iter().zip(&results).zip(&down) {
        let cut = context.store().attachments_cut(&service.name).await?;
        verdicts.push(Verdict::of(result, !cut.is_empty(), down.is_some()));
    }
    let tone = if verdicts.iter().all(|one| *one == Verdict::Well) {
        Tone::Good
    } else {
        Tone::Warning
    };
    let mut message = Message::new(tone, Verdict::title(&verdicts));
    for ((service, result), verdict) in services.iter().zip(&results).zip(&verdicts) {
        let text = match result {
            Ok(status) => format!(
                "{}{}{}",
                well_text(status),
                up_text(status, now),
                warnings_text(status)
            ),
            Err(error) => error.to_string(),
        };
        let cut = match verdict {
            Verdict::CutOff => "CUT OFF; ",
            Verdict::Unusable => "CAN'T BE USED; ",
            _ => "",
        };
        let line = Line::new().text(format!("{} ", verdict.light()));
        message = message.text(line.bold(&service.name).text(format!("  {cut}{text}")));
    }
    for (service, page) in unread_pages(context).await? {
        message = message.text(page.line(&service));
    }
    let unwell = services.iter().zip(&verdicts);
    let unwell: Vec<Button> = unwell
        .filter(|(_, verdict)| **verdict != Verdict::Well)
        .take(5)
        .map(|(service, _)| Button::new(service.name.to_string(), format!("menu {}", service.name)))
        .collect();
    Ok(message.buttons(unwell))
}

/// Why the database or cache that a service is can't be used; `None` where it can, or where
/// that is not known.
async fn unusable(context: &Context, service: &ServiceName) -> Option<String> {
    let (databases, caches) = (
        context.catalogue().databases(),
        context.catalogue().caches(),
    );
    let databases = databases.iter().filter(|one| one.service == *service);
    let caches = caches.iter().filter(|one| one.service == *service);
    let (databases, caches) = futures_util::join!(
        join_all(databases.map(|one| down(one.probe.summary()))),
        join_all(caches.map(|one| down(one.probe.summary()))),
    );
    databases.into_iter().chain(caches).flatten().next()
}

async fn down<T>(answer: impl Future<Output = Result<T, ProbeError>>) -> Option<String> {
    match tokio::time::timeout(REACHED_WITHIN, answer).await {
        Ok(Err(error)) if error.kind.is_down() => Some(error.what),
        _ => None,
    }
}

/// One service in full.
fn one(
    service: &Service,
    status: &ServiceStatus,
    cut_off: &[Attachment],
    down: Option<&str>,
    now: Timestamp,
) -> Message {
    let tone = match (status.is_well() && down.is_none(), cut_off) {
        (_, []) if status.scaled_to_none => Tone::Plain,
        (true, []) if status.warnings.is_empty() => Tone::Good,
        (true, _) => Tone::Warning,
        (false, _) => Tone::Bad,
    };
    let is_cut = match (cut_off, down) {
        ([], None) => "",
        ([], Some(_)) => ", but CAN'T BE USED",
        _ => ", CUT OFF",
    };
    let title = format!(" {}{is_cut}{}", well_text(status), up_text(status, now));
    let mut message = Message::new(tone, Line::new().code(&service.name).text(title));
    if let Some(why) = down {
        message = message.text(format!("🔌 {}", cut(why, 300)));
    }
    if !cut_off.is_empty() {
        let line = Line::new()
            .text(format!("🚧 Cut off from {}: ", joined_to(cut_off)))
            .code(format!("release {}", service.name))
            .text(" joins it again");
        message = message.text(line);
    }
    for warning in status.warnings.iter().take(FACTS) {
        message = message.text(format!("⚠️ {warning}"));
    }
    for replica in &status.replicas {
        message = message.text(
            Line::new()
                .text(format!("{} ", replica_light(replica)))
                .bold(&replica.name)
                .text(format!("  {}", replica_text(replica, now))),
        );
    }
    for fact in status.facts.iter().take(FACTS) {
        message = message.text(fact.as_str());
    }
    let images: Vec<_> = images(status).into_keys().collect();
    let what = match images.len() {
        0 => None,
        1 => Some("Image"),
        _ => Some("Images (they differ!)"),
    };
    if let Some(what) = what {
        let images = Line::new().code(cut(&images.join(", "), 300));
        message = message.part(Part::Fields(vec![(what.to_owned(), images)]));
    }
    let name = &service.name;
    message.buttons(vec![
        Button::new("Logs", format!("logs {name}")),
        Button::new("Stats", format!("stats {name}")),
        Button::new("Events", format!("events {name}")),
        Button::new("Restart", format!("restart {name}")),
    ])
}

fn replica_text(replica: &Replica, now: Timestamp) -> String {
    let ago = |at: Option<Timestamp>| {
        at.map_or_else(
            || "?".into(),
            |at| duration::text(duration::between(at, now)),
        )
    };
    let mut text = match replica.state {
        ReplicaState::Running => format!("up {}", ago(replica.started_at)),
        ReplicaState::Created => "made, never started".into(),
        ReplicaState::Restarting => "restarting".into(),
        ReplicaState::Paused => "paused".into(),
        ReplicaState::Exited => format!("exited {} ago", ago(replica.finished_at)),
        ReplicaState::Dead => "dead".into(),
        ReplicaState::Unknown => "state not known".into(),
    };
    match replica.health {
        Health::Healthy => text.push_str(", healthy"),
        Health::Unhealthy => text.push_str(", UNHEALTHY"),
        Health::Starting => text.push_str(", starting"),
        Health::Unchecked => {}
    }
    if let (Some(code), false) = (replica.exit_code, replica.state == ReplicaState::Running) {
        text.push_str(&format!(", exit code {code}"));
    }
    if replica.oom_killed {
        text.push_str(", OUT OF MEMORY");
    }
    if replica.restarts > 0 {
        text.push_str(&format!(", {}", restarts_text(replica.restarts)));
    }
    if let Some(node) = &replica.node {
        text.push_str(&format!(", on {node}"));
    }
    if let Some(note) = &replica.note {
        text.push_str(&format!("; {note}"));
    }
    text
}

fn restarts_text(count: u64) -> String {
    match count {
        1 => "1 restart".to_owned(),
        n => format!("{n} restarts"),
    }
}

fn replica_light(replica: &Replica) -> &'static str {
    match (replica.is_well(), replica.state, replica.health) {
        (true, ..) => "🟢",
        (_, ReplicaState::Running, Health::Starting) | (_, ReplicaState::Restarting, _) => "🟡",
        (_, ReplicaState::Unknown, _) => "⚪",
        _ => "🔴",
    }
}

/// `; node-b is Down …`.
fn warnings_text(status: &ServiceStatus) -> String {
    let warnings = status.warnings.iter().take(FACTS);
    warnings.map(|one| format!("; {one}")).collect()
}

fn youngest(status: &ServiceStatus) -> Option<Timestamp> {
    status.replicas.iter().filter_map(|r| r.started_at).max()
}

/// `, up 3h` of the youngest replica, and what is worrying.
fn up_text(status: &ServiceStatus, now: Timestamp) -> String {
    let mut text = match youngest(status) {
        Some(at) if status.well() > 0 => {
            format!(", up {}", duration::text(duration::between(at, now)))
        }
        _ => String::new(),
    };
    let restarts: u64 = status.replicas.iter().map(|r| r.restarts).sum();
    if restarts > 0 {
        text.push_str(&format!(", {}", restarts_text(restarts)));
    }
    if status.replicas.iter().any(|r| r.oom_killed) {
        text.push_str(", OUT OF MEMORY");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Verdict::{CutOff, Idle, Shaken, Unknown, Unusable, Unwell, Warned, Well};
    use super::*;

    #[test]
    fn what_can_not_be_looked_at_is_unknown_and_what_is_cut_off_is_not_well() {
        for (all, title) in [
            (vec![Well, Well], "2 of 2 services are well"),
            (vec![Well, CutOff], "1 of 2 services is well, 1 cut off"),
            (
                vec![Well, Unusable],
                "1 of 2 services is well, 1 can't be used",
            ),
            (
                vec![Shaken, Unwell],
                "1 of 2 services is well, 1 after running out of memory",
            ),
            (
                vec![Well, Warned],
                "2 of 2 services are well, 1 with a warning",
            ),
            (vec![Well, Idle], "1 of 2 services is well, 1 scaled to 0"),
            (vec![Well, Unknown], "1 of 2 services is well, 1 unknown"),
            (
                vec![Unknown; 4],
                "Unknown: none of the 4 services can be looked at",
            ),
        ] {
            assert_eq!(Verdict::title(&all), title);
        }
        let gone = PlatformError::Unreachable {
            platform: "Docker",
            hint: "start it".to_owned(),
            source: None,
        };
        assert_eq!(Verdict::of(&Err(gone), true, true), Unknown);
    }
}
