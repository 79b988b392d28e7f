//! What `pg_dump` wrote, read back by `pg_restore`.

use std::collections::BTreeMap;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use super::child::{bare, end_of, hand, last_words, piped};
use super::programs::{Programs, Suite, major};
use crate::{Contents, Fault};

/// Reads archives.
pub struct Archive<'p> {
    programs: &'p Programs,
}

/// How every archive of the custom format begins.
const HEAD: &[u8] = b"PGDMP";

/// As long as a table of contents may be until it names its version.
const LONGEST_HEAD: usize = 4096;

impl<'p> Archive<'p> {
    pub fn new(programs: &'p Programs) -> Self {
        Self { programs }
    }

    /// Lets `pg_restore` turn the whole archive into SQL, which is thrown away, and compares the list of
    /// its tables with what was produced: the list alone is whole in an archive that was cut at half
    /// (`pg_restore --list` then exits with 0; 15.18, 17.10, 18.6).
    ///
    /// # Errors
    /// [`Fault::Damaged`] where it is not whole.
    pub async fn read(&self, from: &mut (dyn AsyncRead + Unpin + Send)) -> Result<Contents, Fault> {
        let mut head = Vec::new();
        from.take(LONGEST_HEAD as u64)
            .read_to_end(&mut head)
            .await?;
        if !head.starts_with(HEAD) {
            let words = "it does not begin as an archive of pg_dump";
            return Err(Fault::Damaged(words.to_owned()));
        }
        let suite = self.suite_for(&head).await?;
        let mut lister = restore(&suite, &["--list"]).spawn()?;
        let mut reader = restore(&suite, &["--data-only", "--file=-"]).spawn()?;
        let mut to_lister = lister.stdin.take();
        let mut to_reader = reader.stdin.take();
        let fed = async {
            let mut piece = head;
            loop {
                // The lister closes its end after the table of contents.
                hand(&mut to_lister, &piece).await;
                hand(&mut to_reader, &piece).await;
                piece.resize(256 * 1024, 0);
                let read = from.read(&mut piece).await?;
                piece.truncate(read);
                if read == 0 || to_reader.is_none() {
                    break;
                }
            }
            (to_lister, to_reader) = (None, None);
            Ok::<_, Fault>(())
        };
        let (list, sql) = (lister.stdout.take(), reader.stdout.take());
        let (list_said, said) = (lister.stderr.take(), reader.stderr.take());
        let ((), listed, produced, list_told, told) = tokio::try_join!(
            fed,
            listed(list),
            produced(sql),
            last_words(list_said),
            last_words(said)
        )?;
        for (mut program, told) in [(lister, list_told), (reader, told)] {
            let ended = program.wait().await?;
            if !ended.success() {
                let words = end_of("pg_restore", ended, &told);
                return Err(Fault::Damaged(words.to_string()));
            }
        }
        compared(listed, produced)
    }

    /// The programs that read it: not older than those that wrote it.
    async fn suite_for(&self, head: &[u8]) -> Result<Suite, Fault> {
        // Both versions stand in the head as texts, the server's before pg_dump's
        // (ReadHead in src/bin/pg_dump/pg_backup_archiver.c).
        let text = String::from_utf8_lossy(head);
        let mut words = text.split(|c: char| c.is_control() || c == '\u{fffd}');
        let versions = words.by_ref().filter_map(|word| {
            let word = word.split(' ').next()?;
            let (number, _) = word.split_once('.')?;
            number.parse::<u32>().ok().and(major(word))
        });
        let wrote = versions.take(2).last();
        self.programs.for_archive(wrote.unwrap_or_default()).await
    }
}

fn restore(suite: &Suite, arguments: &[&str]) -> tokio::process::Command {
    let mut command = bare(&suite.folder.join("pg_restore"));
    command.args(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Listed {
    tables: u64,
    versions: BTreeMap<String, String>,
}

/// Reads `pg_restore --list`.
async fn listed(list: Option<impl AsyncRead + Unpin>) -> Result<Listed, Fault> {
    let mut lines = BufReader::new(list.ok_or_else(piped)?).lines();
    let mut listed = Listed::default();
    while let Some(line) = lines.next_line().await? {
        if let Some(words) = line.strip_prefix(';') {
            for (begin, name) in [
                ("Dumped from database version: ", "server"),
                ("Dumped by pg_dump version: ", "pg_dump"),
                ("Dump Version: ", "format"),
            ] {
                if let Some(version) = words.trim().strip_prefix(begin) {
                    let version = version.split(' ').next().unwrap_or(version);
                    listed.versions.insert(name.to_owned(), version.to_owned());
                }
            }
        // `4285; 0 16390 TABLE DATA public payments treasury`
        } else if line.split(' ').skip(3).take(2).eq(["TABLE", "DATA"]) {
            listed.tables += 1;
        }
    }
    Ok(listed)
}

/// Counts what goes by in the data of an archive as SQL.
#[derive(Debug, Default, PartialEq, Eq)]
struct Produced {
    tables: u64,
    rows: u64,
    large_objects: u64,
    /// Within the rows of a table.
    copying: bool,
    /// The beginning of the line that goes by.
    line: Vec<u8>,
}

/// As much of a line as tells what it is.
const BEGINNING: usize = 40;

impl Produced {
    fn take(&mut self, piece: &[u8]) {
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            let room = BEGINNING.saturating_sub(self.line.len());
            self.line.extend(line.iter().take(room));
            if line.ends_with(b"\n") {
                self.ended();
                self.line.clear();
            }
        }
    }

    fn ended(&mut self) {
        let line = self.line.as_slice();
        if self.copying {
            // A row never looks so: backslashes of values are doubled.
            if line == b"\\.\n" {
                self.copying = false;
                self.tables += 1;
            } else {
                self.rows += 1;
            }
        } else if line.starts_with(b"COPY ") {
            self.copying = true;
        } else if line.starts_with(b"SELECT pg_catalog.lo_open('") {
            self.large_objects += 1;
        }
    }
}

async fn produced(sql: Option<impl AsyncRead + Unpin>) -> Result<Produced, Fault> {
    let mut sql = sql.ok_or_else(piped)?;
    let mut produced = Produced::default();
    let mut piece = vec![0; 256 * 1024];
    loop {
        let read = sql.read(&mut piece).await?;
        if read == 0 {
            return Ok(produced);
        }
        produced.take(piece.get(..read).unwrap_or_default());
    }
}

fn compared(listed: Listed, produced: Produced) -> Result<Contents, Fault> {
    if produced.copying || listed.tables != produced.tables {
        return Err(Fault::Damaged(format!(
            "it lists the data of {} tables and holds those of {}",
            listed.tables, produced.tables
        )));
    }
    let counts = [
        ("tables", produced.tables),
        ("rows", produced.rows),
        ("large objects", produced.large_objects),
    ];
    Ok(Contents {
        counts: counts.map(|(name, count)| (name.to_owned(), count)).into(),
        versions: listed.versions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "--\n-- Data for Name: a\n--\n\nCOPY public.a (x) FROM stdin;\n1\nCOPY b\n\\\\.\n\\.\n\n\
                       SELECT pg_catalog.lo_open('17', 131072);\nCOPY public.b (x) FROM stdin;\n\\.\n";

    #[test]
    fn tables_rows_and_large_objects_are_counted_wherever_the_pieces_end() {
        for size in 1..SQL.len() {
            let mut produced = Produced::default();
            SQL.as_bytes()
                .chunks(size)
                .for_each(|piece| produced.take(piece));
            assert_eq!(
                (produced.tables, produced.rows, produced.large_objects),
                (2, 3, 1)
            );
        }
    }

    #[test]
    fn an_archive_with_less_data_than_its_list_is_damaged() {
        let listed = |tables| Listed {
            tables,
            ..Listed::default()
        };
        let mut produced = Produced::default();
        produced.take(SQL.as_bytes());
        let fault = compared(listed(3), produced).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "it lists the data of 3 tables and holds those of 2"
        );
        let mut cut = Produced::default();
        cut.take(&SQL.as_bytes()[..60]);
        assert!(compared(listed(0), cut).is_err());
    }
}
