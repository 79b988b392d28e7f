//! Status: what each container is doing.

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum};
use bollard::query_parameters::InspectContainerOptions;
use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::{Docker, QUICK};
use crate::domain::service::{Health, Replica, ReplicaState, Service, ServiceStatus};
use crate::platform::PlatformError;

impl Docker {
    pub(super) async fn read_status(
        &self,
        service: &Service,
    ) -> Result<ServiceStatus, PlatformError> {
        let found = self.find(service).await?;
        let replicas = try_join_all(found.iter().map(|f| self.inspect(&f.id))).await?;
        Ok(ServiceStatus {
            replicas: replicas.iter().map(replica).collect(),
        })
    }

    pub(super) async fn inspect(
        &self,
        id: &str,
    ) -> Result<ContainerInspectResponse, PlatformError> {
        let call = self
            .client
            .inspect_container(id, None::<InspectContainerOptions>);
        self.call("inspect a container", QUICK, call).await
    }
}

/// A container's inspection as a replica.
pub(super) fn replica(inspected: &ContainerInspectResponse) -> Replica {
    let state = inspected.state.clone().unwrap_or_default();
    let config = inspected.config.clone().unwrap_or_default();
    let health = match state.health.and_then(|health| health.status) {
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        _ => Health::Unchecked,
    };
    let running = state.running.unwrap_or(false);
    Replica {
        id: inspected.id.clone().unwrap_or_default(),
        name: inspected
            .name
            .clone()
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned(),
        state: match state.status {
            Some(ContainerStateStatusEnum::RUNNING) => ReplicaState::Running,
            Some(ContainerStateStatusEnum::CREATED) => ReplicaState::Created,
            Some(ContainerStateStatusEnum::RESTARTING) => ReplicaState::Restarting,
            Some(ContainerStateStatusEnum::PAUSED) => ReplicaState::Paused,
            Some(ContainerStateStatusEnum::DEAD | ContainerStateStatusEnum::REMOVING) => {
                ReplicaState::Dead
            }
            _ if running => ReplicaState::Running,
            _ => ReplicaState::Exited,
        },
        // The engine keeps the last word of a check after the process has ended.
        health: if running { health } else { Health::Unchecked },
        started_at: moment(state.started_at.as_deref()),
        finished_at: if running {
            None
        } else {
            moment(state.finished_at.as_deref())
        },
        restarts: u64::try_from(inspected.restart_count.unwrap_or(0)).unwrap_or(0),
        exit_code: state.exit_code.filter(|_| !running),
        oom_killed: state.oom_killed.unwrap_or(false),
        image: config
            .image
            .or_else(|| inspected.image.clone())
            .unwrap_or_default(),
    }
}

/// The engine's time; year 1 stands for never.
pub(super) fn moment(text: Option<&str>) -> Option<Timestamp> {
    let at: Timestamp = text?.parse().ok()?;
    (at.as_second() > 0).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_is_no_time() {
        assert_eq!(moment(Some("0001-01-01T00:00:00Z")), None);
        assert_eq!(moment(Some("nonsense")), None);
        assert!(moment(Some("2026-11-23T03:04:05.123456789Z")).is_some());
    }

    #[test]
    fn an_inspection_becomes_a_replica() {
        let inspected: ContainerInspectResponse = serde_json::from_value(serde_json::json!({
            "Id": "abc", "Name": "/shop-web-1", "RestartCount": 3,
            "State": {"Status": "exited", "Running": false, "ExitCode": 137, "OOMKilled": true,
                "StartedAt": "2026-11-23T03:00:00Z", "FinishedAt": "2026-11-23T03:01:00Z",
                "Health": {"Status": "healthy"}},
            "Config": {"Image": "nginx:1"},
        }))
        .unwrap();
        let replica = replica(&inspected);
        assert_eq!(replica.name, "shop-web-1");
        assert_eq!(replica.state, ReplicaState::Exited);
        assert_eq!(
            replica.health,
            Health::Unchecked,
            "what has ended is not healthy"
        );
        assert_eq!(
            (replica.exit_code, replica.oom_killed, replica.restarts),
            (Some(137), true, 3)
        );
        assert!(!replica.is_well());
    }
}
