//! `[docker]` and `[[engine]]`: the Docker engines, and where a service is on them.

use url::Url;

use super::kind::Kind;
use super::names::{Names, chosen, installation};
use super::section::Section;
use super::urls::is_loopback;
use crate::domain::Target;
use crate::platform::docker::{EngineConfig, Identity, Tls};

pub(super) const DOCKER: Kind = Kind::single("docker", "host ca_file cert_file key_file");
pub(super) const ENGINE: Kind = Kind::list("engine", "name host ca_file cert_file key_file");

/// The keys of services on Docker.
pub(super) const KEYS: [&str; 5] = [
    "compose_project",
    "compose_service",
    "container",
    "swarm_service",
    "engine",
];

/// A further engine.
pub(super) fn named_engine(section: &Section<'_>, names: &mut Names) -> Option<EngineConfig> {
    let name = installation(section, "an", names);
    if section.written("host").is_none() {
        let hint = "such as `host = \"https://docker-2.example:2376\"`";
        section.error("an engine without a `host`", hint);
    }
    let engine = engine(section);
    Some(EngineConfig {
        name: Some(name?),
        ..engine
    })
}

/// Where an engine is, and the proofs. Only `[docker]` may leave `host` out: the engine is where the
/// `docker` command would look.
pub(super) fn engine(section: &Section<'_>) -> EngineConfig {
    let own = section.name();
    let [ca, certificate] =
        ["ca_file", "cert_file"].map(|key| section.text(key).and_then(|path| path.certificates()));
    let key = section.text("key_file").and_then(|path| path.secret());
    let is_written = |key: &&str| section.written(key).is_some();
    for (there, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        if is_written(&there) && !is_written(&other) {
            section.error_at(there, format!("`{own}.{there}` without `{other}`"), "");
        }
    }
    let mut keys = ["ca_file", "cert_file", "key_file"].into_iter();
    let proof = keys.find(is_written);
    let host = section.text("host");
    if let Some(host) = &host {
        let unix = host.value.strip_prefix("unix://");
        let url = Url::parse(host.value).ok().filter(|url| {
            let port = url.port().is_some() || url.scheme() == "https";
            let name = url.host_str().is_some_and(|name| !name.is_empty());
            matches!(url.scheme(), "tcp" | "https") && name && port
        });
        match (unix.map(|path| path.starts_with('/')), url, proof) {
            (Some(true), _, Some(proof)) => {
                let message = format!("`{own}.host` is a socket, which speaks no TLS");
                let hint = "leave ca_file, cert_file and key_file out";
                section.error_at(proof, message, hint);
            }
            (None, Some(url), None) if url.scheme() == "tcp" && !is_loopback(&url) => {
                let message =
                    format!("`{own}.host` is reached without TLS: nobody proves who they are");
                let hint = "who can reach that port is root there: set ca_file, cert_file and \
                            key_file, or forward the socket with `ssh -L`";
                host.warning(message, hint);
            }
            (Some(true), _, None) | (None, Some(_), _) => {}
            _ => host.refuse(
                "write `unix:///var/run/docker.sock`, `tcp://<host>:<port>` or \
                 `https://<host>:<port>`",
            ),
        }
    } else if let (Some(proof), true) = (proof, own == DOCKER.name) {
        let hint = "add `host = \"https://<host>:2376\"`";
        section.error_at(proof, "`docker` has TLS files, but no `host`", hint);
    }
    let identity = certificate.zip(key);
    EngineConfig {
        name: None,
        host: host.map(|host| host.value.to_owned()),
        tls: Tls {
            ca,
            identity: identity.map(|(certificate, key)| Identity { certificate, key }),
        },
    }
}

/// The keys of a service on Docker: Compose labels, a container's name or a Swarm service's, one of
/// these; `None` after an error.
pub(super) fn target(section: &Section<'_>, engines: &[EngineConfig]) -> Option<Target> {
    let [keys @ .., engine_key] = KEYS;
    let places = keys.map(|key| section.written(key));
    let [project, service, container, swarm] = keys.map(|key| {
        let text = section.text(key)?;
        let of_name = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let good = !text.value.is_empty() && text.value.bytes().all(of_name);
        let of = if key == "swarm_service" {
            "service ls"
        } else {
            "ps"
        };
        let hint = format!("write it as `docker {of}` shows it: letters, digits, `_`, `.` and `-`");
        text.good(good, hint)
    });
    let names = engines.iter().filter_map(|engine| engine.name.as_deref());
    let hint = "add an [[engine]] of that name, or leave `engine` out for the default one";
    let engine = chosen(section, engine_key, &names.collect::<Vec<_>>(), hint);
    let (at, message) = match places {
        [Some(_), Some(_), None, None] => {
            return Some(Target::Compose {
                engine: engine?,
                project: project?,
                service: service?,
            });
        }
        [None, None, Some(_), None] => {
            return Some(Target::Container {
                engine: engine?,
                name: container?,
            });
        }
        [None, None, None, Some(_)] => {
            return Some(Target::Swarm {
                engine: engine?,
                service: swarm?,
            });
        }
        [None, None, None, None] => (
            section.span.clone(),
            "a service without a place where it runs",
        ),
        [at, None, None, None] => (at, "`compose_project` without `compose_service`"),
        [None, at, None, None] => (at, "`compose_service` without `compose_project`"),
        [_, _, at, None] => (at, "a service has both `container` and Compose labels"),
        [_, _, _, at] => (
            at,
            "a service has both `swarm_service` and another place on Docker",
        ),
    };
    let hint = "write `compose_project` and `compose_service`, or `container`, or \
                `swarm_service`, or `namespace` and `workload`";
    section.source.error(at, message, hint);
    None
}
