//! The actions that a runbook's step can ask for, by the step's name.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::{self, KillClient};
use super::deploy::{self, Deploy, Rollback};
use super::isolate::{self, Isolate, Release};
use super::kind::{Rules, Words};
use super::restart::{self, Restart};
use super::scale::{self, Scale};
use super::session::{self, EndSession};
use crate::domain::service::End;

type Read = fn(Value) -> Result<Box<dyn Words>, serde_json::Error>;

/// An action as a runbook's step asks for it.
pub(in crate::bot) struct ActionStep {
    name: &'static str,
    /// Whoever may have it done by a command, may by a step.
    pub(in crate::bot) rules: Rules,
    /// Its words from the step's parameters.
    pub(in crate::bot) read: Read,
}

const fn step<W: Words + DeserializeOwned + 'static>(
    name: &'static str,
    rules: Rules,
) -> ActionStep {
    let read = |params| Ok(Box::new(serde_json::from_value::<W>(params)?) as Box<dyn Words>);
    ActionStep { name, rules, read }
}

fn session(params: Value, how: End) -> Result<Box<dyn Words>, serde_json::Error> {
    let words: EndSession = serde_json::from_value(params)?;
    Ok(Box::new(EndSession { how, ..words }))
}

static STEPS: [ActionStep; 9] = [
    step::<Restart>("service.restart", restart::RULES),
    step::<Scale>("service.scale", scale::RULES),
    step::<Deploy>("service.deploy", deploy::DEPLOY),
    step::<Rollback>("service.rollback", deploy::ROLLBACK),
    step::<Isolate>("service.isolate", isolate::ISOLATE),
    step::<Release>("service.release", isolate::RELEASE),
    ActionStep {
        name: "db.cancel",
        rules: session::CANCEL,
        read: |params| session(params, End::Cancel),
    },
    ActionStep {
        name: "db.terminate",
        rules: session::TERMINATE,
        read: |params| session(params, End::Terminate),
    },
    step::<KillClient>("cache.kill", client::RULES),
];

/// The action that a step of this name asks for; `None` for what only looks or writes into the bot's
/// own records.
pub(in crate::bot) fn action_step(name: &str) -> Option<&'static ActionStep> {
    STEPS.iter().find(|step| step.name == name)
}
