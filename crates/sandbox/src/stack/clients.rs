//! The clients of the simulated redis: one for each api, and what becomes of one that is closed.

use super::container::Container;
use super::model::World;
use super::role::Role;
use super::sessions::{ClientKind, Link};

/// What became of a wish to close a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Killed {
    Yes,
    /// There is none of this number.
    No,
    /// It is the bot's own.
    Refused,
}

impl World {
    /// Brings the connections in line with the replicas: one for each api.
    pub(super) fn follow_clients(&mut self) {
        let at = self.now;
        if !self.of(Role::Redis).any(Container::serves) {
            self.diagnostics.links.list.clear();
            return;
        }
        let apis = self.of(Role::Api).filter(|c| c.serves());
        let mut wanted: Vec<ClientKind> =
            apis.map(|c| ClientKind::Api((c.number, c.run))).collect();
        wanted.extend([ClientKind::Bot, ClientKind::Exporter]);
        let links = &mut self.diagnostics.links;
        links.list.retain(|link| wanted.contains(&link.whose));
        for whose in wanted {
            if links.list.iter().all(|link| link.whose != whose) {
                links.newest += 1;
                links.list.push(Link {
                    id: links.newest,
                    since: at,
                    whose,
                });
            }
        }
    }

    /// Closes a connection; its owner connects again at once, under a new number.
    pub(super) fn kill_client(&mut self, id: u64) -> Killed {
        let list = &mut self.diagnostics.links.list;
        match list.iter().position(|link| link.id == id) {
            None => Killed::No,
            Some(at) if list[at].whose == ClientKind::Bot => Killed::Refused,
            Some(at) => {
                list.remove(at);
                self.journal.changes += 1;
                self.follow_clients();
                Killed::Yes
            }
        }
    }
}
