//! The whole configuration, read and checked.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use toml::de::DeTable;

use super::kind::Kind;
use super::platforms::Platforms;
use super::probes::Probed;
use super::problem::{ConfigErrors, Level, Problem};
use super::root::Root;
use super::source::{Env, Secrets, Source, read_limited};
use super::web::Log;
use super::{
    alerts, backups, docker, email, fiction, heartbeats, kubernetes, people, policy, probes, reach,
    rotations, routine, runbooks, services, slack, sources, store, web,
};
use crate::bot::{AlertSettings, Library, ReachSettings, Settings};
use crate::domain::Service;
use crate::notify::SmtpConfig;
use crate::notify::http::WayConfig;
use crate::probe::{alertmanager, log_store, postgres, prometheus, redis};
use crate::slack::SlackConfig;
use crate::web::{AlertSource, HeartbeatSender};

/// The sections that exist, with their keys: the first that has a key is told where it is misplaced.
pub(super) const SECTIONS: [Kind; 32] = [
    slack::SLACK,
    store::STORE,
    web::WEB,
    docker::DOCKER,
    docker::ENGINE,
    policy::ACCESS,
    policy::POLICY,
    web::LOG,
    services::SERVICE,
    kubernetes::CLUSTER,
    probes::DATABASE,
    probes::CACHE,
    probes::PROMETHEUS,
    probes::LOGS,
    probes::CHECK,
    policy::RUNBOOKS,
    alerts::ALERTS,
    alerts::ROUTE,
    sources::SOURCE,
    heartbeats::HEARTBEAT,
    heartbeats::DEADMAN,
    probes::ALERTMANAGER,
    rotations::ROTATION,
    routine::WINDOW,
    routine::FREEZE,
    routine::TASKS,
    routine::TASK,
    backups::BACKUP,
    alerts::WATCH,
    email::EMAIL,
    people::PERSON,
    reach::REACH,
];

/// The whole configuration, checked. Each part of the bot finds here what it is built from.
#[derive(Debug)]
pub struct Config {
    /// `[slack]`: the chat.
    pub slack: SlackConfig,
    /// `[store]`: `sqlite://<path>` or `postgres://…`; it may hold a password.
    pub store_url: SecretString,
    /// `[web] listen` or TREASURY_BOT_WEB_LISTEN: address and port, default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// `[web] health_listen`: a listener of its own for `/health` and `/metrics`; default: none,
    /// they are served on `listen`.
    pub health_listen: Option<SocketAddr>,
    /// What the bot goes by: `[access]`, `[policy]`, `[alerts]`, `[[route]]`, `[[rotation]]`,
    /// `[watch]`, and who is notified.
    pub settings: Settings,
    /// `[log]`
    pub log: Log,
    /// Where the platforms are that services are on.
    pub platforms: Platforms,
    /// `[[service]]`, in the file's order, each name once.
    pub services: Vec<Service>,
    /// `[[database]]`: PostgreSQL servers that can be asked, in the file's order, each name once.
    pub databases: Vec<Probed<postgres::Config>>,
    /// `[[cache]]`: Redis servers that can be asked, in the file's order, each name once.
    pub caches: Vec<Probed<redis::Config>>,
    /// `[prometheus]`, if it is there: where `graph` finds the metrics that services name.
    pub prometheus: Option<prometheus::Config>,
    /// `[logs]`, if it is there: where lines are kept that containers no longer have.
    pub logs: Option<log_store::Config>,
    /// `[check]`: how web addresses are asked.
    pub check: crate::probe::web::Config,
    /// `[runbooks] folder` of further runbooks.
    pub runbooks: Option<PathBuf>,
    /// Those, and the ones that come with the bot.
    pub library: Library,
    /// `[alerts]`: what senders have to show as a bearer token; without it no alerts are taken in.
    pub alerts_token: Option<SecretString>,
    /// `[[source]]`: senders of alerts beside Alertmanager, in the file's order, each name once.
    pub sources: Vec<AlertSource>,
    /// `[[heartbeat]]`: who may send which, in the file's order, each name once.
    pub heartbeat_senders: Vec<HeartbeatSender>,
    /// `[alertmanager]`, if it is there: where silences are made.
    pub alertmanager: Option<alertmanager::Config>,
    /// `[email]`, if it is there: without it, no mail is sent.
    pub smtp: Option<SmtpConfig>,
    /// `[reach.NAME]`: ways to reach people by HTTP, each name once.
    pub ways: Vec<WayConfig>,
    /// What the bot can start with, though somebody should look at it, or it can't work; in file
    /// order.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// The largest file that is read, in bytes.
    pub const MAX_BYTES: u64 = 1 << 20;

    /// Reads and checks the file. Secrets are looked up in `env` and in the files it names; all are
    /// needed.
    pub fn load(path: &Path, env: Env<'_>) -> Result<Self, ConfigErrors> {
        Self::load_with(path, env, Secrets::Needed)
    }

    /// The same, with these secrets.
    pub fn load_with(path: &Path, env: Env<'_>, secrets: Secrets) -> Result<Self, ConfigErrors> {
        let name = path.display().to_string();
        match read_limited(path, Self::MAX_BYTES) {
            Ok(text) => Self::parse_with(&text, &name, env, secrets),
            Err(why) => Err(ConfigErrors {
                problems: vec![Problem {
                    level: Level::Error,
                    file: name,
                    location: None,
                    message: format!("can't read the configuration: {why}"),
                    hint: None,
                }],
                others: Vec::new(),
            }),
        }
    }

    /// Checks a text as if it was the file `file_name`, which need not exist: its folder is where
    /// relative paths of secret files start. All secrets are needed.
    pub fn parse(text: &str, file_name: &str, env: Env<'_>) -> Result<Self, ConfigErrors> {
        Self::parse_with(text, file_name, env, Secrets::Needed)
    }

    /// The same, with these secrets.
    pub fn parse_with(
        text: &str,
        file_name: &str,
        env: Env<'_>,
        secrets: Secrets,
    ) -> Result<Self, ConfigErrors> {
        // Windows' Notepad puts a mark in front, which is no part of the first line.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let source = Source::new(text, file_name, (env, secrets), &SECTIONS);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let end = text.trim_end().len();
            let span = error.span().unwrap_or(end..end);
            source.error(span, format!("not TOML: {}", error.message()), "");
        }
        // After a syntax error the tables are guesses: what they lack says nothing.
        let config = errors
            .is_empty()
            .then(|| read(&Root::new(table.get_ref(), &source)))
            .flatten();
        let (problems, others) = source.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(Self {
                warnings: others,
                ..config
            }),
            _ => Err(ConfigErrors { problems, others }),
        }
    }
}

/// Reads all sections. What comes back counts only if nothing was reported as an error.
fn read(root: &Root<'_>) -> Option<Config> {
    let (store_url, keep) = root.single(store::STORE, |one| (store::url(one), store::keep(one)));
    let slack = root.single(slack::SLACK, slack::slack);
    let is_trial = slack_is_another(root);
    let web = root.single(web::WEB, |one| web::web(one, is_trial));
    let access = root.single(policy::ACCESS, policy::access);
    let policy = root.single(policy::POLICY, policy::policy);
    let log = root.single(web::LOG, web::log);
    let platforms = Platforms::read(root);
    let services = services::services(root, &platforms);
    let databases = probes::databases(root, &services);
    let caches = probes::caches(root, &services);
    let prometheus = root.single(probes::PROMETHEUS, probes::prometheus);
    if prometheus.is_none() && services.iter().any(|service| !service.metrics.is_empty()) {
        let message = "services name metrics, but there is no `prometheus` to ask";
        root.source
            .warning(None, message, "add [prometheus] with its `url`");
    }
    let (folder, hold) = root.single(policy::RUNBOOKS, policy::runbooks);
    let library = runbooks::library(root, services::SERVICE, folder.as_deref(), &services);
    let watch = root.single(alerts::WATCH, |one| {
        alerts::watch(one, prometheus.is_some())
    });
    let has_others = watch.is_some() || heartbeats::others_send(root);
    let (alerts_token, mut alerts) = root.single(alerts::ALERTS, |one| {
        alerts::alerts(one, root.count(alerts::ROUTE) > 0, has_others)
    });
    alerts.watch = watch;
    alerts.routes.routes = root.list(alerts::ROUTE, |one| {
        Some(alerts::route(one, &services, &library))
    });
    let has_token = alerts_token.is_some();
    let sources = sources::sources(root, has_token);
    let heartbeat_senders = heartbeats::heartbeats(root, &services, has_token, &mut alerts);
    let alertmanager = root.single(probes::ALERTMANAGER, probes::alertmanager);
    alerts.rotations = rotations::rotations(root, &services, !alerts.on_call.is_empty());
    let routine = routine::routine(root, &services, &library, &databases, &mut alerts);
    let ways = root.named(reach::REACH, reach::way);
    let people = people::people(root, &ways, root.count(email::EMAIL) > 0);
    let (smtp, notify) = root
        .single(email::EMAIL, |one| email::email(one, people.mail.clone()))
        .unzip();
    people::look_over(root, &people, notify.as_ref(), &on_call(&alerts));
    let check = root.single(probes::CHECK, |one| probes::check(one, &services));
    let logs = root.single(probes::LOGS, probes::logs);
    if !is_trial {
        fiction::look_over(root);
    }
    // Only now: every section's mistakes are reported, whatever another one lacks.
    let (mut slack, incident_channels) = slack?;
    slack.groups = policy::groups(&access);
    Some(Config {
        settings: Settings {
            command: slack.command.clone(),
            access,
            confirm: policy.confirm,
            second_person: policy.second_person,
            confirm_within: policy.confirm_within,
            patience: policy.patience,
            show_keys: policy.show_keys,
            hold,
            alerts,
            notify,
            reach: ReachSettings {
                people: people.ways,
                links: web.is_public,
            },
            incident_channels,
            public_url: Some(web.public_url),
            routine,
            keep,
        },
        slack,
        store_url: store_url.unwrap_or_else(|| SecretString::from("")),
        listen: web.listen,
        health_listen: web.health_listen,
        log,
        platforms,
        services,
        databases,
        caches,
        prometheus,
        logs,
        check,
        runbooks: folder,
        library,
        alerts_token,
        sources,
        heartbeat_senders,
        alertmanager,
        smtp,
        ways,
        warnings: Vec::new(),
    })
}

/// The ids of all who are asked.
fn on_call(alerts: &AlertSettings) -> BTreeSet<&str> {
    let members = alerts.rotations.iter().flat_map(|one| &one.members);
    let all = members.chain(&alerts.on_call);
    all.map(|person| person.id.as_str()).collect()
}

/// `slack.api_url` is a Slack for trying, in the clear, as the sandbox is: there, an example's people
/// and addresses will do.
fn slack_is_another(root: &Root<'_>) -> bool {
    let mut is_another = false;
    root.each_text(&mut |text| {
        is_another |= text.what == "slack.api_url" && text.value.starts_with("http://");
    });
    is_another
}
