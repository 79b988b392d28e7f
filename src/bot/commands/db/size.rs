//! `db size`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::bot::entry::{Probe, Question};
use crate::bot::{Context, Fault};
use crate::domain::{Line, Message, Part, Tone, counted, duration};
use crate::probe::database::Sizes;

/// Show what takes the room on the database's disk
#[derive(Debug, Default, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Which database, where there are several.
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(
        description = "Its name in the configuration; needed only where there are several."
    )]
    database: Option<String>,
}

impl Question for Size {
    const WORDS: &'static str = "db size";
}

impl Probe for Size {
    const STEP: &'static str = "db.size";
    const SUMMARY: &'static str = "What takes the room on the disk";
    type Found = Sizes;

    async fn look(self, context: &Context) -> Result<(Sizes, Message), Fault> {
        let found = context.catalogue().database(self.database.as_deref())?;
        let sizes = found.probe.size().await?;
        let now = context.store().now();
        let total: u64 = sizes.databases.iter().map(|one| one.bytes).sum();
        let mut text = String::from("   SIZE  DEAD  TABLE\n");
        for table in &sizes.tables {
            let vacuum = table.last_vacuum_at.map_or(String::new(), |at| {
                format!(
                    ", vacuum {} ago",
                    duration::text(duration::between(at, now))
                )
            });
            let dead = table.dead_percent;
            let dead = dead.map_or("?".to_owned(), |dead| format!("{dead:.0}%"));
            let rows = table.rows;
            let rows = rows.map_or("rows not known".to_owned(), |rows| format!("~{rows} rows"));
            let parts = match (table.partitions, table.name.as_str()) {
                (0, "pg_catalog.pg_largeobject") => "large objects, ".to_owned(),
                (0, _) => String::new(),
                (n, _) => format!("{}, ", counted(n, "partition")),
            };
            text.push_str(&format!(
                "{:>7} {dead:>5}  {} ({parts}{rows}{vacuum})\n",
                duration::bytes_text(table.bytes),
                table.name,
            ));
        }
        let databases: Vec<String> = sizes
            .databases
            .iter()
            .take(8)
            .map(|one| format!("{} {}", one.name, duration::bytes_text(one.bytes)))
            .collect();
        let mut fields = vec![("Databases".to_owned(), Line::from(databases.join(", ")))];
        if let Some(wal) = sizes.wal_bytes {
            fields.push(("Write-ahead log".into(), duration::bytes_text(wal).into()));
        }
        if let Some(bytes) = sizes.temporary_bytes.filter(|bytes| *bytes > 0) {
            fields.push(("Temporary files".into(), duration::bytes_text(bytes).into()));
        }
        let title = Line::new().code(&found.name).text(format!(
            " takes {} on the disk",
            duration::bytes_text(total)
        ));
        let message = Message::new(Tone::Plain, title)
            .part(Part::Fields(fields))
            .code(text);
        Ok((sizes, message))
    }
}
