//! What the table of all commands offers: the grammar of the chat and the vocabulary of runbooks.
//!
//! The table itself is `commands/mod.rs`, above all rooms; a room that needs the words of a sentence
//! or the name of a step asks [`Context::commands`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use clap::ArgMatches;
use serde::Serialize;
use serde_json::Value;

use super::context::Context;
use super::entry::{Called, Entry, Recorded, Step, Typed, Work};
use super::refusal::{Fault, Refusal};
use super::request::{Ask, Effect};
use crate::command::{self, Grammar, Mistake, Parsed};
use crate::domain::{IncidentId, Line};
use crate::runbook::types::Type;
use crate::runbook::vocabulary::Callable;

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
    pub(in crate::bot) grammars: Grammars,
}

/// The parsers that were asked for so far, by the slash command's own name.
pub(in crate::bot) type Grammars = Mutex<BTreeMap<String, Arc<Grammar>>>;

/// What a sentence comes to.
pub(in crate::bot) type Understood = Result<Parsed<Sentence>, Mistake>;

/// The command that a sentence is, as it is counted and logged.
#[derive(Clone, Copy)]
pub(in crate::bot) struct Meant {
    /// Its words; `help`, or `unknown` where it is none.
    pub(in crate::bot) words: &'static str,
    pub(in crate::bot) changes: bool,
}

impl Meant {
    pub(in crate::bot) fn by(understood: &Understood) -> Self {
        let (words, changes) = match understood {
            Ok(Parsed::Command(sentence)) => (sentence.command.words, sentence.command.changes),
            Ok(Parsed::Help(_)) => ("help", false),
            Err(_) => ("unknown", false),
        };
        Self { words, changes }
    }
}

impl Commands {
    /// The command that a sentence asks for. `name` is the slash command's own.
    pub(in crate::bot) fn parse(&self, text: &str, name: &str) -> Understood {
        let text = without_own_name(text.trim(), name);
        let text = if text.is_empty() { "menu" } else { text };
        let free = |words: &str| {
            let mut typed = self.typed();
            typed.any(|one| one.words == words && one.free_text)
        };
        let (path, matches) = match self.grammar(name).parse(text, free)? {
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

    /// What is wrong with a sentence, if it is not one of this chat.
    pub fn misunderstood(&self, text: &str, name: &str) -> Option<Mistake> {
        self.parse(text, name).err()
    }

    /// The commands with their usage and purpose, as `help` and the README show them.
    pub fn reference(&self, name: &str) -> Vec<(String, String)> {
        self.grammar(name).reference().to_vec()
    }

    /// Help on one command (`restart`, `incident declare`), or `None` if there is no such.
    pub(in crate::bot) fn help(&self, topic: &[String], name: &str) -> Option<String> {
        self.grammar(name).help(topic)
    }

    /// The parser, which is built when it is first asked for.
    fn grammar(&self, name: &str) -> Arc<Grammar> {
        let mut all = self.grammars.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(name) {
            return known.clone();
        }
        let built = Arc::new(Grammar::new(self.all(name)));
        all.insert(name.to_owned(), built.clone());
        built
    }

    fn all(&self, name: &str) -> clap::Command {
        let mut grammar = command::grammar(name);
        let mut groups: BTreeMap<&str, clap::Command> = BTreeMap::new();
        let mut order = Vec::new();
        for typed in self.typed() {
            let (group, word) = match typed.words.split_once(' ') {
                Some((group, word)) => (Some(group), word),
                None => (None, typed.words),
            };
            let command = (typed.arguments)(clap::Command::new(word))
                .mut_args(in_any_case)
                .hide(typed.hidden);
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
        let mut specs: Vec<Spec> = self.steps().map(spec).collect();
        specs.sort_by_key(|spec| spec.name);
        specs
    }

    /// The same, as the language of runbooks needs it.
    pub fn callables(&self) -> BTreeMap<String, Callable> {
        let callable = |step: &Step| {
            let callable = Callable {
                summary: step.summary.to_owned(),
                changes: step.changes(),
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

/// A sentence without the slash command's own name, which people say before it all the same.
fn without_own_name<'t>(text: &'t str, name: &str) -> &'t str {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let is_own = first.eq_ignore_ascii_case(name.trim_start_matches('/'));
    if is_own || first.starts_with('/') && first.len() > 1 {
        rest.trim_start()
    } else {
        text
    }
}

/// A choice is the same in capitals.
fn in_any_case(argument: clap::Arg) -> clap::Arg {
    let has_choices =
        argument.get_action().takes_values() && !argument.get_possible_values().is_empty();
    argument.ignore_case(has_choices)
}

fn spec(step: &Step) -> Spec {
    Spec {
        name: step.name,
        summary: step.summary,
        changes: step.changes(),
        params: (step.params)(),
        result: (step.result)(),
    }
}

/// Asks a probe and returns its result; for who sits at the machine.
pub async fn ask_probe(context: &Context, name: &str, params: Value) -> Result<Value, Fault> {
    let called = context.commands().call(context, name, params).await?;
    Ok(called.value)
}
