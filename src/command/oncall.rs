//! What can be asked about who is on call.

use std::time::Duration;

use clap::Subcommand;

use crate::domain::duration;
use crate::domain::oncall::Moment;

/// What can be asked about who is on call. `me` stands for the asker.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum OncallCommand {
    /// Show who is on call, until when, and who is next
    Show,
    /// Put somebody on call from now until the next handover
    Set {
        /// Who: `@ana`, or `me`
        #[arg(value_name = "@WHO")]
        who: String,
    },
    /// Put somebody on call for a while
    Override {
        /// Who: `@ana`, or `me`
        #[arg(value_name = "@WHO")]
        who: String,
        /// For how long: 30m, 2h, 1d …
        #[arg(value_name = "TIME", value_parser = duration::parse)]
        within: Duration,
        /// Since when: 2h (from now), 18:00 or 2026-12-24T18:00; now when left out
        #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
        from: Option<Moment>,
    },
    /// Take an override back
    Clear {
        /// Its number, where there are several
        #[arg(value_name = "NUMBER")]
        number: Option<i64>,
    },
}
