//! `restart`: every replica's process is started anew, one after another.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{Failure, Found, Job, Site, Success, Worked};
use super::kind::{Intent, Kind, LOOK_AT, Plan, Rules, Sentences, Words, buttons};
use super::state::recent_memory;
use crate::bot::{Context, Fault};
use crate::domain::action::{ActionKind, ActionRecord, ActionRow};
use crate::domain::service::{
    Health, LogQuery, Replica, ReplicaMark, ReplicaOutcome, ServiceStatus, well_text,
};
use crate::domain::{Guarded, Line, Role, duration};
use crate::platform::PlatformError;

pub(in crate::bot) const RULES: Rules = Rules {
    verb: "restart",
    guarded: Guarded::Restart,
    needs: Role::Responder,
};

/// So long after a restart a replica without a health check is watched.
const WATCH: Duration = Duration::from_secs(3);
/// Between two looks at what is watched.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
/// Last log lines that are shown of a replica that did not stay up.
const LAST_LINES: usize = 3;

/// Restart a service, one replica after another
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// The service.
    #[schemars(extend("format" = "service"))]
    pub service: String,
    /// Why, for the timeline.
    #[arg(long)]
    #[serde(skip)]
    pub reason: Option<String>,
}

fn sentence(service: &str) -> String {
    format!("restart {service}")
}

#[async_trait]
impl Words for Restart {
    async fn plan(&self, context: &Context) -> Result<Plan, Fault> {
        let (service, platform) = context.catalogue().find(&self.service, sentence)?;
        let before = platform.status(service).await?;
        let name = &service.name;
        let effect = match before.replicas.len() {
            1 => "Its one replica is restarted: expect a short interruption".to_owned(),
            count => format!("Its {count} replicas are restarted one after another"),
        };
        let mut intent =
            Intent::on_platform(service, &*platform, ActionKind::Restart, &before).await?;
        let memory = recent_memory(context, &*platform, service).await;
        intent.before_text.extend(memory);
        Ok(Plan {
            title: Line::new().text("Restart ").code(name).text("?"),
            label: format!("Restart {name}"),
            effect,
            reason: self.reason.clone(),
            ..Plan::new(RULES, intent, sentence(name.as_str()))
        })
    }
}

/// A restart as it is recorded: it has nothing of its own.
pub(super) struct Restarting;

#[async_trait]
impl Kind for Restarting {
    fn rules(&self) -> Rules {
        RULES
    }

    fn sentences(&self, record: &ActionRecord) -> Sentences {
        let service = &record.service;
        let doing = Line::new().text("Restarting ").code(service);
        let subject = Line::new().text("The restart of ").code(service);
        Sentences {
            buttons: buttons(&LOOK_AT, service.as_str()),
            again: Some(sentence(service.as_str())),
            ..Sentences::new(doing, subject, "restarted")
        }
    }

    async fn work(&self, job: &Job<'_>) -> Worked {
        restart(job, &job.site()?, None).await
    }

    async fn recover(&self, job: &Job<'_>) -> Result<Found, Found> {
        let site = job.found_site()?;
        let marks = &job.record().before;
        // What hangs on them too: what is being restarted is not restarted a second time.
        let all: Vec<ReplicaMark> = marks.iter().cloned().chain(job.along()).collect();
        let outcomes = job.outcomes(&site, &all).await?;
        let count = |outcome| outcomes.iter().filter(|f| **f == outcome).count();
        let endless = count(ReplicaOutcome::UnderWay);
        if endless > 0 {
            let cause = format!(
                "the platform has been restarting {endless} of {} replicas without an end",
                all.len()
            );
            let failure = Failure::new(cause, site.now().await);
            return Err(("a restart that does not end".to_owned(), Err(failure)));
        }
        let left: Vec<String> = marks
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| **outcome == ReplicaOutcome::Untouched)
            .map(|(mark, _)| mark.id.clone())
            .collect();
        let own = outcomes.iter().take(marks.len());
        let restarted = own.filter(|one| **one == ReplicaOutcome::Restarted).count();
        let found = format!("{restarted} of {} replicas had been restarted", marks.len());
        if !left.is_empty()
            && let Some(age) = job.stale()
        {
            let more = " when it was found, too old to be carried out";
            return Err((found, site.too_old(&age, more).await));
        }
        // Nothing left: the call then only awaits that all are well, and brings along what it has to.
        let worked = restart(job, &site, Some(&left)).await;
        let found = match left.len() {
            0 => found,
            n => format!("{found}, the other {n} were restarted then"),
        };
        Ok((found, worked))
    }

    /// A replica without a health check counts as well when it runs. Does it stay up?
    async fn relapse(
        &self,
        context: &Context,
        row: &ActionRow,
        after: &ServiceStatus,
    ) -> Option<(Line, Failure)> {
        let unchecked = |replica: &Replica| replica.health == Health::Unchecked;
        if !after.replicas.iter().any(unchecked) {
            return None;
        }
        let began = Instant::now();
        let (service, platform) = context.catalogue().get(&row.record.service)?;
        while began.elapsed() < WATCH {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            let now = match platform.status(service).await {
                Ok(now) => now,
                Err(error) => {
                    tracing::debug!(%error, "can't see whether it stays up");
                    continue;
                }
            };
            if let Some(fallen) = fallen(after, &now) {
                // It was not by itself that it ended.
                let newest = context.store().action_newest(&row.record.service).await;
                if newest.is_ok_and(|newest| newest != Some(row.id)) {
                    return None;
                }
                let site = Site { service, platform };
                let cause = cause_of_fall(&site, fallen, began).await;
                let title = Line::new()
                    .code(&row.record.service)
                    .text(" was restarted but did not stay up");
                return Some((title, Failure::new(cause, Some(now))));
            }
        }
        None
    }
}

async fn restart(job: &Job<'_>, site: &Site<'_>, only: Option<&[String]>) -> Worked {
    let (intent, platform) = (job.row.intent(), &*site.platform);
    let patience = job.patience();
    let answer = platform
        .restart(site.service, only, &intent, patience, &job.sink)
        .await;
    let timed_out = matches!(answer, Err(PlatformError::Timeout { .. }));
    let record = job.record();
    match job.settled(site, answer).await {
        Ok(after) => Ok(restarted(job, site, after).await),
        Err(mut failure) => {
            if timed_out
                && let Ok(outcomes) = platform
                    .restart_outcome(site.service, &record.before, &intent)
                    .await
            {
                let restarted = |outcome: &&ReplicaOutcome| **outcome == ReplicaOutcome::Restarted;
                failure.cause.push_str(&format!(
                    "; {} of {} replicas were restarted",
                    outcomes.iter().filter(restarted).count(),
                    outcomes.len()
                ));
            }
            Err(failure)
        }
    }
}

async fn restarted(job: &Job<'_>, site: &Site<'_>, after: ServiceStatus) -> Success {
    job.measure_memory(site, &after).await;
    let name = &job.record().service;
    let title = Line::new().code(name).text(format!(
        " restarted in {}, {}",
        job.took(),
        well_text(&after)
    ));
    let result = job.after(&after);
    job.changed(title, &format!("restarted {name}"), after, &result)
}

/// A replica that was well and no longer runs, or runs anew.
fn fallen<'a>(after: &ServiceStatus, now: &'a ServiceStatus) -> Option<&'a Replica> {
    now.replicas.iter().find(|replica| {
        after.replicas.iter().any(|before| {
            before.id == replica.id
                && (!replica.is_well() || before.started_at != replica.started_at)
        })
    })
}

/// How it ended, with its last words.
async fn cause_of_fall(site: &Site<'_>, fallen: &Replica, began: Instant) -> String {
    let code = fallen
        .exit_code
        .map_or(String::new(), |code| format!(" with exit code {code}"));
    let memory = if fallen.oom_killed {
        " for lack of memory"
    } else {
        ""
    };
    let mut cause = format!(
        "{} ended{code}{memory} within {} of its restart",
        fallen.name,
        duration::text(began.elapsed().max(Duration::from_secs(1)))
    );
    let last = LogQuery {
        lines: LAST_LINES,
        since: None,
        grep: None,
        previous: false,
        container: None,
    };
    // Without its last words it is still told.
    if let Ok(logs) = site.platform.logs(site.service, &last).await {
        for line in logs.lines {
            cause.push_str("\n> ");
            cause.push_str(&line.text);
        }
    }
    cause
}
