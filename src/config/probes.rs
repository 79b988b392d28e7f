//! `[[database]]`, `[[cache]]`, `[prometheus]`, `[alertmanager]`, `[logs]` and `[check]`: what the bot
//! can ask.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::at::At;
use super::kind::Kind;
use super::names::{Names, known_service};
use super::root::Root;
use super::section::Section;
use super::store::holds_password;
use crate::domain::{Service, ServiceName};
use crate::probe::log_store::{self, Flavour};
use crate::probe::{alertmanager, postgres, prometheus, redis, web};

pub(super) const DATABASE: Kind = Kind::list("database", "name service url password_file timeout");
pub(super) const CACHE: Kind = Kind::list(
    "cache",
    "name service url password_file sentinel_master timeout",
);
pub(super) const PROMETHEUS: Kind = Kind::single("prometheus", "url token_file timeout");
pub(super) const ALERTMANAGER: Kind =
    Kind::single("alertmanager", "url token_file user password_file timeout");
pub(super) const LOGS: Kind = Kind::single(
    "logs",
    "kind url index field names tenant token_file user password_file timeout",
);
pub(super) const CHECK: Kind = Kind::single("check", "hosts ca_file timeout");

/// A `[[database]]` or `[[cache]]`: its name in chat, whose it is, and how it is asked.
#[derive(Debug)]
pub struct Probed<C> {
    /// `name`; default: the service's, else that of the section.
    pub name: ServiceName,
    /// `service`; default: its own name.
    pub service: ServiceName,
    /// Where and how it is asked.
    pub config: C,
}

/// What databases and caches have in common.
struct Server {
    name: String,
    url: Url,
    password: Option<SecretString>,
    timeout: Duration,
}

/// What differs in their addresses: the schemes, and an example.
struct Address {
    schemes: [&'static str; 2],
    example: &'static str,
}

const POSTGRES: Address = Address {
    schemes: ["postgres", "postgresql"],
    example: "postgres://treasury_bot@127.0.0.1:5432/treasury",
};
const REDIS: Address = Address {
    schemes: ["redis", "rediss"],
    example: "redis://127.0.0.1:6379/0",
};

/// All databases, in the file's order. The password is put into the URL.
pub(super) fn databases(root: &Root<'_>, services: &[Service]) -> Vec<Probed<postgres::Config>> {
    probed(root, DATABASE, &POSTGRES, services, |_, mut server| {
        if let Some(password) = server.password {
            // Only a URL without a host refuses one, and that was reported.
            let _ = server.url.set_password(Some(password.expose_secret()));
        }
        postgres::Config {
            name: server.name,
            url: SecretString::from(String::from(server.url)),
            timeout: server.timeout,
        }
    })
}

/// All caches, in the file's order.
pub(super) fn caches(root: &Root<'_>, services: &[Service]) -> Vec<Probed<redis::Config>> {
    probed(root, CACHE, &REDIS, services, |section, server| {
        redis::Config {
            name: server.name,
            url: server.url.into(),
            password: server.password,
            sentinel_master: section.string("sentinel_master"),
            timeout: server.timeout,
        }
    })
}

fn probed<C>(
    root: &Root<'_>,
    kind: Kind,
    address: &Address,
    services: &[Service],
    config: impl Fn(&Section<'_>, Server) -> C,
) -> Vec<Probed<C>> {
    let is_alone = root.count(kind) == 1;
    let mut names = Names::default();
    root.list(kind, |section| {
        let service = section.text("service");
        let service = service.and_then(|text| known_service(&text, services));
        let written = section.text("name");
        let name = match &written {
            Some(text) => text.ok(ServiceName::parse(text.value)
                .map_err(|error| error.to_string().replace("service name", "name"))),
            None => service
                .clone()
                .or_else(|| ServiceName::parse(kind.name).ok()),
        };
        if let Some(name) = &name {
            let at = written.map(|text| text.span).or(section.span.clone());
            let more = "; tell them apart by `name`";
            names.first(section, name.as_str(), at.unwrap_or_default(), more);
        }
        let message = format!("a {} without a `url`", kind.name);
        let hint = format!("such as `url = \"{}\"`", address.example);
        let url = section.required("url", message, hint);
        let url = url.and_then(|text| server_url(&text, address, section));
        let password = password(section, name.as_ref(), is_alone);
        let timeout = section.timeout(Duration::from_secs(5));
        let name = name?;
        let server = Server {
            name: name.to_string(),
            url: url?,
            password,
            timeout,
        };
        Some(Probed {
            config: config(section, server),
            service: service.unwrap_or_else(|| name.clone()),
            name,
        })
    })
}

/// That of a PostgreSQL server.
pub(super) fn postgres_url(text: &At<'_>, section: &Section<'_>) -> Option<Url> {
    server_url(text, &POSTGRES, section)
}

/// The address, without a password. Nothing of it is repeated: it might hold one all the same.
fn server_url(text: &At<'_>, address: &Address, section: &Section<'_>) -> Option<Url> {
    let what = &text.what;
    let mut hint = format!("such as `{}`", address.example);
    let message = match Url::parse(text.value) {
        Err(error) => format!("`{what}` is not a URL: {error}"),
        Ok(url) if !address.schemes.contains(&url.scheme()) => {
            let [one, other] = address.schemes;
            format!("`{what}` must begin with {one}:// or {other}://")
        }
        Ok(url) if holds_password(&url) => {
            let variable = section.variable("password");
            hint = format!("put it in {variable} or password_file");
            format!("`{what}` holds a password, which doesn't belong in this file")
        }
        Ok(url) if url.host_str().is_none_or(str::is_empty) => format!("`{what}` names no host"),
        Ok(url) => return Some(url),
    };
    text.error(message, hint);
    None
}

/// From the variable of this name, from that of the only one, or from its file.
fn password(
    section: &Section<'_>,
    name: Option<&ServiceName>,
    is_alone: bool,
) -> Option<SecretString> {
    let own = name.map(|name| format!("{}_password", name.as_str().replace(['-', '.'], "_")));
    let only = is_alone.then(|| "password".to_owned());
    let set = own.into_iter().chain(only);
    let set = set.map(|key| section.source.environment(&section.variable(&key)));
    set.flatten()
        .next()
        .or_else(|| section.text("password_file")?.secret())
}

/// `[prometheus]`: where `graph` finds the metrics that services name.
pub(super) fn prometheus(section: &Section<'_>) -> Option<prometheus::Config> {
    Some(prometheus::Config {
        token: section.secret("token"),
        timeout: section.timeout(Duration::from_secs(10)),
        url: base_url(section, "http://127.0.0.1:9090")?,
    })
}

/// `[logs]`: where log lines are kept that containers no longer have.
pub(super) fn logs(section: &Section<'_>) -> Option<log_store::Config> {
    section.span.as_ref()?;
    const FLAVOURS: [(&str, Flavour); 3] = [
        ("loki", Flavour::Loki),
        ("elasticsearch", Flavour::Elasticsearch),
        ("opensearch", Flavour::OpenSearch),
    ];
    let hint = "write \"loki\", \"elasticsearch\" or \"opensearch\"";
    let kind = section.required("kind", "`logs` without a `kind`", hint);
    let flavour = kind.and_then(|text| text.one_of(&FLAVOURS));
    let (token, login) = token_or_login(section);
    let url = base_url(section, "http://127.0.0.1:3100");
    let index = section.text("index");
    let tenant = section.text("tenant");
    for (written, is_of_loki) in [(&index, false), (&tenant, true)] {
        let is_loki = flavour == Some(Flavour::Loki);
        if let Some(text) = written
            .as_ref()
            .filter(|_| flavour.is_some() && is_loki != is_of_loki)
        {
            let message = format!(
                "`{}` says nothing to {}",
                text.what,
                flavour.map_or("", Flavour::name)
            );
            text.error(message, "leave it out");
        }
    }
    let names = section.free_table("names").into_iter().flatten();
    let names = names.filter_map(|(key, value)| {
        let name = value.get_ref().as_str().filter(|name| !name.is_empty());
        if name.is_none() {
            let message = format!("`logs.names.{}` must be a text", key.get_ref());
            section.error_at(
                "names",
                message,
                "such as `names = { api = \"treasury-api\" }`",
            );
        }
        Some((key.get_ref().to_string(), name?.to_owned()))
    });
    let names = names.collect();
    let flavour = flavour?;
    let usual =
        |text: Option<At<'_>>, usual: &str| text.map_or(usual, |text| text.value).to_owned();
    Some(log_store::Config {
        flavour,
        url: url?,
        token,
        login,
        tenant: tenant.map(|text| text.value.to_owned()),
        index: usual(index, "filebeat-*"),
        field: usual(section.text("field"), flavour.usual_field()),
        names,
        timeout: section.timeout(Duration::from_secs(15)),
    })
}

/// A token, or a user with their password; not both.
fn token_or_login(section: &Section<'_>) -> (Option<SecretString>, Option<(String, SecretString)>) {
    let token = section.secret("token");
    let user = section.text("user");
    let password = section.secret("password");
    if let Some(user) = &user {
        let name = section.name();
        if password.is_some() && token.is_some() {
            let message = format!("`{name}` has a token and a user: it can show only one");
            user.error(message, "leave one of them out");
        } else if section.lacks(password.as_ref(), "password") {
            let hint = format!("set {} or `password_file`", section.variable("password"));
            user.error(format!("`{name}.user` without a password"), hint);
        }
    }
    let login = user.map(|user| user.value.to_owned()).zip(password);
    (token, login)
}

/// `[alertmanager]`: where silences are made and what fires is known, with a token or as a user.
pub(super) fn alertmanager(section: &Section<'_>) -> Option<alertmanager::Config> {
    let (token, login) = token_or_login(section);
    let urls = section.one_or_more("url").unwrap_or_default();
    if section.span.is_some() && urls.is_empty() {
        let hint = "such as `url = \"http://127.0.0.1:9093\"`, or a list of a cluster's";
        section.error("`alertmanager` without a `url`", hint);
    }
    let urls: Option<Vec<Url>> = urls.iter().map(At::http).collect();
    let urls = urls.filter(|urls| !urls.is_empty())?;
    Some(alertmanager::Config {
        token,
        login,
        timeout: section.timeout(Duration::from_secs(10)),
        urls: urls.iter().map(bare).collect(),
    })
}

/// `url`, without a slash at its end.
fn base_url(section: &Section<'_>, example: &str) -> Option<String> {
    let message = format!("`{}` without a `url`", section.name());
    let url = section.required("url", message, format!("such as `url = \"{example}\"`"))?;
    Some(bare(&url.http()?))
}

fn bare(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// `[check]`: how web addresses are asked, and which private ones may be. Those of the configured
/// services may always.
pub(super) fn check(section: &Section<'_>, services: &[Service]) -> web::Config {
    let own = services.iter().flat_map(|service| &service.check);
    let own = own.filter_map(|address| {
        let url = Url::parse(address).ok()?;
        Some(format!(
            "{}:{}",
            url.host_str()?,
            url.port_or_known_default()?
        ))
    });
    let listed = section.texts("hosts").unwrap_or_default();
    let listed = listed.iter().filter_map(|entry| {
        let (host, port) = match entry.value.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            _ => (entry.value, None),
        };
        let name = host.strip_prefix("*.").unwrap_or(host);
        let good = !name.is_empty()
            && !name.contains(['/', '*', '@', ' '])
            && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if !good {
            let message = format!("`check.hosts` can't list `{}`", entry.value);
            entry.error(
                message,
                "write `host`, `*.domain` or `host:port`, without a scheme",
            );
        }
        good.then(|| entry.value.to_ascii_lowercase())
    });
    web::Config {
        hosts: own.chain(listed).collect(),
        extra_roots_pem: section.text("ca_file").and_then(|path| path.certificates()),
        timeout: section.timeout(Duration::from_secs(10)),
    }
}
