//! `treasury-bot runbook`: checking, showing and describing runbooks, away from any bot; and running
//! them on the configured one.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::config_file::ConfigFile;
use super::exec;
use super::terminal::{Paint, put};
use crate::bot::{COMMANDS, Library, RunbookProblem as Problem};
use crate::domain::counted;
use crate::runbook::{Finding, Severity, schema, show};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Check runbooks: exit code 1 if one has a mistake
    Check {
        /// Files and folders; `runbooks` if there is such a folder, else those that come with the bot
        paths: Vec<PathBuf>,
        /// A configuration, so that the names of services are checked as well
        #[arg(long)]
        config: Option<PathBuf>,
        /// One JSON object a finding and line
        #[arg(long)]
        json: bool,
    },
    /// Print the language as a JSON Schema, for editors
    Schema,
    /// Show a runbook as a procedure in Markdown
    Show {
        /// The name of one that comes with the bot, or a file
        runbook: String,
        /// As a Mermaid flow chart instead
        #[arg(long)]
        mermaid: bool,
    },
    /// Run a runbook from this terminal, as `exec "runbook run …"` does
    Run(OnBot),
    /// Run its questions for real and only say what its changes would do
    Rehearse(OnBot),
}

#[derive(Debug, Args)]
struct OnBot {
    #[command(flatten)]
    file: ConfigFile,
    /// The runbook's name
    name: String,
    /// What it is told
    #[arg(value_name = "KEY=VALUE")]
    values: Vec<String>,
}

/// The same road as a sentence in Slack.
async fn on_bot(verb: &str, what: OnBot) -> anyhow::Result<ExitCode> {
    let words = ["runbook".to_owned(), verb.to_owned(), what.name];
    let words = words.into_iter().chain(what.values).collect();
    exec::run(exec::Options::sentence(what.file, words)).await
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    match options.what {
        What::Check {
            paths,
            config,
            json,
        } => check(&paths, config, json),
        What::Schema => {
            let library = Library::open(COMMANDS.callables(), None, None)?;
            let schema = schema::schema(library.vocabulary());
            put(&format!("{}\n", serde_json::to_string_pretty(&schema)?))?;
            Ok(ExitCode::SUCCESS)
        }
        What::Show { runbook, mermaid } => print(&runbook, mermaid),
        What::Run(what) => on_bot("run", what).await,
        What::Rehearse(what) => on_bot("rehearse", what).await,
    }
}

fn check(paths: &[PathBuf], config: Option<PathBuf>, json: bool) -> anyhow::Result<ExitCode> {
    let services = match config {
        None => None,
        Some(config) => {
            let services = ConfigFile { config }.load_without_secrets()?.services;
            Some(services.iter().map(|one| one.name.to_string()).collect())
        }
    };
    let here = PathBuf::from("runbooks");
    let library = if !paths.is_empty() {
        Library::of_paths(COMMANDS.callables(), paths, services)?
    } else if here.is_dir() {
        Library::of_paths(COMMANDS.callables(), &[here], services)?
    } else {
        Library::open(COMMANDS.callables(), None, services)?
    };
    let paint = Paint::stdout();
    let mut out = String::new();
    let (mut errors, mut warnings) = (0, 0);
    for problem in library.problems() {
        for finding in &problem.findings {
            match finding.severity {
                Severity::Error => errors += 1,
                Severity::Warning => warnings += 1,
            }
            if json {
                let told = problem.source.explain(finding);
                out.push_str(&format!("{}\n", serde_json::to_string(&told)?));
            } else {
                out.push_str(&explained(problem, finding, paint));
            }
        }
    }
    if !json {
        let good = library.runbooks().count();
        out.push_str(&format!(
            "{} can be run; {}, {}\n",
            counted(good, "runbook"),
            counted(errors, "error"),
            counted(warnings, "warning")
        ));
    }
    put(&out)?;
    Ok(if errors > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// A finding with its place, and an empty line.
fn explained(problem: &Problem, finding: &Finding, paint: Paint) -> String {
    let colour = match finding.severity {
        Severity::Error => "1;31",
        Severity::Warning => "1;33",
    };
    let text = problem.source.explain(finding).to_string();
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    format!("{}\n{rest}\n\n", paint.style(colour, first))
}

fn print(name: &str, mermaid: bool) -> anyhow::Result<ExitCode> {
    let path = PathBuf::from(name);
    let is_file = path.is_file();
    let library = if is_file {
        Library::of_paths(COMMANDS.callables(), &[path], None)?
    } else {
        Library::open(COMMANDS.callables(), None, None)?
    };
    let stem = name.rsplit('/').next().unwrap_or(name);
    let stem = stem.split_once(".y").map_or(stem, |(stem, _)| stem);
    let Some(runbook) = library.find(stem) else {
        for problem in library.problems().iter().filter(|_| is_file) {
            for finding in &problem.findings {
                eprint!("{}", explained(problem, finding, Paint::stderr()));
            }
        }
        if is_file {
            bail!("{name} can't be shown: it has mistakes");
        }
        let names: Vec<&str> = library.runbooks().map(|r| r.name.value.as_str()).collect();
        bail!(
            "there is no runbook `{name}`, nor a file; there are {}",
            names.join(", ")
        );
    };
    let text = if mermaid {
        show::mermaid(runbook)
    } else {
        show::markdown(runbook, library.vocabulary())
    };
    put(&text)?;
    Ok(ExitCode::SUCCESS)
}
