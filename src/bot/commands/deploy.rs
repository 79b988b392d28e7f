//! `deploy`.

use crate::bot::actions::deploy::Deployed;
use crate::bot::actions::deploy::{DEPLOY, Deploy};
use crate::bot::actions::{propose, refuse_deploy};
use crate::bot::entry::{Action, Command};
use crate::bot::request::{Ask, Effect};
use crate::bot::{Context, Fault};
use crate::domain::{Guarded, Role};

impl Command for Deploy {
    const WORDS: &'static str = DEPLOY.verb;
    const ROLE: Role = DEPLOY.needs;
    const GUARDED: Option<Guarded> = Some(DEPLOY.guarded);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let given = (self.break_freeze, self.reason.as_deref());
        refuse_deploy(context, ask, &self.service, &self.typed(), given).await?;
        propose(context, ask, &self, ask.confirmed.clone()).await
    }
}

impl Action for Deploy {
    const STEP: &'static str = "service.deploy";
    const SUMMARY: &'static str = "Brings a service to another image, one replica after another";
    type Outcome = Deployed;
}
