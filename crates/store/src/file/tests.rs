//! A store goes on, is backed up, and is never made anew over another.

use std::os::unix::fs::PermissionsExt;

use treasury_domain::{Door, Person, Place, Reply, Request};

use super::*;
use crate::clock::Clock;
use crate::migrations::Steps;
use crate::{Accepted, Store, Use};

fn request(key: &str) -> Request {
    Request {
        key: key.to_owned(),
        door: Door::Terminal,
        person: Person::terminal("ana"),
        place: Place::terminal(),
        text: "status".to_owned(),
        reply: Reply::default(),
    }
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("bot.db")
    }

    async fn open(&self, steps: &Steps) -> Result<Store, StoreError> {
        let url = format!("sqlite://{}", self.path().display());
        Store::open_as(&url, Use::Serve, Clock::default(), steps).await
    }

    /// What is said where it can't be opened.
    async fn refused(&self, steps: &Steps) -> String {
        let said = self.open(steps).await.err().unwrap().to_string();
        assert!(!said.contains('\n'), "{said}");
        said.replace(&self.folder.path().display().to_string(), "/data")
    }

    /// Makes a store with one request in it.
    async fn filled(&self) {
        let store = self.open(&Steps::default()).await.unwrap();
        store.accept(request("a"), None).await.unwrap();
        store.close().await;
    }

    /// The store at this path holds the request.
    async fn still_holds(path: &Path, steps: &Steps) {
        let url = format!("sqlite://{}", path.display());
        let store = Store::open_as(&url, Use::Visit, Clock::default(), steps).await;
        let store = store.unwrap();
        let again = store.accept(request("a"), None).await.unwrap();
        assert_eq!(again, Accepted::Duplicate);
        store.close().await;
    }

    async fn sql(&self, text: &'static str) {
        sqlx::any::install_default_drivers();
        let mut database = AnyConnection::connect(&url(&self.path())).await.unwrap();
        database.execute(text).await.unwrap();
        database.close().await.unwrap();
    }

    /// Files beside the database, without its own.
    fn beside(&self, ending: &str) -> Vec<String> {
        let found = std::fs::read_dir(self.folder.path()).unwrap();
        let names = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.ends_with(ending)).collect();
        names.sort();
        names
    }
}

/// A second step, as a later version has.
fn later() -> Steps {
    Steps::default().and("0002_more.sql", "CREATE TABLE more (a BIGINT)")
}

#[tokio::test]
async fn a_schema_goes_on_after_a_backup_and_the_older_version_is_told_so() {
    let bench = Bench::new();
    bench.filled().await;
    assert!(bench.beside(".backup").is_empty(), "a new store has none");
    bench.open(&later()).await.unwrap().close().await;
    let [backup] = &bench.beside(".backup")[..] else {
        panic!("one backup: {:?}", bench.beside(""));
    };
    assert!(backup.starts_with("bot.db.schema-1.20"), "{backup}");
    // What is up to date is not backed up again.
    bench.open(&later()).await.unwrap().close().await;
    assert_eq!(bench.beside(".backup").len(), 1);
    assert!(bench.beside(".part").is_empty());

    let said = bench.refused(&Steps::default()).await;
    let ours = env!("CARGO_PKG_VERSION");
    assert_eq!(
        said,
        format!(
            "/data/bot.db: its schema is 2, newer than this version knows (treasury-bot {ours} \
             knows 1, 2 is by treasury-bot {ours}); run the version of the bot that made it \
             (treasury-bot {ours}), or a newer one; or put /data/{backup} in its place, without \
             what was recorded since"
        )
    );
    // And so it can: the backup is a whole store of before.
    Bench::still_holds(&bench.folder.path().join(backup), &Steps::default()).await;
    Bench::still_holds(&bench.path(), &later()).await;
}

#[tokio::test]
async fn a_step_that_fails_leaves_the_store_as_it_was() {
    let bench = Bench::new();
    bench.filled().await;
    let bad = Steps::default().and("0002_bad.sql", "CREATE TABLE inbox (a BIGINT)");
    let said = bench.refused(&bad).await;
    assert!(said.contains("could not be brought up to date"), "{said}");
    assert_eq!(bench.beside(".backup").len(), 1);
    Bench::still_holds(&bench.path(), &Steps::default()).await;
}

#[tokio::test]
async fn the_newest_three_backups_are_kept_and_nobody_elses_files_are_touched() {
    let bench = Bench::new();
    bench.filled().await;
    std::fs::write(bench.folder.path().join("bot.db.before-lunch.backup"), "x").unwrap();
    std::fs::write(bench.folder.path().join("bot.db.schema-1.cut.part"), "x").unwrap();
    let mut steps = Steps::default();
    for (file, text) in [
        ("0002_b.sql", "CREATE TABLE b (a BIGINT)"),
        ("0003_c.sql", "CREATE TABLE c (a BIGINT)"),
        ("0004_d.sql", "CREATE TABLE d (a BIGINT)"),
        ("0005_e.sql", "CREATE TABLE e (a BIGINT)"),
        ("0006_f.sql", "CREATE TABLE f (a BIGINT)"),
    ] {
        steps = steps.and(file, text);
        bench.open(&steps).await.unwrap().close().await;
    }
    let kept = bench.beside(".backup");
    let of: Vec<_> = kept.iter().map(|name| &name[7..15]).collect();
    assert_eq!(
        of,
        ["before-l", "schema-3", "schema-4", "schema-5"],
        "{kept:?}"
    );
    assert!(bench.beside(".part").is_empty());
}

#[tokio::test]
async fn a_step_with_another_text_or_without_an_end_is_told() {
    for (change, told) in [
        (
            "UPDATE _sqlx_migrations SET checksum = x'00', description = 'schema, by treasury-bot 0.0.9'",
            "step 1 of its schema, by treasury-bot 0.0.9, is not the one that treasury-bot",
        ),
        (
            "UPDATE _sqlx_migrations SET success = FALSE",
            "step 1 of its schema was begun and not finished; bring it back from a backup",
        ),
        (
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (0, 'of another', TRUE, x'00', 0)",
            "step 0 of its schema, by an unknown version, is not the one",
        ),
    ] {
        let bench = Bench::new();
        bench.filled().await;
        bench.sql(change).await;
        let said = bench.refused(&Steps::default()).await;
        assert!(said.contains(told), "{said}");
        assert!(bench.beside(".backup").is_empty());
    }
}

#[tokio::test]
async fn nothing_is_made_anew_over_what_is_there() {
    let lost = "says that it held something; bring it back from a backup, or remove /data/";
    for (what, told) in [
        (
            "garbage",
            "what lies there is no database of SQLite (file is not a database, 26); ",
        ),
        (
            "header",
            "what lies there is no database of SQLite (file is not a database, 26); ",
        ),
        (
            "half",
            "the store is damaged (database disk image is malformed, 11); bring it back",
        ),
        (
            "short",
            "the store is damaged (database disk image is malformed, 11); bring it back",
        ),
        (
            "folder",
            "what lies there is no database of SQLite (it is a folder); ",
        ),
        ("empty", lost),
        ("gone", lost),
    ] {
        let bench = Bench::new();
        bench.filled().await;
        let path = bench.path();
        let mut bytes = std::fs::read(&path).unwrap();
        match what {
            "garbage" => bytes = b"no database\n".repeat(1_000),
            "header" => bytes[..16].fill(0),
            "half" => bytes.truncate(bytes.len() / 2),
            "short" => bytes.truncate(50),
            "empty" => bytes.clear(),
            _ => {}
        }
        std::fs::remove_file(&path).unwrap();
        match what {
            "folder" => std::fs::create_dir(&path).unwrap(),
            "gone" => std::fs::write(beside(&path, "-wal"), "writes").unwrap(),
            _ => std::fs::write(&path, &bytes).unwrap(),
        }
        // SQLite may leave an empty log and an index: what holds something is compared.
        let all = |bench: &Bench| {
            let names = bench.beside("").into_iter();
            let read = names.filter(|name| !name.ends_with("-shm")).map(|name| {
                let bytes = std::fs::read(bench.folder.path().join(&name)).ok();
                (name, bytes)
            });
            let empty = |bytes: &Option<Vec<u8>>| bytes.as_ref().is_some_and(Vec::is_empty);
            read.filter(|(_, bytes)| !empty(bytes)).collect::<Vec<_>>()
        };
        let before = all(&bench);
        for how in [Use::Serve, Use::Visit] {
            let url = format!("sqlite://{}", path.display());
            let said = Store::open(&url, how).await.err().unwrap().to_string();
            let said = said.replace(&bench.folder.path().display().to_string(), "/data");
            assert!(said.contains(told), "{what}: {said}");
            assert!(said.starts_with("/data/bot.db"), "{said}");
            assert!(!said.contains('\n'), "{said}");
            // The doctor sees the same.
            let seen = crate::inspect(&url)
                .await
                .err()
                .map(|error| error.to_string());
            let seen = seen.unwrap_or_else(|| panic!("{what}: the doctor sees nothing"));
            let seen = seen.replace(&bench.folder.path().display().to_string(), "/data");
            assert!(seen.contains(told), "{what}: {seen}");
        }
        let same = all(&bench) == before;
        assert!(same, "{what}: {:?}", bench.beside(""));
    }
}

#[tokio::test]
async fn an_empty_file_where_no_store_was_becomes_one() {
    let bench = Bench::new();
    std::fs::write(bench.path(), "").unwrap();
    // As a first start leaves it that finds no room.
    std::fs::write(bench.folder.path().join("bot.lock"), "").unwrap();
    bench.filled().await;
    Bench::still_holds(&bench.path(), &Steps::default()).await;
}

#[tokio::test]
async fn all_files_are_our_users_alone() {
    let bench = Bench::new();
    bench.filled().await;
    let store = bench.open(&later()).await.unwrap();
    store.accept(request("b"), None).await.unwrap();
    let names = bench.beside("");
    assert_eq!(names.len(), 5, "{names:?}");
    for name in names {
        let found = std::fs::metadata(bench.folder.path().join(&name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o600, "{name}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_visitor_brings_no_store_further_that_another_serves_from() {
    let bench = Bench::new();
    let serving = bench.open(&Steps::default()).await.unwrap();
    let url = format!("sqlite://{}", bench.path().display());
    let visit = Store::open_as(&url, Use::Visit, Clock::default(), &later()).await;
    let said = visit.err().unwrap().to_string();
    assert!(
        said.contains("of an older version: stop that one first"),
        "{said}"
    );
    assert_eq!(
        serving.accept(request("a"), None).await.unwrap(),
        Accepted::New
    );
    serving.close().await;
    Bench::still_holds(&bench.path(), &later()).await;
    assert_eq!(bench.beside(".backup").len(), 1);
}

#[tokio::test]
async fn two_visitors_make_one_store() {
    let bench = Bench::new();
    let url = format!("sqlite://{}", bench.path().display());
    let open = |_| {
        let url = url.clone();
        tokio::spawn(async move { Store::open(&url, Use::Visit).await })
    };
    for store in futures_util::future::join_all((0..4).map(open)).await {
        store.unwrap().unwrap().close().await;
    }
}

#[tokio::test]
async fn what_holds_the_store_locked_is_said() {
    let bench = Bench::new();
    bench.filled().await;
    let mut other = AnyConnection::connect(&url(&bench.path())).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let said = bench.refused(&Steps::default()).await;
    assert_eq!(
        said,
        "/data/bot.db: another process holds the store locked (database is locked, 5); end what \
         holds it, such as a `sqlite3` shell: `fuser FILE` names it"
    );
    other.execute("ROLLBACK").await.unwrap();
    Bench::still_holds(&bench.path(), &Steps::default()).await;
}

/// A disk of 64 MiB in memory; gone when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m", "none"]);
        assert!(mount.arg(folder.path()).status().unwrap().success());
        Self(folder)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut gone = std::process::Command::new("umount");
        let _ = gone.arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
#[ignore = "needs root"]
async fn on_a_full_disk_each_write_is_either_done_or_told_not_to_be() {
    let disk = Disk::new();
    let path = disk.0.path().join("bot.db");
    let url = format!("sqlite://{}", path.display());
    let store = Store::open(&url, Use::Serve).await.unwrap();
    let ballast = disk.0.path().join("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write_all(&[1; 4_096]).is_ok() {}
    drop(file);

    let long = |key: String| Request {
        text: "x".repeat(3_000),
        ..request(&key)
    };
    let (mut done, mut told) = (Vec::new(), Vec::new());
    for round in 0..20 {
        // Many at once share a transaction; one that does more has a savepoint of its own.
        let urgent = (0..30).map(|n| {
            let key = format!("{round}-{n}");
            let put = store.accept(long(key.clone()), None);
            async move { (key, put.await.map(drop)) }
        });
        let large = async {
            let key = format!("{round}-large");
            let requests: Vec<_> = (0..1_500).map(|n| long(format!("{key}-{n}"))).collect();
            let put = store.write(move |tx| {
                Box::pin(async move {
                    for one in &requests {
                        tx.inbox_put(one, None).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            });
            (format!("{key}-7"), put.await)
        };
        let (urgent, large) = tokio::join!(futures_util::future::join_all(urgent), large);
        for (key, result) in urgent.into_iter().chain([large]) {
            match result {
                Ok(()) => done.push(key),
                Err(error) => {
                    assert_eq!(error.trouble(), Some(Trouble::Full), "{key}: {error}");
                    told.push(key);
                }
            }
        }
    }
    assert!(!told.is_empty());
    let minute = std::time::Duration::from_mins(1);
    let why = store.failed_within(minute).unwrap();
    assert!(why.starts_with("the store's disk is full"), "{why}");

    std::fs::remove_file(&ballast).unwrap();
    for (keys, recorded) in [(done, Accepted::Duplicate), (told, Accepted::New)] {
        for key in keys {
            let found = store.accept(long(key.clone()), None).await.unwrap();
            assert_eq!(found, recorded, "{key}");
        }
    }
    store.close().await;
}
