//! `status`.

use clap::Args;
use futures_util::future::join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::actions::joined_to;
use crate::bot::request::{Answer, Ask, Effect};
use crate::bot::services::soon;
use crate::bot::table::{Command, Probe};
use crate::bot::{Context, Fault};
use crate::domain::service::{
    Health, Replica, ReplicaState, Service, ServiceStatus, images, well_text,
};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Part, Tone, duration};
use crate::platform::PlatformError;

/// Most facts told with a status.
const FACTS: usize = 8;

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
            None => all(context).await,
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
    /// It has replicas and all are well.
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
    /// The images they run; more than one: a deployment under way or stuck.
    images: Vec<String>,
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
        let mut message = one(service, &status, context.store().now());
        let cut = context.store().attachments_cut(&service.name).await?;
        if !cut.is_empty() {
            let line = Line::new()
                .text(format!("🚧 Cut off from {}: ", joined_to(&cut)))
                .code(format!("release {}", service.name))
                .text(" joins it again");
            message = message.text(line);
        }
        let state = State {
            isolated: !cut.is_empty(),
            service: service.name.to_string(),
            well: status.is_well(),
            well_replicas: status.well(),
            total_replicas: status.replicas.len(),
            restarts: status.replicas.iter().map(|r| r.restarts).sum(),
            out_of_memory: status.replicas.iter().any(|r| r.oom_killed),
            started_at: status.replicas.iter().filter_map(|r| r.started_at).max(),
            images: images(&status).into_keys().map(str::to_owned).collect(),
            replicas: status.replicas,
        };
        Ok((state, message))
    }
}

async fn all(context: &Context) -> Message {
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
    let well = results
        .iter()
        .filter(|r| r.as_ref().is_ok_and(ServiceStatus::is_well))
        .count();
    let tone = if well == services.len() {
        Tone::Good
    } else {
        Tone::Warning
    };
    let mut message = Message::new(
        tone,
        format!("{well} of {} services are well", services.len()),
    );
    for (service, result) in services.iter().zip(&results) {
        message = message.text(match result {
            Ok(status) => Line::new()
                .text(format!("{} ", light(status)))
                .bold(&service.name)
                .text(format!("  {}{}", well_text(status), up_text(status, now))),
            Err(error) => Line::new()
                .text("⚪ ")
                .bold(&service.name)
                .text(format!("  {error}")),
        });
    }
    let unwell: Vec<Button> = services
        .iter()
        .zip(&results)
        .filter(|(_, result)| !result.as_ref().is_ok_and(ServiceStatus::is_well))
        .take(5)
        .map(|(service, _)| Button::new(service.name.to_string(), format!("menu {}", service.name)))
        .collect();
    message.buttons(unwell)
}

/// One service in full.
fn one(service: &Service, status: &ServiceStatus, now: Timestamp) -> Message {
    let tone = if status.is_well() {
        Tone::Good
    } else {
        Tone::Bad
    };
    let mut message = Message::new(
        tone,
        Line::new()
            .code(&service.name)
            .text(format!(" {}", well_text(status))),
    );
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
    message = message.part(Part::Fields(vec![(
        if images.len() == 1 {
            "Image"
        } else {
            "Images (they differ!)"
        }
        .to_owned(),
        Line::new().code(cut(&images.join(", "), 300)),
    )]));
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
        text.push_str(&format!(", {} restarts", replica.restarts));
    }
    if let Some(node) = &replica.node {
        text.push_str(&format!(", on {node}"));
    }
    if let Some(note) = &replica.note {
        text.push_str(&format!("; {note}"));
    }
    text
}

fn replica_light(replica: &Replica) -> &'static str {
    match (replica.is_well(), replica.state, replica.health) {
        (true, ..) => "🟢",
        (_, ReplicaState::Running, Health::Starting) | (_, ReplicaState::Restarting, _) => "🟡",
        _ => "🔴",
    }
}

fn light(status: &ServiceStatus) -> &'static str {
    match (status.is_well(), status.well()) {
        (true, _) => "🟢",
        (_, 0) => "🔴",
        _ => "🟡",
    }
}

/// `, up 3h` of the youngest replica, and what is worrying.
fn up_text(status: &ServiceStatus, now: Timestamp) -> String {
    let mut text = match status.replicas.iter().filter_map(|r| r.started_at).max() {
        Some(at) if status.well() > 0 => {
            format!(", up {}", duration::text(duration::between(at, now)))
        }
        _ => String::new(),
    };
    let restarts: u64 = status.replicas.iter().map(|r| r.restarts).sum();
    if restarts > 0 {
        text.push_str(&format!(", {restarts} restarts"));
    }
    if status.replicas.iter().any(|r| r.oom_killed) {
        text.push_str(", OUT OF MEMORY");
    }
    text
}
