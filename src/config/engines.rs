//! `[docker]` and `[[engine]]`: the Docker engines, and where a service is on them.

use std::collections::HashMap;

use secrecy::SecretString;
use toml::de::DeTable;
use url::Url;

use super::clusters::is_label;
use super::reader::{At, Reader, tables};
use super::secret::file;
use super::sections::elsewhere;
use super::source::{Report, read_limited};
use super::urls::is_loopback;
use crate::command::nearest;
use crate::domain::Target;

pub(super) const DOCKER: [&str; 4] = ["host", "ca_file", "cert_file", "key_file"];
pub(super) const ENGINE: [&str; 5] = ["name", "host", "ca_file", "cert_file", "key_file"];

/// The largest file of certificates, bytes.
const MAX_PEM: u64 = 1 << 20;

/// `[docker]`, which has no name, or an `[[engine]]`.
#[derive(Debug, Clone, Default)]
pub struct EngineSection {
    /// `name`, as services write it in `engine`.
    pub name: Option<String>,
    /// `host`: `unix:///…`, `tcp://host:port` or `https://host:port`; only `[docker]` may leave it
    /// out: where the `docker` command would look.
    pub host: Option<String>,
    /// `ca_file`: who may vouch for the engine, PEM; default: the authorities of the system.
    pub ca: Option<Vec<u8>>,
    /// `cert_file` and `key_file`: what the bot shows of itself, PEM.
    pub identity: Option<(Vec<u8>, SecretString)>,
}

/// `[docker]`: the default engine.
pub(super) fn docker(report: &mut Report<'_>, mut section: Reader<'_, '_>) -> EngineSection {
    let docker = engine(report, "docker", &mut section);
    section.finish(report, elsewhere);
    docker
}

/// All further engines, in the file's order.
pub(super) fn engines(report: &mut Report<'_>, root: &DeTable<'_>) -> Vec<EngineSection> {
    let Some((_, readers)) = tables(report, root, "engine") else {
        return Vec::new();
    };
    let mut seen = HashMap::new();
    let mut engines = Vec::new();
    for mut reader in readers {
        let header = reader.span.clone();
        let [named, hosted] = ["name", "host"].map(|key| reader.written(key).is_some());
        let name = reader.text(report, "name");
        if !named {
            let hint = "add `name`, as services will write it in `engine`".to_owned();
            report.error(header.clone(), "an engine without a name", Some(hint));
        }
        if !hosted {
            let hint = "such as `host = \"https://docker-2.example:2376\"`".to_owned();
            report.error(header, "an engine without a `host`", Some(hint));
        }
        let section = engine(report, "engine", &mut reader);
        reader.finish(report, elsewhere);
        let Some(At { value: name, span }) = name else {
            continue;
        };
        if !is_label(name) {
            let message = format!("an engine can't be called `{name}`");
            let hint = "use lower-case letters, digits and `-`, at most 63".to_owned();
            report.error(span.clone(), message, Some(hint));
        }
        if let Some(first) = seen.insert(name, span.start) {
            let hint = format!("the first is in line {}", report.line(first));
            report.error(span, format!("a second engine `{name}`"), Some(hint));
        }
        engines.push(EngineSection {
            name: Some(name.to_owned()),
            ..section
        });
    }
    engines
}

/// Where one engine is, and the proofs.
fn engine(report: &mut Report<'_>, section: &str, reader: &mut Reader<'_, '_>) -> EngineSection {
    let host = reader.text(report, "host");
    let [ca_at, certificate_at, key_at] =
        ["ca_file", "cert_file", "key_file"].map(|key| reader.written(key));
    let ca = pem(report, section, "ca_file", reader);
    let certificate = pem(report, section, "cert_file", reader);
    let key = reader.text(report, "key_file");
    let key = key.and_then(|path| file(report, &format!("{section}.key_file"), &path));
    for (there, other, missing) in [
        (&certificate_at, &key_at, "cert_file` without `key_file"),
        (&key_at, &certificate_at, "key_file` without `cert_file"),
    ] {
        if let (Some(at), None) = (there, other) {
            let message = format!("`{section}.{missing}`");
            report.error(at.clone(), message, None);
        }
    }
    let proofs = ca_at.or(certificate_at).or(key_at);
    let host = host.map(|host| {
        let unix = host
            .value
            .strip_prefix("unix://")
            .map(|path| path.starts_with('/'));
        let url = Url::parse(host.value).ok().filter(|url| {
            let port = url.port().is_some() || url.scheme() == "https";
            let name = url.host_str().is_some_and(|name| !name.is_empty());
            matches!(url.scheme(), "tcp" | "https") && name && port
        });
        match (unix, url) {
            (Some(true), _) => {
                if let Some(at) = proofs.clone() {
                    let message = format!("`{section}.host` is a socket, which speaks no TLS");
                    let hint = "leave ca_file, cert_file and key_file out".to_owned();
                    report.error(at, message, Some(hint));
                }
            }
            (None, Some(url)) => {
                if url.scheme() == "tcp" && proofs.is_none() && !is_loopback(&url) {
                    let message = format!(
                        "`{section}.host` is reached without TLS: nobody proves who they are"
                    );
                    let hint = "who can reach that port is root there: set ca_file, cert_file and \
                                key_file, or forward the socket with `ssh -L`";
                    report.warning(host.span.clone(), message, Some(hint.to_owned()));
                }
            }
            _ => {
                let message = format!("`{section}.host` can't be `{}`", host.value);
                let hint = "write `unix:///var/run/docker.sock`, `tcp://<host>:<port>` or \
                            `https://<host>:<port>`";
                report.error(host.span.clone(), message, Some(hint.to_owned()));
            }
        }
        host.value.to_owned()
    });
    if let (None, Some(at), "docker") = (&host, proofs, section) {
        let message = "`docker` has TLS files, but no `host`";
        let hint = "add `host = \"https://<host>:2376\"`".to_owned();
        report.error(at, message, Some(hint));
    }
    EngineSection {
        name: None,
        host,
        ca,
        identity: certificate.zip(key),
    }
}

/// The bytes of a file of certificates.
fn pem(
    report: &mut Report<'_>,
    section: &str,
    key: &'static str,
    reader: &mut Reader<'_, '_>,
) -> Option<Vec<u8>> {
    let path = reader.text(report, key)?;
    let found = report.beside(path.value);
    let problem = match read_limited(&found, MAX_PEM) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => return Some(text.into_bytes()),
        Ok(_) => format!("{} holds no certificate in PEM", found.display()),
        Err(why) => format!("can't read {}: {why}", found.display()),
    };
    report.error(path.span, format!("`{section}.{key}`: {problem}"), None);
    None
}

/// The keys of a service on Docker: Compose labels, a container's name or a Swarm service's, one of
/// these; `None` after an error.
pub(super) fn target(
    report: &mut Report<'_>,
    reader: &mut Reader<'_, '_>,
    engines: &[EngineSection],
) -> Option<Target> {
    let hint = || {
        let keys = "write `compose_project` and `compose_service`, or `container`, or \
                    `swarm_service`, or `namespace` and `workload`";
        Some(keys.to_owned())
    };
    let header = reader.span.clone();
    let keys = [
        "compose_project",
        "compose_service",
        "container",
        "swarm_service",
    ];
    let [project_at, service_at, container_at, swarm_at] = keys.map(|key| reader.written(key));
    let [project, service, container, swarm] = keys.map(|key| {
        let text = reader.text(report, key)?;
        let good = !text.value.is_empty()
            && text
                .value
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if !good {
            let message = format!("`service.{key}` can't be `{}`", text.value);
            let command = match key {
                "swarm_service" => "docker service ls",
                _ => "docker ps",
            };
            let hint =
                format!("write it as `{command}` shows it: letters, digits, `_`, `.` and `-`");
            report.error(text.span, message, Some(hint));
        }
        good.then(|| text.value.to_owned())
    });
    let engine = on(report, reader, engines);
    match (project_at, service_at, container_at, swarm_at) {
        (Some(_), Some(_), None, None) => Some(Target::Compose {
            engine: engine?,
            project: project?,
            service: service?,
        }),
        (None, None, Some(_), None) => Some(Target::Container {
            engine: engine?,
            name: container?,
        }),
        (None, None, None, Some(_)) => Some(Target::Swarm {
            engine: engine?,
            service: swarm?,
        }),
        (None, None, None, None) => {
            report.error(header, "a service without a place where it runs", hint());
            None
        }
        (Some(at), None, None, None) => {
            report.error(at, "`compose_project` without `compose_service`", hint());
            None
        }
        (None, Some(at), None, None) => {
            report.error(at, "`compose_service` without `compose_project`", hint());
            None
        }
        (_, _, Some(at), None) => {
            report.error(
                at,
                "a service has both `container` and Compose labels",
                hint(),
            );
            None
        }
        (_, _, _, Some(at)) => {
            let message = "a service has both `swarm_service` and another place on Docker";
            report.error(at, message, hint());
            None
        }
    }
}

/// The engine that a service names; the outer `None` after an error.
#[expect(
    clippy::option_option,
    reason = "an error, the default one, or this one"
)]
fn on(
    report: &mut Report<'_>,
    reader: &mut Reader<'_, '_>,
    engines: &[EngineSection],
) -> Option<Option<String>> {
    let written = reader.written("engine").is_some();
    let Some(text) = reader.text(report, "engine") else {
        return (!written).then_some(None);
    };
    let names = || engines.iter().filter_map(|engine| engine.name.as_deref());
    if names().any(|name| name == text.value) {
        return Some(Some(text.value.to_owned()));
    }
    let hint = match nearest(text.value, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "add an [[engine]] of that name, or leave `engine` out for the default one".into(),
    };
    let message = format!("there is no engine `{}`", text.value);
    report.error(text.span, message, Some(hint));
    None
}
