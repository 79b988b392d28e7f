//! `scale`: another number of replicas.

use async_trait::async_trait;
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{Found, Job, Site, Worked};
use super::kind::{Intent, Kind, LOOK_AT, Plan, Rules, Sentences, Words, buttons};
use super::state::recent_memory;
use crate::bot::{Context, Fault, Refusal};
use crate::domain::action::{ActionKind, ActionRecord, Scaling};
use crate::domain::service::{Service, well_text};
use crate::domain::{Guarded, Line, Role, counted};

pub(in crate::bot) const RULES: Rules = Rules {
    verb: "scale",
    guarded: Guarded::Scale,
    needs: Role::Responder,
};

/// Change the number of replicas of a service
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The service.
    #[schemars(extend("format" = "service"))]
    pub service: String,
    /// How many replicas there shall be.
    pub replicas: u32,
    /// Why, for the timeline.
    #[arg(long)]
    #[serde(skip)]
    pub reason: Option<String>,
}

#[async_trait]
impl Words for Scale {
    async fn plan(&self, context: &Context) -> Result<Plan, Fault> {
        let wanted = self.replicas;
        let sentence = |service: &str| format!("scale {service} {wanted}");
        let (service, platform) = context.catalogue().find(&self.service, sentence)?;
        within_bounds(service, wanted)?;
        platform.scalable(service, wanted).await?;
        let before = platform.status(service).await?;
        let (name, count) = (&service.name, before.replicas.len());
        let already = count == wanted as usize && before.is_well();
        let kind = ActionKind::Scale(Scaling { replicas: wanted });
        let mut intent = Intent::on_platform(service, &*platform, kind, &before).await?;
        let free = if intent.along.is_empty() {
            ""
        } else {
            " on which nothing hangs"
        };
        let effect = match (wanted as usize).checked_sub(count) {
            Some(1) => "1 replica is added".to_owned(),
            Some(more) => format!("{more} replicas are added"),
            None if count == wanted as usize + 1 => {
                format!("The newest replica{free} is stopped and removed")
            }
            None => format!(
                "The newest {}{free} are stopped and removed",
                count - wanted as usize
            ),
        };
        let memory = recent_memory(context, &*platform, service).await;
        intent.before_text.extend(memory);
        Ok(Plan {
            title: Line::new()
                .text("Scale ")
                .code(name)
                .text(format!(" from {count} to {}?", replicas(wanted))),
            label: format!("Scale to {wanted}"),
            effect,
            nothing: already.then(|| format!(" already has {}: nothing to do", replicas(wanted))),
            reason: self.reason.clone(),
            ..Plan::new(RULES, intent, sentence(name.as_str()))
        })
    }
}

fn replicas(count: u32) -> String {
    counted(count, "replica")
}

pub(super) fn within_bounds(service: &Service, wanted: u32) -> Result<(), Refusal> {
    let (min, max) = (service.min_replicas, service.max_replicas);
    if (min..=max).contains(&wanted) {
        return Ok(());
    }
    let near = wanted.clamp(min, max);
    let may = if min == max {
        format!("has exactly {}, and may not have {wanted}", replicas(min))
    } else {
        format!("may have {min} to {max} replicas, not {wanted}")
    };
    let line = Line::new().code(&service.name);
    let refusal = Refusal::new(line.text(format!(" {may}. Nothing was done")));
    Err(refusal.suggest(
        format!("Scale to {near}"),
        format!("scale {} {near}", service.name),
    ))
}

#[async_trait]
impl Kind for Scaling {
    fn rules(&self) -> Rules {
        RULES
    }

    fn sentences(&self, record: &ActionRecord) -> Sentences {
        let (service, wanted) = (&record.service, self.replicas);
        let doing = Line::new().text("Scaling ").code(service);
        let doing = doing.text(format!(" to {}", replicas(wanted)));
        let subject = Line::new().text("The scaling of ").code(service);
        Sentences {
            intent: Some(format!(
                "scaling {service} from {} to {}",
                record.before.len(),
                replicas(wanted)
            )),
            buttons: buttons(&LOOK_AT, service.as_str()),
            again: Some(format!("scale {service} {wanted}")),
            ..Sentences::new(doing, subject, &format!("scaled to {wanted}"))
        }
    }

    async fn work(&self, job: &Job<'_>) -> Worked {
        scale(job, &job.site()?, self.replicas).await
    }

    async fn recover(&self, job: &Job<'_>) -> Result<Found, Found> {
        let site = job.found_site()?;
        let status = job.insist(|| site.platform.status(site.service)).await?;
        let there = status.replicas.len();
        let found = format!("{there} of {} replicas were there", self.replicas);
        if there != self.replicas as usize
            && let Some(age) = job.stale()
        {
            let more = ", too old to be carried out";
            return Err((found, site.too_old(&age, more).await));
        }
        // The number is absolute: asking again for what is there changes nothing.
        Ok((found, scale(job, &site, self.replicas).await))
    }
}

async fn scale(job: &Job<'_>, site: &Site<'_>, replicas: u32) -> Worked {
    let answer = site
        .platform
        .scale(site.service, replicas, job.patience(), &job.sink)
        .await;
    let after = job.settled(site, answer).await?;
    job.measure_memory(site, &after).await;
    let (from, to) = (job.record().before.len(), after.replicas.len());
    let name = &site.service.name;
    let title = Line::new().code(name).text(format!(
        " scaled from {from} to {} in {}, {}",
        counted(to, "replica"),
        job.took(),
        well_text(&after)
    ));
    let text = format!("scaled {name} from {from} to {}", counted(to, "replica"));
    let result = job.after(&after);
    Ok(job.changed(title, &text, after, &result))
}
