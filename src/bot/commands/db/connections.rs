//! `db connections`.

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::words::{MANY, buttons, tail};
use crate::bot::actions::session::who;
use crate::bot::entry::{Probe, Question};
use crate::bot::probes::{counts, time};
use crate::bot::{Context, Fault};
use crate::domain::timeline::cut;
use crate::domain::{Line, Message, Part, Tone, duration};
use crate::probe::database::{self, Count, Session};

/// Show who is connected to the database
#[derive(Debug, Default, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// Which database, where there are several.
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(
        description = "Its name in the configuration; needed only where there are several."
    )]
    database: Option<String>,
}

impl Question for Connections {
    const WORDS: &'static str = "db connections";
}

impl Probe for Connections {
    const STEP: &'static str = "db.connections";
    const SUMMARY: &'static str = "Who is connected";
    type Found = database::Connections;

    async fn look(self, context: &Context) -> Result<(database::Connections, Message), Fault> {
        let found = context.catalogue().database(self.database.as_deref())?;
        let tail = tail(context, &found.name);
        let all = found.probe.connections().await?;
        let full = all.max > 0 && all.used * 100 >= all.max * MANY as u64;
        let title = Line::new()
            .code(&found.name)
            .text(format!(": {} of {} connections in use", all.used, all.max));
        let mut table = String::from("OLDEST SESSIONS\n");
        for session in &all.oldest {
            table.push_str(&session_row(session, context.store().now()));
        }
        if all.oldest.is_empty() {
            table.clear();
        }
        let field = |name: &str, list: &[Count]| (name.to_owned(), Line::from(counts(list, 5)));
        let message = Message::new(if full { Tone::Warning } else { Tone::Plain }, title)
            .part(Part::Fields(vec![
                field("By state", &all.by_state),
                field("By application", &all.by_application),
                field("By client", &all.by_client),
                field("By user", &all.by_user),
            ]))
            .code(table)
            .buttons(buttons(
                &tail,
                &[("Locks", "locks"), ("Summary", "summary")],
            ))
            .footer(
                Line::new()
                    .text("End one: ")
                    .code(context.typed("db terminate PID")),
            );
        Ok((all, message))
    }
}

/// Two short lines on a phone.
fn session_row(s: &Session, now: Timestamp) -> String {
    let since = s.state_since.map_or(String::new(), |at| {
        format!(" {}", duration::text(duration::between(at, now)))
    });
    let tx = s
        .transaction_ms
        .map_or(String::new(), |ms| format!(", tx {}", time(ms)));
    let query = if s.query.is_empty() {
        String::new()
    } else {
        format!("       {}\n", cut(&s.query, 100))
    };
    let own = if s.own { " (the bot)" } else { "" };
    let state = if s.state.is_empty() {
        &s.kind
    } else {
        &s.state
    };
    let waits = s.waits_for.as_ref();
    let waits = waits.map_or(String::new(), |what| format!(", waits for {what}"));
    format!(
        "{:>6} {} {state}{since}{tx}{waits}{own}\n{query}",
        s.pid,
        who(s)
    )
}
