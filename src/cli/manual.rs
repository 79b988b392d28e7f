//! `treasury-bot completions` and `treasury-bot man`: what shells and `man` know of the commands.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Command, ValueEnum};
use clap_complete::shells;
use clap_mangen::Man;

use super::terminal::put;

/// A shell that can complete commands.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script that a shell sources.
pub(super) fn completions(shell: Shell, command: &mut Command) -> anyhow::Result<ExitCode> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    match shell {
        Shell::Bash => clap_complete::generate(shells::Bash, command, name, &mut script),
        Shell::Zsh => clap_complete::generate(shells::Zsh, command, name, &mut script),
        Shell::Fish => clap_complete::generate(shells::Fish, command, name, &mut script),
    }
    // clap_complete 4.6.12 takes the dash of our name in the labels for bash for a step between commands
    // (`treasury__subcmd__bot`), and not where it looks them up: no subcommand would be completed.
    let script = String::from_utf8(script)?;
    let script = script.replace("treasury__subcmd__bot", "treasury__bot");
    put(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the manual page, or writes one for each command into a folder.
pub(super) fn man(command: Command, folder: Option<&Path>) -> anyhow::Result<ExitCode> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        put(&String::from_utf8(page)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let wrong = || format!("{} can't be written", folder.display());
    std::fs::create_dir_all(folder).with_context(wrong)?;
    clap_mangen::generate_to(command, folder).with_context(wrong)?;
    println!("see `man -l {}`", folder.join("treasury-bot.1").display());
    Ok(ExitCode::SUCCESS)
}
