//! `treasury-bot config check`, and reading the configuration for every other command.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use crate::app;
use crate::config::Config;

/// Reads the configuration; everything that is wrong with it goes to standard error.
pub(super) fn load(path: &Path) -> Result<Config, ExitCode> {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match Config::load(path, &|name| std::env::var(name).ok()) {
        Ok(config) => Ok(config),
        Err(errors) => {
            eprint!("{}", errors.render(color));
            Err(ExitCode::from(2))
        }
    }
}

pub(super) fn run(path: &Path) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for warning in &config.warnings {
        eprint!("{}", warning.render(color));
    }
    // What only a driver knows: do the certificate and the key of an engine fit together?
    if let Err(error) = app::platforms(&config) {
        eprintln!("error: {error:#}");
        return ExitCode::from(2);
    }
    println!(
        "{} is good: {} services",
        path.display(),
        config.services.len()
    );
    ExitCode::SUCCESS
}
