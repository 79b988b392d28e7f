//! What a command is, and what the table of all of them offers.
//!
//! A command is a struct that clap reads from a sentence and serde from a step's parameters. Its
//! words, the role it needs, and how it is carried out stand beside it, in its file under
//! `commands/`. The table itself is `commands/mod.rs`, above all rooms; a room that needs the words
//! of a sentence or the name of a step asks [`Context::commands`].

use std::collections::BTreeMap;

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
use crate::command::{self, Mistake, Parsed};
use crate::domain::{Guarded, IncidentId, Line, Message, Role};
use crate::runbook::types::Type;
use crate::runbook::vocabulary::Callable;

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
    /// What follows its word is taken as typed.
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

    async fn carry_out(self, context: &Context, _: &Ask) -> Result<Effect, Fault> {
        let (_, message) = self.look(context).await?;
        Ok(Effect::Say(Answer::to_all(message)))
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
    typed: Option<Typed>,
    step: Option<Step>,
}

/// What is typed.
pub(in crate::bot) struct Typed {
    pub(in crate::bot) words: &'static str,
    pub(in crate::bot) role: Role,
    pub(in crate::bot) changes: bool,
    pub(in crate::bot) guarded: Option<Guarded>,
    free_text: bool,
    pub(in crate::bot) hidden: bool,
    arguments: fn(clap::Command) -> clap::Command,
    run: Run,
}

/// What a runbook calls.
struct Step {
    name: &'static str,
    summary: &'static str,
    role: Role,
    work: Work,
    params: fn() -> Value,
    result: fn() -> Value,
}

/// How a step is carried out.
#[derive(Clone, Copy)]
enum Work {
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
                role: Role::Viewer,
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
    pub(in crate::bot) const fn entry<R: Command + Record>() -> Self {
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

/// A word under which several commands stand.
pub(in crate::bot) struct Group {
    /// The word, such as `db`.
    pub(in crate::bot) word: &'static str,
    /// What stands there, in one line.
    pub(in crate::bot) about: &'static str,
    /// The command that the word means alone; it takes that one's options before other commands too.
    pub(in crate::bot) alone: Option<&'static str>,
}

/// What a step of a runbook is called, takes and gives.
#[derive(Debug, Clone, Serialize)]
pub struct Spec {
    /// Its name, such as `db.summary`.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// It changes something: it is recorded before it is done, and needs a responder.
    pub changes: bool,
    /// JSON Schema of its parameters. `format` is `service` where a service is named.
    pub params: Value,
    /// JSON Schema of its result.
    pub result: Value,
}

/// A sentence that is a command.
pub(in crate::bot) struct Sentence {
    /// What is typed.
    pub(in crate::bot) command: &'static Typed,
    pub(in crate::bot) matches: ArgMatches,
}

impl Sentence {
    /// Carries it out. Permission is the caller's to ask.
    pub(in crate::bot) async fn carry_out(
        &self,
        context: &Context,
        ask: &Ask,
    ) -> Result<Effect, Fault> {
        (self.command.run)(context, ask, &self.matches).await
    }
}

/// All commands: the grammar of the chat and the vocabulary of runbooks.
pub struct Commands {
    pub(in crate::bot) entries: &'static [Entry],
    pub(in crate::bot) groups: &'static [Group],
}

impl Commands {
    /// The command that a sentence asks for. `name` is the slash command's own.
    pub(in crate::bot) fn parse(
        &self,
        text: &str,
        name: &str,
    ) -> Result<Parsed<Sentence>, Mistake> {
        let text = if text.trim().is_empty() { "menu" } else { text };
        let free: Vec<&str> = self
            .typed()
            .filter_map(|one| one.free_text.then_some(one.words))
            .collect();
        let grammar = self.grammar(name);
        let (path, matches) = match command::parse(text, &grammar, &free)? {
            Parsed::Command(found) => found,
            Parsed::Help(text) => return Ok(Parsed::Help(text)),
        };
        let words = path.join(" ");
        let group = self.groups.iter().find(|group| group.word == words);
        let words = group.and_then(|group| group.alone).unwrap_or(&words);
        match self.typed().find(|one| one.words == words) {
            Some(command) => Ok(Parsed::Command(Sentence { command, matches })),
            None => Err(Mistake {
                text: format!("there is no command `{words}`"),
                suggestions: Vec::new(),
            }),
        }
    }

    /// The commands with their usage and purpose, as `help` and the README show them.
    pub fn reference(&self, name: &str) -> Vec<(String, String)> {
        command::reference(self.grammar(name))
    }

    /// Help on one command (`restart`, `incident declare`), or `None` if there is no such.
    pub(in crate::bot) fn help(&self, topic: &[String], name: &str) -> Option<String> {
        command::help(topic, self.grammar(name))
    }

    /// The parser.
    fn grammar(&self, name: &str) -> clap::Command {
        let mut grammar = command::grammar(name);
        let mut groups: BTreeMap<&str, clap::Command> = BTreeMap::new();
        let mut order = Vec::new();
        for typed in self.typed() {
            let (group, word) = match typed.words.split_once(' ') {
                Some((group, word)) => (Some(group), word),
                None => (None, typed.words),
            };
            let command = (typed.arguments)(clap::Command::new(word)).hide(typed.hidden);
            match group {
                None => order.push(Ok(command)),
                Some(group) => {
                    let all = groups.remove(group).unwrap_or_else(|| {
                        order.push(Err(group));
                        self.group(group)
                    });
                    groups.insert(group, all.subcommand(command));
                }
            }
        }
        for one in order {
            let command = one.or_else(|group| groups.remove(group).ok_or(group));
            grammar = grammar.subcommands(command.ok());
        }
        grammar
    }

    /// A group's own word, without the commands that stand there.
    fn group(&self, word: &'static str) -> clap::Command {
        let command = clap::Command::new(word);
        let Some(group) = self.groups.iter().find(|group| group.word == word) else {
            return command;
        };
        let alone = self.typed().find(|one| Some(one.words) == group.alone);
        match alone {
            Some(alone) => (alone.arguments)(command).mut_args(|argument| argument.global(true)),
            None => command
                .subcommand_required(true)
                .arg_required_else_help(true),
        }
        .about(group.about)
    }

    /// What can be typed, in the order of the table.
    pub(in crate::bot) fn typed(&self) -> impl Iterator<Item = &'static Typed> + use<> {
        self.entries.iter().filter_map(|entry| entry.typed.as_ref())
    }

    fn steps(&self) -> impl Iterator<Item = &'static Step> + use<> {
        self.entries.iter().filter_map(|entry| entry.step.as_ref())
    }

    /// What runbooks can call, by name.
    pub fn specs(&self) -> Vec<Spec> {
        let mut specs: Vec<Spec> = self.steps().map(Step::spec).collect();
        specs.sort_by_key(|spec| spec.name);
        specs
    }

    /// The same, as the language of runbooks needs it.
    pub fn callables(&self) -> BTreeMap<String, Callable> {
        let callable = |step: &Step| {
            let callable = Callable {
                summary: step.summary.to_owned(),
                changes: !matches!(step.work, Work::Look(_)),
                needs: step.role,
                params: (step.params)(),
                result: Type::of_schema(&(step.result)()),
            };
            (step.name.to_owned(), callable)
        };
        self.steps().map(callable).collect()
    }

    /// Asks a probe.
    pub(in crate::bot) async fn call(
        &self,
        context: &Context,
        name: &str,
        params: Value,
    ) -> Result<Called, Fault> {
        match self.steps().find(|one| one.name == name) {
            Some(Step {
                work: Work::Look(look),
                ..
            }) => look(context, params).await,
            _ => Err(Refusal::new(Line::new().text("There is no probe ").code(name)).into()),
        }
    }

    /// What a step writes into the bot's own records. `own`: the incident of the run.
    pub(in crate::bot) async fn record(
        &self,
        context: &Context,
        ask: &Ask,
        own: Option<IncidentId>,
        name: &str,
        params: Value,
    ) -> Result<Recorded, Fault> {
        match self.steps().find(|one| one.name == name) {
            Some(Step {
                work: Work::Record(record),
                ..
            }) => record(context, ask, own, params).await,
            _ => Err(Refusal::new(format!("`{name}` can't be done by a runbook")).into()),
        }
    }

    /// A step of this name writes into the bot's own records.
    pub(in crate::bot) fn records(&self, name: &str) -> bool {
        let step = self.steps().find(|one| one.name == name);
        step.is_some_and(|step| matches!(step.work, Work::Record(_)))
    }
}

impl Step {
    fn spec(&self) -> Spec {
        Spec {
            name: self.name,
            summary: self.summary,
            changes: !matches!(self.work, Work::Look(_)),
            params: (self.params)(),
            result: (self.result)(),
        }
    }
}

/// Asks a probe and returns its result; for who sits at the machine.
pub async fn ask_probe(context: &Context, name: &str, params: Value) -> Result<Value, Fault> {
    let called = context.commands().call(context, name, params).await?;
    Ok(called.value)
}
