//! What changes the world from outside: faults, restarts, scaling.

use std::time::Duration;

use jiff::Timestamp;
use rand::RngExt;

use super::container::{By, Container, Made, Phase, Then};
use super::fault::{ActiveFault, Fault, FaultRefused};
use super::lines;
use super::model::World;
use super::role::Role;

/// More replicas than this the simulated engine has no room for.
pub const MAX_REPLICAS: u32 = 20;

impl World {
    /// The faults that are in.
    pub fn faults(&self) -> Vec<ActiveFault> {
        let active =
            |(&(fault, service), &since): (&(Fault, Option<Role>), &Timestamp)| ActiveFault {
                fault,
                service,
                since,
            };
        self.faults.iter().map(active).collect()
    }

    /// Is it in, anywhere?
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.keys().any(|(active, _)| *active == fault)
    }

    pub(super) fn has_in(&self, fault: Fault, role: Role) -> bool {
        self.faults.contains_key(&(fault, Some(role)))
    }

    /// Puts a fault in; without a service into its default one. A fault that is in stays as it is.
    pub fn put_in(&mut self, fault: Fault, service: Option<&str>) -> Result<(), FaultRefused> {
        let place = fault.place(service)?;
        if self.faults.contains_key(&(fault, place)) {
            return Ok(());
        }
        self.faults.insert((fault, place), self.now);
        self.journal.changes += 1;
        match fault {
            Fault::CacheDown => self.end_cache(),
            Fault::BadDeploy => self.begin_bad_deploy(),
            Fault::ApiErrors => {
                for container in self.containers.iter_mut().filter(|c| c.role == Role::Api) {
                    container.poisoned = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes a fault out wherever it is. What it broke comes back by itself.
    pub fn take_out(&mut self, fault: Fault) {
        let before = self.faults.len();
        self.faults.retain(|(active, _), _| *active != fault);
        if self.faults.len() == before {
            return;
        }
        self.journal.changes += 1;
        if fault == Fault::BadDeploy {
            self.end_bad_deploy();
        }
        for container in &mut self.containers {
            match (fault, container.role) {
                (Fault::CacheDown, Role::Redis)
                    if container.phase == (Phase::Down { back_in: None }) =>
                {
                    container.phase = Phase::Down {
                        back_in: Some((0.5, By::Policy)),
                    };
                }
                (Fault::ApiErrors, Role::Api) => container.poisoned = container.runs_bad(),
                (Fault::ConnectionsExhausted, Role::Api) => container.connections = 0.0,
                _ => {}
            }
        }
    }

    fn end_cache(&mut self) {
        let at = self.now;
        for c in self.containers.iter_mut().filter(|c| c.serves()) {
            if c.role == Role::Api {
                let time = at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
                c.write(
                    at,
                    true,
                    format!(
                        "{{\"level\":\"error\",\"time\":\"{time}\",\"msg\":\"ReplyError: OOM command not allowed when used memory > 'maxmemory'.\"}}"
                    ),
                );
            }
        }
        for c in self.containers.iter_mut().filter(|c| c.role == Role::Redis) {
            if c.has_process() {
                c.write(
                    at,
                    false,
                    lines::redis_line(at, '#', "Out Of Memory allocating 131072 bytes!"),
                );
            }
            c.die(1, false, true, at, &mut self.journal);
            // In the middle of a crash: the restart policy gives up too.
            if matches!(
                c.phase,
                Phase::Down {
                    back_in: Some((_, By::Policy))
                }
            ) {
                c.phase = Phase::Down { back_in: None };
            }
        }
        self.sweep();
    }

    /// A restart ends what lived in the old processes.
    pub(super) fn cured_by_start(&mut self, role: Role, by: By) {
        let healed = match role {
            Role::Redis if by == By::Operator => Fault::CacheDown,
            Role::Postgres => Fault::SlowDatabase,
            Role::Api if !self.of(Role::Api).any(|c| c.poisoned) => Fault::ApiErrors,
            _ => return,
        };
        let before = self.faults.len();
        self.faults.retain(|(fault, _), _| *fault != healed);
        if self.faults.len() != before {
            self.journal.changes += 1;
        }
    }

    /// Asks a replica to stop and start again; it is killed after `patience`. Returns how often it
    /// has started so far, or `None` if there is no such replica.
    pub fn restart(&mut self, id: &str, patience: Duration) -> Option<u64> {
        let takes = self.rng.random_range(0.8..2.2);
        let c = self.containers.iter_mut().find(|c| c.id == id)?;
        let run = c.run;
        let patience = patience.as_secs_f64();
        c.stop(takes, patience, Then::Restart, self.now, &mut self.journal);
        Some(run)
    }

    /// Makes one more replica. Returns its id, or `None` when there is no room.
    pub fn grow(&mut self, role: Role) -> Option<String> {
        let room = role != Role::Postgres && self.of(role).count() < MAX_REPLICAS as usize;
        room.then(|| self.create(role))
    }

    /// Asks the newest replica that is not going already to stop for good; the last one stays.
    /// Returns its id.
    pub fn shrink(&mut self, role: Role, patience: Duration) -> Option<String> {
        let takes = self.rng.random_range(0.5..1.5);
        let at = self.now;
        let staying = |c: &&mut Container| {
            let going = matches!(
                c.phase,
                Phase::Gone
                    | Phase::Stopping {
                        then: Then::Remove,
                        ..
                    }
            );
            c.role == role && !going
        };
        if self.containers.iter_mut().filter(staying).count() < 2 {
            return None;
        }
        let c = self.containers.iter_mut().rfind(staying)?;
        // A replica on its way through a restart is removed instead.
        if matches!(c.phase, Phase::Stopping { .. }) {
            c.phase = Phase::Running;
        }
        let patience = patience.as_secs_f64();
        c.stop(takes, patience, Then::Remove, at, &mut self.journal);
        let id = c.id.clone();
        self.sweep();
        Some(id)
    }

    /// Drops what has been removed.
    pub(super) fn sweep(&mut self) {
        self.containers.retain(|c| c.phase != Phase::Gone);
    }

    pub(super) fn create(&mut self, role: Role) -> String {
        let number = self.of(role).map(|c| c.number).max().unwrap_or(0) + 1;
        let id = self.fresh_id();
        let made = Made {
            id: id.clone(),
            image: self.deployed.image(role),
        };
        let pace = self.rng.random_range(0.85..1.15);
        let start_in = self.rng.random_range(0.3..0.8);
        let made = Container::create(
            role,
            number,
            made,
            pace,
            start_in,
            self.now,
            &mut self.journal,
        );
        let place = self
            .containers
            .iter()
            .position(|c| (c.role, c.number) > (role, number))
            .unwrap_or(self.containers.len());
        self.containers.insert(place, made);
        id
    }
}
