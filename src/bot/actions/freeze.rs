//! What a freeze refuses, and who may break it.

use crate::bot::policy::who_may;
use crate::bot::request::Ask;
use crate::bot::{Context, Fault, Refusal};
use crate::domain::period::{Period, PeriodKind};
use crate::domain::{Line, Role};

/// Who may deploy though a freeze is on.
const MAY_BREAK: Role = Role::Commander;

/// The freeze that is on for a service, if any.
async fn freeze_of(context: &Context, service: &str) -> Result<Option<Period>, Fault> {
    let now = context.now();
    let service = service.to_lowercase();
    let open = context.store().periods_open(PeriodKind::Freeze).await?;
    Ok(open.into_iter().find(|one| {
        let own = one.service.as_ref();
        one.is_on(now) && own.is_none_or(|own| own.as_str() == service)
    }))
}

/// A runbook's step deploys: no freeze may be on.
pub(super) async fn refuse_step(context: &Context, service: &str) -> Result<(), Fault> {
    match freeze_of(context, service).await? {
        None => Ok(()),
        Some(freeze) => Err(refusal(&freeze).into()),
    }
}

/// Somebody deploys by this sentence: no freeze may be on, unless they may break it, and say why.
pub(in crate::bot) async fn refuse_deploy(
    context: &Context,
    ask: &Ask,
    service: &str,
    sentence: &str,
    (breaks, reason): (bool, Option<&str>),
) -> Result<(), Fault> {
    let Some(freeze) = freeze_of(context, service).await? else {
        return Ok(());
    };
    if breaks && ask.role >= MAY_BREAK && reason.is_some_and(|why| !why.trim().is_empty()) {
        return Ok(());
    }
    let may = who_may(context, MAY_BREAK, None).await?;
    let typed = context.typed(sentence);
    Err(refusal(&freeze)
        .detail(format!(
            "Fix: have {may} type {typed} --break-freeze --reason WHY\nRestarts, scaling and \
             rollbacks are possible"
        ))
        .into())
}

fn refusal(freeze: &Period) -> Refusal {
    let line = Line::new().text("Freeze of ").code(freeze.scope());
    let line = line.text(" until ").time(freeze.ends_at).text(", by ");
    let line = line.person(&freeze.by).text(format!(": {}", freeze.reason));
    Refusal::new(line.text(". Nothing was done"))
}
