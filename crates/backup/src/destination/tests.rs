use std::os::unix::fs::{PermissionsExt, symlink};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

async fn put(to: &Destination, name: &str, bytes: &[u8]) -> Result<u64, Fault> {
    let mut upload = to.put(name, 0).await?;
    upload.write_all(bytes).await?;
    upload.finish().await
}

async fn names(of: &Destination) -> Vec<String> {
    let all = of.list().await.unwrap();
    all.into_iter().map(|one| one.name).collect()
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_folder_is_ours_alone_and_shows_only_what_is_whole() {
    let disk = tempfile::tempdir().unwrap();
    let path = disk.path().join("backups");
    let there = Destination::folder(path.clone());
    assert_eq!(names(&there).await, [""; 0], "it isn't there yet");

    let mut upload = there.put("1/dump.age", 0).await.unwrap();
    upload.write_all(&vec![7; 3_000_000]).await.unwrap();
    upload.flush().await.unwrap();
    assert_eq!(names(&there).await, [""; 0]);
    assert_eq!(upload.finish().await.unwrap(), 3_000_000);
    put(&there, "1/globals.age", b"").await.unwrap();
    assert_eq!(names(&there).await, ["1/dump.age", "1/globals.age"]);
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("1")), 0o700);
    assert_eq!(mode(&path.join("1/dump.age")), 0o600);

    let mut back = Vec::new();
    let mut reader = there.get("1/dump.age").await.unwrap();
    reader.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, vec![7; 3_000_000]);

    let again = put(&there, "1/dump.age", b"other").await.unwrap_err();
    let words = format!(
        "there is a {}/1/dump.age already, which is not written over",
        path.display()
    );
    assert_eq!(again.to_string(), words);

    there.delete("1/dump.age").await.unwrap();
    there.delete("1/dump.age").await.unwrap();
    there.delete("1/globals.age").await.unwrap();
    assert!(
        !path.join("1").exists(),
        "an empty folder goes with its last"
    );
    assert!(path.exists());
}

#[tokio::test]
async fn what_is_broken_off_is_taken_back_and_what_a_dead_process_left_is_tidied() {
    let disk = tempfile::tempdir().unwrap();
    let there = Destination::folder(disk.path().to_owned());
    let mut upload = there.put("dump", 0).await.unwrap();
    upload.write_all(b"half").await.unwrap();
    upload.abort().await.unwrap();
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0);

    // As `kill -9` leaves it; somebody's file, hidden or not, and a link out of the folder stay.
    std::fs::write(disk.path().join(".dump.77-0.part"), "half").unwrap();
    std::fs::write(disk.path().join(".hidden"), "theirs").unwrap();
    std::fs::write(disk.path().join("what is this"), "theirs").unwrap();
    symlink("/etc/hostname", disk.path().join("link")).unwrap();
    assert_eq!(names(&there).await, [""; 0]);
    let now = Timestamp::now();
    let hour = jiff::SignedDuration::from_hours(1);
    assert_eq!(there.tidy(now - hour).await.unwrap(), 0);
    assert_eq!(there.tidy(now + hour).await.unwrap(), 1);
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn a_disk_that_is_not_mounted_is_told_and_a_name_leads_nowhere_else() {
    let there = Destination::folder("/nowhere/backups".into());
    let said = put(&there, "dump", b"x").await.unwrap_err().to_string();
    assert_eq!(
        said,
        "/nowhere/backups/dump is not there: is its disk mounted? A folder is made only in one that is there"
    );
    for name in ["../dump", "/etc/passwd", "a//b", "", ".part", "a/.b", "a b"] {
        let said = there.get(name).await.err().unwrap().to_string();
        assert!(said.contains("can't be a backup's name"), "{name}: {said}");
    }
}
