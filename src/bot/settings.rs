//! What the bot goes by: the configuration as the use cases need it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::access::Access;
use crate::backup::postgres::{Config, Programs, Question, Server};
use crate::backup::{self, Destination, Fault, Identities};
use crate::domain::alert::{Auto, Damping, Routes, WatchSettings};
use crate::domain::heartbeat::Heartbeat;
use crate::domain::notification::{Recipient, Way};
use crate::domain::oncall::Rotation;
use crate::domain::period::PlannedPeriod;
use crate::domain::schedule::Schedule;
use crate::domain::service::Patience;
use crate::domain::task::Task;
use crate::domain::{Guarded, Person, Severity};

/// What the bot goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The slash command, such as `/treasury`; used in help and hints.
    pub command: String,
    /// Who may do what.
    pub access: Access,
    /// What is asked about before it is done.
    pub confirm: BTreeSet<Guarded>,
    /// What a second person has to confirm; it is asked about in any case.
    pub second_person: BTreeSet<Guarded>,
    /// How long a question can be answered.
    pub confirm_within: Duration,
    /// How long a service may take to stop and to become healthy.
    pub patience: Patience,
    /// Names of keys are told as they are, to responders who ask; otherwise they end after their
    /// prefix.
    pub show_keys: bool,
    /// How long a failed step of a run waits for somebody to retry it or leave it out.
    pub hold: Duration,
    /// What is done with alerts.
    pub alerts: AlertSettings,
    /// Who is notified outside the chat; `None`: nobody.
    pub notify: Option<NotifySettings>,
    /// By which ways people are asked to acknowledge.
    pub reach: ReachSettings,
    /// Each incident gets a channel of its own; otherwise a thread in the main channel.
    pub incident_channels: bool,
    /// How people reach the incident pages: scheme and host, no slash at the end. `None`: at the
    /// address that is served.
    pub public_url: Option<String>,
    /// What comes again and again by the calendar.
    pub routine: Routine,
    /// What is over is kept for so long; incidents, timelines, evidence and audit for ever.
    pub keep: Duration,
}

impl Settings {
    /// How long what is over is kept, unless the configuration says.
    pub const KEEP: Duration = Duration::from_secs(90 * 86_400);
}

/// What comes again and again by the calendar.
#[derive(Debug, Clone, Default)]
pub struct Routine {
    /// Maintenance windows and freezes.
    pub periods: Vec<PlannedPeriod>,
    /// Tasks.
    pub tasks: Vec<Task>,
    /// Backups.
    pub backups: Vec<BackupPlan>,
}

/// A database that is backed up.
#[derive(Debug, Clone)]
pub struct BackupPlan {
    /// Its name in chat.
    pub name: String,
    /// Where it is, with the password.
    pub url: SecretString,
    /// When it is taken by itself; `None`: only when somebody says so.
    pub schedule: Option<Schedule>,
    /// Backups are kept for so long,
    pub keep: Duration,
    /// and so many good ones however old they are.
    pub keep_at_least: usize,
    /// Where they go.
    pub to: Destination,
    /// Whose key opens them; `None`: they are not encrypted.
    pub recipient: Option<backup::Recipient>,
    /// The keys that open them, for reading back and drills.
    pub identity_file: Option<PathBuf>,
    /// Where `pg_dump` is looked for.
    pub programs: Programs,
    /// The longest wait for a table's lock.
    pub lock_wait: Duration,
    /// The server on which they are tried out, with the password.
    pub drill_url: Option<SecretString>,
    /// When they are tried out by themselves.
    pub drill_schedule: Option<Schedule>,
    /// What is asked of a restored one.
    pub asks: Vec<Question>,
}

impl BackupPlan {
    /// The heartbeat that tells when it is late, failed, or half the usual size.
    pub fn heartbeat(&self) -> String {
        format!("backup-{}", self.name)
    }

    /// The server that it is of.
    ///
    /// # Errors
    /// Its address is not understood.
    pub fn server(&self) -> Result<Server, Fault> {
        self.server_at(&self.url)
    }

    /// A server, with the plan's programs and patience.
    pub(super) fn server_at(&self, url: &SecretString) -> Result<Server, Fault> {
        Server::new(Config {
            url: url.clone(),
            lock_wait: self.lock_wait,
            programs: self.programs.clone(),
        })
    }

    /// The keys of `identity_file`.
    ///
    /// # Errors
    /// The file can't be read, or holds none.
    pub fn keys(&self) -> Result<Option<Identities>, Fault> {
        self.identity_file
            .as_deref()
            .map(Identities::read)
            .transpose()
    }
}

/// What the bot does with alerts.
#[derive(Debug, Clone)]
pub struct AlertSettings {
    /// Where alerts belong.
    pub routes: Routes,
    /// Alerts at least this bad declare an incident by themselves.
    pub declare_from: Severity,
    /// Who is asked next when nobody has acknowledged for so long.
    pub ack_within: Duration,
    /// Incidents at least this bad that people declare are asked about like alerts.
    pub ask_from: Severity,
    /// Whoever acknowledged is asked after so long whether they still have it; a quarter of it at
    /// SEV1.
    pub reask: Duration,
    /// Once everybody was asked in vain, everybody is asked again after so long, and so on.
    pub ask_again: Duration,
    /// An alert that its sender has not repeated for so long is not heard of any more; `None`: three
    /// times as long as it was seen to take.
    pub unheard: Option<Duration>,
    /// Alerts that still fire are followed up after so long, then ever later.
    pub follow_up: Duration,
    /// So long nothing may fire until it counts as over.
    pub quiet: Duration,
    /// The bot resolves incidents that were quiet; otherwise it proposes to.
    pub resolves: bool,
    /// Jobs elsewhere that say that they ran.
    pub heartbeats: Vec<Heartbeat>,
    /// Where the bot says that it is alive; `None`: nowhere.
    pub deadman: Option<Deadman>,
    /// What the bot watches for by itself; `None`: nothing.
    pub watch: Option<WatchSettings>,
    /// How often Alertmanager is asked for the state of its silences.
    pub silence_check: Duration,
    /// Alerts that flap count as firing until they are calm.
    pub damping: Damping,
    /// Who is on call in turn, and for what.
    pub rotations: Vec<Rotation>,
    /// Who is asked for what no rotation serves: people by id, in the order of asking.
    pub on_call: Vec<Person>,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            routes: Routes {
                routes: Vec::new(),
                auto: Auto::Diagnose,
            },
            declare_from: Severity::Sev3,
            ack_within: Duration::from_secs(300),
            ask_from: Severity::Sev2,
            reask: Duration::from_secs(3_600),
            ask_again: Duration::from_secs(600),
            unheard: None,
            follow_up: Duration::from_secs(600),
            quiet: Duration::from_secs(300),
            resolves: false,
            heartbeats: Vec::new(),
            deadman: None,
            watch: None,
            silence_check: Duration::from_secs(60),
            damping: Damping::default(),
            rotations: Vec::new(),
            on_call: Vec::new(),
        }
    }
}

/// Where the bot says that it is alive.
#[derive(Debug, Clone)]
pub struct Deadman {
    /// The address that is asked; who knows it can ask in the bot's place.
    pub url: SecretString,
    /// How often.
    pub every: Duration,
}

/// Who is notified outside the chat, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifySettings {
    /// Where people are reached, by user id.
    pub people: BTreeMap<String, Vec<Recipient>>,
    /// Who hears of incidents and their changes.
    pub stakeholders: Vec<Recipient>,
    /// They hear of incidents at least this bad.
    pub from_severity: Severity,
}

/// By which ways people are asked to acknowledge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReachSettings {
    /// By user id, in their order. Who is not in it is asked by e-mail, if they have an address.
    pub people: BTreeMap<String, Vec<Way>>,
    /// People reach the incident pages from elsewhere, so that a notification carries a link.
    pub links: bool,
}
