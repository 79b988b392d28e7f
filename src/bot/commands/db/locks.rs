//! `db locks`.

use clap::Args;
use schemars::JsonSchema;
use serde::Deserialize;

use super::words::{buttons, prepared_text, sessions, tail, vacuum_text};
use crate::bot::actions::session::who;
use crate::bot::entry::{Probe, Question};
use crate::bot::probes::time;
use crate::bot::{Context, Fault};
use crate::domain::timeline::cut;
use crate::domain::{Button, Line, Message, Style, Tone, duration};
use crate::probe::database;

/// Show who blocks whom in the database
#[derive(Debug, Default, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Locks {
    /// Which database, where there are several.
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(
        description = "Its name in the configuration; needed only where there are several."
    )]
    database: Option<String>,
}

impl Question for Locks {
    const WORDS: &'static str = "db locks";
}

impl Probe for Locks {
    const STEP: &'static str = "db.locks";
    const SUMMARY: &'static str = "Who blocks whom";
    type Found = database::Locks;

    async fn look(self, context: &Context) -> Result<(database::Locks, Message), Fault> {
        let found = context.catalogue().database(self.database.as_deref())?;
        let tail = tail(context, &found.name);
        let locks = found.probe.locks().await?;
        let now = context.store().now();
        if locks.blocked == 0 {
            let title = Line::new()
                .text("Nobody waits for a lock in ")
                .code(&found.name);
            let message = Message::new(Tone::Good, title).buttons(buttons(
                &tail,
                &[("Slow queries", "slow"), ("Connections", "connections")],
            ));
            return Ok((locks, message));
        }
        let roots = locks.roots.iter().map(i32::to_string);
        let prepared = locks
            .prepared
            .iter()
            .map(|one| format!("prepared {}", cut(&one.gid, 40)));
        let roots: Vec<String> = roots.chain(prepared).collect();
        let title = Line::new()
            .code(&found.name)
            .text(format!(": {} blocked by ", sessions(locks.blocked)))
            .bold(cut(&roots.join(", "), 60));
        let mut tree = String::new();
        for blocked in &locks.tree {
            let s = &blocked.session;
            let indent = "  ".repeat(blocked.depth.min(8) as usize);
            let branch = if blocked.depth > 0 { "└ " } else { "" };
            let what = match blocked.waits_ms {
                Some(ms) => format!("waits {} for {}", time(ms), blocked.lock),
                None => format!(
                    "{}{}",
                    s.state,
                    s.state_since.map_or(String::new(), |at| format!(
                        " {}",
                        duration::text(duration::between(at, now))
                    ))
                ),
            };
            let number = match s.pid {
                0 => String::new(),
                pid => format!("{pid} "),
            };
            tree.push_str(&format!("{indent}{branch}{number}{} {what}\n", who(s)));
            if let Some(vacuum) = locks.vacuums.iter().find(|one| one.pid == s.pid) {
                tree.push_str(&format!("{indent}    {}\n", vacuum_text(vacuum)));
            }
            if !s.query.is_empty() {
                tree.push_str(&format!("{indent}    {}\n", cut(&s.query, 80)));
            }
        }
        let mut message = Message::new(Tone::Warning, title)
            .text("The first of each tree holds up all below it")
            .code(tree);
        for one in locks.prepared.iter().take(5) {
            let (text, gid) = (prepared_text(one), one.gid.replace('\'', "''"));
            message = message.text(format!(
                "The {text} is no session: only COMMIT PREPARED '{gid}' or ROLLBACK PREPARED \
                 '{gid}' ends it, in that database, by its owner or a superuser"
            ));
        }
        if locks.left_out > 0 {
            message = message.text(format!("{} more were left out", locks.left_out));
        }
        let mut ways = Vec::new();
        // What is no client's session can't be ended from here.
        let roots = locks.tree.iter().filter(|one| one.depth == 0);
        let roots = roots.filter(|one| one.session.kind == "client backend");
        for root in roots.take(2) {
            let s = &root.session;
            let started = format!("{} --started {}{tail}", s.pid, s.started_at);
            if s.state == "active" {
                ways.push(Button::new(
                    format!("Cancel {}", s.pid),
                    format!("db cancel {started}"),
                ));
            }
            ways.push(
                Button::new(
                    format!("Terminate {}", s.pid),
                    format!("db terminate {started}"),
                )
                .style(Style::Danger),
            );
        }
        Ok((locks, message.buttons(ways)))
    }
}
