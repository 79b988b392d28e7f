//! Which of the installed programs fit a server.

use std::path::{Path, PathBuf};

use super::child::bare;
use crate::Fault;

/// Where programs are looked for.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    /// Of two of one version, that of the first folder is taken.
    pub folders: Vec<PathBuf>,
}

/// The programs of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite {
    pub folder: PathBuf,
    /// Such as 15.
    pub major: u32,
    /// Such as `15.18`.
    pub version: String,
}

/// Where Debian keeps each version.
const DEBIAN: &str = "/usr/lib/postgresql";

impl Programs {
    /// A configured folder, where Debian keeps each version, and the PATH.
    pub fn installed(configured: Option<PathBuf>) -> Self {
        let mut folders: Vec<PathBuf> = configured.into_iter().collect();
        let debian = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
        folders.extend(debian.map(|version| version.path().join("bin")));
        let path = std::env::var_os("PATH").unwrap_or_default();
        folders.extend(std::env::split_paths(&path));
        Self { folders }
    }

    /// All that are there, oldest first.
    pub async fn found(&self) -> Vec<Suite> {
        let mut found: Vec<Suite> = Vec::new();
        for folder in &self.folders {
            let programs = ["pg_dump", "pg_dumpall", "pg_restore"];
            let whole = programs.iter().all(|name| folder.join(name).is_file());
            if whole
                && !found.iter().any(|suite| suite.folder == *folder)
                && let Some(suite) = suite(folder).await
            {
                found.push(suite);
            }
        }
        found.sort_by_key(|suite| suite.major);
        found
    }

    /// Those that can take a backup of a server: the first that is not older.
    ///
    /// # Errors
    /// In words what is there and what would help.
    pub async fn for_server(&self, major: u32, version: &str) -> Result<Suite, Fault> {
        let found = self.found().await;
        pick(&found, major).ok_or_else(|| {
            Fault::Program(format!(
                "the server is PostgreSQL {version}, and {}: install postgresql-client-{major}, or \
                 name its folder in `programs`",
                there(&found, "pg_dump")
            ))
        })
    }

    /// Those that can read an archive that a `pg_dump` of this version wrote.
    ///
    /// # Errors
    /// In words what is there and what would help.
    pub async fn for_archive(&self, major: u32) -> Result<Suite, Fault> {
        let found = self.found().await;
        pick(&found, major).ok_or_else(|| {
            Fault::Program(format!(
                "the archive was written by pg_dump {major}, and {}: install \
                 postgresql-client-{major}, or name its folder in `programs`",
                there(&found, "pg_restore")
            ))
        })
    }
}

fn pick(found: &[Suite], major: u32) -> Option<Suite> {
    found.iter().find(|suite| suite.major >= major).cloned()
}

fn there(found: &[Suite], program: &str) -> String {
    let versions: Vec<&str> = found.iter().map(|suite| suite.version.as_str()).collect();
    match versions.as_slice() {
        [] => format!("there is no {program} here"),
        versions => format!("the {program} here is older: {}", versions.join(", ")),
    }
}

async fn suite(folder: &Path) -> Option<Suite> {
    let said = bare(&folder.join("pg_dump"))
        .arg("--version")
        .output()
        .await
        .ok()?;
    let version = version(&String::from_utf8_lossy(&said.stdout))?;
    Some(Suite {
        folder: folder.to_owned(),
        major: major(&version)?,
        version,
    })
}

/// Of `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("(PostgreSQL) ")?;
    Some(rest.split_whitespace().next()?.to_owned())
}

/// 15 of `15.18`, 19 of `19beta1`.
pub(super) fn major(version: &str) -> Option<u32> {
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(major: u32) -> Suite {
        Suite {
            folder: PathBuf::from(format!("/{major}")),
            major,
            version: format!("{major}.2"),
        }
    }

    #[test]
    fn versions_are_read_as_the_programs_say_them() {
        let debian = "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(version(debian).as_deref(), Some("15.18"));
        assert_eq!(
            version("pg_dump (PostgreSQL) 19beta1\n").as_deref(),
            Some("19beta1")
        );
        assert_eq!(version("something else 15"), None);
        assert_eq!(major("19beta1"), Some(19));
        assert_eq!(major("beta"), None);
    }

    #[test]
    fn the_first_that_is_not_older_fits() {
        let found = [suite(13), suite(15), suite(18)];
        assert_eq!(pick(&found, 14), Some(suite(15)));
        assert_eq!(pick(&found, 18), Some(suite(18)));
        assert_eq!(pick(&found, 19), None);
        assert_eq!(
            there(&found, "pg_dump"),
            "the pg_dump here is older: 13.2, 15.2, 18.2"
        );
        assert_eq!(there(&[], "pg_dump"), "there is no pg_dump here");
    }
}
