//! `deploy` and `rollback`: another version of a service.

use async_trait::async_trait;
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::freeze::refuse_step;
use super::job::{After, Job, Worked};
use super::kind::{Intent, Kind, LOOK_AT, Plan, Rules, Sentences, Words, buttons};
use crate::bot::{Context, Fault, Refusal};
use crate::command::words::quote;
use crate::domain::action::{ActionKind, ActionRecord, ActionRow, Deployment};
use crate::domain::service::{Service, ServiceStatus, Version, images, well_text};
use crate::domain::timeline::cut;
use crate::domain::{Button, Guarded, Line, Role};
use crate::platform::{Platform, PlatformError};

pub(in crate::bot) const DEPLOY: Rules = Rules {
    verb: "deploy",
    guarded: Guarded::Deploy,
    needs: Role::Responder,
};
pub(in crate::bot) const ROLLBACK: Rules = Rules {
    verb: "rollback",
    ..DEPLOY
};

/// Bring a service to another image, one replica after another
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// The service.
    #[schemars(extend("format" = "service"))]
    pub service: String,
    /// The image, such as treasury/api:1.9.0; the platform has to have it.
    pub image: String,
    /// The version that was shown in the question.
    #[arg(long, hide = true, value_name = "ID")]
    #[serde(skip)]
    pub exactly: Option<String>,
    /// Though a freeze is on; with --reason, by a commander.
    #[arg(long, requires = "reason")]
    #[serde(skip)]
    pub break_freeze: bool,
    /// Why, for the timeline.
    #[arg(long)]
    #[serde(skip)]
    pub reason: Option<String>,
}

impl Deploy {
    /// The words that ask for it, without the reason.
    pub(in crate::bot) fn typed(&self) -> String {
        deploy_sentence(&self.service, &self.image)
    }
}

/// Bring a service back to the version before the present one
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The service.
    #[schemars(extend("format" = "service"))]
    pub service: String,
    /// The version that was shown in the question.
    #[arg(long, hide = true, value_name = "ID")]
    #[serde(skip)]
    pub exactly: Option<String>,
    /// Why, for the timeline.
    #[arg(long)]
    #[serde(skip)]
    pub reason: Option<String>,
}

/// The state after a deployment, as a runbook's step gets it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::bot) struct Deployed {
    /// The image it runs now.
    image: String,
    /// The image it ran before, where the platform knows.
    former: Option<String>,
    #[serde(flatten)]
    after: After,
}

fn deploy_sentence(service: &str, image: &str) -> String {
    format!("deploy {service} {}", quote(image))
}

fn rollback_sentence(service: &str) -> String {
    format!("rollback {service}")
}

#[async_trait]
impl Words for Deploy {
    async fn plan(&self, context: &Context) -> Result<Plan, Fault> {
        let sentence = |service: &str| deploy_sentence(service, &self.image);
        let (service, platform) = context.catalogue().find(&self.service, sentence)?;
        let sentence = sentence(service.name.as_str());
        let version = platform.deployable(service, &self.image).await?;
        if self.exactly.as_ref().is_some_and(|id| *id != version.id) {
            let title = Line::new()
                .code(cut(&self.image, 120))
                .text(" means another image than when you were asked. Nothing was done");
            return Err(Refusal::new(title).suggest("Ask again", sentence).into());
        }
        let sentence = if self.break_freeze {
            format!("{sentence} --break-freeze")
        } else {
            sentence
        };
        let former = platform.versions(service).await?.into_iter().next();
        let before = platform.status(service).await?;
        let same = former.as_ref().is_some_and(|now| now.id == version.id);
        let nothing = (same && before.is_well() && images(&before).len() == 1)
            .then(|| format!(" runs {} already: nothing to do", version.image));
        let deployment = Deployment {
            version,
            former,
            back: false,
        };
        Ok(Plan {
            nothing,
            reason: self.reason.clone(),
            ..plan(service, &*platform, deployment, &before, sentence).await?
        })
    }

    async fn plan_step(&self, context: &Context) -> Result<Intent, Fault> {
        refuse_step(context, &self.service).await?;
        Ok(self.plan(context).await?.intent)
    }
}

#[async_trait]
impl Words for Rollback {
    async fn plan(&self, context: &Context) -> Result<Plan, Fault> {
        let (service, platform) = context.catalogue().find(&self.service, rollback_sentence)?;
        let name = &service.name;
        let sentence = rollback_sentence(name.as_str());
        let known = platform.versions(service).await?;
        if let Some(left) = left_behind(context, service, &known).await? {
            return Err(left.refusal(service, &known).into());
        }
        let mut versions = known.into_iter();
        let former = versions.next();
        let Some(version) = versions.next() else {
            let title = Line::new()
                .code(name)
                .text(" has no former version that its platform knows of. Nothing was done");
            return Err(Refusal::new(title)
                .detail(format!(
                    "Fix: deploy the version you want: deploy {name} IMAGE. What is deployed \
                     with `deploy` can be rolled back"
                ))
                .into());
        };
        if self.exactly.as_ref().is_some_and(|id| *id != version.id) {
            let title = Line::new().text("Somebody has deployed ").code(name).text(
                " since you were asked: it would go back to another version. Nothing was done",
            );
            return Err(Refusal::new(title).suggest("Ask again", sentence).into());
        }
        let deployment = Deployment {
            version,
            former,
            back: true,
        };
        let before = platform.status(service).await?;
        Ok(Plan {
            reason: self.reason.clone(),
            ..plan(service, &*platform, deployment, &before, sentence).await?
        })
    }
}

/// A version that was left on purpose, or that never got well.
pub(in crate::bot) struct Left {
    version: Version,
    row: ActionRow,
}

/// The version before the present one, if it is one that was rolled back from, or that a deployment
/// to it failed, and that did not run well since.
pub(in crate::bot) async fn left_behind(
    context: &Context,
    service: &Service,
    known: &[Version],
) -> Result<Option<Left>, Fault> {
    let (Some(present), Some(before)) = (known.first(), known.get(1)) else {
        return Ok(None);
    };
    let same = |one: &Version| {
        one.id == before.id || (one.image == before.image && one.image != present.image)
    };
    for (row, good) in context.store().deployments(&service.name).await? {
        let ActionKind::Deploy(deployment) = &row.record.what else {
            continue;
        };
        let is_to = same(&deployment.version);
        let is_from = deployment.back && deployment.former.as_ref().is_some_and(same);
        if good && is_to {
            return Ok(None);
        }
        if (good && is_from) || (!good && is_to) {
            let version = before.clone();
            return Ok(Some(Left { version, row }));
        }
    }
    Ok(None)
}

impl Left {
    fn refusal(&self, service: &Service, known: &[Version]) -> Refusal {
        let (name, record) = (&service.name, &self.row.record);
        let was_back = matches!(&record.what, ActionKind::Deploy(one) if one.back);
        let image = cut(&self.version.image, 120);
        let title = if was_back {
            let line = Line::new().code(name).text(" was rolled back from ");
            line.code(image)
        } else {
            let line = Line::new().text("The deployment of ").code(image);
            line.text(" to ").code(name).text(" failed,")
        };
        let title = title.text(" by ").person(&record.actor).text(" at ");
        let title = title
            .time(self.row.intended_at)
            .text(": `rollback` does not go there. Nothing was done");
        let refusal = Refusal::new(title).detail(format!(
            "Name the exact version: {}",
            deploy_sentence(name.as_str(), "IMAGE")
        ));
        let others = known
            .iter()
            .skip(2)
            .filter(|one| one.image != self.version.image);
        others.take(3).fold(refusal, |refusal, one| {
            let label = cut(&format!("Deploy {}", one.image), 70);
            refusal.suggest(label, deploy_sentence(name.as_str(), &one.image))
        })
    }
}

/// The same for both; the sentence names the version beyond doubt.
async fn plan(
    service: &Service,
    platform: &dyn Platform,
    deployment: Deployment,
    before: &ServiceStatus,
    sentence: String,
) -> Result<Plan, PlatformError> {
    let name = &service.name;
    let version = &deployment.version;
    let sentence = format!("{sentence} --exactly {}", quote(&version.id));
    let (word, to, label) = if deployment.back {
        ("Roll ", " back to ", format!("Roll {name} back"))
    } else {
        ("Change ", " to ", format!("Deploy to {name}"))
    };
    let title = Line::new().text(word).code(name).text(to);
    let title = title.code(cut(&version.image, 120)).text("?");
    let replaced = match before.replicas.len() {
        1 => "Its one replica is replaced".to_owned(),
        count => format!("Its {count} replicas are replaced one after another"),
    };
    let mut fields: Vec<(String, Line)> = Vec::new();
    if let Some(since) = version.since {
        let since = since.strftime("%F %R UTC").to_string();
        fields.push(("First deployed".into(), since.into()));
    }
    if !version.changes.is_empty() {
        let changes = cut(&version.changes.join(", "), 500);
        fields.push(("Changes besides the image".into(), changes.into()));
    }
    let rules = deployment.rules();
    let intent =
        Intent::on_platform(service, platform, ActionKind::Deploy(deployment), before).await?;
    Ok(Plan {
        title,
        label,
        effect: format!("{replaced}; what does not get well is put back as it is now"),
        fields,
        ..Plan::new(rules, intent, sentence)
    })
}

#[async_trait]
impl Kind for Deployment {
    fn rules(&self) -> Rules {
        if self.back { ROLLBACK } else { DEPLOY }
    }

    fn sentences(&self, record: &ActionRecord) -> Sentences {
        let (service, image) = (&record.service, cut(&self.version.image, 120));
        // What was the former version may be another by now: look first.
        let (word, to, noun, again) = if self.back {
            ("Rolling ", " back to ", "rollback", None)
        } else {
            let again = deploy_sentence(service.as_str(), &self.version.image);
            ("Changing ", " to ", "deployment", Some(again))
        };
        let doing = Line::new().text(word).code(service).text(to).code(&image);
        let subject = Line::new().text(format!("The {noun} of ")).code(service);
        let subject = subject.text(" to ").code(&image);
        Sentences {
            buttons: buttons(&LOOK_AT, service.as_str()),
            // What failed was put back already; and back from a rollback is what it was for.
            undo: (!self.back)
                .then(|| Button::new("Roll back", rollback_sentence(service.as_str()))),
            again,
            ..Sentences::new(doing, subject, &format!("changed to {image}"))
        }
    }

    async fn work(&self, job: &Job<'_>) -> Worked {
        let site = job.site()?;
        let answer = site
            .platform
            .deploy(site.service, &self.version, job.patience(), &job.sink)
            .await;
        let answer = match answer {
            Ok(after) => {
                let (intent, patience) = (job.row.intent(), job.patience());
                let along = site
                    .platform
                    .bring_along(site.service, &intent, patience, &job.sink);
                along.await.map(|()| after)
            }
            failed => failed,
        };
        let after = job.settled(&site, answer).await?;
        let image = cut(&self.version.image, 120);
        let done = if self.back {
            "rolled back to"
        } else {
            "changed to"
        };
        let name = &site.service.name;
        let title = Line::new()
            .code(name)
            .text(format!(" {done} "))
            .code(&image)
            .text(format!(" in {}, {}", job.took(), well_text(&after)));
        let result = Deployed {
            image: self.version.image.clone(),
            former: self.former.as_ref().map(|former| former.image.clone()),
            after: job.after(&after),
        };
        Ok(job.changed(title, &format!("{done} {image}: {name}"), after, &result))
    }
}
