//! The words of runbooks and their runs.

use clap::Subcommand;

/// What can be asked of runbooks.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum RunbookCommand {
    /// List the runbooks
    List,
    /// Show what a runbook does, step by step
    Show {
        /// The runbook
        name: String,
    },
    /// Run a runbook
    Run {
        /// The runbook
        name: String,
        /// Its parameters
        #[arg(value_name = "KEY=VALUE")]
        params: Vec<String>,
        /// The incident it belongs to, when it isn't the one of this channel
        #[arg(long, value_name = "ID")]
        incident: Option<String>,
    },
    /// Run a runbook's questions for real and only say what its changes would do
    Rehearse {
        /// The runbook
        name: String,
        /// Its parameters
        #[arg(value_name = "KEY=VALUE")]
        params: Vec<String>,
    },
    /// Show the newest runs, or where one of them is
    Runs {
        /// The run
        run: Option<i64>,
    },
    /// End a run early; a change under way is finished first
    Stop {
        /// The run
        run: i64,
        /// Why, for the timeline
        #[arg(long)]
        reason: Option<String>,
    },
    /// Try a failed step of a run again
    Retry {
        /// The run
        run: i64,
        /// The step
        step: String,
    },
    /// Leave a failed step of a run out
    Skip {
        /// The run
        run: i64,
        /// The step
        step: String,
        /// Why, for the timeline
        #[arg(long)]
        reason: Option<String>,
    },
    /// Answer a question of a run: one of its choices, approve, decline, or done
    Answer {
        /// The run
        run: i64,
        /// The step that asks
        step: String,
        /// The answer
        answer: String,
        /// What is to be added
        #[arg(long)]
        note: Option<String>,
    },
}
