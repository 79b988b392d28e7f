//! Where an engine is, and how both sides know who the other is.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::error::{Result, unsupported};
use treasury_ports::platform::PlatformError;

/// Where the engine is when nobody says.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// What the configuration says of an engine.
#[derive(Debug, Clone, Default)]
pub struct EngineConfig {
    /// Its name there; the default engine has none.
    pub name: Option<String>,
    /// `unix:///path`, `tcp://host:port` or `https://host:port`; where `None`, the engine that the
    /// `docker` command of this user would talk to.
    pub host: Option<String>,
    /// Proofs for TLS. With any of them `tcp://` is TLS too.
    pub tls: Tls,
}

impl EngineConfig {
    /// The default engine, at this address.
    pub fn at(host: Option<&str>) -> Self {
        Self {
            host: host.map(str::to_owned),
            ..Self::default()
        }
    }
}

/// Proofs for TLS, as PEM.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// The only authorities that may vouch for the engine; those of the system where `None`.
    pub ca: Option<Vec<u8>>,
    /// What the bot shows of itself.
    pub identity: Option<Identity>,
}

/// A client's certificate.
#[derive(Debug, Clone)]
pub struct Identity {
    /// It and those between it and the authority.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: SecretString,
}

impl Tls {
    fn is_empty(&self) -> bool {
        self.ca.is_none() && self.identity.is_none()
    }
}

/// How an engine is reached.
#[derive(Debug)]
pub enum Transport {
    /// A socket on this host.
    Unix,
    /// HTTP: nobody proves who they are.
    Plain,
    /// HTTPS to this host and port.
    Tls { authority: String, tls: Tls },
}

/// An engine's address.
#[derive(Debug)]
pub struct Address {
    /// As it is written.
    pub host: String,
    pub transport: Transport,
    /// The setting that names it: `[docker] host`.
    pub setting: String,
}

impl Address {
    /// Checks the form of what the configuration says, or finds what the `docker` command would.
    pub fn new(config: EngineConfig) -> Result<Self> {
        let setting = match &config.name {
            None => "[docker] host".to_owned(),
            Some(name) => format!("`host` of the [[engine]] {name}"),
        };
        let Some(host) = config.host else {
            let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            let (host, tls) = local(&env)?;
            return Self::parse(host, tls, setting);
        };
        let tls = (!config.tls.is_empty() || host.starts_with("https://")).then_some(config.tls);
        Self::parse(host, tls, setting)
    }

    fn parse(host: String, tls: Option<Tls>, setting: String) -> Result<Self> {
        let bad = || {
            unsupported(format!(
                "`{host}` is not an address of a Docker engine: set {setting} to \
                 unix:///path/to/docker.sock, tcp://host:port or https://host:port (ssh:// is not \
                 supported: forward the socket with `ssh -L`)"
            ))
        };
        let transport = if let Some(path) = host.strip_prefix("unix://") {
            Path::new(path).is_absolute().then_some(Transport::Unix)
        } else {
            let rest = host
                .strip_prefix("tcp://")
                .or(host.strip_prefix("https://"));
            let url = rest.and_then(|rest| url::Url::parse(&format!("http://{rest}")).ok());
            let url = url.filter(|url| matches!(url.path(), "" | "/"));
            let at = url.and_then(|url| Some((url.host_str()?.to_owned(), url.port())));
            at.map(|(name, port)| match tls {
                None => Transport::Plain,
                Some(tls) => {
                    let authority = format!("{name}:{}", port.unwrap_or(2376));
                    Transport::Tls { authority, tls }
                }
            })
        };
        Ok(Self {
            transport: transport.ok_or_else(bad)?,
            host,
            setting,
        })
    }
}

/// Where the `docker` command goes: `DOCKER_HOST`, or the context in use, or the usual socket.
/// `DOCKER_TLS` without `_VERIFY` is taken for the same: the engine has to prove who it is.
fn local(env: &dyn Fn(&str) -> Option<String>) -> Result<(String, Option<Tls>)> {
    let folder = env("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&env("HOME")?).join(".docker")));
    if let Some(host) = env("DOCKER_HOST") {
        let wanted = env("DOCKER_TLS_VERIFY").is_some() || env("DOCKER_TLS").is_some();
        if !wanted || host.starts_with("unix://") {
            return Ok((host, None));
        }
        let proofs = env("DOCKER_CERT_PATH").map(PathBuf::from).or(folder);
        let tls = proofs.map_or_else(|| Ok(Tls::default()), |folder| proofs_in(&folder))?;
        return Ok((host, Some(tls)));
    }
    let name = match (env("DOCKER_CONTEXT"), &folder) {
        (None, Some(folder)) => current_context(folder)?,
        (name, _) => name,
    };
    match (name, folder) {
        (Some(name), Some(folder)) if name != "default" => context(&folder, &name),
        _ => Ok((DEFAULT_HOST.to_owned(), None)),
    }
}

/// The context that `docker context use` has set.
fn current_context(folder: &Path) -> Result<Option<String>> {
    let config = read_json(&folder.join("config.json"), folder, "config.json")?;
    let config = config.unwrap_or_default();
    let name = config["currentContext"].as_str();
    Ok(name.filter(|name| !name.is_empty()).map(str::to_owned))
}

/// What a context says.
fn context(folder: &Path, name: &str) -> Result<(String, Option<Tls>)> {
    let contexts = folder.join("contexts");
    let id = context_id(name);
    let file = contexts.join("meta").join(&id).join("meta.json");
    let Some(meta) = read_json(&file, folder, name)? else {
        return Err(unsupported(format!(
            "the Docker context `{name}` is not in {}: see `docker context ls`, or set [docker] \
             host",
            contexts.display()
        )));
    };
    let Some(host) = meta["Endpoints"]["docker"]["Host"].as_str() else {
        return Err(unsupported(format!(
            "the Docker context `{name}` names no host: see `docker context inspect {name}`"
        )));
    };
    let proofs = contexts.join("tls").join(&id).join("docker");
    let secure = proofs.is_dir() || host.starts_with("https://");
    let tls = secure.then(|| proofs_in(&proofs)).transpose()?;
    let tls = tls.filter(|_| !host.starts_with("unix://"));
    Ok((host.to_owned(), tls))
}

/// The name of a context's folder.
fn context_id(name: &str) -> String {
    let digest = Sha256::digest(name);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `ca.pem`, `cert.pem` and `key.pem`, those that are there.
fn proofs_in(folder: &Path) -> Result<Tls> {
    let [ca, certificate, key] =
        ["ca.pem", "cert.pem", "key.pem"].map(|name| read(&folder.join(name)));
    let key = key?.map(String::from_utf8).transpose();
    let key = key.map_err(|error| unreadable(folder, "key.pem", &error))?;
    let identity = certificate?.zip(key).map(|(certificate, key)| Identity {
        certificate,
        key: key.into(),
    });
    Ok(Tls { ca: ca?, identity })
}

/// The bytes of a file; `None` if it is not there.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|error| unreadable(path, "", &error)),
    }
}

/// What a file holds; an error names `what` in `folder`.
fn read_json(path: &Path, folder: &Path, what: &str) -> Result<Option<serde_json::Value>> {
    let value = read(path)?.map(|text| serde_json::from_slice(&text));
    value
        .transpose()
        .map_err(|error| unreadable(folder, what, &error))
}

fn unreadable(path: &Path, what: &str, error: &dyn std::fmt::Display) -> PlatformError {
    unsupported(format!(
        "can't read {}, which says where `docker` goes: {error}. Fix it, or set [docker] host",
        path.join(what).display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, tls: Tls) -> Result<Address> {
        Address::new(EngineConfig {
            name: None,
            host: Some(host.to_owned()),
            tls,
        })
    }

    #[test]
    fn an_address_is_checked_without_an_engine() {
        for good in [
            "unix:///run/d.sock",
            "tcp://10.0.0.1:2375",
            "tcp://[::1]:2375",
            "https://docker.example",
        ] {
            assert!(address(good, Tls::default()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "d.sock",
            "unix://d.sock",
            "ssh://a",
            "tcp://",
            "tcp://a/b",
            "https://a/b",
        ] {
            let error = address(bad, Tls::default()).unwrap_err();
            assert!(
                error.to_string().contains("[docker] host"),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn proofs_make_tcp_speak_tls() {
        let ca = || Tls {
            ca: Some(b"x".to_vec()),
            identity: None,
        };
        let transport = |host, tls| address(host, tls).unwrap().transport;
        assert!(matches!(
            transport("tcp://a:2375", Tls::default()),
            Transport::Plain
        ));
        for host in ["tcp://a", "https://a", "https://a:2376"] {
            let Transport::Tls { authority, .. } = transport(host, ca()) else {
                panic!("{host}");
            };
            assert_eq!(authority, "a:2376", "{host}");
        }
    }

    /// What `docker` would do with these variables and these files below its folder.
    fn docker(variables: &[(&str, &str)], files: &[(&str, &str)]) -> (String, Option<Tls>) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let env = |wanted: &str| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            match found {
                Some((_, value)) => Some(value.replace("HERE", &folder.path().to_string_lossy())),
                None => (wanted == "DOCKER_CONFIG")
                    .then(|| folder.path().to_string_lossy().into_owned()),
            }
        };
        local(&env).unwrap()
    }

    /// A path of the context `eu`.
    fn eu(rest: &str) -> String {
        format!("contexts/{}", rest.replace("ID", &context_id("eu")))
    }

    #[test]
    fn the_default_engine_is_the_one_that_docker_itself_would_ask() {
        let (host, tls) = docker(&[], &[]);
        assert_eq!((host.as_str(), tls.is_none()), (DEFAULT_HOST, true));
        let host = ("DOCKER_HOST", "tcp://a:1");
        assert!(docker(&[host], &[("ca.pem", "x")]).1.is_none());
        // The proofs are in the usual folder, or where they are said to be.
        let files = [
            ("ca.pem", "usual"),
            ("other/ca.pem", "other"),
            ("other/cert.pem", "c"),
            ("other/key.pem", "k"),
        ];
        let (_, tls) = docker(&[host, ("DOCKER_TLS_VERIFY", "1")], &files);
        let tls = tls.unwrap();
        assert_eq!(tls.ca.unwrap(), b"usual");
        assert!(tls.identity.is_none());
        let path = ("DOCKER_CERT_PATH", "HERE/other");
        let (_, tls) = docker(&[host, ("DOCKER_TLS_VERIFY", "1"), path], &files);
        let tls = tls.unwrap();
        assert_eq!(tls.ca.unwrap(), b"other");
        assert_eq!(tls.identity.unwrap().certificate, b"c");
    }

    #[test]
    fn a_context_in_use_is_followed_unless_a_host_is_named() {
        let meta = r#"{"Name":"eu","Endpoints":{"docker":{"Host":"tcp://eu:2376"}}}"#;
        let (meta_file, ca) = (eu("meta/ID/meta.json"), eu("tls/ID/docker/ca.pem"));
        let files = [
            ("config.json", r#"{"currentContext":"eu"}"#),
            (meta_file.as_str(), meta),
            (ca.as_str(), "eu's"),
        ];
        let (host, tls) = docker(&[], &files);
        assert_eq!(host, "tcp://eu:2376");
        assert_eq!(tls.unwrap().ca.unwrap(), b"eu's");
        assert_eq!(docker(&[], &files[..2]).0, "tcp://eu:2376");
        assert_eq!(
            docker(&[("DOCKER_CONTEXT", "default")], &files).0,
            DEFAULT_HOST
        );
        assert_eq!(
            docker(&[("DOCKER_HOST", "unix:///x")], &files).0,
            "unix:///x"
        );
        let env = |name: &str| (name == "DOCKER_CONTEXT").then(|| "gone".to_owned());
        let env = |name: &str| match name {
            "HOME" => Some("/nowhere".to_owned()),
            name => env(name),
        };
        let error = local(&env).unwrap_err().to_string();
        assert!(
            error.contains("`gone`") && error.contains("docker context ls"),
            "{error}"
        );
    }
}
