//! `[[backup]]`: what is backed up, when, and where to.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::at::{At, did_you_mean};
use super::kind::Kind;
use super::names::{Names, known_service, label};
use super::probes::{Probed, postgres_url};
use super::root::Root;
use super::routine;
use super::section::Section;
use crate::backup::Destination;
use crate::backup::destination::{Bucket, Keys};
use crate::backup::postgres::{Programs, Question};
use crate::bot::{AlertSettings, BackupPlan};
use crate::config::alerts::SEVERITIES;
use crate::domain::heartbeat::Heartbeat;
use crate::domain::schedule::Schedule;
use crate::domain::{Service, Severity};
use crate::probe::postgres;

pub(super) const BACKUP: Kind = Kind::list(
    "backup",
    "name database url password_file schedule timezone keep_days keep_at_least to endpoint region \
     access_key secret_key_file recipient identity_file programs lock_wait service severity grace \
     drill_url drill_password_file drill_schedule ask",
);

const ASK: Kind = Kind::single("ask", "name query wanted");

/// How late one may be, where nothing is said: it takes its time.
const GRACE: Duration = Duration::from_secs(2 * 3_600);

/// All of them, in the file's order, each with a heartbeat: one that is late, fails, or has half its usual
/// size is an alert like that of any other job.
pub(super) fn backups(
    root: &Root<'_>,
    databases: &[Probed<postgres::Config>],
    services: &[Service],
    alerts: &mut AlertSettings,
) -> Vec<BackupPlan> {
    let mut names = Names::default();
    let all = root.list(BACKUP, |section| {
        let plan = plan(section, &mut names, databases);
        let service = section.text("service");
        let service = service.and_then(|text| known_service(&text, services));
        let severity = section.word("severity", &SEVERITIES);
        let grace = section.duration_or("grace", GRACE);
        let plan = plan?;
        let heartbeat = plan.schedule.as_ref().map(|schedule| Heartbeat {
            name: plan.heartbeat(),
            every: schedule.longest(),
            grace,
            service,
            severity: severity.unwrap_or(Severity::Sev3),
            watchdog: None,
        });
        Some((plan, heartbeat))
    });
    let (plans, heartbeats): (Vec<BackupPlan>, Vec<Option<Heartbeat>>) = all.into_iter().unzip();
    for heartbeat in heartbeats.into_iter().flatten() {
        if alerts
            .heartbeats
            .iter()
            .any(|one| one.name == heartbeat.name)
        {
            let name = &heartbeat.name;
            let message = format!("the heartbeat `{name}` is that of a backup");
            root.source
                .error(0..0, message, "call the other one otherwise");
        } else {
            alerts.heartbeats.push(heartbeat);
        }
    }
    plans
}

fn plan(
    section: &Section<'_>,
    names: &mut Names,
    databases: &[Probed<postgres::Config>],
) -> Option<BackupPlan> {
    let name = label(section, names, "add `name`, such as `main`");
    let url = address(section, databases);
    let schedule = section.written("schedule").is_some();
    let schedule = schedule.then(|| routine::schedule(section));
    let drills = section.text("drill_schedule");
    let zone = super::rotations::zone(section);
    let drills = drills.map(|text| {
        let zone = zone.clone().unwrap_or(jiff::tz::TimeZone::UTC);
        text.parsed(Schedule::parse(text.value, zone))
    });
    let drill_url = section
        .text("drill_url")
        .and_then(|text| postgres_url(&text, section));
    let drill_url = drill_url.map(|url| with_password(url, section.secret("drill_password")));
    if drill_url.is_none() && drills.is_some() {
        section.error_at(
            "drill_schedule",
            "`backup.drill_schedule` without `drill_url`",
            "",
        );
    }
    let recipient = section
        .text("recipient")
        .map(|text| text.parsed(text.value.parse()));
    let identity_file = section.text("identity_file").map(|text| text.path());
    let to = section.required(
        "to",
        "a backup without `to`",
        "add `to`: a folder, or `s3://bucket/prefix`",
    );
    let to = to.and_then(|text| destination(&text, section));
    let asks = section.texts_or_tables(ASK, |_, entry| {
        let query = entry.required(
            "query",
            "a question without `query`",
            "a query of one value",
        );
        let query = query?.value.to_owned();
        Some(Question {
            name: entry.string("name").unwrap_or_else(|| query.clone()),
            wanted: entry.string("wanted"),
            sql: query,
        })
    });
    let days = section.number("keep_days", 1, 36_500).unwrap_or(30);
    let keep_at_least = section.number("keep_at_least", 1, 10_000).unwrap_or(3);
    let lock_wait = section.duration_or("lock_wait", Duration::from_secs(30));
    let programs = section.text("programs").map(|text| text.path());
    Some(BackupPlan {
        name: name?.value.to_owned(),
        url: url?,
        // What is wrong with it was told.
        schedule: schedule.flatten(),
        keep: Duration::from_secs(u64::from(days) * 86_400),
        keep_at_least: keep_at_least as usize,
        to: to?,
        recipient: recipient.flatten(),
        identity_file,
        programs: Programs::installed(programs),
        lock_wait: lock_wait.max(Duration::from_millis(100)),
        drill_url,
        drill_schedule: drills.flatten(),
        asks: asks.unwrap_or_default(),
    })
}

/// That of a `[[database]]`, or one of its own.
fn address(section: &Section<'_>, databases: &[Probed<postgres::Config>]) -> Option<SecretString> {
    let password = section.secret("password");
    match (section.text("database"), section.text("url")) {
        (Some(database), None) => {
            let known = databases
                .iter()
                .find(|one| one.name.as_str() == database.value);
            if known.is_none() {
                let all = databases.iter().map(|one| one.name.as_str());
                let hint = did_you_mean(database.value, all, "write the name of a [[database]]");
                database.error(format!("there is no database `{}`", database.value), hint);
            }
            Some(known?.config.url.clone())
        }
        (None, Some(url)) => {
            let url = postgres_url(&url, section)?;
            Some(with_password(url, password))
        }
        (Some(database), Some(_)) => {
            database.error(
                "a backup has `database` or `url`, not both",
                "leave one out",
            );
            None
        }
        (None, None) => {
            let hint = "add `database`: the name of a [[database]]; or a `url` of its own";
            section.error("a backup of nothing", hint);
            None
        }
    }
}

fn with_password(mut url: Url, password: Option<SecretString>) -> SecretString {
    if let Some(password) = password {
        // Only a URL without a host refuses one, and that was reported.
        let _ = url.set_password(Some(password.expose_secret()));
    }
    SecretString::from(String::from(url))
}

/// A folder, or a bucket with its keys.
fn destination(text: &At<'_>, section: &Section<'_>) -> Option<Destination> {
    let access = section.string("access_key");
    let secret = section.secret("secret_key");
    let endpoint = section.text("endpoint").and_then(|text| text.http());
    let region = section.string("region");
    let Some(place) = text.value.strip_prefix("s3://") else {
        return Some(Destination::folder(text.path()));
    };
    if access.is_none() {
        section.error(
            "a backup to S3 without `access_key`",
            "add the access key's id",
        );
    } else if section.lacks(secret.as_ref(), "secret_key") {
        let hint = format!(
            "set {} or `secret_key_file`",
            section.variable("secret_key")
        );
        section.error("a backup to S3 without its secret key", hint);
    }
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let bucket = Bucket {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_end_matches('/').to_owned(),
        endpoint,
        region: region.unwrap_or_else(|| "us-east-1".to_owned()),
        keys: Keys {
            access: access?,
            secret: secret?,
            session: None,
        },
    };
    text.parsed(Destination::bucket(&bucket))
}
