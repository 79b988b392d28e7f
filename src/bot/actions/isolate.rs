//! `isolate` and `release`: a service is cut off from everything, and joined again as it was.

use std::time::Instant;

use async_trait::async_trait;
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::keep_evidence;
use super::job::{After, Job, LOOK, Site, Success, Worked};
use super::kind::{Intent, Kind, LOOK_AT, Plan, Rules, Sentences, Words, buttons};
use super::state::joined_to;
use crate::bot::{Context, Fault};
use crate::domain::action::{ActionKind, ActionRecord, Isolation, Rejoining};
use crate::domain::service::{ServiceStatus, well_text};
use crate::domain::{Guarded, Line, Role, Tone};
use crate::platform::PlatformError;

pub(in crate::bot) const ISOLATE: Rules = Rules {
    verb: "isolate",
    guarded: Guarded::Isolate,
    needs: Role::Commander,
};
pub(in crate::bot) const RELEASE: Rules = Rules {
    verb: "release",
    ..ISOLATE
};

/// Cut a service off from all networks; its processes go on, evidence is kept first
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Isolate {
    /// The service.
    #[schemars(extend("format" = "service"))]
    pub service: String,
    /// Why, for the timeline.
    #[arg(long)]
    #[serde(skip)]
    pub reason: Option<String>,
}

/// Join an isolated service again, exactly as it was
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The service.
    #[schemars(extend("format" = "service"))]
    pub service: String,
    /// Why, for the timeline.
    #[arg(long)]
    #[serde(skip)]
    pub reason: Option<String>,
}

/// What was cut, as a runbook's step gets it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::bot) struct Isolated {
    /// How many joins were cut.
    attachments: usize,
    /// How many pieces of evidence were kept before.
    evidence: usize,
    #[serde(flatten)]
    after: After,
}

/// What was joined again, as a runbook's step gets it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::bot) struct Released {
    /// How many joins were made again.
    attachments: usize,
    #[serde(flatten)]
    after: After,
}

fn isolate_sentence(service: &str) -> String {
    format!("isolate {service}")
}

fn release_sentence(service: &str) -> String {
    format!("release {service}")
}

#[async_trait]
impl Words for Isolate {
    async fn plan(&self, context: &Context) -> Result<Plan, Fault> {
        let (service, platform) = context.catalogue().find(&self.service, isolate_sentence)?;
        let before = platform.status(service).await?;
        let attachments = platform.attachments(service).await?;
        let name = &service.name;
        let effect = format!(
            "Its logs, description and processes are kept first; then it is cut off from {}. \
             Its processes go on; its users will see errors",
            joined_to(&attachments),
        );
        let nothing = attachments.is_empty();
        let kind = ActionKind::Isolate(Isolation { attachments });
        let intent = Intent::on_platform(service, &*platform, kind, &before).await?;
        Ok(Plan {
            title: Line::new().text("Cut ").code(name).text(" off?"),
            label: format!("Isolate {name}"),
            effect,
            nothing: nothing
                .then(|| " is cut off from everything already: nothing to do".to_owned()),
            reason: self.reason.clone(),
            ..Plan::new(ISOLATE, intent, isolate_sentence(name.as_str()))
        })
    }
}

#[async_trait]
impl Words for Release {
    async fn plan(&self, context: &Context) -> Result<Plan, Fault> {
        let (service, platform) = context.catalogue().find(&self.service, release_sentence)?;
        let before = platform.status(service).await?;
        let name = &service.name;
        let attachments = context.store().attachments_cut(name).await?;
        let effect = format!("It is joined as it was: {}", joined_to(&attachments));
        let nothing = attachments.is_empty();
        let kind = ActionKind::Release(Rejoining { attachments });
        let intent = Intent::on_platform(service, &*platform, kind, &before).await?;
        Ok(Plan {
            title: Line::new().text("Join ").code(name).text(" again?"),
            label: format!("Release {name}"),
            effect,
            nothing: nothing.then(|| " is not cut off by this bot: nothing to do".to_owned()),
            reason: self.reason.clone(),
            ..Plan::new(RELEASE, intent, release_sentence(name.as_str()))
        })
    }
}

#[async_trait]
impl Kind for Isolation {
    fn rules(&self) -> Rules {
        ISOLATE
    }

    fn sentences(&self, record: &ActionRecord) -> Sentences {
        let service = &record.service;
        let doing = Line::new().text("Cutting off ").code(service);
        let subject = Line::new().text("The isolation of ").code(service);
        Sentences {
            buttons: buttons(&[LOOK_AT[0], ("Release", "release")], service.as_str()),
            again: Some(isolate_sentence(service.as_str())),
            ..Sentences::new(doing, subject, "cut off")
        }
    }

    async fn work(&self, job: &Job<'_>) -> Worked {
        let site = job.site()?;
        let total = self.attachments.len() as u32;
        job.sink.report(0, total, "keeping evidence");
        let kept = keep_evidence(job.context, job.row, &site).await;
        let evidence = kept.as_ref().map_or(0, |count| *count);
        // A job is worked on once.
        let _ = job.evidence.set(kept);
        let answer = site
            .platform
            .isolate(site.service, &self.attachments, &job.sink)
            .await;
        // Its health address can't answer any more.
        let after = site.answered(answer).await?;
        let (name, to) = (&site.service.name, joined_to(&self.attachments));
        let title = Line::new()
            .code(name)
            .text(format!(" is cut off from {to}"));
        let result = Isolated {
            attachments: self.attachments.len(),
            evidence,
            after: job.after(&after),
        };
        Ok(job.changed(title, &format!("cut {name} off from {to}"), after, &result))
    }
}

#[async_trait]
impl Kind for Rejoining {
    fn rules(&self) -> Rules {
        RELEASE
    }

    fn sentences(&self, record: &ActionRecord) -> Sentences {
        let service = &record.service;
        let doing = Line::new().text("Joining ").code(service).text(" again");
        let subject = Line::new().text("The release of ").code(service);
        Sentences {
            buttons: buttons(&[LOOK_AT[0], ("Check", "check")], service.as_str()),
            again: Some(release_sentence(service.as_str())),
            ..Sentences::new(doing, subject, "joined again")
        }
    }

    async fn work(&self, job: &Job<'_>) -> Worked {
        let site = job.site()?;
        let answer = site
            .platform
            .release(site.service, &self.attachments, &job.sink)
            .await;
        let answer = match answer {
            Ok(status) => wait_until_well(job, &site, status).await,
            Err(error) => Err(error),
        };
        let after = job.settled(&site, answer).await?;
        let (name, to) = (&site.service.name, joined_to(&self.attachments));
        let title = Line::new()
            .code(name)
            .text(format!(" is joined again to {to}, {}", well_text(&after)));
        let result = Released {
            attachments: self.attachments.len(),
            after: job.after(&after),
        };
        let tone = if after.is_well() {
            Tone::Good
        } else {
            Tone::Warning
        };
        let text = format!("joined {name} again to {to}");
        Ok(Success {
            tone,
            ..job.changed(title, &text, after, &result)
        })
    }
}

/// Waits until what was joined again is well, for as long as a restart may take. That it is
/// joined is true in any case.
async fn wait_until_well(
    job: &Job<'_>,
    site: &Site<'_>,
    mut status: ServiceStatus,
) -> Result<ServiceStatus, PlatformError> {
    let deadline = Instant::now() + job.patience().healthy;
    while !status.is_well() && Instant::now() < deadline {
        let line = format!("joined again, {}: waiting", well_text(&status));
        job.sink
            .report(status.well() as u32, status.replicas.len() as u32, line);
        tokio::time::sleep(LOOK).await;
        status = site.platform.status(site.service).await?;
    }
    Ok(status)
}
