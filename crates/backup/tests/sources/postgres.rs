//! Backups of real servers, 15 of this machine and 18 of npm, by the programs of each version.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use treasury_backup::postgres::{
    Archive, Config, Database, Fingerprint, Programs, Question, Server,
};
use treasury_backup::repository::id;
use treasury_backup::{Destination, Fault, Identities, Manifest, Progress, Recipient, Repository};

use super::clusters::{Postgres, find};

/// A key of the age format, for tests alone.
const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
const KEY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";

/// What a database has that can be lost.
const FILLED: &[&str] = &[
    "CREATE ROLE auditors NOLOGIN",
    "CREATE ROLE reader LOGIN PASSWORD 'not-in-the-dump' IN ROLE auditors",
    "COMMENT ON ROLE auditors IS 'one; it''s;\ntwo'",
    "CREATE DATABASE treasury TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'",
];
const WITHIN: &[&str] = &[
    "CREATE EXTENSION hstore",
    "CREATE TYPE state AS ENUM ('open', 'paid')",
    "CREATE TABLE payments (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount numeric CHECK \
     (amount > 0), state state NOT NULL DEFAULT 'open', more hstore, note text)",
    "INSERT INTO payments (amount, note, more) SELECT n, E'line\\nSECRET-NOTE \\\\. ' || md5(n::text), 'a=>1' \
     FROM generate_series(1, 5000) n",
    "CREATE INDEX payments_by_amount ON payments (amount)",
    "CREATE TABLE \"Odd name; \"\"x\"\"\" (a int, b float8, c bytea)",
    "INSERT INTO \"Odd name; \"\"x\"\"\" VALUES (1, 0.1, '\\x00ff'), (NULL, 'NaN', NULL)",
    "CREATE TABLE parts (day date) PARTITION BY RANGE (day)",
    "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    "INSERT INTO parts VALUES ('2026-01-05')",
    "CREATE VIEW paid AS SELECT * FROM payments WHERE state = 'paid'",
    "CREATE FUNCTION double(x int) RETURNS int LANGUAGE sql AS 'SELECT 2 * x\nCOPY '",
    "CREATE SEQUENCE invoices START 1000",
    "SELECT nextval('invoices')",
    "SELECT lo_from_bytea(4711, decode(repeat('ab', 300000), 'hex'))",
    "COMMENT ON COLUMN payments.amount IS 'in cents'",
    "ALTER TABLE payments ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY own ON payments TO auditors USING (note IS NOT NULL)",
    "GRANT SELECT ON payments TO auditors",
];

pub struct Stage {
    pub postgres: Postgres,
    folder: tempfile::TempDir,
    repository: Repository,
    keys: Identities,
}

pub async fn run(url: &str, statements: &[&str]) {
    let mut session = PgConnection::connect(url).await.unwrap();
    for sql in statements {
        // A function's text that is no SQL is what somebody may have.
        let off = "SET check_function_bodies = off";
        sqlx::raw_sql(off).execute(&mut session).await.unwrap();
        let sql = sqlx::AssertSqlSafe((*sql).to_owned());
        sqlx::raw_sql(sql).execute(&mut session).await.unwrap();
    }
}

/// The programs of 18 are another package than its server.
fn programs() -> Programs {
    let mut roots = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = roots.find(|one| one.join("target/tools").exists()).unwrap();
    let newer = root.join("target/tools/python/bin/postgres-18");
    Programs {
        folders: vec![older(), newer],
    }
}

fn older() -> PathBuf {
    find("pg_dump", None).parent().unwrap().to_owned()
}

fn server(url: &str, lock_wait: Duration, programs: Programs) -> Server {
    Server::new(Config {
        url: url.into(),
        lock_wait,
        programs,
    })
    .unwrap()
}

impl Stage {
    pub async fn start(version: Option<u32>) -> Self {
        let postgres = Postgres::start_version(version, &["fsync=off"]).await;
        run(&postgres.url(), FILLED).await;
        run(&postgres.url_of("treasury", "treasury"), WITHIN).await;
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, format!("# a key\n{KEY}\n")).unwrap();
        Self {
            postgres,
            repository: Repository::new(Destination::folder(folder.path().join("backups"))),
            keys: Identities::read(&key).unwrap(),
            folder,
        }
    }

    fn server(&self) -> Server {
        let url = self.postgres.url_of("treasury", "treasury");
        server(&url, Duration::from_secs(2), programs())
    }

    async fn take(&self, recipient: Option<&Recipient>) -> Result<Manifest, Fault> {
        self.take_of(self.server(), "20241201_120000", recipient)
            .await
    }

    async fn take_of(
        &self,
        server: Server,
        id: &str,
        recipient: Option<&Recipient>,
    ) -> Result<Manifest, Fault> {
        let database = Database::new(server);
        let at = "2024-12-01T12:00:00Z".parse().unwrap();
        let progress = Progress::default();
        let parts = database.parts();
        let taken = self
            .repository
            .take(("main", id, at), &parts, recipient, 0, &progress);
        taken.await
    }

    async fn verify(
        &self,
        manifest: &Manifest,
        keys: Option<&Identities>,
    ) -> Result<Option<u64>, String> {
        let database = Database::new(self.server());
        let read = database.verify(&self.repository, manifest, keys).await;
        let read = read.map_err(|fault| fault.to_string())?;
        Ok(read.map(|contents| contents.counts["rows"]))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder
            .path()
            .join("backups/main/20241201_120000")
            .join(name)
    }

    pub async fn fingerprint(&self, database: &str) -> Fingerprint {
        let server = self.server().with_database(database);
        Database::fingerprint(&server).await.unwrap()
    }
}

#[test]
fn a_backup_is_called_by_the_time_of_its_beginning() {
    assert_eq!(
        id("2024-12-01T12:00:00Z".parse().unwrap()),
        "20241201_120000"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, its version 18 of npm and PyPI"]
async fn backed_up_damaged_and_restored_all_sums_are_equal() {
    for version in [None, Some(18)] {
        let stage = Stage::start(version).await;
        let recipient: Recipient = RECIPIENT.parse().unwrap();
        let before = stage.fingerprint("treasury").await;

        let manifest = stage.take(Some(&recipient)).await.unwrap();
        let covers = &manifest.covers;
        assert!(
            covers.contains("3 tables with 5003 rows, 1 large objects"),
            "{covers}"
        );
        assert!(
            covers.contains("3 roles without their passwords"),
            "{covers}"
        );
        assert_eq!(
            stage.repository.list("main").await.unwrap(),
            std::slice::from_ref(&manifest)
        );
        assert_eq!(
            stage.verify(&manifest, Some(&stage.keys)).await,
            Ok(Some(5003))
        );
        // Without the key only the sums can be compared, and that is what is said.
        assert_eq!(stage.verify(&manifest, None).await, Ok(None));
        for part in &manifest.parts {
            let bytes = std::fs::read(stage.file(&part.file)).unwrap();
            assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
            assert!(!bytes.windows(8).any(|some| some == b"auditors"));
        }

        let url = stage.postgres.url_of("treasury", "treasury");
        run(
            &url,
            &[
                "DELETE FROM payments",
                "SELECT lo_unlink(4711)",
                "DROP POLICY own ON payments",
            ],
        )
        .await;
        run(
            &stage.postgres.url(),
            &["DROP DATABASE treasury", "DROP ROLE auditors, reader"],
        )
        .await;
        let admin = server(&stage.postgres.url(), Duration::from_secs(2), programs());
        let keys = Some(&stage.keys);
        let restored = Database::restore(&admin, "beside", &stage.repository, &manifest, keys);
        assert_eq!(restored.await.unwrap().differences, Vec::<String>::new());
        assert_eq!(stage.fingerprint("beside").await, before);
        // It is not written over.
        let again = Database::restore(&admin, "beside", &stage.repository, &manifest, keys);
        assert!(
            again
                .await
                .unwrap_err()
                .to_string()
                .contains("already exists")
        );
        assert_eq!(stage.fingerprint("beside").await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_dump_that_was_cut_or_changed_is_never_good() {
    let stage = Stage::start(None).await;
    let manifest = stage.take(None).await.unwrap();
    assert_eq!(stage.verify(&manifest, None).await, Ok(Some(5003)));
    let file = stage.file("dump.dump");
    let whole = std::fs::read(&file).unwrap();
    let programs = programs();
    for place in 0..50 {
        let at = whole.len() * place / 50;
        // Without its checksum as well: by what pg_restore makes of it.
        let mut cut = &whole[..at];
        let read = Archive::new(&programs).read(&mut cut).await;
        assert!(read.is_err(), "cut at {at} of {}: {read:?}", whole.len());
        std::fs::write(&file, &whole[..at]).unwrap();
        let said = stage.verify(&manifest, None).await.unwrap_err();
        assert!(said.contains(&format!("has {at} bytes")), "{said}");

        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::write(&file, &flipped).unwrap();
        let said = stage.verify(&manifest, None).await.unwrap_err();
        assert!(said.contains("its checksum differs"), "{said}");
    }
    // Of another server: a good archive, but not this one.
    let other = Database::new(server(
        &stage.postgres.url(),
        Duration::from_secs(2),
        programs,
    ));
    let at = "2024-12-02T12:00:00Z".parse().unwrap();
    let progress = Progress::default();
    let named = ("other", "20241202_120000", at);
    stage
        .repository
        .take(named, &other.parts(), None, 0, &progress)
        .await
        .unwrap();
    let other = stage.folder.path().join("backups/other/20241202_120000");
    std::fs::copy(other.join("dump.dump"), &file).unwrap();
    assert!(stage.verify(&manifest, None).await.is_err());
    // And its manifest is not one of ours.
    std::fs::write(&file, &whole).unwrap();
    std::fs::copy(other.join("manifest.json"), stage.file("manifest.json")).unwrap();
    let said = stage
        .repository
        .manifest("main", "20241201_120000")
        .await
        .unwrap_err();
    assert!(
        said.to_string()
            .contains("it is that of other 20241202_120000"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, its version 18 of npm"]
async fn a_newer_server_than_the_programs_is_refused_before_anything_is_written() {
    let stage = Stage::start(Some(18)).await;
    let url = stage.postgres.url_of("treasury", "treasury");
    let folders = vec![older()];
    let old = server(&url, Duration::from_secs(2), Programs { folders });
    let said = stage
        .take_of(old, "20241201_120000", None)
        .await
        .unwrap_err()
        .to_string();
    assert!(said.contains("the server is PostgreSQL 18."), "{said}");
    assert!(said.contains("the pg_dump here is older: "), "{said}");
    assert!(said.contains("install postgresql-client-18"), "{said}");
    assert_eq!(stage.repository.list("main").await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_lock_is_waited_for_so_long_and_its_owner_is_named() {
    let stage = Stage::start(None).await;
    let url = format!(
        "{}?application_name=migration",
        stage.postgres.url_of("treasury", "treasury")
    );
    let mut holder = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE payments")
        .execute(&mut holder)
        .await
        .unwrap();
    let said = stage.take(None).await.unwrap_err().to_string();
    assert!(
        said.contains("a table was locked for longer than 2 s, by session "),
        "{said}"
    );
    assert!(said.contains("of treasury (migration)"), "{said}");
    assert_eq!(stage.repository.list("main").await.unwrap(), []);
    holder.close().await.unwrap();
    stage.take(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn the_password_is_in_no_list_of_processes() {
    let stage = Stage::start(None).await;
    let admin = stage.postgres.url();
    run(
        &admin,
        &["CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'pass+w%rd/hunter2'"],
    )
    .await;
    let url = stage
        .postgres
        .url_of("guarded:pass+w%25rd%2Fhunter2", "treasury");
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = over.clone();
    let watcher = std::thread::spawn(move || {
        let (mut seen, mut told) = (false, Vec::new());
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            for process in std::fs::read_dir("/proc").unwrap().flatten() {
                let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).into_owned();
                seen |= line.contains("--lock-wait-timeout=7777");
                told.extend(line.contains("hunter2").then_some(line));
            }
        }
        (seen, told)
    });
    let patient = server(&url, Duration::from_millis(7777), programs());
    let manifest = stage
        .take_of(patient, "20241201_120000", None)
        .await
        .unwrap();
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    let (seen, told) = watcher.join().unwrap();
    assert!(seen, "pg_dump was never seen");
    assert_eq!(told, Vec::<String>::new());
    for part in &manifest.parts {
        let bytes = std::fs::read(stage.file(&part.file)).unwrap();
        assert!(!bytes.windows(7).any(|some| some == b"hunter2"));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn one_that_was_broken_off_is_never_listed() {
    let stage = Stage::start(None).await;
    let mut halted = 0;
    for place in 0..20 {
        let taking = stage.take(None);
        let time = Duration::from_millis(place * 20);
        if tokio::time::timeout(time, taking).await.is_ok() {
            break;
        }
        halted += 1;
        assert_eq!(stage.repository.list("main").await.unwrap(), []);
        let lies_there = stage.repository.remove("main", "20241201_120000").await;
        lies_there.unwrap();
    }
    assert!(halted > 3);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, its version 18 of npm and PyPI"]
async fn a_drill_restores_asks_and_leaves_nothing_behind() {
    let stage = Stage::start(None).await;
    let manifest = stage.take(None).await.unwrap();
    // A server of its own, newer than the source, where nobody knows the roles.
    let other = Postgres::start_version(Some(18), &["fsync=off"]).await;
    let admin = server(&other.url(), Duration::from_secs(2), programs());
    let question = |name: &str, sql: &str, wanted: Option<&str>| Question {
        name: name.into(),
        sql: sql.into(),
        wanted: wanted.map(str::to_owned),
    };
    let questions = [
        question("payments", "SELECT count(*) FROM payments;", Some("5000")),
        question("newest", "SELECT max(id) FROM payments", None),
        question(
            "open",
            "SELECT count(*) FROM payments WHERE state = 'open'",
            Some("1"),
        ),
        question("gone", "SELECT 1 FROM nowhere", None),
        question("writes", "DELETE FROM payments RETURNING 1", None),
    ];
    let drill = || Database::drill(&admin, &stage.repository, &manifest, None, &questions);
    let drilled = drill().await.unwrap();
    let answers: Vec<bool> = drilled.answers.iter().map(|answer| answer.good).collect();
    assert_eq!(answers, [true, true, false, false, false]);
    assert_eq!(drilled.answers[0].said, Ok("5000".to_owned()));
    assert_eq!((drilled.rows, drilled.left), (5003, Vec::<String>::new()));
    assert_eq!(drilled.differences, Vec::<String>::new());
    let left = "SELECT datname::text FROM pg_database WHERE datname ~ 'drill' UNION ALL \
                SELECT rolname::text FROM pg_roles WHERE rolname IN ('reader', 'auditors')";
    let mut session = PgConnection::connect(&other.url()).await.unwrap();
    let left_behind: Vec<String> = sqlx::query_scalar(left)
        .fetch_all(&mut session)
        .await
        .unwrap();
    assert_eq!(left_behind, Vec::<String>::new());
    // One that was killed has left its scratch: the next drill drops it.
    run(
        &other.url(),
        &["CREATE DATABASE treasury_drill_20241201_120000"],
    )
    .await;
    drill().await.unwrap();
    let left_behind: Vec<String> = sqlx::query_scalar(left)
        .fetch_all(&mut session)
        .await
        .unwrap();
    assert_eq!(left_behind, Vec::<String>::new());
}
