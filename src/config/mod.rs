//! The configuration file, `treasury-bot.toml`: read, checked and explained.
//!
//! All that is wrong is found in one go, each finding with its line and what to do about it.
//! Secrets come from the environment or from files of their own, never from this file, and no
//! `Debug`, message or excerpt shows one.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::domain::alert::generic::Mapping;
use crate::domain::alert::{Auto, Damping, Route, WatchSettings};
use crate::domain::mail::Mailbox;
use crate::domain::oncall::Rotation;
use crate::domain::{Guarded, Service, ServiceName, Severity};

mod access;
mod alertmanager;
mod alerts;
mod clusters;
mod email;
mod engines;
mod inlets;
mod mask;
mod probes;
mod problem;
mod reader;
mod rotations;
mod secret;
mod sections;
mod services;
mod slack;
mod source;
mod store;
mod urls;

#[cfg(test)]
mod tests;

pub use clusters::ClusterSection;
pub use engines::EngineSection;
pub use problem::{ConfigErrors, Level, Location, Problem};

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[slack]`
    pub slack: SlackSection,
    /// `[store]`: `sqlite://<path>` or `postgres://…`; it may hold a password. From
    /// `TREASURY_BOT_STORE_URL`, else `url_file`, else `url` (default
    /// `sqlite://treasury-bot.db`, relative to the working directory).
    pub store_url: SecretString,
    /// `[web]`
    pub web: WebSection,
    /// `[docker]`: the default engine.
    pub docker: EngineSection,
    /// `[[engine]]`, in the file's order, each name once.
    pub engines: Vec<EngineSection>,
    /// `[[cluster]]`, in the file's order, each name once.
    pub clusters: Vec<ClusterSection>,
    /// `[access]`
    pub access: AccessSection,
    /// `[policy]`
    pub policy: PolicySection,
    /// `[log]`
    pub log: LogSection,
    /// `[[service]]`, in the file's order, each name once.
    pub services: Vec<Service>,
    /// `[[database]]`, in the file's order, each name once.
    pub databases: Vec<DatabaseSection>,
    /// `[[cache]]`, in the file's order, each name once.
    pub caches: Vec<CacheSection>,
    /// `[prometheus]`, if it is there.
    pub prometheus: Option<PrometheusSection>,
    /// `[check]`
    pub check: CheckSection,
    /// `[runbooks]`
    pub runbooks: RunbooksSection,
    /// `[alerts]`
    pub alerts: AlertsSection,
    /// `[[source]]`: senders of alerts beside Alertmanager, in the file's order, each name once.
    pub sources: Vec<SourceSection>,
    /// `[alertmanager]`, if it is there: where silences are made.
    pub alertmanager: Option<AlertmanagerSection>,
    /// `[watch]`: what the bot watches for by itself; `None` where there is a Prometheus, unless it
    /// is wanted.
    pub watch: Option<WatchSettings>,
    /// `[[route]]`, in the file's order.
    pub routes: Vec<Route>,
    /// `[email]`, if it is there: without it, no mail is sent.
    pub email: Option<EmailSection>,
    /// `[[person]]`, in the file's order, each id once: where people get mail.
    pub people: Vec<PersonSection>,
    /// `[[rotation]]`, in the file's order, each name once.
    pub rotations: Vec<Rotation>,
    /// What the bot can start with, though somebody should look at it; in file order.
    pub warnings: Vec<Problem>,
}

/// How Slack's events reach the bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlackMode {
    /// `socket`: the bot connects to Slack; needs the app token.
    #[default]
    Socket,
    /// `http`: Slack calls the bot; needs the signing secret.
    Http,
}

/// `[slack]`: the chat. Paths of `*_file` keys are relative to the configuration file's folder; an
/// environment variable that is set and not empty wins over its file.
#[derive(Debug, Clone)]
pub struct SlackSection {
    /// `mode`: `socket` (default) or `http`.
    pub mode: SlackMode,
    /// `command`: the slash command, default `/treasury`.
    pub command: String,
    /// `channel`: the main channel, `#name` or its id; default `#treasury-incidents`.
    pub channel: String,
    /// `api_url`: another Slack, such as the sandbox; default: the real one.
    pub api_url: Option<Url>,
    /// `incident_channels`: a channel for each incident (default `true`); `false`: threads in the
    /// main channel.
    pub incident_channels: bool,
    /// `TREASURY_BOT_SLACK_BOT_TOKEN` or `bot_token_file`: `xoxb-…`, always needed.
    pub bot_token: SecretString,
    /// `TREASURY_BOT_SLACK_APP_TOKEN` or `app_token_file`: `xapp-…`, there in mode `socket`.
    pub app_token: Option<SecretString>,
    /// `TREASURY_BOT_SLACK_SIGNING_SECRET` or `signing_secret_file`, there in mode `http`.
    pub signing_secret: Option<SecretString>,
}

/// `[web]`: what the bot serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSection {
    /// `listen`: address and port, default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// `health_listen`: a listener of its own for `/health` and `/metrics`; default: none, they
    /// are served on `listen`.
    pub health_listen: Option<SocketAddr>,
    /// `public_url`: how people reach the incident pages, scheme and host; default: `listen`.
    pub public_url: Option<String>,
}

impl WebSection {
    /// How people reach the incident pages: scheme and host, no slash at the end.
    pub fn public_url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| {
            let mut address = self.listen;
            if address.ip().is_unspecified() {
                // All addresses of this machine: this one, from here.
                address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
            }
            format!("http://{address}")
        })
    }
}

/// `[access]`: user ids (`U…`), user groups (`S…`) or user names (`@ana`); each list is empty by
/// default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessSection {
    /// `viewers`: may read; `*` stands for all of the workspace.
    pub viewers: Vec<String>,
    /// `responders`: may act.
    pub responders: Vec<String>,
    /// `commanders`: may do what needs a commander.
    pub commanders: Vec<String>,
}

/// `[alerts]`: what is done with alerts.
#[derive(Debug, Clone)]
pub struct AlertsSection {
    /// `TREASURY_BOT_ALERTS_TOKEN` or `token_file`: what senders have to show as a bearer token;
    /// without it no alerts are taken in.
    pub token: Option<SecretString>,
    /// `auto`: what the bot does by itself: `off`, `diagnose` (default) or `run`.
    pub auto: Auto,
    /// `declare_from`: alerts at least this bad declare an incident; default `SEV3`.
    pub declare_from: Severity,
    /// `ack_within`: then the next is asked; default 5 minutes.
    pub ack_within: Duration,
    /// `follow_up`: the first follow-up; default 10 minutes.
    pub follow_up: Duration,
    /// `quiet`: so long nothing may fire until it counts as over; default 5 minutes.
    pub quiet: Duration,
    /// `resolve`: `ask` (default) or `auto`.
    pub resolves: bool,
    /// `on_call`: user ids in the order in which they are asked, for what no rotation serves.
    pub on_call: Vec<String>,
    /// `flapping`: more than 6 changes within 30 minutes, until it is calm for 10 minutes.
    pub damping: Damping,
}

/// How a connection to the mail server is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmailSecurity {
    /// `starttls`: TLS is begun by STARTTLS.
    #[default]
    StartTls,
    /// `tls`: TLS from the first byte.
    Tls,
    /// `none`: not at all; on this machine, or where `allow_plain` says so, and without a login.
    None,
}

/// `[email]`: how mail is sent, and who hears how incidents stand.
#[derive(Debug, Clone)]
pub struct EmailSection {
    /// `host`: the mail server's name.
    pub host: String,
    /// `port`; default 587, 465 with `tls`, 25 with `none`.
    pub port: u16,
    /// `security`: `starttls` (default), `tls` or `none`.
    pub security: EmailSecurity,
    /// `username`, with the password from `TREASURY_BOT_EMAIL_PASSWORD` or `password_file`.
    pub login: Option<(String, SecretString)>,
    /// `from`: who the mails are from.
    pub from: Mailbox,
    /// `reply_to`: who answers go to.
    pub reply_to: Option<Mailbox>,
    /// `ca_file`: further certificate authorities, PEM.
    pub extra_roots_pem: Option<Vec<u8>>,
    /// `timeout` of handing over a mail, 1 to 30 s, default 20 s.
    pub timeout: Duration,
    /// `stakeholders`: who hears how incidents stand; at most 50.
    pub stakeholders: Vec<Mailbox>,
    /// `from_severity`: of incidents at least this bad; default `SEV2`.
    pub from_severity: Severity,
}

/// `[[person]]`: where somebody gets mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonSection {
    /// `id`: the user id.
    pub id: String,
    /// `email` and `name`.
    pub mailbox: Mailbox,
}

/// `[[source]]`: a sender of alerts beside Alertmanager.
#[derive(Debug, Clone)]
pub struct SourceSection {
    /// `name`: it sends to `/alerts/generic/NAME`.
    pub name: String,
    /// `TREASURY_BOT_ALERTS_<NAME>_TOKEN` or `token_file`; without it, that of `[alerts]`.
    pub token: Option<SecretString>,
    /// Where things are in its JSON: those of the `preset`, with what the section says otherwise.
    pub mapping: Mapping,
}

/// `[alertmanager]`: where silences are made.
#[derive(Debug, Clone)]
pub struct AlertmanagerSection {
    /// `url`, without a slash at its end.
    pub url: String,
    /// `TREASURY_BOT_ALERTMANAGER_TOKEN` or `token_file`: a bearer token.
    pub token: Option<SecretString>,
    /// `user`, with `TREASURY_BOT_ALERTMANAGER_PASSWORD` or `password_file`; not beside a token.
    pub login: Option<(String, SecretString)>,
    /// `timeout` of a question, 1 to 30 s, default 10 s.
    pub timeout: Duration,
}

/// `[policy]`: confirmations and patience. Durations are texts such as `90s`, `5m` or `1h30m`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySection {
    /// `confirm`: what is asked about before it is done; default: everything.
    pub confirm: BTreeSet<Guarded>,
    /// `second_person`: what somebody else than the asker has to confirm; default: `isolate`.
    pub second_person: BTreeSet<Guarded>,
    /// `confirm_within`: how long a question stays open, default 5 minutes.
    pub confirm_within: Duration,
    /// `restart_healthy_within`: until a replica must be healthy again, default 2 minutes.
    pub healthy_within: Duration,
    /// `stop_grace`: between asking a process to stop and killing it, default 10 seconds.
    pub stop_grace: Duration,
}

/// `[[database]]`: a PostgreSQL server that can be asked.
#[derive(Debug, Clone)]
pub struct DatabaseSection {
    /// `name` in chat; default: the service's, else `database`.
    pub name: ServiceName,
    /// `service`: whose database it is.
    pub service: Option<ServiceName>,
    /// `url`, with the password from `TREASURY_BOT_DATABASE_PASSWORD` (where there is one
    /// database), `TREASURY_BOT_DATABASE_<NAME>_PASSWORD` or `password_file` put in.
    pub url: SecretString,
    /// `timeout` of a question, 1 to 30 s, default 5 s.
    pub timeout: Duration,
}

/// `[[cache]]`: a Redis that can be asked.
#[derive(Debug, Clone)]
pub struct CacheSection {
    /// `name` in chat; default: the service's, else `cache`.
    pub name: ServiceName,
    /// `service`: whose cache it is.
    pub service: Option<ServiceName>,
    /// `url`: `redis://` or `rediss://`, without a password.
    pub url: String,
    /// `TREASURY_BOT_CACHE_PASSWORD` (where there is one cache),
    /// `TREASURY_BOT_CACHE_<NAME>_PASSWORD` or `password_file`.
    pub password: Option<SecretString>,
    /// `sentinel_master`: then `url` is a Sentinel's, and this the master's name.
    pub sentinel_master: Option<String>,
    /// `timeout` of a question, 1 to 30 s, default 5 s.
    pub timeout: Duration,
}

/// `[prometheus]`: where `graph` finds the metrics that services name.
#[derive(Debug, Clone)]
pub struct PrometheusSection {
    /// `url`, without a slash at its end.
    pub url: String,
    /// `TREASURY_BOT_PROMETHEUS_TOKEN` or `token_file`: a bearer token.
    pub token: Option<SecretString>,
    /// `timeout` of a question, 1 to 30 s, default 10 s.
    pub timeout: Duration,
}

/// `[check]`: what `check` may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSection {
    /// `hosts`: `host`, `*.domain`, each with or without `:port`, that may be asked though their
    /// addresses are private.
    pub hosts: Vec<String>,
    /// `ca_file`: further certificate authorities, PEM.
    pub extra_roots_pem: Option<Vec<u8>>,
    /// `timeout` of a check, 1 to 30 s, default 10 s.
    pub timeout: Duration,
}

/// `[runbooks]`: where more of them are, and how their runs behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunbooksSection {
    /// `folder` of `*.yml` files, beside the configuration file; a file takes the place of the
    /// runbook of the same name that comes with the bot.
    pub folder: Option<std::path::PathBuf>,
    /// `hold`: how long a failed step waits for somebody to retry it or leave it out; default
    /// 15 min.
    pub hold: Duration,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// `text`: for people.
    #[default]
    Text,
    /// `json`: one object a line.
    Json,
}

/// `[log]`: the bot's own log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSection {
    /// `level`: a tracing `EnvFilter` text such as `info` or `info,sqlx=warn`; default `info`.
    pub level: String,
    /// `format`: `text` (default) or `json`.
    pub format: LogFormat,
}

impl Config {
    /// The largest file that is read, in bytes.
    pub const MAX_BYTES: u64 = 1 << 20;

    /// Reads and checks the file. Secrets are looked up in `env` and in the files it names.
    pub fn load(path: &Path, env: Env<'_>) -> Result<Self, ConfigErrors> {
        let name = path.display().to_string();
        match source::read_limited(path, Self::MAX_BYTES) {
            Ok(text) => Self::parse(&text, &name, env),
            Err(why) => Err(ConfigErrors {
                problems: vec![Problem {
                    level: Level::Error,
                    file: name,
                    location: None,
                    message: format!("can't read the configuration: {why}"),
                    hint: None,
                }],
                warnings: Vec::new(),
            }),
        }
    }

    /// Checks a text as if it was the file `file_name`, which need not exist: its folder is where
    /// relative paths of secret files start.
    pub fn parse(text: &str, file_name: &str, env: Env<'_>) -> Result<Self, ConfigErrors> {
        // Windows' Notepad puts a mark in front, which is no part of the first line.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut report = source::Report::new(text, file_name);
        let config = sections::config(text, &mut report, env);
        let (problems, warnings) = report.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(Self { warnings, ..config }),
            _ => Err(ConfigErrors { problems, warnings }),
        }
    }
}
