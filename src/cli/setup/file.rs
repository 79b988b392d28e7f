//! The file that is written.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use toml::Value;

use super::services::kind;
use super::slack::Member;
use crate::domain::Target;
use crate::domain::service::Found;

/// What stands in the file.
#[derive(Debug, Default)]
pub(super) struct Content<'a> {
    /// The main channel, where it is not the usual one.
    pub(super) channel: Option<&'a str>,
    /// Another Slack.
    pub(super) api_url: Option<&'a str>,
    /// Keys of files with tokens, with their paths; none: they come from the environment.
    pub(super) token_files: &'a [(&'static str, String)],
    /// Where the bot serves, where that is not the usual place.
    pub(super) listen: Option<String>,
    /// Who may act.
    pub(super) responders: &'a [Member],
    /// The services.
    pub(super) services: &'a [Found],
}

impl Content<'_> {
    /// The file's text.
    pub(super) fn text(&self) -> String {
        let mut out = String::from(
            "# What stands here is what differs from the default; every key is told in \
             treasury-bot.example.toml.\n# `treasury-bot config check` reads it. No secret belongs \
             in it.\n",
        );
        let tokens = self.token_files.iter();
        let tokens = tokens.map(|(key, path)| (*key, Some(path.as_str())));
        let slack = [("channel", self.channel), ("api_url", self.api_url)];
        let slack: Vec<String> = slack.into_iter().chain(tokens).filter_map(pair).collect();
        if self.token_files.is_empty() {
            out.push_str(
                "# The tokens come from TREASURY_BOT_SLACK_BOT_TOKEN and \
                 TREASURY_BOT_SLACK_APP_TOKEN.\n",
            );
        }
        section(&mut out, "[slack]", &slack);
        let listen = pair(("listen", self.listen.as_deref()));
        section(&mut out, "[web]", listen.as_slice());
        out.push_str(
            "\n# Everybody in the workspace may look; responders may act. An id: in Slack, Profile, \
             Copy member ID.\n[access]\nviewers = [\"*\"]\n",
        );
        if self.responders.is_empty() {
            out.push_str("# responders = [\"U0123456789\"]\n");
        } else {
            let ids = self.responders.iter().map(|one| quoted(&one.id));
            let names = self.responders.iter().filter_map(|one| one.name.as_deref());
            let (ids, names) = (
                ids.collect::<Vec<_>>(),
                names.collect::<Vec<_>>().join(", "),
            );
            let comment = if names.is_empty() {
                names
            } else {
                format!("  # {names}")
            };
            out.push_str(&format!("responders = [{}]{comment}\n", ids.join(", ")));
        }
        for found in self.services {
            service(&mut out, found);
        }
        out
    }
}

fn section(out: &mut String, header: &str, lines: &[String]) {
    if !lines.is_empty() {
        out.push_str(&format!("\n{header}\n{}\n", lines.join("\n")));
    }
}

fn pair((key, value): (&str, Option<&str>)) -> Option<String> {
    value.map(|value| format!("{key} = {}", quoted(value)))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn service(out: &mut String, found: &Found) {
    let service = &found.service;
    let what = kind(&found.image, service.name.as_str());
    let further = match what {
        Some("database") if is_of(found, "postgres") => {
            "; a [[database]] lets people ask it about sessions, locks and sizes"
        }
        Some("cache") => "; a [[cache]] lets people ask it about memory, clients and keys",
        _ => "",
    };
    let image = match found.image.as_str() {
        "" => "image unknown",
        image => image,
    };
    let what = what.map(|what| format!("{what}, ")).unwrap_or_default();
    out.push_str(&format!("\n# {what}{image}{further}\n[[service]]\n"));
    let mut keys = vec![("name", service.name.to_string())];
    match &service.target {
        Target::Compose {
            project, service, ..
        } => {
            keys.push(("compose_project", project.clone()));
            keys.push(("compose_service", service.clone()));
        }
        Target::Container { name, .. } => keys.push(("container", name.clone())),
        Target::Swarm { service, .. } => keys.push(("swarm_service", service.clone())),
        Target::Kubernetes {
            namespace,
            kind,
            name,
            ..
        } => {
            keys.push(("namespace", namespace.clone()));
            keys.push(("workload", format!("{}/{name}", kind.word())));
        }
        Target::Simulated { .. } => {}
    }
    for (key, value) in keys {
        out.push_str(&format!("{key} = {}\n", quoted(&value)));
    }
    if !service.depends_on.is_empty() {
        let below = service.depends_on.iter().map(|name| quoted(name.as_str()));
        let below: Vec<String> = below.collect();
        out.push_str(&format!("depends_on = [{}]\n", below.join(", ")));
    }
}

/// The image or the name has this word in it.
fn is_of(found: &Found, word: &str) -> bool {
    found.image.contains(word) || found.service.name.as_str().contains(word)
}

/// Writes the file. One that is there is replaced only with `force`; then it is whole or as it was.
pub(super) fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let new = path.with_extension("toml.new");
    let put = || -> std::io::Result<()> {
        if !force {
            let mut file = std::fs::File::create_new(path)?;
            return file.write_all(text.as_bytes());
        }
        std::fs::write(&new, text)?;
        std::fs::rename(&new, path)
    };
    put().with_context(|| format!("{} can't be written", path.display()))
}

/// Writes a token into a file that only its owner can read.
pub(super) fn write_secret(path: &Path, secret: &SecretString) -> anyhow::Result<()> {
    let put = || -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(secret.expose_secret().as_bytes())?;
        file.write_all(b"\n")
    };
    put().with_context(|| format!("{} can't be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Service, ServiceName};

    fn found(name: &str, image: &str) -> Found {
        let target = Target::Compose {
            engine: None,
            project: "treasury".to_owned(),
            service: name.to_owned(),
        };
        Found {
            service: Service::new(ServiceName::parse(name).unwrap(), target),
            image: image.to_owned(),
        }
    }

    #[test]
    fn one_service_and_defaults_are_six_lines() {
        let services = [found("frontend", "nginx:1.27")];
        let content = Content {
            services: &services,
            ..Content::default()
        };
        let text = content.text();
        let is_line = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let lines: Vec<&str> = text.lines().filter(is_line).collect();
        let wanted = [
            "[access]",
            "viewers = [\"*\"]",
            "[[service]]",
            "name = \"frontend\"",
            "compose_project = \"treasury\"",
            "compose_service = \"frontend\"",
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn a_file_that_is_there_is_replaced_only_when_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bot.toml");
        write(&path, "a", false).unwrap();
        assert!(write(&path, "b", false).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a");
        write(&path, "b", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "b");
    }
}
