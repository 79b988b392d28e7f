//! `[[database]]`, `[[cache]]`, `[prometheus]` and `[check]`: what the bot can ask.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use toml::de::DeTable;
use url::Url;

use super::reader::{At, Reader, tables};
use super::secret::{environment, file};
use super::sections::elsewhere;
use super::source::{Report, read_limited};
use super::{CacheSection, CheckSection, DatabaseSection, Env, PrometheusSection, urls};
use crate::command::nearest;
use crate::domain::{Service, ServiceName};

pub(super) const DATABASE: [&str; 5] = ["name", "service", "url", "password_file", "timeout"];
pub(super) const CACHE: [&str; 6] = [
    "name",
    "service",
    "url",
    "password_file",
    "sentinel_master",
    "timeout",
];
pub(super) const PROMETHEUS: [&str; 3] = ["url", "token_file", "timeout"];
pub(super) const CHECK: [&str; 3] = ["hosts", "ca_file", "timeout"];

/// The variable of Prometheus' bearer token.
const PROMETHEUS_TOKEN: &str = "TREASURY_BOT_PROMETHEUS_TOKEN";
/// The largest file of certificate authorities, bytes.
const MAX_CA: u64 = 1 << 20;
/// A question may take from one to thirty seconds.
const LONGEST: Duration = Duration::from_secs(30);

/// What differs between databases and caches.
struct Kind {
    /// The section, and the name of one without a service.
    section: &'static str,
    /// The middle of the environment variable.
    variable: &'static str,
    schemes: &'static [&'static str],
    example: &'static str,
}

const DATABASES: Kind = Kind {
    section: "database",
    variable: "DATABASE",
    schemes: &["postgres", "postgresql"],
    example: "postgres://treasury_bot@127.0.0.1:5432/treasury",
};
const CACHES: Kind = Kind {
    section: "cache",
    variable: "CACHE",
    schemes: &["redis", "rediss"],
    example: "redis://127.0.0.1:6379/0",
};

/// What both have.
struct Probed {
    name: ServiceName,
    service: Option<ServiceName>,
    url: Url,
    password: Option<SecretString>,
    timeout: Duration,
    sentinel_master: Option<String>,
}

/// `[[database]]`, in the file's order.
pub(super) fn databases(
    report: &mut Report<'_>,
    root: &DeTable<'_>,
    services: &[Service],
    env: Env<'_>,
) -> Vec<DatabaseSection> {
    let all = all(report, root, &DATABASES, services, env);
    all.into_iter()
        .map(|mut one| {
            if let Some(password) = &one.password {
                // Only a URL without a host refuses one, and that was reported.
                let _ = one.url.set_password(Some(password.expose_secret()));
            }
            DatabaseSection {
                name: one.name,
                service: one.service,
                url: SecretString::from(String::from(one.url)),
                timeout: one.timeout,
            }
        })
        .collect()
}

/// `[[cache]]`, in the file's order.
pub(super) fn caches(
    report: &mut Report<'_>,
    root: &DeTable<'_>,
    services: &[Service],
    env: Env<'_>,
) -> Vec<CacheSection> {
    let all = all(report, root, &CACHES, services, env);
    all.into_iter()
        .map(|one| CacheSection {
            name: one.name,
            service: one.service,
            url: one.url.into(),
            password: one.password,
            sentinel_master: one.sentinel_master,
            timeout: one.timeout,
        })
        .collect()
}

fn all(
    report: &mut Report<'_>,
    root: &DeTable<'_>,
    kind: &Kind,
    services: &[Service],
    env: Env<'_>,
) -> Vec<Probed> {
    let Some((written, readers)) = tables(report, root, kind.section) else {
        return Vec::new();
    };
    let mut names = HashMap::new();
    let mut found = Vec::new();
    for reader in readers {
        found.extend(one(
            report,
            reader,
            kind,
            services,
            env,
            written == 1,
            &mut names,
        ));
    }
    found
}

fn one(
    report: &mut Report<'_>,
    mut reader: Reader<'_, '_>,
    kind: &Kind,
    services: &[Service],
    env: Env<'_>,
    alone: bool,
    names: &mut HashMap<ServiceName, usize>,
) -> Option<Probed> {
    let section = kind.section;
    let header = reader.span.clone().unwrap_or_default();
    let written = reader.text(report, "name");
    let service = reader
        .text(report, "service")
        .and_then(|text| known(report, section, &text, services));
    let name = match &written {
        Some(text) => ServiceName::parse(text.value)
            .map_err(|error| {
                let message = error.to_string().replace("service name", "name");
                report.error(text.span.clone(), message, None);
            })
            .ok(),
        None => service.clone().or_else(|| ServiceName::parse(section).ok()),
    };
    if let Some(name) = &name {
        let at = written
            .as_ref()
            .map_or(header.clone(), |text| text.span.clone());
        if let Some(first) = names.get(name) {
            let hint = format!(
                "the first is in line {}; tell them apart by `name`",
                report.line(*first)
            );
            report.error(at, format!("a second {section} `{name}`"), Some(hint));
        } else {
            names.insert(name.clone(), at.start);
        }
    }
    let has_url = reader.written("url").is_some();
    let url = reader
        .text(report, "url")
        .and_then(|text| address(report, kind, &text));
    if !has_url {
        let hint = format!("such as `url = \"{}\"`", kind.example);
        report.error(header, format!("a {section} without a `url`"), Some(hint));
    }
    let named = reader.text(report, "password_file");
    let password = password(report, kind, named.as_ref(), name.as_ref(), env, alone);
    let sentinel_master = if section == "cache" {
        reader
            .text(report, "sentinel_master")
            .map(|text| text.value.to_owned())
    } else {
        None
    };
    let timeout = timeout(report, &mut reader, section, Duration::from_secs(5));
    reader.finish(report, elsewhere);
    Some(Probed {
        name: name?,
        service,
        url: url?,
        password,
        timeout,
        sentinel_master,
    })
}

/// The configured service of this name.
pub(super) fn known(
    report: &mut Report<'_>,
    section: &str,
    text: &At<&str>,
    services: &[Service],
) -> Option<ServiceName> {
    let names = || services.iter().map(|service| service.name.as_str());
    if let Some(found) = services.iter().find(|one| one.name.as_str() == text.value) {
        return Some(found.name.clone());
    }
    let hint = match nearest(text.value, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
    };
    let message = format!("`{section}.service`: there is no service `{}`", text.value);
    report.error(text.span.clone(), message, Some(hint));
    None
}

/// The address, without a password. Nothing of it is repeated: it might hold one all the same.
fn address(report: &mut Report<'_>, kind: &Kind, text: &At<&str>) -> Option<Url> {
    let section = kind.section;
    let hint = || Some(format!("such as `{}`", kind.example));
    let url = match Url::parse(text.value) {
        Ok(url) if kind.schemes.contains(&url.scheme()) => url,
        Ok(_) => {
            let schemes: Vec<String> = kind.schemes.iter().map(|s| format!("{s}://")).collect();
            let message = format!("`{section}.url` must begin with {}", schemes.join(" or "));
            report.error(text.span.clone(), message, hint());
            return None;
        }
        Err(error) => {
            let message = format!("`{section}.url` is not a URL: {error}");
            report.error(text.span.clone(), message, hint());
            return None;
        }
    };
    if url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password") {
        let message =
            format!("`{section}.url` holds a password, which doesn't belong in this file");
        let hint = format!(
            "put it in TREASURY_BOT_{}_PASSWORD or password_file",
            kind.variable
        );
        report.error(text.span.clone(), message, Some(hint));
        return None;
    }
    if url.host_str().is_none_or(str::is_empty) {
        report.error(
            text.span.clone(),
            format!("`{section}.url` names no host"),
            hint(),
        );
        return None;
    }
    Some(url)
}

/// From the variable of this name, from that of the only one, or from its file.
fn password(
    report: &mut Report<'_>,
    kind: &Kind,
    named: Option<&At<&str>>,
    name: Option<&ServiceName>,
    env: Env<'_>,
    alone: bool,
) -> Option<SecretString> {
    let own = name.and_then(|name| {
        let name = name.as_str().to_ascii_uppercase().replace(['-', '.'], "_");
        environment(
            env,
            &format!("TREASURY_BOT_{}_{name}_PASSWORD", kind.variable),
        )
    });
    let only = || {
        alone
            .then(|| environment(env, &format!("TREASURY_BOT_{}_PASSWORD", kind.variable)))
            .flatten()
    };
    own.or_else(only).or_else(|| {
        let what = format!("{}.password_file", kind.section);
        named.and_then(|path| file(report, &what, path))
    })
}

/// The certificate authorities of a file, PEM.
pub(super) fn certificates(report: &mut Report<'_>, key: &str, path: &At<&str>) -> Option<Vec<u8>> {
    let found = report.beside(path.value);
    let problem = match read_limited(&found, MAX_CA) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => {
            return Some(text.into_bytes());
        }
        Ok(_) => format!("{} holds no certificate in PEM", found.display()),
        Err(why) => format!("can't read {}: {why}", found.display()),
    };
    report.error(path.span.clone(), format!("`{key}`: {problem}"), None);
    None
}

/// `timeout` of a section: 1 to 30 s.
pub(super) fn timeout(
    report: &mut Report<'_>,
    reader: &mut Reader<'_, '_>,
    section: &str,
    default: Duration,
) -> Duration {
    let at: Option<Range<usize>> = reader.written("timeout");
    let Some(timeout) = reader.duration(report, "timeout") else {
        return default;
    };
    if timeout > LONGEST {
        let message = format!(
            "`{section}.timeout` must be from 1s to {}s",
            LONGEST.as_secs()
        );
        report.error(at, message, None);
        return default;
    }
    timeout
}

/// `[prometheus]`
pub(super) fn prometheus(
    report: &mut Report<'_>,
    mut section: Reader<'_, '_>,
    env: Env<'_>,
) -> Option<PrometheusSection> {
    let header = section.span.clone();
    let has_url = section.written("url").is_some();
    let written = section.text(report, "url");
    let named = section.text(report, "token_file");
    let timeout = timeout(report, &mut section, "prometheus", Duration::from_secs(10));
    section.finish(report, elsewhere);
    let header = header?;
    if !has_url {
        let hint = "such as `url = \"http://127.0.0.1:9090\"`".to_owned();
        report.error(header, "`prometheus` without a `url`", Some(hint));
    }
    let url = urls::http(report, "prometheus.url", &written?)?;
    let token = environment(env, PROMETHEUS_TOKEN)
        .or_else(|| named.and_then(|path| file(report, "prometheus.token_file", &path)));
    Some(PrometheusSection {
        url: url.as_str().trim_end_matches('/').to_owned(),
        token,
        timeout,
    })
}

/// `[check]`
pub(super) fn check(report: &mut Report<'_>, mut section: Reader<'_, '_>) -> CheckSection {
    let mut hosts = Vec::new();
    for entry in section.texts(report, "hosts").unwrap_or_default() {
        let (host, port) = match entry.value.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            _ => (entry.value, None),
        };
        let name = host.strip_prefix("*.").unwrap_or(host);
        let good = !name.is_empty()
            && !name.contains(['/', '*', '@', ' '])
            && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if good {
            hosts.push(entry.value.to_ascii_lowercase());
        } else {
            let message = format!("`check.hosts` can't list `{}`", entry.value);
            let hint = "write `host`, `*.domain` or `host:port`, without a scheme".to_owned();
            report.error(entry.span, message, Some(hint));
        }
    }
    let extra_roots_pem = section
        .text(report, "ca_file")
        .and_then(|path| certificates(report, "check.ca_file", &path));
    let timeout = timeout(report, &mut section, "check", Duration::from_secs(10));
    section.finish(report, elsewhere);
    CheckSection {
        hosts,
        extra_roots_pem,
        timeout,
    }
}
