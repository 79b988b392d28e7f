//! Sentences that end in free text, such as a note: what of them are options, and what is said.
//!
//! The command's own options count before the text and after it. Everything else is the text's own:
//! its quotes (but those around all of it), line breaks and dashes, and options that the command
//! doesn't have.

use clap::Command;

use super::Mistake;
use super::words::{Word, quote};

/// The words for clap, of a sentence whose command is named by its first `skip` words.
pub(super) fn words_of(
    text: &str,
    words: &[Word],
    skip: usize,
    command: &Command,
) -> Result<Vec<String>, Mistake> {
    let mut out: Vec<String> = words[..skip].iter().map(|word| word.text.clone()).collect();
    let path = out.join(" ");
    let rest = &words[skip..];
    if let [only] = rest
        && ["--help", "-h"].contains(&only.text.as_str())
    {
        out.push(only.text.clone());
        return Ok(out);
    }
    let (mut from, mut to) = (0, rest.len());
    while let Some((option, taken)) = option(&rest[from..], command) {
        out.push(option);
        from += taken;
    }
    let is_marked = rest
        .get(from)
        .is_some_and(|word| word.text == "--" && word.is_option);
    if is_marked {
        from += 1;
    } else {
        while let Some((option, taken)) = last_option(&rest[from..to], command) {
            out.push(option);
            to -= taken;
        }
        within(text, &path, &rest[from..to], command)?;
    }
    if let (Some(first), Some(last)) = (rest[from..to].first(), rest[from..to].last()) {
        let said = if to - from == 1 && !first.is_option {
            &first.text
        } else {
            &text[first.at.start..last.at.end]
        };
        out.extend(["--".to_owned(), said.to_owned()]);
    }
    Ok(out)
}

/// The option that these words begin with, as clap reads it, and how many of them it takes.
fn option(words: &[Word], command: &Command) -> Option<(String, usize)> {
    let first = words.first().filter(|word| word.is_option)?;
    let written = first.text.trim_start_matches("--");
    let (name, value) = match written.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (written, None),
    };
    let name = name.to_lowercase();
    let known = |one: &&clap::Arg| one.get_long() == Some(&name) && name != "help";
    let argument = command.get_arguments().find(known)?;
    match (argument.get_action().takes_values(), value) {
        (true, Some(value)) => Some((format!("--{name}={value}"), 1)),
        (true, None) => words
            .get(1)
            .map(|value| (format!("--{name}={}", value.text), 2)),
        (false, None) => Some((format!("--{name}"), 1)),
        (false, Some(_)) => None,
    }
}

/// The option that these words end with.
fn last_option(words: &[Word], command: &Command) -> Option<(String, usize)> {
    (1..=words.len().min(2)).find_map(|count| {
        let found = option(&words[words.len() - count..], command)?;
        (found.1 == count).then_some(found)
    })
}

/// An option in the middle of the text: nobody can tell whether it is meant.
fn within(text: &str, path: &str, words: &[Word], command: &Command) -> Result<(), Mistake> {
    let found = (0..words.len()).find_map(|at| {
        let (option, taken) = option(&words[at..], command)?;
        option.contains('=').then_some((at, taken))
    });
    let (Some((at, taken)), Some(first), Some(last)) = (found, words.first(), words.last()) else {
        return Ok(());
    };
    let option = &text[words[at].at.start..words[at + taken - 1].at.end];
    let before = text[first.at.start..words[at].at.start].trim_end();
    let after = text[words[at + taken - 1].at.end..last.at.end].trim_start();
    let whole = &text[first.at.start..last.at.end];
    let (name, value) = option.split_once(['=', ' ']).unwrap_or((option, ""));
    Err(Mistake {
        text: format!(
            "{} {} stands in the middle of the text. An option stands before the text or after it",
            name,
            quote(value.trim())
        ),
        suggestions: vec![
            format!("{path} {before} {after} {option}"),
            format!("{path} -- {whole}"),
        ],
    })
}
