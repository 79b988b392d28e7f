//! PostgreSQL servers that people ask about.

use jiff::Timestamp;

use super::finding::{Check, Finding, Group, Limit};
use crate::probe::Database;
use crate::probe::postgres::{Config, Postgres};

const SERVER: Check = Check {
    id: "databases.server",
    group: Group::Databases,
    asks: "Does the server answer, and let the bot in?",
    mend: "correct `url` of the `[[database]]`, or the password; is the server running?",
};
const MONITOR: Check = Check {
    id: "databases.monitor",
    group: Group::Databases,
    asks: "Does the bot see the sessions and statistics of all users (pg_monitor)?",
    mend: "GRANT pg_monitor TO the bot's user",
};
const SIGNAL: Check = Check {
    id: "databases.signal",
    group: Group::Databases,
    asks: "May the bot cancel and end sessions of others (pg_signal_backend)?",
    mend: "GRANT pg_signal_backend TO the bot's user",
};
const STATEMENTS: Check = Check {
    id: "databases.statements",
    group: Group::Databases,
    asks: "Is pg_stat_statements there, which `db slow` takes its totals from?",
    mend: "shared_preload_libraries = 'pg_stat_statements' in postgresql.conf, a restart, and CREATE \
           EXTENSION pg_stat_statements",
};
const CLOCK: Check = Check {
    id: "databases.clock",
    group: Group::Databases,
    asks: "Do the server's clock and ours agree?",
    mend: "set the clock that is wrong: `timedatectl set-ntp true`, or chrony",
};
pub(super) const CHECKS: &[Check] = &[SERVER, MONITOR, SIGNAL, STATEMENTS, CLOCK];

/// Looks at one.
pub(super) async fn look(config: Config, limit: Limit) -> Vec<Finding> {
    let name = config.name.clone();
    let [monitor, signal, statements] = ["pg_monitor", "pg_signal_backend", "pg_stat_statements"]
        .map(|what| format!("{name}, {what}"));
    let server = match Postgres::new(&config) {
        Ok(server) => server,
        Err(error) => return vec![SERVER.broken(&name, error)],
    };
    let began = Timestamp::now();
    let rights = match limit.ask(server.rights()).await {
        Ok(rights) => rights,
        Err(fault) => {
            let why = "not looked at: the server does not let the bot in";
            let others = [
                (MONITOR, &monitor),
                (SIGNAL, &signal),
                (STATEMENTS, &statements),
            ];
            let others = others.map(|(check, subject)| check.unknown(subject, why));
            let mut found = vec![SERVER.broken(&name, fault)];
            found.extend(others);
            return found;
        }
    };
    let user = &rights.user;
    let mut found = vec![
        SERVER.ok(
            &name,
            format!("PostgreSQL {} lets {user} in", rights.version),
        ),
        CLOCK.clock(&name, "the server's", rights.clock, began),
    ];
    found.push(if rights.monitors {
        MONITOR.ok(&monitor, format!("{user} sees all sessions"))
    } else {
        let what = format!("{user} does not see sessions and queries of others");
        MONITOR
            .warning(&name, what)
            .by(format!("GRANT pg_monitor TO {user}"))
    });
    found.push(if rights.signals {
        SIGNAL.ok(&signal, format!("{user} may end sessions"))
    } else {
        let what = format!("{user} may not end sessions: db cancel and db terminate will fail");
        SIGNAL
            .warning(&name, what)
            .by(format!("GRANT pg_signal_backend TO {user}"))
    });
    found.push(match limit.ask(server.slow()).await {
        Ok(slow) if slow.from_statistics => STATEMENTS.ok(&statements, "it is there"),
        Ok(slow) => {
            let what = "it is not there: db slow shows only what runs at the moment";
            let finding = STATEMENTS.warning(&statements, what);
            match slow.hint.filter(|hint| hint.starts_with("CREATE")) {
                Some(hint) => finding.by(format!("{hint}, with shared_preload_libraries set")),
                None => finding,
            }
        }
        Err(fault) => STATEMENTS.broken(&statements, fault),
    });
    found
}
