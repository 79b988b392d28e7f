//! The table of all commands, a file each.
//!
//! Adding one is its own file here, its line in the table, and its row in the README
//! (ARCHITECTURE.md, "Adding a command").

mod ack;
mod alerts;
mod audit;
mod backup;
mod bounds;
mod cache;
mod cancel;
mod check;
mod checklist;
mod close;
mod confirm;
mod db;
mod deploy;
mod events;
mod export;
mod freeze;
mod graph;
mod heartbeat;
pub(super) mod help;
mod incident;
mod isolate;
mod logs;
mod menu;
mod mitigate;
mod note;
mod notify;
mod oncall;
mod page;
mod prometheus;
mod release;
mod reopen;
mod resolve;
mod restart;
mod rollback;
mod runbook;
mod scale;
#[cfg(test)]
mod sentence_tests;
mod silence;
pub(super) mod stats;
mod status;
mod task;
#[cfg(test)]
pub(super) mod tests;
mod timeline;
mod trend;
mod update;
mod version;
mod versions;
mod window;

use super::actions::bounds::SetBounds;
use super::actions::client::KillClient;
use super::actions::deploy::{Deploy, Rollback};
use super::actions::isolate::{Isolate, Release};
use super::actions::restart::Restart;
use super::actions::scale::Scale;
use super::entry::Entry;
use super::table::{Commands, Grammars, Group};

/// All commands, in the order of `help`.
pub static COMMANDS: Commands = Commands {
    entries: &[
        Entry::command::<status::Status>(),
        Entry::probe::<status::StatusOf>(),
        Entry::question::<logs::Logs>(),
        Entry::command::<stats::Stats>(),
        Entry::probe::<stats::StatsOf>(),
        Entry::question::<events::Events>(),
        Entry::action::<Restart>(),
        Entry::action::<Scale>(),
        Entry::command::<SetBounds>(),
        Entry::action::<Deploy>(),
        Entry::action::<Rollback>(),
        Entry::probe::<versions::Versions>(),
        Entry::action::<Isolate>(),
        Entry::action::<Release>(),
        Entry::command::<check::Check>(),
        Entry::probe::<check::CheckAddress>(),
        Entry::probe::<check::CheckService>(),
        Entry::question::<db::summary::Summary>(),
        Entry::question::<db::connections::Connections>(),
        Entry::question::<db::locks::Locks>(),
        Entry::question::<db::slow::Slow>(),
        Entry::question::<db::replication::Replication>(),
        Entry::question::<db::size::Size>(),
        Entry::action::<db::cancel::Cancel>(),
        Entry::action::<db::terminate::Terminate>(),
        Entry::question::<cache::summary::Summary>(),
        Entry::question::<cache::memory::Memory>(),
        Entry::question::<cache::slowlog::SlowLog>(),
        Entry::question::<cache::clients::Clients>(),
        Entry::question::<cache::keys::Keys>(),
        Entry::action::<KillClient>(),
        Entry::command::<graph::Graph>(),
        Entry::probe::<trend::Trend>(),
        Entry::probe::<prometheus::Query>(),
        Entry::command::<runbook::list::List>(),
        Entry::command::<runbook::show::Show>(),
        Entry::command::<runbook::run::Run>(),
        Entry::command::<runbook::rehearse::Rehearse>(),
        Entry::command::<runbook::runs::Runs>(),
        Entry::command::<runbook::stop::Stop>(),
        Entry::command::<runbook::retry::Retry>(),
        Entry::command::<runbook::skip::Skip>(),
        Entry::command::<runbook::answer::Answer>(),
        Entry::command::<alerts::Alerts>(),
        Entry::command::<ack::Ack>(),
        Entry::command::<silence::Silence>(),
        Entry::command::<heartbeat::list::List>(),
        Entry::command::<heartbeat::pause::Pause>(),
        Entry::command::<heartbeat::resume::Resume>(),
        Entry::command::<window::Start>(),
        Entry::command::<window::List>(),
        Entry::command::<window::End>(),
        Entry::command::<freeze::Start>(),
        Entry::command::<freeze::List>(),
        Entry::command::<freeze::End>(),
        Entry::command::<backup::List>(),
        Entry::command::<backup::Now>(),
        Entry::command::<backup::Show>(),
        Entry::command::<backup::Verify>(),
        Entry::command::<backup::Drill>(),
        Entry::command::<task::List>(),
        Entry::command::<task::Run>(),
        Entry::command::<task::Done>(),
        Entry::command::<task::Skip>(),
        Entry::command::<checklist::Start>(),
        Entry::command::<checklist::Tick>(),
        Entry::command::<checklist::Untick>(),
        Entry::command::<checklist::Look>(),
        Entry::command::<checklist::Show>(),
        Entry::command::<checklist::List>(),
        Entry::command::<checklist::End>(),
        Entry::command::<oncall::show::Show>(),
        Entry::command::<oncall::set::Set>(),
        Entry::command::<oncall::r#override::Override>(),
        Entry::command::<oncall::clear::Clear>(),
        Entry::note::<incident::declare::Declare>(),
        Entry::command::<incident::list::List>(),
        Entry::command::<incident::show::Show>(),
        Entry::note::<incident::severity::Severity>(),
        Entry::command::<incident::assign::Assign>(),
        Entry::command::<incident::link::Link>(),
        Entry::note::<note::Note>(),
        Entry::command::<update::Update>(),
        Entry::record::<notify::NotifyIncident>(),
        Entry::record::<notify::NotifyEmail>(),
        Entry::command::<timeline::Timeline>(),
        Entry::note::<mitigate::Mitigate>(),
        Entry::note::<resolve::Resolve>(),
        Entry::command::<close::Close>(),
        Entry::command::<reopen::Reopen>(),
        Entry::command::<export::Export>(),
        Entry::command::<page::Page>(),
        Entry::command::<audit::Audit>(),
        Entry::command::<version::Version>(),
        Entry::command::<help::Help>(),
        Entry::command::<menu::Menu>(),
        Entry::command::<confirm::Confirm>(),
        Entry::command::<cancel::Cancel>(),
    ],
    groups: &[
        Group {
            word: "db",
            about: "Ask the database; alone: its state at a glance",
            alone: Some("db summary"),
        },
        Group {
            word: "cache",
            about: "Ask the cache; alone: its state at a glance",
            alone: Some("cache summary"),
        },
        Group {
            word: "runbook",
            about: "Show and run runbooks; alone: which there are",
            alone: Some("runbook list"),
        },
        Group {
            word: "oncall",
            about: "Show and change who is on call; alone: who it is",
            alone: Some("oncall show"),
        },
        Group {
            word: "heartbeat",
            about: "Jobs that say that they ran; alone: how they stand",
            alone: Some("heartbeat list"),
        },
        Group {
            word: "window",
            about: "Maintenance windows; alone: which are on",
            alone: Some("window list"),
        },
        Group {
            word: "freeze",
            about: "Times in which nothing is deployed; alone: which are on",
            alone: Some("freeze list"),
        },
        Group {
            word: "backup",
            about: "Backups: taken, read back, tried out; alone: which there are",
            alone: Some("backup list"),
        },
        Group {
            word: "task",
            about: "What comes again and again; alone: what is due",
            alone: Some("task list"),
        },
        Group {
            word: "checklist",
            about: "Lists of boxes to tick; alone: which are worked on",
            alone: Some("checklist list"),
        },
        Group {
            word: "incident",
            about: "Declare, list and change incidents",
            alone: None,
        },
    ],
    grammars: Grammars::new(std::collections::BTreeMap::new()),
};
