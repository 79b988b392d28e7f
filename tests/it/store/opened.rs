//! A store that can't be used is said in one line with its mend, by whatever opens it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::{AnyConnection, Connection, Executor};
use treasury_bot::store::{Store, Use};

use crate::support::disk::Disk;

/// Who can be nobody else.
const NOBODY: u32 = 65_534;

struct Case {
    folder: PathBuf,
    user: Option<u32>,
}

impl Case {
    /// The last line on standard error, after `serve` or another command came to nothing.
    fn says(&self, words: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(self.folder.join("treasury-bot"));
        command
            .args(words)
            .current_dir(&self.folder)
            .env_clear()
            .env("NO_COLOR", "1")
            .env("TREASURY_BOT_SLACK_BOT_TOKEN", "xoxb-1-2-3")
            .env("TREASURY_BOT_SLACK_APP_TOKEN", "xapp-1-2-3");
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        let told = command.output().unwrap();
        let (out, err) = (
            String::from_utf8(told.stdout).unwrap(),
            String::from_utf8(told.stderr).unwrap(),
        );
        let line = err.lines().last().unwrap_or_default().to_owned();
        // The doctor says it on standard output.
        let said = if words[0] == "doctor" { out } else { line };
        (told.status.code(), said)
    }
}

fn bytes(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_store_that_cant_be_used_is_said_by_serve_exec_and_doctor() {
    let disk = Disk::new();
    let folder = disk.path().to_owned();
    let store = folder.join("store");
    std::fs::create_dir(&store).unwrap();
    // On the real disk: the one in memory is small.
    let program = tempfile::tempdir().unwrap();
    let path = program.path().join("treasury-bot");
    std::fs::copy(env!("CARGO_BIN_EXE_treasury-bot"), &path).unwrap();
    open_to_all(program.path());
    let config = format!(
        "[store]\nurl = \"sqlite://{}\"\n",
        store.join("bot.db").display()
    );
    std::fs::write(program.path().join("treasury-bot.toml"), config).unwrap();
    let file = store.join("bot.db");
    let url = format!("sqlite://{}", file.display());
    for (what, told) in [
        ("read-only", "the store can only be read ("),
        ("another's", "the store's file can't be opened ("),
        (
            "held",
            "another process holds the store locked (database is locked, 5); end what",
        ),
        (
            "garbage",
            "what lies there is no database of SQLite (file is not a database, 26); ",
        ),
        (
            "emptied",
            "bot.lock says that it held something; bring it back from a backup",
        ),
    ] {
        let _ = std::fs::remove_dir_all(&store);
        std::fs::create_dir(&store).unwrap();
        Store::open(&url, Use::Serve).await.unwrap().close().await;
        let mut case = Case {
            folder: program.path().to_owned(),
            user: None,
        };
        let mut other = None;
        match what {
            "read-only" => disk.read_only(),
            "another's" => {
                open_to_all(&folder);
                case.user = Some(NOBODY);
            }
            "held" => {
                let mut connection = AnyConnection::connect(&url).await.unwrap();
                connection.execute("BEGIN IMMEDIATE").await.unwrap();
                other = Some(connection);
            }
            "garbage" => std::fs::write(&file, "no database\n".repeat(1_000)).unwrap(),
            _ => std::fs::write(&file, "").unwrap(),
        }
        let before = bytes(&file);
        let env = [
            ("serve", vec!["serve"]),
            ("exec", vec!["exec", "status"]),
            ("doctor", vec!["doctor", "--only", "store"]),
        ];
        for (name, words) in env {
            // It is looked at and not written: it works, while another holds it.
            if name == "doctor" && ["held", "read-only"].contains(&what) {
                continue;
            }
            let (code, said) = case.says(&words);
            assert_eq!(code, Some(1), "{what}, {name}: {said}");
            if name == "doctor" {
                let (told, _) = told.split_once("; ").unwrap_or((told, ""));
                assert!(said.contains(told), "{what}: {said}");
            } else {
                assert!(said.starts_with("error: "), "{what}, {name}: {said}");
                assert!(said.contains(told), "{what}, {name}: {said}");
                assert!(said.contains("; "), "no mend: {said}");
            }
        }
        if what == "read-only" {
            let (_, said) = case.says(&["doctor", "--only", "store"]);
            assert!(
                said.contains("it can't be written: Read-only file system"),
                "{said}"
            );
            disk.writable();
        }
        assert!(bytes(&file) == before, "{what}: it was changed");
        drop(other);
    }
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}
