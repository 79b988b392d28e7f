//! What a change asked for would be exactly.

use super::Intent;
use super::words::{busy, question, state_text, within_bounds};
use crate::bot::request::{Answer, Ask, Effect};
use crate::bot::{Context, Fault, Refusal};
use crate::command::Change;
use crate::command::words::quote;
use crate::domain::action::ActionKind;
use crate::domain::question::QuestionRow;
use crate::domain::service::{Bounds, ReplicaMark, Service, ServiceStatus, images};
use crate::domain::timeline::cut;
use crate::domain::{Line, Message, Tone};
use crate::platform::Platform;

/// What would be done.
pub(in crate::bot) struct Plan {
    pub(in crate::bot) kind: ActionKind,
    pub(in crate::bot) before: ServiceStatus,
    /// It is so already.
    nothing: Option<String>,
}

impl Plan {
    /// Words for the question's sentence that name the version beyond doubt.
    fn exactly(&self) -> String {
        match &self.kind {
            ActionKind::Deploy { version, .. } => format!(" --exactly {}", quote(&version.id)),
            _ => String::new(),
        }
    }

    /// The replicas as they are now.
    pub(in crate::bot) fn marks(&self) -> Vec<ReplicaMark> {
        self.before.replicas.iter().map(ReplicaMark::from).collect()
    }
}

/// Asks the platform what a change comes to; nothing is touched.
pub(in crate::bot) async fn plan(
    context: &Context,
    service: &Service,
    platform: &dyn Platform,
    change: &Change,
) -> Result<Plan, Fault> {
    let mut nothing = None;
    let name = &service.name;
    let (kind, before) = match change {
        Change::Restart { .. } => (ActionKind::Restart, platform.status(service).await?),
        Change::Scale {
            replicas: wanted, ..
        } => {
            within_bounds(service, *wanted)?;
            platform.scalable(service, *wanted).await?;
            let before = platform.status(service).await?;
            if before.replicas.len() == *wanted as usize && before.is_well() {
                nothing = Some(format!(" already has {wanted} replicas: nothing to do"));
            }
            (ActionKind::Scale(*wanted), before)
        }
        Change::Bounds { min, max, .. } => {
            if min > max {
                return Err(
                    Refusal::new("The fewest are more than the most. Nothing was done")
                        .suggest("The other way round", format!("bounds {name} {max} {min}"))
                        .into(),
                );
            }
            within_bounds(service, *min)?;
            within_bounds(service, *max)?;
            let former = platform.bounds(service).await?;
            let wanted = Bounds {
                min: *min,
                max: *max,
            };
            if former == wanted {
                nothing = Some(format!(
                    " is scaled between {wanted} already: nothing to do"
                ));
            }
            let kind = ActionKind::Bounds { former, wanted };
            (kind, platform.status(service).await?)
        }
        Change::Deploy { image, exactly, .. } => {
            let version = platform.deployable(service, image).await?;
            if exactly.as_ref().is_some_and(|id| *id != version.id) {
                return Err(Refusal::new(
                    Line::new()
                        .code(cut(image, 120))
                        .text(" means another image than when you were asked. Nothing was done"),
                )
                .suggest("Ask again", format!("deploy {name} {}", quote(image)))
                .into());
            }
            let former = platform.versions(service).await?.into_iter().next();
            let before = platform.status(service).await?;
            let same = former.as_ref().is_some_and(|now| now.id == version.id);
            if same && before.is_well() && images(&before).len() == 1 {
                nothing = Some(format!(" runs {} already: nothing to do", version.image));
            }
            let kind = ActionKind::Deploy {
                version,
                former,
                back: false,
            };
            (kind, before)
        }
        Change::Rollback { exactly, .. } => {
            let mut versions = platform.versions(service).await?.into_iter();
            let former = versions.next();
            let Some(version) = versions.next() else {
                return Err(Refusal::new(
                    Line::new().code(name).text(
                        " has no former version that its platform knows of. Nothing was done",
                    ),
                )
                .detail(format!(
                    "Mend: deploy the version you want: deploy {name} IMAGE. What is deployed \
                         with `deploy` can be rolled back"
                ))
                .into());
            };
            if exactly.as_ref().is_some_and(|id| *id != version.id) {
                return Err(Refusal::new(Line::new().text("Somebody has deployed ").code(name).text(
                        " since you were asked: it would go back to another version. Nothing was done",
                    ))
                    .suggest("Ask again", format!("rollback {name}"))
                    .into());
            }
            let kind = ActionKind::Deploy {
                version,
                former,
                back: true,
            };
            (kind, platform.status(service).await?)
        }
        Change::Isolate { .. } => {
            let before = platform.status(service).await?;
            let attachments = platform.attachments(service).await?;
            if attachments.is_empty() {
                nothing = Some(" is cut off from everything already: nothing to do".to_owned());
            }
            (ActionKind::Isolate { attachments }, before)
        }
        Change::Release { .. } => {
            let before = platform.status(service).await?;
            let attachments = context.store().attachments_cut(name).await?;
            if attachments.is_empty() {
                nothing = Some(" is not cut off by this bot: nothing to do".to_owned());
            }
            (ActionKind::Release { attachments }, before)
        }
    };
    Ok(Plan {
        kind,
        before,
        nothing,
    })
}

/// `restart`, `scale`, `deploy` and so on: checks, asks, or records the intent.
pub(in crate::bot) async fn act_on_service(
    context: &Context,
    ask: &Ask,
    change: Change,
    confirmed: Option<QuestionRow>,
) -> Result<Effect, Fault> {
    let (service, platform) = context
        .catalogue()
        .find(change.service(), |near| change.sentence(near))?;
    let plan = plan(context, service, platform.as_ref(), &change).await?;
    if let Some(row) = context.store().action_on(&service.name).await? {
        return Err(busy(&row, context.store().now()).into());
    }
    if let (Some(nothing), None) = (&plan.nothing, &confirmed) {
        return Ok(Effect::Say(Answer::to_all(Message::new(
            Tone::Good,
            Line::new().code(&service.name).text(nothing),
        ))));
    }
    if crate::bot::confirm::must_ask(context, change.guarded()) && confirmed.is_none() {
        let mut sentence = change.sentence(change.service());
        sentence.push_str(&plan.exactly());
        if let Some(reason) = change.reason() {
            sentence.push_str(&format!(" --reason {}", quote(reason)));
        }
        let (about, label) = question(ask, service, &plan, change.reason());
        return Ok(crate::bot::confirm::question(
            context, ask, sentence, &label, about,
        ));
    }
    let intent = Intent {
        service: &service.name,
        before: plan.marks(),
        before_text: state_text(&plan.before),
        kind: plan.kind,
        reason: change.reason().map(str::to_owned),
    };
    crate::bot::actions::intend(context, ask, intent, confirmed).await
}
