//! Scale: further replicas are made from the newest existing container's own configuration.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, NetworkConnectRequest,
    NetworkingConfig,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder,
};

use super::find::{Found, NUMBER};
use super::{Docker, SLOW};
use crate::domain::Target;
use crate::domain::service::{Patience, Service, ServiceStatus};
use crate::platform::{PlatformError, ProgressSink};

impl Docker {
    /// Why this service can't have that many replicas, if it can't; else its containers.
    pub(super) async fn check_scalable(
        &self,
        service: &Service,
        replicas: u32,
    ) -> Result<Vec<Found>, PlatformError> {
        let Target::Compose {
            project,
            service: own,
        } = &service.target
        else {
            return Err(PlatformError::Unsupported(format!(
                "{} is a single container by name: it can't be scaled. Run it as a Compose service",
                service.name
            )));
        };
        if replicas == 0 {
            return Err(PlatformError::Unsupported(format!(
                "{} can't be scaled to 0: no container would be left to make new ones from. \
                 Stop it with `docker compose stop`",
                service.name
            )));
        }
        let found = self.find(service).await?;
        if replicas as usize <= found.len() {
            return Ok(found);
        }
        let newest = &found[found.len() - 1];
        if separator(&newest.name, project, own, newest.number).is_none() {
            return Err(PlatformError::Unsupported(format!(
                "{} has the fixed container name {}: a second one can't be made. Remove \
                 `container_name` from the Compose file",
                service.name, newest.name
            )));
        }
        if let Some(port) = fixed_port(&self.inspect(&newest.id).await?) {
            return Err(PlatformError::Unsupported(format!(
                "{} publishes the host port {port}: only one container can have it. Publish no \
                 fixed host port (put a proxy before it)",
                service.name
            )));
        }
        Ok(found)
    }

    pub(super) async fn scale_to(
        &self,
        service: &Service,
        replicas: u32,
        patience: Patience,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let mut found = self.check_scalable(service, replicas).await?;
        let total = (replicas as usize).abs_diff(found.len()) as u32;
        let mut done = 0;
        while found.len() > replicas as usize {
            // The newest last: those people know stay.
            let Some(newest) = found.pop() else { break };
            progress.report(done, total, format!("{}: stopping", newest.name));
            self.stop_and_remove(&newest, patience).await?;
            done += 1;
            progress.report(done, total, format!("{}: removed", newest.name));
        }
        for left in &found {
            // Made and never started: left behind by an interrupted call.
            if left.created {
                progress.report(done, total, format!("{}: starting", left.name));
                self.start(&left.id, &left.name).await?;
            }
        }
        let mut number = found
            .iter()
            .map(|container| container.number)
            .max()
            .unwrap_or(0);
        for _ in found.len()..replicas as usize {
            number += 1;
            let pattern = &found[found.len() - 1];
            progress.report(done, total, format!("replica {number}: being made"));
            let made = self.make_like(service, pattern, number).await?;
            progress.report(
                done,
                total,
                format!("{}: waiting until it is well", made.name),
            );
            if let Err(error) = self.until_well(&made.id, patience.healthy).await {
                // It takes no part in the service, then.
                self.remove(&made).await?;
                return Err(error);
            }
            found.push(made);
            done += 1;
        }
        for container in &found {
            self.until_well(&container.id, patience.healthy).await?;
        }
        self.read_status(service).await
    }

    async fn start(&self, id: &str, name: &str) -> Result<(), PlatformError> {
        let call = self
            .client
            .start_container(id, None::<StartContainerOptions>);
        self.call(&format!("start {name}"), SLOW, call).await
    }

    async fn stop_and_remove(
        &self,
        container: &Found,
        patience: Patience,
    ) -> Result<(), PlatformError> {
        let grace = i32::try_from(patience.stop.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(grace).build();
        let call = self.client.stop_container(&container.id, Some(options));
        self.call(
            &format!("stop {}", container.name),
            patience.stop + SLOW,
            call,
        )
        .await?;
        self.remove(container).await
    }

    async fn remove(&self, container: &Found) -> Result<(), PlatformError> {
        // Its anonymous volumes go with it; named ones stay.
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let call = self.client.remove_container(&container.id, Some(options));
        self.call(&format!("remove {}", container.name), SLOW, call)
            .await
    }

    /// Makes and starts a container like another, with the next number.
    async fn make_like(
        &self,
        service: &Service,
        pattern: &Found,
        number: u32,
    ) -> Result<Found, PlatformError> {
        let Target::Compose {
            project,
            service: own,
        } = &service.target
        else {
            return Err(PlatformError::Unsupported("not a Compose service".into()));
        };
        let inspected = self.inspect(&pattern.id).await?;
        let mark = separator(&pattern.name, project, own, pattern.number).unwrap_or("-");
        let name = format!("{project}{mark}{own}{mark}{number}");
        let (body, others) =
            create_body(&inspected, number).map_err(|error| PlatformError::Failed {
                platform: super::NAME,
                message: format!(
                    "the configuration of {} can't be copied: {error}",
                    pattern.name
                ),
                source: Some(error.into()),
            })?;
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let call = self.client.create_container(Some(options), body);
        let id = self.call(&format!("make {name}"), SLOW, call).await?.id;
        let made = Found {
            id,
            name,
            number,
            running: false,
            created: true,
        };
        let joined = async {
            for (network, endpoint) in others {
                let request = NetworkConnectRequest {
                    container: made.id.clone(),
                    endpoint_config: Some(endpoint),
                };
                let call = self.client.connect_network(&network, request);
                self.call(&format!("join {} to {network}", made.name), SLOW, call)
                    .await?;
            }
            self.start(&made.id, &made.name).await
        };
        if let Err(error) = joined.await {
            self.remove(&made).await?;
            return Err(error);
        }
        Ok(made)
    }
}

/// What stands between project, service and number: `-` (Compose v2), `_` (v1), or nothing we know.
fn separator(name: &str, project: &str, service: &str, number: u32) -> Option<&'static str> {
    ["-", "_"]
        .into_iter()
        .find(|mark| name == format!("{project}{mark}{service}{mark}{number}"))
}

/// The first fixed host port that is published.
fn fixed_port(inspected: &ContainerInspectResponse) -> Option<String> {
    inspected
        .host_config
        .as_ref()?
        .port_bindings
        .as_ref()?
        .values()
        .flatten()
        .flatten()
        .filter_map(|binding| binding.host_port.clone())
        .find(|port| !port.is_empty() && port != "0")
}

type Endpoints = Vec<(String, EndpointSettings)>;

/// The configuration of a further replica, on its first network, and the networks to join later
/// (engines before API 1.44 take one at creation).
fn create_body(
    inspected: &ContainerInspectResponse,
    number: u32,
) -> Result<(ContainerCreateBody, Endpoints), serde_json::Error> {
    let config = serde_json::to_value(&inspected.config)?;
    let mut body: ContainerCreateBody = serde_json::from_value(config)?;
    let id = inspected.id.clone().unwrap_or_default();
    let short = id.get(..12).unwrap_or(&id).to_owned();
    // The default host name is the short id: the new one gets its own.
    if body.hostname.as_deref() == Some(short.as_str()) {
        body.hostname = None;
    }
    body.labels
        .get_or_insert_default()
        .insert(NUMBER.to_owned(), number.to_string());
    body.host_config.clone_from(&inspected.host_config);
    let old_name = inspected
        .name
        .as_deref()
        .unwrap_or_default()
        .trim_start_matches('/');
    let mut networks: Endpoints = inspected
        .network_settings
        .as_ref()
        .and_then(|settings| settings.networks.clone())
        .unwrap_or_default()
        .into_iter()
        .map(|(network, endpoint)| {
            let aliases = endpoint.aliases.unwrap_or_default();
            let aliases = aliases
                .into_iter()
                .filter(|a| *a != short && a != old_name)
                .collect();
            // No address of the old one: the engine gives a new one.
            let endpoint = EndpointSettings {
                aliases: Some(aliases),
                links: endpoint.links,
                driver_opts: endpoint.driver_opts,
                ..EndpointSettings::default()
            };
            (network, endpoint)
        })
        .collect();
    networks.sort_by(|a, b| a.0.cmp(&b.0));
    let mode = inspected
        .host_config
        .as_ref()
        .and_then(|host| host.network_mode.clone());
    let first = networks
        .iter()
        .position(|(network, _)| Some(network) == mode.as_ref())
        .unwrap_or(0);
    if !networks.is_empty() {
        let (network, endpoint) = networks.remove(first);
        body.networking_config = Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network, endpoint)])),
        });
    }
    Ok((body, networks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected() -> ContainerInspectResponse {
        serde_json::from_value(serde_json::json!({
            "Id": "0123456789abcdef", "Name": "/shop-web-1",
            "Config": {"Hostname": "0123456789ab", "Image": "nginx:1", "Env": ["A=b"],
                "Labels": {"com.docker.compose.container-number": "1", "com.docker.compose.project": "shop"}},
            "HostConfig": {"NetworkMode": "shop_default", "Binds": ["/a:/b"],
                "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}},
            "NetworkSettings": {"Networks": {
                "shop_back": {"Aliases": ["web", "0123456789ab"], "IPAddress": "10.0.0.2"},
                "shop_default": {"Aliases": ["web", "shop-web-1", "0123456789ab"], "IPAddress": "10.1.0.2",
                    "MacAddress": "02:42:0a:01:00:02"}}},
        }))
        .unwrap()
    }

    #[test]
    fn a_further_replica_has_the_same_configuration_but_nothing_of_the_others_own() {
        let (body, others) = create_body(&inspected(), 4).unwrap();
        assert_eq!(body.hostname, None);
        assert_eq!(body.image.as_deref(), Some("nginx:1"));
        assert_eq!(body.labels.unwrap()[NUMBER], "4");
        assert_eq!(body.host_config.unwrap().binds.unwrap(), ["/a:/b"]);
        let first = body.networking_config.unwrap().endpoints_config.unwrap();
        assert_eq!(first["shop_default"].aliases.as_ref().unwrap(), &["web"]);
        assert_eq!(first["shop_default"].ip_address, None);
        assert_eq!(first["shop_default"].mac_address, None);
        assert_eq!(others.len(), 1);
        assert_eq!(others[0].0, "shop_back");
    }

    #[test]
    fn fixed_names_and_ports_are_seen() {
        assert_eq!(fixed_port(&inspected()).as_deref(), Some("8080"));
        assert_eq!(separator("shop-web-2", "shop", "web", 2), Some("-"));
        assert_eq!(separator("shop_web_2", "shop", "web", 2), Some("_"));
        assert_eq!(separator("web", "shop", "web", 1), None);
    }
}
