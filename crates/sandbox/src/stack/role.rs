//! The four services of the treasury stack and their fixed properties.

use serde::{Deserialize, Serialize};

use treasury_domain::service::{Service, ServiceName, Target};

const MIB: u64 = 1024 * 1024;

/// A service of the simulated stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nginx and the page server behind it.
    Frontend,
    /// The treasury API.
    Api,
    /// The database; one writer.
    Postgres,
    /// The cache.
    Redis,
}

impl Role {
    /// All of them, from the client inwards.
    pub const ALL: [Self; 4] = [Self::Frontend, Self::Api, Self::Postgres, Self::Redis];

    /// The service's name in chat and in [`Target::Simulated`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Api => "api",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }

    /// The service of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Image reference at the beginning.
    pub fn image(self) -> &'static str {
        match self {
            Self::Frontend => "ghcr.io/treasury/frontend:1.8.3",
            Self::Api => "ghcr.io/treasury/api:1.8.3",
            Self::Postgres => "postgres:17.6-alpine",
            Self::Redis => "redis:8.2-alpine",
        }
    }

    /// What its first process runs.
    pub fn command(self) -> &'static str {
        match self {
            Self::Frontend => "nginx -g daemon off;",
            Self::Api => "node dist/server.js",
            Self::Postgres => "postgres",
            Self::Redis => "redis-server *:6379",
        }
    }

    /// Memory limit of a replica, bytes.
    pub fn memory_limit(self) -> u64 {
        match self {
            Self::Frontend | Self::Redis => 256 * MIB,
            Self::Api => 512 * MIB,
            Self::Postgres => 1024 * MIB,
        }
    }

    /// Memory of a replica that has just started, bytes.
    pub fn resting_memory(self) -> u64 {
        match self {
            Self::Frontend => 92 * MIB,
            Self::Api => 176 * MIB,
            Self::Postgres => 310 * MIB,
            Self::Redis => 64 * MIB,
        }
    }

    /// Seconds from the start of the process to the first passed health check.
    pub fn start_period(self) -> f64 {
        match self {
            Self::Frontend => 1.5,
            Self::Api => 2.5,
            Self::Postgres => 3.0,
            Self::Redis => 1.0,
        }
    }

    /// Requests (or queries) a second that one replica serves.
    pub fn capacity(self) -> f64 {
        match self {
            Self::Frontend => 110.0,
            Self::Api => 120.0,
            Self::Postgres => 160.0,
            Self::Redis => 5_000.0,
        }
    }

    /// Replicas at the beginning.
    pub fn replicas(self) -> u32 {
        match self {
            Self::Frontend | Self::Api => 2,
            Self::Postgres | Self::Redis => 1,
        }
    }

    /// What it stands on.
    fn below(self) -> &'static [Self] {
        match self {
            Self::Frontend => &[Self::Api],
            Self::Api => &[Self::Postgres, Self::Redis],
            Self::Postgres | Self::Redis => &[],
        }
    }

    /// Its catalogue entry, with the bounds that `scale` keeps to.
    pub fn service(self) -> Option<Service> {
        let max_replicas = match self {
            Self::Frontend => 10,
            Self::Api => 6,
            Self::Postgres | Self::Redis => 1,
        };
        Some(Service {
            name: ServiceName::parse(self.name()).ok()?,
            target: Target::Simulated {
                name: self.name().to_owned(),
            },
            min_replicas: 1,
            max_replicas,
            health_url: None,
            check: Vec::new(),
            metrics: std::collections::BTreeMap::new(),
            metrics_page: None,
            depends_on: self
                .below()
                .iter()
                .filter_map(|role| ServiceName::parse(role.name()).ok())
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_catalogue_entry_and_is_found_by_its_name() {
        for role in Role::ALL {
            assert!(role.service().is_some());
            assert_eq!(Role::parse(role.name()), Some(role));
            assert!(role.resting_memory() < role.memory_limit());
        }
        assert_eq!(Role::parse("Frontend"), None);
    }
}
