//! `treasury-bot config check`: everything that is wrong with the configuration, at once.

use std::process::ExitCode;

use clap::Args;

use super::config_file::{ConfigFile, Refused};
use super::terminal::Paint;
use crate::app;
use crate::config::{Level, Secrets};
use crate::domain::counted;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// Secrets, and files that hold them, need not be here, as in a pipeline; those that are here are
    /// checked all the same
    #[arg(long)]
    no_secrets: bool,
    /// Warnings are mistakes, too
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let secrets = if options.no_secrets {
        Secrets::MayLack
    } else {
        Secrets::Needed
    };
    let config = options.file.load_with(secrets)?;
    let (mut mistakes, mut warnings) = (0, 0);
    for one in &config.warnings {
        eprintln!("{}", one.render(Paint::stderr().is_coloured()));
        match one.level {
            Level::Warning => warnings += 1,
            Level::Error | Level::Fiction => mistakes += 1,
        }
    }
    // What only a driver knows: do the certificate and the key of an engine fit together?
    app::platforms(&config).map_err(|error| Refused(format!("{error:#}")))?;
    let path = options.file.config.display();
    if mistakes > 0 || options.strict && warnings > 0 {
        let [mistakes, warnings] = [(mistakes, "mistake"), (warnings, "warning")]
            .map(|(count, what)| counted(count, what));
        return Err(Refused(format!("{path} has {mistakes} and {warnings}")).into());
    }
    let services = counted(config.services.len(), "service");
    let but = match warnings {
        0 => String::new(),
        some => format!(", {}", counted(some, "warning")),
    };
    println!("{path} is good: {services}{but}");
    Ok(ExitCode::SUCCESS)
}
