//! A hundred nasty arguments, each in each place of every command: nothing is changed, nothing is
//! leaked, and each gets its one answer.

use std::sync::Arc;

use futures_util::StreamExt;
use secrecy::SecretString;
use treasury_bot::app::{App, simulated};
use treasury_bot::bot::{self, Named, answer_key};
use treasury_bot::command::words::quote;
use treasury_bot::domain::{Door, Person, Place, Reply, Request, ServiceName};
use treasury_bot::probe::postgres::{self, Postgres as PostgresProbe};
use treasury_bot::probe::redis::{self as redis_probe, Redis as RedisProbe};
use treasury_bot::probe::web::{self, Web};
use treasury_bot::probe::{Cache, Database};
use treasury_bot::sandbox::slack::{Sandbox, SandboxConfig};
use treasury_bot::sandbox::stack::{Stack, StackConfig};

use crate::support::postgres::Postgres;
use crate::support::redis::Redis;
use crate::support::stage::{Scenery, plan};

/// What must never be told.
const SECRETS: [&str; 2] = ["pg-hunter2-secret", "redis-hunter2-secret"];

/// Every command with a `{}` in each place that takes something.
const SENTENCES: &[&str] = &[
    "status {}",
    "logs {}",
    "logs api --lines {}",
    "logs api --since {}",
    "logs api --grep {}",
    "logs api --container {}",
    "stats {}",
    "events {}",
    "events api --since {}",
    "restart {}",
    "restart api --reason {}",
    "scale {} 2",
    "scale api {}",
    "scale api 3 --reason {}",
    "bounds {} 2 4",
    "bounds api {} 4",
    "bounds api 2 {}",
    "bounds api 2 4 --reason {}",
    "alerts {}",
    "ack {}",
    "silence {} 1h",
    "silence Down {}",
    "silence Down 1h --reason {}",
    "silence {} --end",
    "heartbeat list {}",
    "heartbeat pause {}",
    "heartbeat pause nightly {}",
    "heartbeat pause nightly 2h --reason {}",
    "heartbeat resume {}",
    "window start {} 1h --reason x",
    "window start api {} --reason x",
    "window start api 1s --reason {}",
    "window list {}",
    "window end {}",
    "freeze start {} --until 1s --reason x",
    "freeze start api --until {} --reason x",
    "freeze start redis --until 1s --reason {}",
    "freeze list {}",
    "freeze end {}",
    "backup list {}",
    "backup now {}",
    "backup show {}",
    "backup verify {}",
    "backup drill {}",
    "task list {}",
    "task run {}",
    "task done {}",
    "task skip {} --reason x",
    "task skip updates --reason {}",
    "checklist start {}",
    "checklist start deploy --service {}",
    "checklist start deploy --incident {}",
    "checklist tick {} 1",
    "checklist tick 1 {}",
    "checklist untick {} 1",
    "checklist look {}",
    "checklist show {}",
    "checklist list {}",
    "checklist end {}",
    "oncall show {}",
    "oncall show --rotation {}",
    "oncall set {}",
    "oncall set me --rotation {}",
    "oncall override {} 2h",
    "oncall override me {}",
    "oncall override me 2h --from {}",
    "oncall clear {}",
    "oncall clear --rotation {}",
    "deploy {} 1.9.0",
    "deploy api {}",
    "deploy api 1.9.0 --exactly {}",
    "deploy api 1.9.0 --reason {}",
    "rollback {}",
    "rollback api --exactly {}",
    "rollback api --reason {}",
    "isolate {}",
    "isolate api --reason {}",
    "release {}",
    "release api --reason {}",
    "check {}",
    "db summary --database {}",
    "db connections --database {}",
    "db locks --database {}",
    "db slow --database {}",
    "db replication --database {}",
    "db size --database {}",
    "db cancel {}",
    "db cancel 1 --database {}",
    "db terminate {}",
    "db terminate 1 --database {}",
    "cache summary --cache {}",
    "cache memory --cache {}",
    "cache slowlog --cache {}",
    "cache clients --cache {}",
    "cache keys {}",
    "cache keys x --cache {}",
    "cache kill {}",
    "cache kill 1 --cache {}",
    "graph {}",
    "graph api {}",
    "graph api memory --since {}",
    "runbook list {}",
    "runbook show {}",
    "runbook run {}",
    "runbook run restart-service {}",
    "runbook run restart-service service={}",
    "runbook rehearse {}",
    "runbook rehearse slow-responses service={}",
    "runbook runs {}",
    "runbook stop {}",
    "runbook stop 1 --reason {}",
    "runbook retry {} x",
    "runbook retry 1 {}",
    "runbook skip 1 {}",
    "runbook skip 1 x --reason {}",
    "runbook answer {} x approve",
    "runbook answer 1 {} approve",
    "runbook answer 1 x {}",
    "runbook answer 1 x approve --note {}",
    "incident declare {}",
    "incident declare x --severity {}",
    "incident declare x --service {}",
    "incident list {}",
    "incident show {}",
    "incident severity {}",
    "incident severity SEV2 --incident {}",
    "incident assign {} @ana",
    "incident assign scribe {} --incident 1",
    "incident link {} --incident 1",
    "note {}",
    "note x --incident {}",
    "update {}",
    "update x --incident {}",
    "timeline {}",
    "timeline 1 --lines {}",
    "mitigate {} --incident 1",
    "resolve x --incident {}",
    "close {}",
    "reopen {}",
    "export {}",
    "export 1 --format {}",
    "page {}",
    "audit --since {}",
    "audit --actor {}",
    "version {}",
    "help {}",
    "menu {}",
    "confirm {}",
    "cancel {}",
];

fn nasty() -> Vec<String> {
    let mut all: Vec<String> = [
        // Shells.
        "; rm -rf /",
        "$(reboot)",
        "`reboot`",
        "| cat /etc/passwd",
        "&& id",
        "|| id",
        "> /tmp/x",
        "< /etc/passwd",
        "$HOME",
        "${PATH}",
        "$TREASURY_BOT_SLACK_BOT_TOKEN",
        "!!",
        "~root",
        "*",
        "?",
        "[a-z]",
        "{a,b}",
        "\\",
        "\\\\",
        "'",
        "\"",
        "''",
        "\"\"",
        "'; id; '",
        "\"; id; \"",
        "$'\\x41'",
        "%0a id",
        "a\nb",
        "a\r\nb",
        "a\tb",
        "a\0b",
        "\u{1b}[31mred",
        "\u{7f}",
        "\u{8}",
        // SQL.
        "'; DROP TABLE canary; --",
        "1 OR 1=1",
        "' OR '1'='1",
        "1; SELECT pg_sleep(9)",
        "\"; DROP TABLE canary; --",
        "canary' UNION SELECT 1 --",
        "/* x */",
        "-- x",
        "$$x$$",
        "E'\\''",
        "1::regclass",
        "0x41",
        "NULL",
        "pg_terminate_backend(1)",
        // Redis.
        "x\r\nFLUSHALL\r\n",
        "*1\r\n$8\r\nFLUSHALL\r\n",
        "FLUSHALL",
        "EVAL \"return 1\" 0",
        "CONFIG SET dir /tmp",
        "[^x]*",
        "canary*",
        "\\x00",
        // Paths and addresses.
        "../../etc/passwd",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://169.254.169.254/",
        "http://127.0.0.1:1/",
        "http://[::1]/",
        "http://0x7f000001/",
        "http://2130706433/",
        "gopher://127.0.0.1/",
        "http://localhost@127.0.0.1/",
        "http://user:pw@127.0.0.1:1/",
        "unix:///var/run/docker.sock",
        "ftp://x/",
        "http://",
        "https:///",
        "data:text/html,x",
        // Formats and templates.
        "%s%s%n",
        "%x",
        "{0}",
        "{{7*7}}",
        "${{ params }}",
        "${jndi:ldap://x}",
        "<%= 1 %>",
        "#{1}",
        "{{ env.SECRET }}",
        "a=b=c",
        "=",
        "==",
        "service=${{ run.id }}",
        // Slack.
        "<!channel>",
        "<!here>",
        "<@U0ANA00001>",
        "<#C1|x>",
        "<http://x|y>",
        "&lt;!channel&gt;",
        "*bold*",
        "```x```",
        "@everyone",
        "@ana",
        // Options and numbers.
        "--help",
        "-h",
        "--",
        "-1",
        "0",
        "99999999999999999999",
        "-9223372036854775808",
        "1e9",
        "NaN",
        "inf",
        "0.1",
        "1_000",
        "٣",
        "--lines=1",
        "--unknown",
        "-x",
        // Letters.
        "аpi",
        "api\u{200b}",
        "\u{202e}ipa",
        "é",
        "e\u{301}",
        "💥",
        "ﬀ",
        "İ",
        "\u{feff}api",
        " api ",
        "api api",
    ]
    .map(str::to_owned)
    .into();
    all.push("a".repeat(10_000));
    all.push("ä".repeat(3_000));
    all.push("(".repeat(2_000));
    all.push(String::new());
    all
}

#[test]
fn every_command_is_tried() {
    assert!(nasty().len() >= 100);
    for (usage, _) in bot::COMMANDS.reference("/treasury") {
        let words: Vec<&str> = usage
            .split_whitespace()
            .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()))
            .collect();
        let words = words.join(" ");
        assert!(
            SENTENCES.iter().any(|command| command.starts_with(&words)),
            "`{words}` is not tried: add it"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and redis-server"]
async fn nothing_is_changed_or_leaked_by_any_argument() {
    let server = Postgres::start().await;
    let pool = sqlx::PgPool::connect(&server.url()).await.unwrap();
    for sql in [
        "CREATE TABLE canary (song TEXT)",
        "INSERT INTO canary VALUES ('tweet')",
        "CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'pg-hunter2-secret'",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    let redis = Redis::start(&["--requirepass", SECRETS[1]]).await;
    let mut keys = redis.client(Some(SECRETS[1])).await;
    let _: () = redis::cmd("SET")
        .arg("canary")
        .arg("tweet")
        .query_async(&mut keys)
        .await
        .unwrap();

    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let stack = Stack::start(StackConfig::default());
    let folder = tempfile::tempdir().unwrap();
    let name = |text: &str| ServiceName::parse(text).unwrap();
    let database: Arc<dyn Database> = Arc::new(
        PostgresProbe::new(&postgres::Config {
            name: "main".into(),
            url: SecretString::from(server.url_of(&format!("guarded:{}", SECRETS[0]), "postgres")),
            timeout: std::time::Duration::from_secs(5),
        })
        .unwrap(),
    );
    let cache: Arc<dyn Cache> = Arc::new(
        RedisProbe::new(redis_probe::Config {
            name: "main".into(),
            url: redis.url(),
            password: Some(SecretString::from(SECRETS[1])),
            sentinel_master: None,
            timeout: std::time::Duration::from_secs(5),
        })
        .unwrap(),
    );
    let catalogue = simulated(&stack, None)
        .unwrap()
        .with_probes(
            vec![Named {
                name: name("main"),
                service: name("postgres"),
                probe: database,
            }],
            vec![Named {
                name: name("main"),
                service: name("redis"),
                probe: cache,
            }],
        )
        .with_web(
            Web::new(web::Config {
                timeout: std::time::Duration::from_secs(1),
                ..web::Config::default()
            })
            .unwrap(),
            None,
        );
    let url = format!("sqlite://{}", folder.path().join("bot.db").display());
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let plan = plan(&sandbox, &Scenery::default(), listen, url, catalogue);
    let app = App::start(plan, tokio_util::sync::CancellationToken::new())
        .await
        .unwrap();

    let nasty = nasty();
    let mut requests = Vec::new();
    for (i, command) in SENTENCES.iter().enumerate() {
        for (j, argument) in nasty.iter().enumerate() {
            // Half of them as they are, half as one word.
            let word = if (i + j) % 2 == 0 {
                argument.clone()
            } else {
                quote(argument)
            };
            requests.push(Request {
                key: format!("nasty:{i}:{j}"),
                door: Door::Terminal,
                // Who sits at the machine may do everything.
                person: Person::terminal("root"),
                place: Place::terminal(),
                text: command.replace("{}", &word),
                reply: Reply::default(),
            });
        }
    }
    let count = requests.len();
    let answers: Vec<(String, String)> = futures_util::stream::iter(requests)
        .map(|request| {
            let (bot, store) = (app.bot.clone(), app.store.clone());
            async move {
                let (key, text) = (request.key.clone(), request.text.clone());
                treasury_bot::bot::visit(&bot, request).await.unwrap();
                let answer = store.outbox_read(&answer_key(&key)).await.unwrap();
                let (outgoing, _) = answer.unwrap_or_else(|| panic!("no answer to {text:?}"));
                (text, serde_json::to_string(&outgoing).unwrap())
            }
        })
        .buffer_unordered(32)
        .collect()
        .await;
    assert_eq!(answers.len(), count);
    let path = std::env::var("PATH").unwrap();
    for (text, answer) in &answers {
        for secret in SECRETS.iter().copied().chain([path.as_str(), "root:x:0:0"]) {
            assert!(
                !answer.contains(secret),
                "{text:?} leaks {secret}: {answer}"
            );
        }
    }
    // What was typed may have begun: restarts of `api` by a runbook are no injection. Nothing else.
    let calls = stack.calls();
    assert!(calls.is_empty(), "{calls:?}");
    let songs: Vec<(String,)> = sqlx::query_as("SELECT song FROM canary")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(songs, [("tweet".to_owned(),)]);
    let song: String = redis::cmd("GET")
        .arg("canary")
        .query_async(&mut keys)
        .await
        .unwrap();
    let size: u64 = redis::cmd("DBSIZE").query_async(&mut keys).await.unwrap();
    assert_eq!((song.as_str(), size), ("tweet", 1));
    app.stop().await;
    sandbox.stop();
}
