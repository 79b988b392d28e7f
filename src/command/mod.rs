//! The chat grammar: sentences to words and matches, help, suggestions. Pure.
//!
//! One grammar for Slack and for `treasury-bot exec`. It is a clap parser that the table of commands
//! builds (`src/bot/table.rs`), so that every mistake gets clap's message and suggestion.

pub mod words;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, ColorChoice};

/// Why a sentence is no command. All of it is told to the asker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong and what is expected, in a few lines.
    pub text: String,
    /// What was perhaps meant: whole sentences.
    pub suggestions: Vec<String>,
}

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

/// Parses a sentence without the slash command's own name: the command's words, and what follows
/// them. What follows a word of `free` is taken as typed.
pub fn parse(
    text: &str,
    grammar: &clap::Command,
    free: &[&str],
) -> Result<Parsed<(Vec<String>, ArgMatches)>, Mistake> {
    let text = text.trim();
    let as_typed = free.iter().find_map(|word| raw(text, word));
    let words = as_typed.unwrap_or_else(|| words::split(text));
    match grammar.clone().try_get_matches_from(&words) {
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
        Err(error) => Err(mistake(error, &words)),
    }
}

/// The words of a command whose text is taken as typed: its quotes, line breaks and dashes are the
/// text's own. An incident may be named before it.
fn raw(text: &str, command: &str) -> Option<Vec<String>> {
    let rest = text.strip_prefix(command)?;
    let rest = rest.strip_prefix(char::is_whitespace)?.trim();
    let mut words = vec![command.to_owned()];
    let rest = match rest.strip_prefix("--incident") {
        Some(after) => {
            let after = after.strip_prefix(['=', ' '])?.trim_start();
            let end = after.find(char::is_whitespace)?;
            words.push(format!("--incident={}", &after[..end]));
            after[end..].trim()
        }
        None => rest,
    };
    if rest.is_empty() || rest == "--help" || rest == "-h" {
        return None;
    }
    words.extend(["--".to_owned(), rest.to_owned()]);
    Some(words)
}

fn mistake(error: clap::Error, words: &[String]) -> Mistake {
    let mut suggestions = Vec::new();
    let mut replace = |wrong: Option<&ContextValue>, right: Option<&ContextValue>| {
        let (Some(ContextValue::String(wrong)), Some(right)) = (wrong, right) else {
            return;
        };
        let right: Vec<&String> = match right {
            ContextValue::String(one) => vec![one],
            ContextValue::Strings(many) => many.iter().collect(),
            _ => return,
        };
        for better in right.into_iter().take(3) {
            let sentence: Vec<String> = words
                .iter()
                .map(|word| words::quote(if word == wrong { better } else { word }))
                .collect();
            suggestions.push(sentence.join(" "));
        }
    };
    replace(
        error.get(ContextKind::InvalidSubcommand),
        error.get(ContextKind::SuggestedSubcommand),
    );
    replace(
        error.get(ContextKind::InvalidValue),
        error.get(ContextKind::SuggestedValue),
    );
    let text = error.render().to_string();
    let text = text.trim().trim_start_matches("error: ");
    Mistake {
        text: crate::domain::timeline::cut(text, 2_000),
        suggestions,
    }
}

/// The commands with their usage and purpose, as `help` and the README show them.
pub fn reference(mut grammar: clap::Command) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    grammar.build();
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

/// Help on one command (`restart`, `incident declare`), or `None` if there is no such.
pub fn help(topic: &[String], mut grammar: clap::Command) -> Option<String> {
    grammar.build();
    let mut command = &mut grammar;
    for word in topic {
        command = command.find_subcommand_mut(word)?;
    }
    if command.is_hide_set() {
        return None;
    }
    Some(command.render_long_help().to_string().trim().to_owned())
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
