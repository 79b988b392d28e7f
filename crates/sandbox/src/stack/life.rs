//! The life of a replica: starts, stops, deaths, health.

use jiff::{SignedDuration, Timestamp};

use super::container::{By, Container, Phase, Then, idle};
use super::journal::Journal;
use treasury_domain::service::Health;

/// Seconds of failing checks until a replica is called unhealthy.
const UNHEALTHY_AFTER: f64 = 9.0;
/// A process that ends sooner counts as a quick death: the restart policy waits longer each time.
const QUICK_DEATH: f64 = 10.0;

impl Container {
    /// Asks the process to stop: it takes `takes` seconds, at most `patience`, after which it is
    /// killed. A replica that is stopping already goes on as it was.
    pub fn stop(
        &mut self,
        takes: f64,
        patience: f64,
        then: Then,
        at: Timestamp,
        journal: &mut Journal,
    ) {
        match self.phase {
            Phase::Running => {
                journal.note(self, at, "kill", Some("signal 15".to_owned()));
                self.phase = Phase::Stopping {
                    left: takes.min(patience),
                    then,
                    killed: takes > patience,
                };
            }
            Phase::Down { .. } if then == Then::Remove => self.remove(at, journal),
            Phase::Down { .. } => {
                self.restarts = 0;
                self.quick = 0;
                self.phase = Phase::Down {
                    back_in: Some((0.4, By::Operator)),
                };
            }
            Phase::Stopping { .. } | Phase::Gone => {}
        }
    }

    /// Lets time pass. Returns who started the process, if it started now. With `hang` no restart
    /// that an operator asked for goes on.
    pub fn pass(
        &mut self,
        dt: f64,
        hang: bool,
        at: Timestamp,
        journal: &mut Journal,
    ) -> Option<By> {
        match &mut self.phase {
            Phase::Running => self.uptime += dt,
            Phase::Stopping {
                then: Then::Restart,
                ..
            } if hang => {}
            Phase::Stopping { left, .. } if *left > dt => *left -= dt,
            Phase::Stopping { then, killed, .. } => {
                let (then, killed) = (*then, *killed);
                if killed {
                    journal.note(self, at, "kill", Some("signal 9".to_owned()));
                }
                self.restarts = 0;
                self.quick = 0;
                self.end(if killed { 137 } else { 0 }, false, at, journal);
                journal.note(self, at, "stop", None);
                match then {
                    Then::Restart => {
                        self.phase = Phase::Down {
                            back_in: Some((0.4, By::Operator)),
                        };
                    }
                    Then::Remove => self.remove(at, journal),
                }
            }
            Phase::Down {
                back_in: Some((_, By::Operator)),
            } if hang && self.run > 0 => {}
            Phase::Down {
                back_in: Some((left, _)),
            } if *left > dt => *left -= dt,
            Phase::Down {
                back_in: Some((_, by)),
            } => {
                let by = *by;
                self.begin(at, journal);
                if by == By::Operator && self.run > 1 {
                    journal.note(self, at, "restart", None);
                }
                return Some(by);
            }
            Phase::Down { back_in: None } | Phase::Gone => {}
        }
        None
    }

    /// The process ends by itself or by the kernel; the restart policy brings it back, later each
    /// time it dies quickly, unless `stay_down`.
    pub fn die(
        &mut self,
        code: i64,
        oom: bool,
        stay_down: bool,
        at: Timestamp,
        journal: &mut Journal,
    ) {
        if !self.has_process() {
            return;
        }
        // An operator's order outlives the death: the replica still goes where it was sent.
        let ordered = match self.phase {
            Phase::Stopping { then, .. } => Some(then),
            _ => None,
        };
        self.quick = if self.uptime < QUICK_DEATH {
            (self.quick + 1).min(10)
        } else {
            0
        };
        if oom {
            journal.note(self, at, "oom", None);
        }
        self.end(code, oom, at, journal);
        match ordered {
            Some(Then::Remove) => self.remove(at, journal),
            Some(Then::Restart) => {
                self.phase = Phase::Down {
                    back_in: Some((0.4, By::Operator)),
                };
            }
            None if stay_down => self.phase = Phase::Down { back_in: None },
            None => {
                self.restarts += 1;
                let wait = (0.5 * 2f64.powi(self.quick as i32)).min(15.0);
                self.phase = Phase::Down {
                    back_in: Some((wait, By::Policy)),
                };
            }
        }
    }

    fn end(&mut self, code: i64, oom: bool, at: Timestamp, journal: &mut Journal) {
        self.exit_code = Some(code);
        self.oom_killed = oom;
        self.finished_at = Some(at);
        self.health = Health::Starting;
        self.clear();
        self.sample = None;
        journal.note(self, at, "die", Some(format!("exit code {code}")));
    }

    fn begin(&mut self, at: Timestamp, journal: &mut Journal) {
        // Times prove restarts: a new start is later than the one before, however coarse the clock.
        let later = self
            .started_at
            .and_then(|old| old.checked_add(SignedDuration::from_micros(1)).ok());
        let at = later.map_or(at, |later| later.max(at));
        self.phase = Phase::Running;
        self.started_at = Some(at);
        self.run += 1;
        self.health = Health::Starting;
        self.clear();
        journal.note(self, at, "start", None);
    }

    fn remove(&mut self, at: Timestamp, journal: &mut Journal) {
        self.phase = Phase::Gone;
        journal.note(self, at, "destroy", None);
    }

    /// What a new process does not inherit.
    pub(super) fn clear(&mut self) {
        self.uptime = 0.0;
        self.failing = 0.0;
        self.leaked = 0.0;
        self.connections = 0.0;
        self.poisoned = self.runs_bad();
        self.now = idle(&self.name, self.role);
    }

    /// The health check's turn.
    pub fn check(&mut self, passes: bool, dt: f64, at: Timestamp, journal: &mut Journal) {
        if self.phase != Phase::Running || self.uptime < self.role.start_period() {
            return;
        }
        let before = self.health;
        if passes {
            self.failing = 0.0;
            self.health = Health::Healthy;
        } else {
            self.failing += dt;
            if self.failing >= UNHEALTHY_AFTER {
                self.health = Health::Unhealthy;
            }
        }
        if before != self.health {
            let what = if passes { "healthy" } else { "unhealthy" };
            journal.note(self, at, &format!("health_status: {what}"), None);
        }
    }
}
