//! A disk of 30 MiB in memory, which can be filled, emptied and made read-only.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs; needs root, and is gone when dropped.
pub struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    pub fn new() -> Self {
        let disk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        disk.mount(&["-t", "tmpfs", "-o", "size=30m", "none"]);
        disk
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The URL of a database of SQLite on it.
    pub fn url(&self) -> String {
        format!("sqlite://{}", self.path().join("bot.db").display())
    }

    fn mount(&self, how: &[&str]) {
        let mut command = Command::new("mount");
        let done = command.args(how).arg(self.path()).status().unwrap();
        assert!(done.success(), "mount needs root");
    }

    pub fn read_only(&self) {
        self.mount(&["-o", "remount,ro"]);
    }

    pub fn writable(&self) {
        self.mount(&["-o", "remount,rw"]);
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.ballast());
        let mut file: File = file.unwrap();
        loop {
            match file.write_all(&[1; 4_096]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Gives so many bytes of it back.
    pub fn give_back(&self, bytes: u64) {
        let file = OpenOptions::new().write(true).open(self.ballast()).unwrap();
        let held = file.metadata().unwrap().len();
        file.set_len(held - bytes).unwrap();
    }

    /// Gives all of it back.
    pub fn empty(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still has a file open there keeps it until then.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
