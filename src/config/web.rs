//! `[web]`: what the bot serves, and `[log]`: its own log.

use std::net::{Ipv4Addr, SocketAddr};

use secrecy::ExposeSecret;

use super::at::{At, did_you_mean};
use super::kind::Kind;
use super::section::Section;
use super::urls::is_loopback;

pub(super) const WEB: Kind = Kind::single("web", "listen health_listen public_url");
pub(super) const LOG: Kind = Kind::single("log", "level format");

/// `[web]`: what the bot serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// TREASURY_BOT_WEB_LISTEN, which the image sets, else `listen`: address and port, default
    /// `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// `health_listen`: a listener of its own for `/health` and `/metrics`; default: none, they
    /// are served on `listen`.
    pub health_listen: Option<SocketAddr>,
    /// How people reach the incident pages: scheme and host, no slash at the end. `public_url`, else
    /// `listen`.
    pub public_url: String,
    /// `public_url` is written: people reach the pages from elsewhere.
    pub is_public: bool,
}

/// `[log]`: the bot's own log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `level`: a tracing `EnvFilter` text such as `info` or `info,sqlx=warn`; default `info`.
    pub level: String,
    /// `format`: one JSON object a line (`json`), or text for people (`text`, the default).
    pub json: bool,
}

pub(super) fn web(section: &Section<'_>, is_trial: bool) -> Web {
    let listen = listen(section).unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
    let own = section.text("health_listen");
    let health_listen = own.as_ref().and_then(address);
    let public_url = section.text("public_url");
    let public_url = public_url.and_then(|text| origin(&text, is_trial));
    if public_url.is_none() && listen.ip().is_unspecified() {
        let hint = "set it to how people reach the bot, such as \
                    `https://treasury-bot.example.com`; until then the links that `page` gives \
                    work on this machine only";
        section
            .source
            .warning(None, "`web.public_url` is not set", hint);
    }
    if let Some(own) = own
        && health_listen == Some(listen)
        && listen.port() != 0
    {
        let hint = "leave it out to serve /health and /metrics there too";
        own.error("`web.health_listen` is the same as `web.listen`", hint);
    }
    let is_public = public_url.is_some();
    let public_url = public_url.unwrap_or_else(|| {
        let mut here = listen;
        if here.ip().is_unspecified() {
            // All addresses of this machine: this one, from here.
            here.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{here}")
    });
    Web {
        listen,
        health_listen,
        public_url,
        is_public,
    }
}

/// Scheme and host of a web address, and nothing else: the pages' own paths follow. `is_trial`: with a
/// Slack on this machine, where the links work as well.
fn origin(text: &At<'_>, is_trial: bool) -> Option<String> {
    let url = text.http_as("https://treasury-bot.example.com")?;
    let origin = url.origin().ascii_serialization();
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        let message = "`web.public_url` can't have a path: the pages are at /incidents";
        text.error(message, format!("write `{origin}`"));
        return None;
    }
    if is_loopback(&url) && !is_trial {
        let message = "`web.public_url` is this machine: the links work nowhere else";
        text.warning(
            message,
            "write the address at which people reach the bot, or leave it out",
        );
    }
    Some(origin)
}

/// What the environment says, which wins; what is written for nothing is warned of.
fn listen(section: &Section<'_>) -> Option<SocketAddr> {
    let written = section.text("listen");
    let address = written.as_ref().and_then(address);
    let variable = section.variable("listen");
    let Some(set) = section.source.environment(&variable) else {
        return address;
    };
    let set = set.expose_secret();
    let Ok(wins) = set.parse() else {
        let message = format!("{variable} can't be `{set}`: not an address");
        section.source.error(None, message, ADDRESS);
        return address;
    };
    if let Some(written) = written
        && address.is_some_and(|address| address != wins)
    {
        let message = format!("`web.listen` does not count here: {variable} says `{wins}`");
        written.warning(message, "leave one of them out");
    }
    Some(wins)
}

const ADDRESS: &str = "write an IP address and a port, such as `127.0.0.1:8080`, `0.0.0.0:8080` or \
                       `[::1]:8080`";

fn address(text: &At<'_>) -> Option<SocketAddr> {
    let address = text.value.parse().ok();
    if address.is_none() {
        let message = format!("`{}` can't be `{}`: not an address", text.what, text.value);
        text.error(message, ADDRESS);
    }
    address
}

pub(super) fn log(section: &Section<'_>) -> Log {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    const LEVEL: &str = "write a level or a filter such as `info,sqlx=warn`";
    let level = section.text("level");
    if let Some(text) = &level {
        // EnvFilter takes a lone misspelt level for the name of a module.
        let lone = text.value.chars().all(char::is_alphanumeric);
        let known = LEVELS.contains(&text.value.to_lowercase().as_str());
        let levels = LEVELS.iter().copied().filter(|_| lone && !known);
        let hint = did_you_mean(text.value, levels, LEVEL);
        let parsed = tracing_subscriber::EnvFilter::builder().parse(text.value);
        if text.value.trim().is_empty() || parsed.is_err() || hint != LEVEL {
            text.refuse(hint);
        }
    }
    let formats = [("text", false), ("json", true)];
    Log {
        level: level.map_or("info", |text| text.value).to_owned(),
        json: section.word("format", &formats).unwrap_or(false),
    }
}
