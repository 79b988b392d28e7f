//! What a command is: a struct that clap reads from a sentence and serde from a step's parameters.
//!
//! Its words, the role it needs, and how it is carried out stand beside it, in its file under
//! `commands/`.

use clap::{ArgMatches, Args};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::context::Context;
use super::refusal::{Failure, Fault, Refusal};
use super::request::{Answer, Ask, Effect};
use crate::domain::{Guarded, IncidentId, Line, Message, Role};

/// What can be typed. The doc comment of the struct is its help.
pub(in crate::bot) trait Command: Args + Send + 'static {
    /// How it is typed: `logs`, `db summary`.
    const WORDS: &'static str;
    /// Who may.
    const ROLE: Role = Role::Viewer;
    /// It changes something: its order within a place matters.
    const CHANGES: bool = Self::ROLE as u8 > Role::Viewer as u8;
    /// The policy may want a question first, or a second person.
    const GUARDED: Option<Guarded> = None;
    /// It ends in a text.
    const FREE_TEXT: bool = false;
    /// Only buttons say it: no help tells of it.
    const HIDDEN: bool = false;

    /// Does what needs no transaction. The permission was asked before.
    fn carry_out(
        self,
        context: &Context,
        ask: &Ask,
    ) -> impl Future<Output = Result<Effect, Fault>> + Send;
}

/// What a runbook's step can ask. It changes nothing.
pub(in crate::bot) trait Probe:
    DeserializeOwned + JsonSchema + Send + 'static
{
    /// The step's name, such as `db.summary`.
    const STEP: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// What it finds is people's data: it is for responders, and whoever types it is answered alone.
    const PRIVATE: bool = false;
    /// Who may ask.
    const NEEDS: Role = if Self::PRIVATE {
        Role::Responder
    } else {
        Role::Viewer
    };
    /// What it finds, for a machine.
    type Found: Serialize + JsonSchema;

    /// Asks: the answer for a machine and the same as it is said in chat.
    fn look(
        self,
        context: &Context,
    ) -> impl Future<Output = Result<(Self::Found, Message), Fault>> + Send;
}

/// A probe that can be typed as well.
pub(in crate::bot) trait Question: Probe + Args {
    /// How it is typed.
    const WORDS: &'static str;
}

impl<Q: Question> Command for Q {
    const WORDS: &'static str = Q::WORDS;
    const ROLE: Role = Q::NEEDS;
    const CHANGES: bool = false;

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        let (_, message) = self.look(context).await?;
        Ok(Effect::Say(if Q::PRIVATE {
            Answer::to_asker(message)
        } else {
            Answer::to_all(message)
        }))
    }
}

/// What a runbook's step can change. The struct is the step's parameters; it is recorded, driven
/// and judged as an action.
pub(in crate::bot) trait Action: JsonSchema {
    /// The step's name, such as `service.restart`.
    const STEP: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;
    /// What it comes to, for a machine.
    type Outcome: JsonSchema;
}

/// What a runbook's step can write into the bot's own records, in one transaction with the step.
pub(in crate::bot) trait Record:
    DeserializeOwned + JsonSchema + Send + 'static
{
    /// The step's name, such as `incident.note`.
    const STEP: &'static str;
    /// What it does, in one line.
    const SUMMARY: &'static str;

    /// What is to be written. `own`: the incident of the run.
    fn record(
        self,
        context: &Context,
        ask: &Ask,
        own: Option<IncidentId>,
    ) -> impl Future<Output = Result<Recorded, Fault>> + Send;
}

/// What a step is about to write.
pub(in crate::bot) struct Recorded {
    /// `None`: it is so already.
    pub(in crate::bot) effect: Option<Effect>,
    /// The incident concerned; `None` for one that is yet to be declared.
    pub(in crate::bot) incident: Option<IncidentId>,
}

/// Which incident it was.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::bot) struct Written {
    /// Its id, such as `INC-12`.
    pub(in crate::bot) incident: String,
    /// It was not so before.
    pub(in crate::bot) changed: bool,
}

type Run = for<'a> fn(&'a Context, &'a Ask, &ArgMatches) -> BoxFuture<'a, Result<Effect, Fault>>;
type Write = for<'a> fn(
    &'a Context,
    &'a Ask,
    Option<IncidentId>,
    Value,
) -> BoxFuture<'a, Result<Recorded, Fault>>;
type Look = for<'a> fn(&'a Context, Value) -> BoxFuture<'a, Result<Called, Fault>>;

/// One command, as the table holds it: what is typed, what a runbook calls, or both.
pub(in crate::bot) struct Entry {
    pub(in crate::bot) typed: Option<Typed>,
    pub(in crate::bot) step: Option<Step>,
}

/// What is typed.
pub(in crate::bot) struct Typed {
    pub(in crate::bot) words: &'static str,
    pub(in crate::bot) role: Role,
    pub(in crate::bot) changes: bool,
    pub(in crate::bot) guarded: Option<Guarded>,
    pub(in crate::bot) free_text: bool,
    pub(in crate::bot) hidden: bool,
    pub(in crate::bot) arguments: fn(clap::Command) -> clap::Command,
    pub(in crate::bot) run: Run,
}

/// What a runbook calls.
pub(in crate::bot) struct Step {
    pub(in crate::bot) name: &'static str,
    pub(in crate::bot) summary: &'static str,
    pub(in crate::bot) role: Role,
    pub(in crate::bot) work: Work,
    pub(in crate::bot) params: fn() -> Value,
    pub(in crate::bot) result: fn() -> Value,
}

impl Step {
    /// It changes something.
    pub(in crate::bot) fn changes(&self) -> bool {
        !matches!(self.work, Work::Look(_))
    }
}

/// How a step is carried out.
#[derive(Clone, Copy)]
pub(in crate::bot) enum Work {
    Look(Look),
    Record(Write),
    /// As an action: `actions/` plans it, and the engine of runbooks begins it.
    Act,
}

impl Entry {
    /// What is only typed.
    pub(in crate::bot) const fn command<C: Command>() -> Self {
        Self {
            typed: Some(Typed {
                words: C::WORDS,
                role: C::ROLE,
                changes: C::CHANGES,
                guarded: C::GUARDED,
                free_text: C::FREE_TEXT,
                hidden: C::HIDDEN,
                arguments: C::augment_args,
                run: run::<C>,
            }),
            step: None,
        }
    }

    /// What only runbooks ask.
    pub(in crate::bot) const fn probe<P: Probe>() -> Self {
        Self {
            typed: None,
            step: Some(Step {
                name: P::STEP,
                summary: P::SUMMARY,
                role: P::NEEDS,
                work: Work::Look(look::<P>),
                params: schema::<P>,
                result: schema::<P::Found>,
            }),
        }
    }

    /// What people and runbooks ask.
    pub(in crate::bot) const fn question<Q: Command + Probe>() -> Self {
        Self {
            step: Self::probe::<Q>().step,
            ..Self::command::<Q>()
        }
    }

    /// What only runbooks write, into the bot's own records.
    pub(in crate::bot) const fn record<R: Record>() -> Self {
        Self {
            typed: None,
            step: Some(Step {
                name: R::STEP,
                summary: R::SUMMARY,
                role: Role::Responder,
                work: Work::Record(record::<R>),
                params: schema::<R>,
                result: schema::<Written>,
            }),
        }
    }

    /// What people and runbooks write there.
    pub(in crate::bot) const fn note<R: Command + Record>() -> Self {
        Self {
            step: Self::record::<R>().step,
            ..Self::command::<R>()
        }
    }

    /// What people and runbooks change, by the same policy.
    pub(in crate::bot) const fn action<C: Command + Action>() -> Self {
        Self {
            step: Some(Step {
                name: C::STEP,
                summary: C::SUMMARY,
                role: C::ROLE,
                work: Work::Act,
                params: schema::<C>,
                result: schema::<C::Outcome>,
            }),
            ..Self::command::<C>()
        }
    }
}

fn run<'a, C: Command>(
    context: &'a Context,
    ask: &'a Ask,
    matches: &ArgMatches,
) -> BoxFuture<'a, Result<Effect, Fault>> {
    match C::from_arg_matches(matches) {
        Ok(command) => command.carry_out(context, ask).boxed(),
        Err(error) => ready(Err(Failure::new(error).into())).boxed(),
    }
}

fn look<P: Probe>(context: &Context, params: Value) -> BoxFuture<'_, Result<Called, Fault>> {
    async move {
        let (found, message) = read::<P>(P::STEP, params)?.look(context).await?;
        let value = serde_json::to_value(found).map_err(Failure::new)?;
        Ok(Called { value, message })
    }
    .boxed()
}

fn record<'a, R: Record>(
    context: &'a Context,
    ask: &'a Ask,
    own: Option<IncidentId>,
    params: Value,
) -> BoxFuture<'a, Result<Recorded, Fault>> {
    async move { read::<R>(R::STEP, params)?.record(context, ask, own).await }.boxed()
}

/// A step's parameters. What is null counts as left out.
fn read<T: DeserializeOwned>(step: &str, mut params: Value) -> Result<T, Refusal> {
    if let Value::Object(params) = &mut params {
        params.retain(|_, value| !value.is_null());
    }
    serde_json::from_value(params)
        .map_err(|error| Refusal::new(Line::new().code(step).text(format!(": {error}"))))
}

/// The schema of a type, without references: a reader needs no second look.
fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().into()
}

/// What a probe found: for a machine and for people.
pub(in crate::bot) struct Called {
    /// The result, as the schema tells.
    pub(in crate::bot) value: Value,
    /// The same as it is said in chat.
    pub(in crate::bot) message: Message,
}
