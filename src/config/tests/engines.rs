//! Docker engines, and services on them.

use super::*;
use crate::platform::docker::Identity;

/// A folder with a configuration file of this text and PEM files beside it.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    for (name, text) in [
        ("treasury-bot.toml", text),
        ("ca.pem", certificate),
        ("cert.pem", certificate),
        ("key.pem", "-----BEGIN PRIVATE KEY-----\nAA==\n"),
        ("words", "no PEM"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn load(folder: &tempfile::TempDir) -> Result<Config, ConfigErrors> {
    Config::load(&folder.path().join("treasury-bot.toml"), &all_secrets)
}

#[test]
fn several_engines_are_named_and_found() {
    let folder = folder(
        "[access]\nresponders = ['U1']\n[docker]\nhost = 'unix:///run/docker.sock'\n\
         [[engine]]\nname = 'eu'\nhost = 'https://eu.internal'\n\
         ca_file = 'ca.pem'\ncert_file = 'cert.pem'\nkey_file = 'key.pem'\n\
         [[engine]]\nname = 'us-1'\nhost = 'tcp://us.internal:2376'\nca_file = 'ca.pem'\n\
         [[service]]\nname = 'a'\ncontainer = 'a'\n\
         [[service]]\nname = 'b'\ncontainer = 'a'\nengine = 'eu'\n\
         [[service]]\nname = 'c'\nswarm_service = 'shop_web'\nengine = 'us-1'\nscale.min = 0\n",
    );
    let config = load(&folder).unwrap();
    assert_eq!(
        told(&config.warnings),
        [""; 0],
        "the same name on two engines is no double"
    );
    let names: Vec<_> = config
        .platforms
        .engines
        .iter()
        .map(|one| one.name.as_deref())
        .collect();
    assert_eq!(names, [Some("eu"), Some("us-1")]);
    let [eu, us] = [0, 1].map(|one: usize| &config.platforms.engines[one].tls);
    let Identity { certificate, key } = eu.identity.as_ref().unwrap();
    assert!(certificate.starts_with(b"-----BEGIN CERTIFICATE"));
    assert!(key.expose_secret().contains("PRIVATE KEY"));
    assert!(us.ca.is_some() && us.identity.is_none());
    assert!(!format!("{config:?}").contains("PRIVATE KEY"));
    let targets: Vec<_> = config.services.iter().map(|one| &one.target).collect();
    let engine = |name: &str| Some(name.to_owned());
    let container = |engine| Target::Container {
        engine,
        name: "a".to_owned(),
    };
    let swarm = Target::Swarm {
        engine: engine("us-1"),
        service: "shop_web".to_owned(),
    };
    assert_eq!(
        targets,
        [&container(None), &container(engine("eu")), &swarm]
    );
    let keys = config
        .services
        .iter()
        .map(|one| one.target.platform().to_string());
    let expected = ["Docker", "Docker engine eu", "Docker engine us-1"];
    assert_eq!(keys.collect::<Vec<_>>(), expected);
}

#[test]
fn each_mistake_of_an_engine_is_found_where_it_is() {
    let eu = "[[engine]]\nname = 'eu'\nhost = 'https://eu'\n";
    let service = "[[service]]\nname = 'a'\ncontainer = 'c'\n";
    for (text, expected) in [
        (
            "[[engine]]\nhost = 'https://a'\n".to_owned(),
            "1:1 an engine without a name (add `name`, as services will write it in `engine`)",
        ),
        (
            "[[engine]]\nname = 'a'\n".to_owned(),
            "1:1 an engine without a `host` (such as `host = \"https://docker-2.example:2376\"`)",
        ),
        (
            "[[engine]]\nname = 'A b'\nhost = 'https://a'\n".to_owned(),
            "2:8 an engine can't be called `A b` (use lower-case letters, digits and `-`, at most 63)",
        ),
        (
            format!("{eu}{eu}"),
            "5:8 a second engine `eu` (the first is in line 2)",
        ),
        (
            "[[engine]]\nname = 'a'\nhost = 'ssh://a'\n".to_owned(),
            "3:8 `engine.host` can't be `ssh://a` (write `unix:///var/run/docker.sock`, \
             `tcp://<host>:<port>` or `https://<host>:<port>`)",
        ),
        (
            "[[engine]]\nname = 'a'\nhost = 'tcp://a'\n".to_owned(),
            "3:8 `engine.host` can't be `tcp://a` (write `unix:///var/run/docker.sock`, \
             `tcp://<host>:<port>` or `https://<host>:<port>`)",
        ),
        (
            format!("{eu}cert_file = 'cert.pem'\n"),
            "4:1 `engine.cert_file` without `key_file`",
        ),
        (
            format!("{eu}key_file = 'key.pem'\n"),
            "4:1 `engine.key_file` without `cert_file`",
        ),
        (
            "[docker]\nhost = 'unix:///d'\nca_file = 'ca.pem'\n".to_owned(),
            "3:1 `docker.host` is a socket, which speaks no TLS (leave ca_file, cert_file and \
             key_file out)",
        ),
        (
            "[docker]\nca_file = 'ca.pem'\n".to_owned(),
            "2:1 `docker` has TLS files, but no `host` (add `host = \"https://<host>:2376\"`)",
        ),
        (
            format!("{eu}{service}engine = 'eu1'\n"),
            "7:10 there is no engine `eu1` (did you mean `eu`?)",
        ),
        (
            format!("{service}engine = 'eu'\n"),
            "4:10 there is no engine `eu` (add an [[engine]] of that name, or leave `engine` out \
             for the default one)",
        ),
        (
            format!("{service}swarm_service = 's'\n"),
            "4:1 a service has both `swarm_service` and another place on Docker (write \
             `compose_project` and `compose_service`, or `container`, or `swarm_service`, or \
             `namespace` and `workload`)",
        ),
        (
            "[[service]]\nname = 'a'\nswarm_service = 'a/b'\n".to_owned(),
            "3:17 `service.swarm_service` can't be `a/b` (write it as `docker service ls` shows it: \
             letters, digits, `_`, `.` and `-`)",
        ),
        (
            format!("{eu}tls = true\n"),
            "4:1 unknown key `tls` in `engine` (`engine` has: name, host, ca_file, cert_file, key_file)",
        ),
    ] {
        let Err(errors) = load(&folder(&text)) else {
            panic!("{text}");
        };
        let told = told(&errors.problems);
        assert_eq!(told.len(), 1, "{text}{told:?}");
        assert_eq!(told[0], expected, "{text}");
    }
    let folder = folder(&format!("{eu}ca_file = 'words'\n"));
    let told = told(&load(&folder).unwrap_err().problems);
    assert!(told[0].starts_with("4:11 `engine.ca_file`: "), "{told:?}");
    assert!(
        told[0].ends_with("words holds no certificate in PEM"),
        "{told:?}"
    );
}

#[test]
fn an_engine_where_nobody_proves_who_they_are_is_warned_of() {
    let engine = |host: &str, more: &str| {
        let text = format!("[[engine]]\nname = 'a'\nhost = '{host}'\n{more}");
        let warnings = load(&folder(&text)).unwrap().warnings;
        let told = told(&warnings);
        told.into_iter()
            .any(|one| one.contains("nobody proves who they are"))
    };
    assert!(engine("tcp://10.0.0.1:2375", ""));
    for (host, more) in [
        ("tcp://127.0.0.1:2375", ""),
        ("tcp://10.0.0.1:2376", "ca_file = 'ca.pem'\n"),
        ("https://10.0.0.1:2376", ""),
        ("unix:///d", ""),
    ] {
        assert!(!engine(host, more), "{host}");
    }
}
