//! The words themselves, as clap sees them. The doc comments are the help people read in chat.

use std::time::Duration;

use clap::{Parser, Subcommand};

use super::oncall::OncallCommand;
use super::probes::{CacheCommand, DbCommand};
use super::runbook::RunbookCommand;
use crate::bot::Change;
use crate::domain::{IncidentRole, Severity, duration};

#[derive(Debug, Parser)]
#[command(
    no_binary_name = true,
    disable_help_subcommand = true,
    disable_colored_help = true,
    color = clap::ColorChoice::Never,
    subcommand_required = true,
    term_width = 80
)]
pub(super) struct Grammar {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Everything that can be asked of the bot.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Show the state of all services, or of one
    Status {
        /// The service; all of them when left out
        service: Option<String>,
    },
    /// Show the last log lines of a service
    Logs {
        /// The service
        service: String,
        /// How many lines, newest last
        #[arg(long, default_value_t = 30, value_parser = lines)]
        lines: usize,
        /// Only lines of the last 90s, 10m, 2h …
        #[arg(long, value_parser = duration::parse)]
        since: Option<Duration>,
        /// Only lines that contain this text, in any case
        #[arg(long)]
        grep: Option<String>,
        /// The lines before the last restart
        #[arg(long)]
        previous: bool,
        /// Which container of a pod that has several
        #[arg(long, value_name = "NAME")]
        container: Option<String>,
    },
    /// Show CPU, memory, network and disk use of all services, or of one
    Stats {
        /// The service; all of them when left out
        service: Option<String>,
    },
    /// Show what the platform saw happen to a service
    Events {
        /// The service
        service: String,
        /// How far back: 10m, 2h, 1d …
        #[arg(long, default_value = "1h", value_parser = duration::parse)]
        since: Duration,
    },
    /// See the type.
    #[command(flatten)]
    Change(Change),
    /// Ask a web address, or those of a service: answer times, certificate, headers, cache
    Check {
        /// A service or a URL; every service with an address when left out
        what: Option<String>,
    },
    /// Ask the database; alone: its state at a glance
    Db {
        #[command(subcommand)]
        what: Option<DbCommand>,
        /// Which database, where there are several
        #[arg(long, global = true, value_name = "NAME")]
        database: Option<String>,
    },
    /// Ask the cache; alone: its state at a glance
    Cache {
        #[command(subcommand)]
        what: Option<CacheCommand>,
        /// Which cache, where there are several
        #[arg(long, global = true, value_name = "NAME")]
        cache: Option<String>,
    },
    /// Draw how a figure of a service went
    Graph {
        /// The service
        service: String,
        /// memory, cpu, connections, or a metric that the configuration names
        #[arg(default_value = "memory")]
        metric: String,
        /// How far back: 10m, 2h, 1d …
        #[arg(long, default_value = "1h", value_parser = duration::parse)]
        since: Duration,
    },
    /// Show and run runbooks; alone: which there are
    Runbook {
        #[command(subcommand)]
        what: Option<RunbookCommand>,
    },
    /// List the alerts that fire
    Alerts {
        /// Those that are over as well
        #[arg(long)]
        all: bool,
    },
    /// Say that you have taken an alert up: nobody further is asked
    Ack {
        /// An alert, all of a name, or an incident; what is told here when left out
        #[arg(value_name = "ALERT")]
        alert: Option<String>,
    },
    /// Keep an alert quiet for a while
    Silence {
        /// An alert, all of a name, or an incident
        #[arg(value_name = "ALERT")]
        alert: String,
        /// For how long: 30m, 2h, 1d …
        #[arg(value_name = "TIME", value_parser = duration::parse, required_unless_present = "end")]
        within: Option<Duration>,
        /// Why, for the timeline
        #[arg(long)]
        reason: Option<String>,
        /// End the silence before its time
        #[arg(long, conflicts_with = "within")]
        end: bool,
    },
    /// Show and change who is on call; alone: who it is
    Oncall {
        #[command(subcommand)]
        what: Option<OncallCommand>,
        /// Which rotation, where there are several
        #[arg(long, global = true, value_name = "NAME")]
        rotation: Option<String>,
    },
    /// Declare, list and change incidents
    #[command(subcommand)]
    Incident(IncidentCommand),
    /// Write a note on the incident's timeline and say it in its channel
    Note {
        /// The note, as it is
        #[arg(required = true)]
        text: Vec<String>,
        /// The incident, when it isn't the one of this channel
        #[arg(long, value_name = "ID")]
        incident: Option<String>,
    },
    /// Tell stakeholders how it goes: by e-mail, in the incident's channel and on its timeline
    Update {
        /// The update, as it is
        #[arg(required = true)]
        text: Vec<String>,
        /// The incident, when it isn't the one of this channel
        #[arg(long, value_name = "ID")]
        incident: Option<String>,
    },
    /// Show the newest entries of an incident's timeline
    Timeline {
        /// The incident, when it isn't the one of this channel
        #[arg(value_name = "ID")]
        incident: Option<String>,
        /// How many entries, newest last
        #[arg(long, default_value_t = 20, value_parser = lines)]
        lines: usize,
    },
    /// Say that it no longer hurts
    Mitigate {
        /// What helped
        text: Vec<String>,
        /// The incident, when it isn't the one of this channel
        #[arg(long, value_name = "ID")]
        incident: Option<String>,
    },
    /// Say that the cause is gone
    Resolve {
        /// What it was
        text: Vec<String>,
        /// The incident, when it isn't the one of this channel
        #[arg(long, value_name = "ID")]
        incident: Option<String>,
    },
    /// Close a resolved incident for good, after its review
    Close {
        /// The incident, when it isn't the one of this channel
        #[arg(value_name = "ID")]
        incident: Option<String>,
    },
    /// Open an incident again
    Reopen {
        /// The incident, when it isn't the one of this channel
        #[arg(value_name = "ID")]
        incident: Option<String>,
    },
    /// Export an incident's timeline as a file
    Export {
        /// The incident, when it isn't the one of this channel
        #[arg(value_name = "ID")]
        incident: Option<String>,
        /// Markdown to read, JSON to verify, CSV to calculate, HTML to keep
        #[arg(long, default_value = "md")]
        format: ExportFormat,
    },
    /// Get a link to the incident pages, for your browser only
    Page {
        /// The incident, when it isn't the one of this channel; the list where there is none
        #[arg(value_name = "ID")]
        incident: Option<String>,
    },
    /// Show who asked for what
    Audit {
        /// How far back: 10m, 2h, 1d …
        #[arg(long, default_value = "24h", value_parser = duration::parse)]
        since: Duration,
        /// Only what this person asked for: `@ana`
        #[arg(long, value_name = "@WHO")]
        actor: Option<String>,
    },
    /// Show the bot's version
    Version,
    /// Show all commands, or how one is used
    Help {
        /// A command, such as `restart` or `incident declare`
        topic: Vec<String>,
    },
    /// Show a menu of services and actions
    Menu {
        /// The service
        service: Option<String>,
    },
    /// Answer a question with yes
    #[command(hide = true)]
    Confirm {
        /// The question's token
        token: String,
    },
    /// Answer a question with no
    #[command(hide = true)]
    Cancel {
        /// The question's token
        token: String,
    },
}

/// What can be asked of incidents.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum IncidentCommand {
    /// Declare an incident and open a channel for it
    Declare {
        /// What is wrong, in one line
        #[arg(required = true)]
        title: Vec<String>,
        /// How bad: SEV1 (worst) to SEV4
        #[arg(long, default_value = "SEV3", value_parser = severity)]
        severity: Severity,
        /// A service concerned; may be given several times
        #[arg(long)]
        service: Vec<String>,
    },
    /// List open incidents, or all
    List {
        /// Closed ones as well
        #[arg(long)]
        all: bool,
    },
    /// Show what is known of an incident
    Show {
        /// The incident, when it isn't the one of this channel
        #[arg(value_name = "ID")]
        incident: Option<String>,
    },
    /// Change how bad it is
    Severity {
        /// SEV1 (worst) to SEV4
        #[arg(value_parser = severity)]
        severity: Severity,
        /// The incident, when it isn't the one of this channel
        #[arg(long, value_name = "ID")]
        incident: Option<String>,
    },
    /// Give somebody a role
    Assign {
        /// commander, communications, scribe or responder
        #[arg(value_parser = role)]
        role: IncidentRole,
        /// Who: `@ana`
        #[arg(value_name = "@WHO")]
        who: String,
        /// The incident, when it isn't the one of this channel
        #[arg(long, value_name = "ID")]
        incident: Option<String>,
    },
    /// Say that another incident belongs to this one
    Link {
        /// The other incident
        #[arg(value_name = "ID")]
        other: String,
        /// The incident, when it isn't the one of this channel
        #[arg(long, value_name = "ID")]
        incident: Option<String>,
    },
}

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// Markdown, to read.
    Md,
    /// JSON, to verify.
    Json,
    /// CSV, to calculate.
    Csv,
    /// HTML, to keep: a page with the JSON in it.
    Html,
}

fn lines(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=500).contains(n))
        .ok_or_else(|| "write a number from 1 to 500".to_owned())
}

fn severity(text: &str) -> Result<Severity, String> {
    Severity::parse(text).ok_or_else(|| "write SEV1, SEV2, SEV3 or SEV4".to_owned())
}

fn role(text: &str) -> Result<IncidentRole, String> {
    IncidentRole::parse(&text.to_ascii_lowercase())
        .ok_or_else(|| "write commander, communications, scribe or responder".to_owned())
}
