//! The chat grammar: sentences to words and matches, help, suggestions. Pure.
//!
//! One grammar for Slack and for `treasury-bot exec`. It is a clap parser that the table of commands
//! builds (`src/bot/table.rs`), so that every mistake gets clap's message and suggestion.

mod free;
mod mistake;
pub mod words;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use clap::error::ErrorKind;
use clap::{ArgMatches, ColorChoice};

pub use mistake::Mistake;

/// What a sentence asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed<C> {
    /// A command.
    Command(C),
    /// Help on a command, by `COMMAND --help`.
    Help(String),
}

/// A grammar without commands. `name` is the slash command's own name, such as `/treasury`.
pub fn grammar(name: &str) -> clap::Command {
    clap::Command::new("treasury-bot")
        .bin_name(name.to_owned())
        .no_binary_name(true)
        .disable_help_subcommand(true)
        .disable_colored_help(true)
        .color(ColorChoice::Never)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .term_width(80)
}

/// A grammar that is built once, which costs far more than to read a sentence by it.
pub struct Grammar {
    /// Reading marks what it comes by, each time alike; so it needs this for itself.
    built: Mutex<clap::Command>,
    reference: OnceLock<Vec<(String, String)>>,
}

impl Grammar {
    /// The grammar of these commands.
    pub fn new(mut commands: clap::Command) -> Self {
        commands.build();
        Self {
            built: Mutex::new(commands),
            reference: OnceLock::new(),
        }
    }

    fn built(&self) -> MutexGuard<'_, clap::Command> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parses a sentence without the slash command's own name: the command's words, in whatever case,
    /// and what follows them. `free` says which commands end in free text.
    pub fn parse(
        &self,
        text: &str,
        free: impl Fn(&str) -> bool,
    ) -> Result<Parsed<(Vec<String>, ArgMatches)>, Mistake> {
        let mut grammar = self.built();
        let mut found = understood(text.trim(), &mut grammar, &free);
        if let Err(mistake) = &mut found {
            // What is suggested is pressed: it has to be understood.
            let mut good = |sentence: &String| understood(sentence, &mut grammar, &free).is_ok();
            mistake.suggestions.retain(&mut good);
        }
        found
    }

    /// The commands with their usage and purpose, as `help` and the README show them.
    pub fn reference(&self) -> &[(String, String)] {
        self.reference.get_or_init(|| reference(&self.built()))
    }

    /// Help on one command (`restart`, `incident declare`), or `None` if there is no such.
    pub fn help(&self, topic: &[String]) -> Option<String> {
        let grammar = self.built();
        let mut command = &*grammar;
        for word in topic {
            command = command.find_subcommand(word)?;
        }
        if command.is_hide_set() {
            return None;
        }
        let help = command.clone().render_long_help();
        Some(help.to_string().trim().to_owned())
    }
}

fn understood(
    text: &str,
    grammar: &mut clap::Command,
    free: &impl Fn(&str) -> bool,
) -> Result<Parsed<(Vec<String>, ArgMatches)>, Mistake> {
    let mut typed = words::located(text);
    let (skip, leaf) = named(&mut typed, grammar);
    let path: Vec<&str> = typed[..skip]
        .iter()
        .map(|word| word.text.as_str())
        .collect();
    let path = path.join(" ");
    let words = if free(&path) {
        free::words_of(text, &typed, skip, leaf)?
    } else {
        typed.iter().map(|word| word.text.clone()).collect()
    };
    match grammar.try_get_matches_from_mut(&words) {
        Ok(mut matches) => {
            let mut path = Vec::new();
            while let Some((word, inner)) = matches.remove_subcommand() {
                path.push(word);
                matches = inner;
            }
            Ok(Parsed::Command((path, matches)))
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            Ok(Parsed::Help(error.render().to_string().trim().to_owned()))
        }
        Err(error) => {
            let (_, leaf) = named(&mut typed, grammar);
            Err(mistake::mistake(&error, &words, &typed, (&path, leaf)))
        }
    }
}

/// The command that the first words name, which are put into its own case, and how many they are.
fn named<'a>(words: &mut [words::Word], grammar: &'a clap::Command) -> (usize, &'a clap::Command) {
    let mut leaf = grammar;
    for (count, word) in words.iter_mut().enumerate() {
        let Some(inner) = leaf.find_subcommand(word.text.to_lowercase()) else {
            return (count, leaf);
        };
        inner.get_name().clone_into(&mut word.text);
        leaf = inner;
    }
    (words.len(), leaf)
}

fn reference(grammar: &clap::Command) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let shown = |command: &&clap::Command| !command.is_hide_set();
    for command in grammar.get_subcommands().filter(shown) {
        let children: Vec<_> = command.get_subcommands().filter(shown).collect();
        if children.is_empty() {
            rows.push(row(command));
        }
        rows.extend(children.into_iter().map(row));
    }
    rows
}

fn row(command: &clap::Command) -> (String, String) {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    // The command's own name is configurable, so the reference goes without it.
    let usage = usage.split_once(' ').map_or(usage, |(_, rest)| rest);
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    (usage.to_owned(), about)
}

/// The name nearest to `wrong`, if any is near enough to be meant.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested() {
        assert_eq!(nearest("frontnd", ["frontend", "api"]), Some("frontend"));
        assert_eq!(nearest("zzz", ["frontend", "api"]), None);
    }
}
