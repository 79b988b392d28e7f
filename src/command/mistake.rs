//! Why a sentence is no command, in our words instead of clap's.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use super::words::{Word, quote};
use crate::domain::timeline::cut;

/// Why a sentence is no command. All of it is told to the asker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong and what is expected, in a few lines.
    pub text: String,
    /// What was perhaps meant: whole sentences, each of which is understood.
    pub suggestions: Vec<String>,
}

/// What is wrong with these words. `leaf`: the command they name, with its words.
pub(super) fn mistake(
    error: &Error,
    words: &[String],
    typed: &[Word],
    (path, leaf): (&str, &Command),
) -> Mistake {
    let one = |kind| match error.get(kind) {
        Some(ContextValue::String(one)) => Some(one.as_str()),
        _ => None,
    };
    let many = |kind| match error.get(kind) {
        Some(ContextValue::Strings(many)) => many.clone(),
        Some(ContextValue::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    };
    let argument = one(ContextKind::InvalidArg).unwrap_or_default();
    // `--reason <REASON>` is written as `--reason`, `<SERVICE>` as SERVICE.
    let name = |written: &str| match written.split_once(" <") {
        Some((option, _)) => option.to_owned(),
        None => written.trim_matches(['<', '>', '[', ']', '.']).to_owned(),
    };
    let mut suggestions = Vec::new();
    let mut instead = |wrong: &str, right: &[String]| {
        for better in right.iter().take(3) {
            let right = words
                .iter()
                .map(|word| if word == wrong { better } else { word });
            suggestions.push(sentence(right, typed).join(" "));
        }
    };
    let text = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let wrong = one(ContextKind::InvalidSubcommand).unwrap_or_default();
            suggestions.extend(other_commands(wrong, words, typed, leaf));
            format!("There is no command `{}`", cut(wrong, 80))
        }
        ErrorKind::UnknownArgument => match in_quotes(words, typed, argument, leaf) {
            Some((option, sentence)) => {
                suggestions.push(sentence);
                format!("Put the text in quotes: {option}")
            }
            None => {
                let right = many(ContextKind::SuggestedArg);
                instead(argument, &right);
                format!("`{path}` takes no `{}`", cut(argument, 80))
            }
        },
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let wrong = one(ContextKind::InvalidValue).unwrap_or_default();
            instead(wrong, &many(ContextKind::SuggestedValue));
            value(
                error,
                &name(argument),
                wrong,
                &many(ContextKind::ValidValue),
            )
        }
        ErrorKind::MissingRequiredArgument => {
            let lacks: Vec<String> = many(ContextKind::InvalidArg)
                .iter()
                .map(|one| name(one))
                .collect();
            format!("`{path}` needs {}", lacks.join(" and "))
        }
        ErrorKind::ArgumentConflict => {
            let other = many(ContextKind::PriorArg);
            let other: Vec<String> = other.iter().map(|one| name(one)).collect();
            if other.is_empty() || other == [name(argument)] {
                format!("{} is given twice", name(argument))
            } else {
                format!(
                    "{} and {}: one of them, not both",
                    name(argument),
                    other.join(" and ")
                )
            }
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let known = leaf.get_subcommands().filter(|one| !one.is_hide_set());
            let known: Vec<&str> = known.map(Command::get_name).collect();
            format!("`{path}` needs one of: {}", known.join(", "))
        }
        _ => {
            let text = error.render().to_string();
            let text = text.trim().trim_start_matches("error: ");
            text.split("\n\nFor more information")
                .next()
                .unwrap_or(text)
                .to_owned()
        }
    };
    let mut text = cut(&text, 1_800);
    if !path.is_empty() && !leaf.has_subcommands() {
        let usage = leaf.clone().render_usage().to_string();
        text.push_str(&format!("\n{}", usage.trim()));
        suggestions.push(format!("help {path}"));
    }
    Mistake { text, suggestions }
}

/// The sentence with other commands in place of one that is none.
fn other_commands(wrong: &str, words: &[String], typed: &[Word], leaf: &Command) -> Vec<String> {
    let all = near(wrong, leaf).into_iter().take(3);
    let sentences = all.map(|better| {
        let right = words.iter().flat_map(|word| {
            if word == wrong {
                better.split(' ').map(ToOwned::to_owned).collect()
            } else {
                vec![word.clone()]
            }
        });
        let right: Vec<String> = right.collect();
        sentence(right.iter(), typed).join(" ")
    });
    sentences.collect()
}

/// Commands that may have been meant: a slip of a finger or two away, what other tools call so, or one
/// that stands under another. Not more: what is suggested is pressed.
fn near(wrong: &str, leaf: &Command) -> Vec<String> {
    const ELSEWHERE: [(&str, &str); 4] = [
        ("mute", "silence"),
        ("snooze", "silence"),
        ("reboot", "restart"),
        ("kill", "db terminate"),
    ];
    let wrong = wrong.to_lowercase();
    let slips = 1 + usize::from(wrong.len() > 5);
    let mut found = Vec::new();
    for command in leaf.get_subcommands().filter(|one| !one.is_hide_set()) {
        let name = command.get_name();
        if strsim::damerau_levenshtein(&wrong, name) <= slips {
            found.push(name.to_owned());
        }
        if command.find_subcommand(&wrong).is_some() {
            found.push(format!("{name} {wrong}"));
        }
    }
    let elsewhere = ELSEWHERE.iter().filter(|(other, _)| *other == wrong);
    found.extend(elsewhere.map(|(_, ours)| (*ours).to_owned()));
    found
}

/// Why a value is none.
fn value(error: &Error, name: &str, wrong: &str, valid: &[String]) -> String {
    let why = match std::error::Error::source(error) {
        Some(why) => why.to_string(),
        None if wrong.is_empty() => "it needs a value".to_owned(),
        None => format!("write one of {}", valid.join(", ")),
    };
    let why = why.replace("invalid digit found in string", "write a whole number");
    if wrong.is_empty() || why.starts_with(&format!("`{wrong}`")) {
        format!("{name}: {why}")
    } else {
        format!("{name} `{}`: {why}", cut(wrong, 80))
    }
}

/// Words that belong to the value of the option before them: the option as it was meant, and the
/// whole sentence with it.
fn in_quotes(
    words: &[String],
    typed: &[Word],
    stray: &str,
    leaf: &Command,
) -> Option<(String, String)> {
    if typed.len() != words.len() {
        return None;
    }
    let at = words.iter().position(|word| word == stray)?;
    let option = (0..at).rev().find(|&n| typed[n].is_option)?;
    let (long, inline) = match words[option].split_once('=') {
        Some((long, value)) => (long, Some(value.to_owned())),
        None => (words[option].as_str(), None),
    };
    let takes = |argument: &&clap::Arg| {
        argument.get_long() == Some(long.trim_start_matches("--"))
            && argument.get_action().takes_values()
    };
    leaf.get_arguments().find(takes)?;
    let end = (at..words.len())
        .find(|&n| typed[n].is_option)
        .unwrap_or(words.len());
    let value: Vec<String> = inline
        .into_iter()
        .chain(words[option + 1..end].iter().cloned())
        .collect();
    let meant = format!("{long} {}", quote(&value.join(" ")));
    let mut sentence_with = sentence(words[..option].iter(), typed);
    sentence_with.push(meant.clone());
    sentence_with.extend(sentence(words[end..].iter(), &typed[end..]));
    Some((meant, sentence_with.join(" ")))
}

/// Words as they are typed: quoted where they have to be, but for the options among them.
fn sentence<'a>(words: impl Iterator<Item = &'a String>, typed: &[Word]) -> Vec<String> {
    let options = typed
        .iter()
        .map(|word| word.is_option)
        .chain(std::iter::repeat(false));
    let word = |(word, is_option): (&String, bool)| {
        if is_option { word.clone() } else { quote(word) }
    };
    words.zip(options).map(word).collect()
}
