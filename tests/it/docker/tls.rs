//! Engines over TLS, and several of them.

use std::process::Command;
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use treasury_bot::platform::docker::{Docker, EngineConfig, Identity, Tls};
use treasury_bot::platform::{Platform, PlatformError};
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};

use crate::support::dockerd::Dockerd;
use crate::support::engine::OBEYS;
use crate::support::free_port;
use crate::support::process::Setup;
use crate::support::stage::{HOME, said, words_of};

/// An authority of the test's own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, as PEM.
struct Proof {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    fn signs(&self, names: &[&str], purpose: ExtendedKeyUsagePurpose, expired: bool) -> Proof {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "docker");
        params.extended_key_usages = vec![purpose];
        params.not_before = date_time_ymd(2020, 1, 1);
        if expired {
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let key = key.serialize_pem();
        Proof { certificate, key }
    }

    fn server(&self, expired: bool) -> Proof {
        self.signs(&["127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth, expired)
    }

    fn client(&self, expired: bool) -> Proof {
        self.signs(&[], ExtendedKeyUsagePurpose::ClientAuth, expired)
    }

    /// An engine that shows this certificate and wants one of this authority; and its port.
    async fn engine(&self, server: &Proof) -> (Dockerd, u16, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let port = free_port();
        let engine = Dockerd::start(&[
            format!("--host=tcp://127.0.0.1:{port}"),
            "--tlsverify".to_owned(),
            format!("--tlscacert={}", put("ca.pem", &self.pem)),
            format!("--tlscert={}", put("cert.pem", &server.certificate)),
            format!("--tlskey={}", put("key.pem", &server.key)),
        ])
        .await;
        (engine, port, folder)
    }
}

/// How the driver fares with an engine.
async fn asked(host: String, ca: Option<&Authority>, client: Option<&Proof>) -> String {
    let tls = Tls {
        ca: ca.map(|ca| ca.pem.clone().into_bytes()),
        identity: client.map(|proof| Identity {
            certificate: proof.certificate.clone().into_bytes(),
            key: proof.key.clone().into(),
        }),
    };
    let config = EngineConfig {
        name: Some("vault".to_owned()),
        host: Some(host),
        tls,
    };
    match Docker::with(config).unwrap().ping().await {
        Ok(()) => "reachable".to_owned(),
        Err(error @ PlatformError::Unreachable { .. }) => error.to_string(),
        Err(other) => panic!("not unreachable but: {other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_engine_over_tls_is_asked_and_acts_for_a_bot_with_a_certificate() {
    let authority = Authority::new("treasury");
    let (engine, port, _files) = authority.engine(&authority.server(false)).await;
    engine.import("till:1", OBEYS).await;
    engine.run("till", "till:1").await;
    let setup = Setup::new(
        false,
        &format!(
            "[[engine]]\nname = \"vault\"\nhost = \"https://127.0.0.1:{port}\"\n\
             ca_file = \"ca.pem\"\ncert_file = \"cert.pem\"\nkey_file = \"key.pem\"\n\n\
             [[service]]\nname = \"till\"\ncontainer = \"till\"\nengine = \"vault\"\n"
        ),
    );
    let client = authority.client(false);
    for (name, text) in [
        ("ca.pem", &authority.pem),
        ("cert.pem", &client.certificate),
        ("key.pem", &client.key),
    ] {
        std::fs::write(setup.folder.path().join(name), text).unwrap();
    }
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let serve = setup.serve(&sandbox).await;
    let ana = sandbox.person("ana");
    ana.types(HOME, "/treasury status till").await.unwrap();
    said(&sandbox, HOME, "running 1/1").await;
    let before = engine.started_at("till").await;
    ana.types(HOME, "/treasury restart till").await.unwrap();
    let question = said(&sandbox, HOME, "Restart till?").await;
    ana.clicks(HOME, &question.ts, "Restart till")
        .await
        .unwrap();
    said(&sandbox, HOME, "till restarted in").await;
    assert_ne!(engine.started_at("till").await, before);
    assert!(serve.end().await.success());
    sandbox.stop();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_proof_that_does_not_hold_is_told_with_its_mend() {
    let authority = Authority::new("treasury");
    let other = Authority::new("somebody");
    let (_engine, port, _files) = authority.engine(&authority.server(false)).await;
    let host = || format!("https://127.0.0.1:{port}");
    let good = authority.client(false);
    let ca = Some(&authority);
    assert_eq!(asked(host(), ca, Some(&good)).await, "reachable");
    let tcp = format!("tcp://127.0.0.1:{port}");
    assert_eq!(asked(tcp.clone(), ca, Some(&good)).await, "reachable");

    let named = format!("https://localhost:{port}");
    for (told, why) in [
        (
            asked(host(), Some(&other), Some(&good)).await,
            "another authority than that in ca_file",
        ),
        (asked(host(), None, Some(&good)).await, "set ca_file"),
        (asked(host(), ca, None).await, "set cert_file and key_file"),
        (
            asked(host(), ca, Some(&authority.client(true))).await,
            "(cert_file) expired at 2021-01-01T00:00:00Z: renew it",
        ),
        (
            asked(host(), ca, Some(&other.client(false))).await,
            "does not accept the bot's certificate",
        ),
        (
            asked(named, ca, Some(&good)).await,
            "its certificate is for other names",
        ),
        (asked(tcp, None, None).await, "it wants TLS"),
    ] {
        assert!(told.contains(why), "{why}: {told}");
        assert!(
            told.contains("[[engine]] vault"),
            "where to mend it: {told}"
        );
    }

    let (_late, port, _files) = authority.engine(&authority.server(true)).await;
    let told = asked(format!("https://127.0.0.1:{port}"), ca, Some(&good)).await;
    assert!(
        told.contains("its certificate has expired: renew it on the engine's host"),
        "{told}"
    );

    // Something that speaks no TLS.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 16];
        stream.read_exact(&mut hello).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
    });
    let told = asked(format!("https://127.0.0.1:{port}"), ca, Some(&good)).await;
    assert!(told.contains("speaks no TLS"), "{told}");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_engine_that_hangs_does_not_keep_back_what_is_known_of_the_other() {
    let (near, far) = (Dockerd::start(&[]).await, Dockerd::start(&[]).await);
    for engine in [&near, &far] {
        engine.import("till:1", OBEYS).await;
        engine.run("till", "till:1").await;
    }
    let setup = Setup::new(
        false,
        &format!(
            "[docker]\nhost = \"{}\"\n\n[[engine]]\nname = \"far\"\nhost = \"{}\"\n\n\
             [[service]]\nname = \"till\"\ncontainer = \"till\"\n\n\
             [[service]]\nname = \"till-far\"\ncontainer = \"till\"\nengine = \"far\"\n",
            near.host(),
            far.host()
        ),
    );
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let serve = setup.serve(&sandbox).await;
    let ana = sandbox.person("ana");
    ana.types(HOME, "/treasury status").await.unwrap();
    said(&sandbox, HOME, "2 of 2 services are well").await;

    // The containers have the same name; only that of the engine that is meant is touched.
    let before = (near.started_at("till").await, far.started_at("till").await);
    ana.types(HOME, "/treasury restart till-far").await.unwrap();
    let question = said(&sandbox, HOME, "Restart till-far?").await;
    ana.clicks(HOME, &question.ts, "Restart till-far")
        .await
        .unwrap();
    said(&sandbox, HOME, "till-far restarted in").await;
    assert_eq!(near.started_at("till").await, before.0);
    assert_ne!(far.started_at("till").await, before.1);

    far.signal("STOP");
    let begun = Instant::now();
    ana.types(HOME, "/treasury status till").await.unwrap();
    said(&sandbox, HOME, "till running 1/1").await;
    let one = begun.elapsed();
    let begun = Instant::now();
    ana.types(HOME, "/treasury status").await.unwrap();
    let told = words_of(&said(&sandbox, HOME, "1 of 2 services is well").await);
    let all = begun.elapsed();
    assert!(one < Duration::from_secs(2), "{one:?}");
    assert!(all < Duration::from_secs(4), "{all:?}");
    assert!(told.contains("till-far  Docker did not finish"), "{told}");
    let url = format!("http://127.0.0.1:{}/health/ready", setup.port);
    let answer = reqwest::get(&url).await.unwrap();
    assert!(answer.status().is_success());
    let ready: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(ready["platforms"]["Docker"], "reachable");
    assert_eq!(
        ready["platforms"]["Docker engine far"],
        "no answer within 2 s"
    );

    far.signal("CONT");
    ana.types(HOME, "/treasury status till-far").await.unwrap();
    said(&sandbox, HOME, "till-far running 1/1").await;
    assert!(serve.end().await.success());
    sandbox.stop();
}

#[tokio::test]
async fn tls_files_that_do_not_fit_are_found_before_anything_is_asked() {
    let authority = Authority::new("treasury");
    let (one, other) = (authority.client(false), authority.client(false));
    let with = |ca: &str, certificate: &str, key: &str| {
        Docker::with(EngineConfig {
            name: None,
            host: Some("https://127.0.0.1:1".to_owned()),
            tls: Tls {
                ca: Some(ca.as_bytes().to_vec()),
                identity: Some(Identity {
                    certificate: certificate.as_bytes().to_vec(),
                    key: key.to_owned().into(),
                }),
            },
        })
        .map(drop)
        .map_err(|error| error.to_string())
    };
    let trimmed = one.key.trim();
    assert_eq!(with(&authority.pem, &one.certificate, trimmed), Ok(()));
    for (result, why) in [
        (
            with("x", &one.certificate, &one.key),
            "ca_file holds no certificate",
        ),
        (
            with(&authority.pem, "x", &one.key),
            "cert_file holds no certificate",
        ),
        (
            with(&authority.pem, &one.certificate, "x"),
            "key_file holds no private key",
        ),
        (
            with(&authority.pem, &one.certificate, &other.key),
            "cert_file and key_file don't fit together",
        ),
    ] {
        let told = result.unwrap_err();
        assert!(
            told.contains(why) && told.contains("[docker] host"),
            "{told}"
        );
    }

    // Nor does `config check` take them.
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("cert.pem", &one.certificate);
    put("ca.pem", &authority.pem);
    put(
        "treasury-bot.toml",
        "[docker]\nhost = \"https://127.0.0.1:1\"\nca_file = \"ca.pem\"\n\
         cert_file = \"cert.pem\"\nkey_file = \"key.pem\"\n\
         [access]\nresponders = [\"U1\"]\n\
         [[service]]\nname = \"a\"\ncontainer = \"a\"\n",
    );
    let check = |key: &str| {
        put("key.pem", key);
        let checked = Command::new(env!("CARGO_BIN_EXE_treasury-bot"))
            .args(["config", "check"])
            .env(
                "TREASURY_BOT_CONFIG",
                folder.path().join("treasury-bot.toml"),
            )
            .env("TREASURY_BOT_SLACK_BOT_TOKEN", "xoxb-bot")
            .env("TREASURY_BOT_SLACK_APP_TOKEN", "xapp-app")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&checked.stderr).into_owned();
        (checked.status.code(), told)
    };
    assert_eq!(check(&one.key), (Some(0), String::new()));
    let (code, told) = check(&other.key);
    assert!(
        code == Some(2) && told.contains("don't fit together"),
        "{told}"
    );
}
