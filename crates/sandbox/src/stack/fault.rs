//! The faults that can be put into the stack.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::role::Role;

/// Something that is made to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Memory grows until the kernel kills the process.
    MemoryLeak,
    /// The api's pool leaks database connections.
    ConnectionsExhausted,
    /// Redis has ended and stays down.
    CacheDown,
    /// Two and a half times the usual requests.
    HighTraffic,
    /// The process ends shortly after each start.
    CrashLoop,
    /// A runaway query keeps the disk busy.
    SlowDatabase,
    /// The api answers a third of the requests with 500.
    ApiErrors,
    /// The api runs a new image that answers a third of the requests with 500.
    BadDeploy,
    /// The platform never finishes a restart.
    RestartHangs,
    /// The platform can't be reached.
    EngineGone,
    /// The platform lets us read but change nothing.
    PermissionDenied,
}

impl Fault {
    /// All faults, in the order a control panel shows them.
    pub const ALL: [Self; 11] = [
        Self::MemoryLeak,
        Self::ConnectionsExhausted,
        Self::CacheDown,
        Self::HighTraffic,
        Self::CrashLoop,
        Self::SlowDatabase,
        Self::ApiErrors,
        Self::BadDeploy,
        Self::RestartHangs,
        Self::EngineGone,
        Self::PermissionDenied,
    ];

    /// Its name in the panel's requests, such as `memory-leak`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MemoryLeak => "memory-leak",
            Self::ConnectionsExhausted => "connections-exhausted",
            Self::CacheDown => "cache-down",
            Self::HighTraffic => "high-traffic",
            Self::CrashLoop => "crash-loop",
            Self::SlowDatabase => "slow-database",
            Self::ApiErrors => "api-errors",
            Self::BadDeploy => "bad-deploy",
            Self::RestartHangs => "restart-hangs",
            Self::EngineGone => "engine-gone",
            Self::PermissionDenied => "permission-denied",
        }
    }

    /// A heading for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::MemoryLeak => "Memory leak",
            Self::ConnectionsExhausted => "Connections exhausted",
            Self::CacheDown => "Cache down",
            Self::HighTraffic => "High traffic",
            Self::CrashLoop => "Crash loop",
            Self::SlowDatabase => "Slow database",
            Self::ApiErrors => "API errors",
            Self::BadDeploy => "Bad deployment",
            Self::RestartHangs => "Restarts hang",
            Self::EngineGone => "Engine gone",
            Self::PermissionDenied => "Permission denied",
        }
    }

    /// One line: what one sees, and which command fixes it.
    pub fn description(self) -> &'static str {
        match self {
            Self::MemoryLeak => {
                "Memory passes 90 % in about three minutes, then OOM kills (exit 137); `restart frontend` frees it, the leak goes on until taken out."
            }
            Self::ConnectionsExhausted => {
                "The api's pool leaks: postgres reaches 100/100 in about 80 s, api errors, frontend 502s; `restart api` or `db terminate PID` frees connections, the leak goes on until taken out."
            }
            Self::CacheDown => {
                "Redis exits and stays down: api latency and database load rise; `restart redis` fixes it, the cache warms up within a minute (`cache`)."
            }
            Self::HighTraffic => {
                "2.5 times the requests: frontend latency and 503s rise; `scale frontend 4` relieves it."
            }
            Self::CrashLoop => {
                "The process exits with code 1 about 2 s after each start; no restart helps: take it out, as a rolled-back configuration would. With `bad-deploy`: `rollback api`."
            }
            Self::SlowDatabase => {
                "A runaway query keeps the disk busy: queries and api latency take seconds; `db locks` shows its session: `db cancel PID` ends it, as `restart postgres` does."
            }
            Self::ApiErrors => {
                "A third of the api's answers are 500 while its health check passes; `restart api` fixes it."
            }
            Self::BadDeploy => {
                "The api runs 1.9.0-rc1: a third of its answers are 500 while its health check passes, whatever is restarted; `rollback api` or `deploy api 1.9.0` fixes it."
            }
            Self::RestartHangs => {
                "A restart never finishes and ends in a time-out; what hangs goes on when this is taken out."
            }
            Self::EngineGone => {
                "Every call to the platform fails as unreachable; take it out to bring the engine back."
            }
            Self::PermissionDenied => {
                "Reading works, restart and scale are denied; take it out to grant the rights."
            }
        }
    }

    /// Where it can be put in; the first is the default. Empty: it concerns the whole platform.
    pub fn services(self) -> &'static [Role] {
        match self {
            Self::MemoryLeak => &[Role::Frontend, Role::Api],
            Self::ConnectionsExhausted | Self::ApiErrors | Self::BadDeploy => &[Role::Api],
            Self::CacheDown => &[Role::Redis],
            Self::HighTraffic => &[Role::Frontend],
            Self::CrashLoop => &[Role::Api, Role::Frontend, Role::Redis, Role::Postgres],
            Self::SlowDatabase => &[Role::Postgres],
            Self::RestartHangs | Self::EngineGone | Self::PermissionDenied => &[],
        }
    }

    /// The service it is put into when this one is asked for.
    pub(super) fn place(self, service: Option<&str>) -> Result<Option<Role>, FaultRefused> {
        let Some(name) = service else {
            return Ok(self.services().first().copied());
        };
        let found = Role::parse(name).filter(|role| self.services().contains(role));
        match found {
            Some(role) => Ok(Some(role)),
            None if self.services().is_empty() => Err(FaultRefused(format!(
                "`{self}` concerns the whole platform: leave the service out"
            ))),
            None => {
                let known: Vec<&str> = self.services().iter().map(|role| role.name()).collect();
                Err(FaultRefused(format!(
                    "`{self}` can be put into {}, not into `{}`",
                    known.join(", "),
                    clip(name)
                )))
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = FaultRefused;

    fn from_str(text: &str) -> Result<Self, FaultRefused> {
        if let Some(fault) = Self::ALL.into_iter().find(|fault| fault.name() == text) {
            return Ok(fault);
        }
        let near = Self::ALL
            .into_iter()
            .map(|fault| (strsim::jaro_winkler(fault.name(), &clip(text)), fault))
            .filter(|(score, _)| *score > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = near.map_or_else(String::new, |(_, fault)| {
            format!(" did you mean `{fault}`?")
        });
        let known: Vec<&str> = Self::ALL.iter().map(|fault| fault.name()).collect();
        Err(FaultRefused(format!(
            "unknown fault `{}`:{hint} known are {}",
            clip(text),
            known.join(", ")
        )))
    }
}

/// Texts from outside are repeated at most this long.
fn clip(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Why a fault was not put in or taken out; for people.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct FaultRefused(pub(super) String);

/// A fault that is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActiveFault {
    /// Which.
    pub fault: Fault,
    /// In which service; `None` for the whole platform.
    pub service: Option<Role>,
    /// Since when.
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_parsed_by_its_name_and_a_near_miss_is_hinted_at() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
            assert_eq!(
                serde_json::to_value(fault).unwrap(),
                serde_json::Value::from(fault.name())
            );
            assert!(!fault.title().is_empty() && fault.description().len() < 200);
        }
        let refused = "memory-leek".parse::<Fault>().unwrap_err().to_string();
        assert!(refused.contains("did you mean `memory-leak`?"), "{refused}");
        let refused = "x".repeat(5000).parse::<Fault>().unwrap_err().to_string();
        assert!(refused.len() < 400 && !refused.contains("did you mean"));
    }

    #[test]
    fn a_fault_goes_only_where_it_belongs() {
        assert_eq!(Fault::MemoryLeak.place(None), Ok(Some(Role::Frontend)));
        assert_eq!(Fault::MemoryLeak.place(Some("api")), Ok(Some(Role::Api)));
        assert_eq!(Fault::EngineGone.place(None), Ok(None));
        assert_eq!(
            Fault::MemoryLeak
                .place(Some("redis"))
                .unwrap_err()
                .to_string(),
            "`memory-leak` can be put into frontend, api, not into `redis`"
        );
        assert!(Fault::EngineGone.place(Some("api")).is_err());
    }
}
