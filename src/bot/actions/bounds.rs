//! `bounds`: between which numbers an autoscaler keeps the replicas.

use async_trait::async_trait;
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{Job, Worked};
use super::kind::{Intent, Kind, LOOK_AT, Plan, Rules, Sentences, Words, buttons};
use super::scale::within_bounds;
use crate::bot::{Context, Fault, Refusal};
use crate::domain::action::{ActionKind, ActionRecord, Bounding};
use crate::domain::service::{Bounds, well_text};
use crate::domain::{Guarded, Line, Role};

pub(in crate::bot) const RULES: Rules = Rules {
    verb: "bounds",
    guarded: Guarded::Scale,
    needs: Role::Responder,
};

/// Set the bounds between which an autoscaler keeps the number of replicas of a service
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBounds {
    /// The service.
    #[schemars(extend("format" = "service"))]
    pub service: String,
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// Why, for the timeline.
    #[arg(long)]
    #[serde(skip)]
    pub reason: Option<String>,
}

fn sentence(service: &str, bounds: Bounds) -> String {
    format!("bounds {service} {} {}", bounds.min, bounds.max)
}

#[async_trait]
impl Words for SetBounds {
    async fn plan(&self, context: &Context) -> Result<Plan, Fault> {
        let wanted = Bounds {
            min: self.min,
            max: self.max,
        };
        let same = |service: &str| sentence(service, wanted);
        let (service, platform) = context.catalogue().find(&self.service, same)?;
        let name = &service.name;
        if wanted.min > wanted.max {
            let turned = format!("bounds {name} {} {}", wanted.max, wanted.min);
            let refusal = Refusal::new("The fewest are more than the most. Nothing was done");
            return Err(refusal.suggest("The other way round", turned).into());
        }
        within_bounds(service, wanted.min)?;
        within_bounds(service, wanted.max)?;
        let former = platform.bounds(service).await?;
        let before = platform.status(service).await?;
        let kind = ActionKind::Bounds(Bounding { former, wanted });
        let intent = Intent::on_platform(service, &*platform, kind, &before).await?;
        let nothing = || format!(" is scaled between {wanted} already: nothing to do");
        Ok(Plan {
            title: Line::new()
                .text("Have ")
                .code(name)
                .text(format!(" scaled between {wanted} replicas?")),
            label: format!("Set {wanted}"),
            effect: format!(
                "Its autoscaler keeps {former} replicas now; it goes on within the new bounds, and \
                 the old ones come back with: {}",
                sentence(name.as_str(), former)
            ),
            nothing: (former == wanted).then(nothing),
            reason: self.reason.clone(),
            ..Plan::new(RULES, intent, same(name.as_str()))
        })
    }
}

#[async_trait]
impl Kind for Bounding {
    fn rules(&self) -> Rules {
        RULES
    }

    fn sentences(&self, record: &ActionRecord) -> Sentences {
        let service = &record.service;
        let subject = Line::new().text("Setting the bounds of ").code(service);
        let doing = subject
            .clone()
            .text(format!(" to {} replicas", self.wanted));
        Sentences {
            buttons: buttons(&LOOK_AT, service.as_str()),
            again: Some(sentence(service.as_str(), self.wanted)),
            ..Sentences::new(doing, subject, "given other bounds")
        }
    }

    async fn work(&self, job: &Job<'_>) -> Worked {
        let site = job.site()?;
        let answer = site.platform.set_bounds(site.service, self.wanted).await;
        let after = job.settled(&site, answer).await?;
        let Self { wanted, former } = self;
        let name = &site.service.name;
        let title = Line::new().code(name).text(format!(
            " is scaled between {wanted} replicas now, before {former}; {}",
            well_text(&after)
        ));
        let text = format!("set the bounds of {name} to {wanted} from {former}");
        let result = job.after(&after);
        Ok(job.changed(title, &text, after, &result))
    }
}
