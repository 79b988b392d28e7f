//! `incident severity`.

use clap::Args;
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::of_run::of_run;
use crate::bot::incidents::set_severity;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Command, Record, Recorded};
use crate::bot::{Context, Fault};
use crate::domain::{self, IncidentId, Role};

/// Change how bad it is
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "How bad.")]
pub struct Severity {
    /// SEV1 (worst) to SEV4
    #[arg(value_parser = severity)]
    #[serde(deserialize_with = "severity_word")]
    #[schemars(
        with = "String",
        description = "SEV1 (worst) to SEV4.",
        extend("enum" = ["SEV1", "SEV2", "SEV3", "SEV4"])
    )]
    severity: domain::Severity,
    /// The incident, when it isn't the one of this channel
    #[arg(long, value_name = "ID")]
    #[serde(default)]
    #[schemars(
        description = "The incident; that of the run, or the only open one, when left out."
    )]
    incident: Option<String>,
}

impl Command for Severity {
    const WORDS: &'static str = "incident severity";
    const ROLE: Role = Role::Responder;

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        set_severity(context, ask, self.incident.as_deref(), self.severity).await
    }
}

impl Record for Severity {
    const STEP: &'static str = "incident.severity";
    const SUMMARY: &'static str = "Changes how bad an incident is";

    async fn record(
        mut self,
        context: &Context,
        ask: &Ask,
        own: Option<IncidentId>,
    ) -> Result<Recorded, Fault> {
        let incident = of_run(context, ask, self.incident, own).await?;
        if incident.severity == self.severity {
            return Ok(Recorded::so_already(incident.id));
        }
        self.incident = Some(incident.id.to_string());
        let effect = self.carry_out(context, ask).await?;
        Ok(Recorded::about(incident.id, effect))
    }
}

pub(super) fn severity(text: &str) -> Result<domain::Severity, String> {
    domain::Severity::parse(text).ok_or_else(|| "write SEV1, SEV2, SEV3 or SEV4".to_owned())
}

/// The severity that a step names.
pub(super) fn severity_word<'de, D: Deserializer<'de>>(
    step: D,
) -> Result<domain::Severity, D::Error> {
    let given = String::deserialize(step)?;
    domain::Severity::parse(&given).ok_or_else(|| {
        D::Error::custom(format!(
            "`{given}` is no severity: SEV1, SEV2, SEV3 or SEV4"
        ))
    })
}
