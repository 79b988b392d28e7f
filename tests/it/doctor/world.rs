//! An installation with everything in it, each part once.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::process::{Child, Command};
use treasury_bot::notify::Security;
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};

use super::peers::{Page, Tls};
use crate::kubernetes::{Cluster, TOKEN};
use crate::support::alertmanager::{Alertmanager, Rules, Setup};
use crate::support::engine::{OBEYS, Stack, eventually};
use crate::support::free_port;
use crate::support::postgres::Postgres;
use crate::support::prometheus::Prometheus;
use crate::support::redis::{Redis, tell};
use crate::support::smtp::Smtp;

pub struct World {
    pub sandbox: Sandbox,
    pub stack: Stack,
    pub cluster: Cluster,
    pub postgres: Postgres,
    pub redis: Redis,
    pub alertmanager: Alertmanager,
    /// One that sends elsewhere.
    pub elsewhere: Alertmanager,
    pub prometheus: Rules,
    /// One that knows no Alertmanager.
    pub lonely: Prometheus,
    pub smtp: Smtp,
    /// One without STARTTLS.
    pub plain: Smtp,
    pub page: Page,
    pub tls: Tls,
    pub folder: tempfile::TempDir,
    pub port: u16,
    /// What is to be done after a fault.
    pub undo: Mutex<Vec<fn(&World)>>,
}

/// One run of the doctor.
pub struct Case {
    pub config: String,
    pub env: BTreeMap<&'static str, String>,
    pub only: &'static str,
    pub timeout: &'static str,
    /// What the clock is set off by, such as `+2h`.
    pub clock: Option<&'static str>,
    /// Who runs it.
    pub user: Option<u32>,
}

/// What one check found.
#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "all of it is shown where a test fails")]
pub struct Line {
    pub id: String,
    pub group: String,
    pub subject: String,
    pub state: String,
    pub found: String,
    pub mend: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Report {
    pub checks: Vec<Line>,
    #[serde(skip)]
    pub code: i32,
}

/// A bot that serves; killed when dropped.
pub struct Serve(#[allow(dead_code, reason = "it is killed when dropped")] Child);

impl Case {
    pub fn sound(world: &World) -> Self {
        let (login, password) = world.smtp.config().login.unwrap();
        let secret = |text: &str| text.to_owned();
        Self {
            config: world.config(&login),
            env: BTreeMap::from([
                (
                    "TREASURY_BOT_SLACK_BOT_TOKEN",
                    secret(world.sandbox.bot_token()),
                ),
                (
                    "TREASURY_BOT_SLACK_APP_TOKEN",
                    secret(world.sandbox.app_token()),
                ),
                (
                    "TREASURY_BOT_ALERTS_TOKEN",
                    secret("token-of-the-alerts-0123456789"),
                ),
                ("TREASURY_BOT_CACHE_PASSWORD", secret("secret")),
                (
                    "TREASURY_BOT_EMAIL_PASSWORD",
                    secret(secrecy::ExposeSecret::expose_secret(&password)),
                ),
                // The authorities of the system, and that of the test.
                ("SSL_CERT_FILE", world.tls.authority.display().to_string()),
            ]),
            only: "",
            timeout: "10s",
            clock: None,
            user: None,
        }
    }

    /// Changes what stands in the configuration.
    pub fn edit(&mut self, from: &str, to: &str) {
        assert!(self.config.contains(from), "no {from} in:\n{}", self.config);
        self.config = self.config.replace(from, to);
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.env.insert(name, value.to_owned());
    }
}

impl World {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Another user reads it too.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let stack = Stack::new("doctor").await;
        stack.run("web", 1, OBEYS).await;
        let cluster = Cluster::start();
        cluster.create(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"namespace": "treasury", "name": "archive"},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "archive"}}, "template": {
                "metadata": {"labels": {"app": "archive"}},
                "spec": {"containers": [{"name": "archive", "image": "archive:1"}]}}},
        }));
        cluster.settled("deployments", "treasury", "archive").await;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": cluster.url()}}],
            "users": [{"name": "bot", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "bot"}}],
        });
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        let page = Page::start().await;
        let port = free_port();
        let bot = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let token = "token-of-the-alerts-0123456789";
        let alertmanager = Alertmanager::start(bot, token).await;
        let elsewhere = Alertmanager::set(Setup {
            path: "/elsewhere",
            ..Setup::new(free_port(), bot, token)
        });
        let elsewhere = elsewhere.await;
        let prometheus = Rules::start(page.address, "/metrics", &alertmanager).await;
        eventually(
            "Prometheus has found its Alertmanager, and a value",
            || async {
                let get = async |path: &str| {
                    let url = format!("{}/api/v1/{path}", prometheus.url());
                    let answer = reqwest::get(url).await.ok()?;
                    answer.text().await.ok()
                };
                let known = get("alertmanagers").await?.contains("/api/v2/alerts");
                let scraped = get("query?query=up").await?.contains("\"value\"");
                (known && scraped).then_some(())
            },
        )
        .await;
        let world = Self {
            sandbox: Sandbox::start(SandboxConfig::default()).await.unwrap(),
            stack,
            cluster,
            postgres: postgres().await,
            redis: redis().await,
            alertmanager,
            elsewhere,
            prometheus,
            lonely: Prometheus::scraping(page.address).await,
            smtp: Smtp::start(Security::StartTls),
            plain: Smtp::plain(),
            tls: Tls::start(folder.path()).await,
            page,
            folder,
            port,
            undo: Mutex::default(),
        };
        super::files::prepare(&world).await;
        world
    }

    fn config(&self, login: &str) -> String {
        let folder = self.folder.path().display();
        format!(
            "[slack]\napi_url = \"{slack}\"\nchannel = \"#treasury-incidents\"\n\n\
             [store]\nurl = \"sqlite://{folder}/store/bot.db\"\n\n\
             [web]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\n\n\
             [access]\nviewers = [\"*\"]\nresponders = [\"U0ANA00001\", \"S0ONCALL01\"]\n\
             commanders = [\"U0BEN00001\"]\n\n\
             [docker]\n\n\
             [[service]]\nname = \"frontend\"\ncompose_project = \"{project}\"\n\
             compose_service = \"web\"\nhealth = \"{page}/health\"\n\
             check = [\"https://localhost:{good}/\"]\nmetrics_page = \"{page}/metrics\"\n\
             metrics = {{ up = \"up\" }}\n\n\
             [[service]]\nname = \"archive\"\nnamespace = \"treasury\"\n\
             workload = \"deployment/archive\"\n\n\
             [[cluster]]\nname = \"production\"\nkubeconfig = \"{folder}/kubeconfig\"\n\n\
             [[database]]\nname = \"treasury\"\n\
             url = \"postgres://doctor@127.0.0.1:{postgres}/postgres\"\n\n\
             [[cache]]\nname = \"cache\"\nurl = \"redis://doctor@{redis}/0\"\n\n\
             [prometheus]\nurl = \"{prometheus}\"\n\n\
             [logs]\nkind = \"loki\"\nurl = \"{page}\"\nfield = \"app\"\n\n\
             [alertmanager]\nurl = \"{alertmanager}\"\n\n\
             [[rotation]]\nname = \"primary\"\nmembers = [\"U0ANA00001\", \"U0BEN00001\"]\n\
             handover = \"monday 09:00\"\ntimezone = \"Europe/Paris\"\n\n\
             [email]\nhost = \"localhost\"\nport = {smtp}\nusername = \"{login}\"\n\
             ca_file = \"{ca}\"\nfrom = \"Bot <bot@ops.example.net>\"\n\n\
             [reach.hook]\nurl = \"https://localhost:{good}/on-call/{{to}}\"\n\n\
             [[person]]\nid = \"U0ANA00001\"\nemail = \"ana@ops.example.net\"\n\
             reach = [\"slack\", {{ by = \"hook\", to = \"ana\" }}, \"email\"]\n\n\
             [[person]]\nid = \"U0BEN00001\"\nemail = \"ben@ops.example.net\"\n",
            slack = self.sandbox.api_url(),
            port = self.port,
            project = self.stack.project,
            page = self.page.url(),
            good = self.tls.good,
            postgres = self.postgres.port(),
            redis = self.redis.address(),
            prometheus = self.prometheus.url(),
            alertmanager = self.alertmanager.url(),
            smtp = self.smtp.port,
            ca = self.smtp.ca_file().display(),
        )
    }

    fn command(&self, case: &Case, words: &[&str]) -> Command {
        let file = self.folder.path().join("treasury-bot.toml");
        std::fs::write(&file, &case.config).unwrap();
        let binary = match case.user {
            None => PathBuf::from(env!("CARGO_BIN_EXE_treasury-bot")),
            // The other user may not look into the folder where it was built.
            Some(_) => self.folder.path().join("treasury-bot"),
        };
        let mut command = match case.clock {
            None => Command::new(binary),
            Some(off) => {
                let mut command = Command::new("faketime");
                command.args(["-f", off]).arg(binary);
                command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
                command
            }
        };
        command
            .args(words)
            .envs(case.env.iter().map(|(name, value)| (*name, value)))
            .env("TREASURY_BOT_CONFIG", &file)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(user) = case.user {
            command.uid(user).gid(user).env("HOME", self.folder.path());
        }
        command
    }

    /// Runs the doctor.
    pub async fn ask(&self, case: Case) -> Report {
        let mut words = vec!["doctor", "--json", "--timeout", case.timeout];
        if !case.only.is_empty() {
            words.extend(["--only", case.only]);
        }
        let told = self.command(&case, &words).output().await.unwrap();
        let out = String::from_utf8_lossy(&told.stdout);
        let err = String::from_utf8_lossy(&told.stderr);
        let read = serde_json::from_str(&out);
        let report: Report = read.unwrap_or_else(|error| panic!("{error}: {out}\n{err}"));
        let code = told.status.code().unwrap_or(-1);
        Report { code, ..report }
    }

    /// A bot that serves this installation.
    pub async fn serve(&self) -> Serve {
        let case = Case::sound(self);
        let serve = Serve(self.command(&case, &["serve"]).spawn().unwrap());
        let url = format!("http://127.0.0.1:{}/health/live", self.port);
        eventually("the bot serves", || async {
            let answer = reqwest::get(&url).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        let patience = Duration::from_secs(20);
        self.sandbox.wait_for_sockets(2, patience).await.unwrap();
        serve
    }

    /// Takes back what faults have done.
    pub fn heal(&self) {
        self.sandbox.faults().clear();
        self.cluster.heal();
        let undo = std::mem::take(&mut *self.undo.lock().unwrap());
        for undo in undo {
            undo(self);
        }
    }

    /// Does this after the fault.
    pub fn after(&self, undo: fn(&World)) {
        self.undo.lock().unwrap().push(undo);
    }

    /// The files where the store is.
    pub fn files(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.folder.path().join("store")).unwrap();
        let mut all: Vec<_> = all.map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all
    }
}

/// With the users that faults are made of.
async fn postgres() -> Postgres {
    let settings = ["shared_preload_libraries=pg_stat_statements"];
    let server = Postgres::start_with(&settings).await;
    let pool = sqlx::AnyPool::connect(&server.url()).await.unwrap();
    for statement in [
        "CREATE EXTENSION pg_stat_statements",
        "CREATE ROLE doctor LOGIN",
        "GRANT pg_monitor, pg_signal_backend TO doctor",
        "CREATE ROLE blind LOGIN",
        "GRANT pg_signal_backend TO blind",
        "CREATE ROLE meek LOGIN",
        "GRANT pg_monitor TO meek",
        "CREATE ROLE guarded LOGIN PASSWORD 'secret'",
        "CREATE DATABASE bare",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    pool.close().await;
    server
}

/// With the users that faults are made of.
async fn redis() -> Redis {
    let server = Redis::start(&[]).await;
    let mut client = server.client(None).await;
    for (user, rule) in [
        ("doctor", "+@all"),
        ("deaf", "-slowlog"),
        ("meek", "-client|kill"),
    ] {
        let words = ["ACL", "SETUSER", user, "on", ">secret", "~*", "+@all", rule];
        let _: () = tell(&mut client, &words).await;
    }
    server
}
