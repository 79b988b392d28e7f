//! Cutting containers off from their networks, and joining them again.

use bollard::models::{EndpointIpamConfig, EndpointSettings, NetworkDisconnectRequest};

use super::attachments::Membership;
use super::spec::DEFAULT_NETWORKS;
use super::steps;
use crate::engine::container::{inspect, place_in};
use crate::engine::{Engine, Result, all_well, not_found, optional, unusable};
use treasury_domain::service::Attachment;
use treasury_ports::platform::{PlatformError, ProgressSink};

/// An attachment as it was recorded.
struct Recorded<'a> {
    engine: &'a Engine,
    id: &'a str,
    replica: &'a str,
    /// `network NAME`.
    to: &'a str,
    membership: Membership,
}

/// Cuts the attachments that still hold.
pub async fn isolate(engine: &Engine, all: &[Attachment], progress: &ProgressSink) -> Result<()> {
    for (done, attachment) in (1..).zip(all) {
        let one = Recorded::new(engine, attachment)?;
        let line = match one.holds().await? {
            None => format!("{}: is gone", one.replica),
            Some(false) => format!("{}: is not in {} any more", one.replica, one.to),
            Some(true) => {
                one.cut().await?;
                format!("{}: cut off from {}", one.replica, one.to)
            }
        };
        progress.report(done, all.len() as u32, line);
    }
    Ok(())
}

/// Joins again what is not joined. One that can't be joined does not keep the others from it.
pub async fn release(engine: &Engine, all: &[Attachment], progress: &ProgressSink) -> Result<()> {
    let mut failed = Vec::new();
    for (done, attachment) in (1..).zip(all) {
        let one = Recorded::new(engine, attachment)?;
        let what = match one.holds().await? {
            None => format!("is gone, so {} is left out", one.to),
            Some(true) => format!("is in {} already", one.to),
            Some(false) => match one.join().await {
                Ok(new) => format!("joined to {} again{new}", one.to),
                Err(error) => {
                    let what = format!("not joined to {}: {error}", one.to);
                    failed.push(error);
                    what
                }
            },
        };
        progress.report(done, all.len() as u32, format!("{}: {what}", one.replica));
    }
    all_well(failed)
}

impl<'a> Recorded<'a> {
    fn new(engine: &'a Engine, attachment: &'a Attachment) -> Result<Self> {
        let (id, replica, to) = (&attachment.id, &attachment.replica, &attachment.to);
        let membership = serde_json::from_value(attachment.detail.clone());
        let what = format!("the record of {to} of {replica} can't be read");
        Ok(Self {
            engine,
            id,
            replica,
            to,
            membership: membership.map_err(unusable(what))?,
        })
    }

    /// The container is in the network; `None` if it is gone.
    async fn holds(&self) -> Result<Option<bool>> {
        let facts = inspect(self.engine, self.id).await?;
        Ok(facts.map(|facts| self.membership.holds(&facts)))
    }

    async fn cut(&self) -> Result<()> {
        let (network, network_id) = (&self.membership.network, &self.membership.network_id);
        let request = NetworkDisconnectRequest {
            container: self.id.to_owned(),
            force: Some(false),
        };
        let network = network_id.as_ref().unwrap_or(network);
        let call = self.engine.client()?.disconnect_network(network, request);
        let what = format!("the cut of {} from {}", self.replica, self.to);
        match self.engine.change(&what, call).await {
            Err(error) if self.holds().await? == Some(true) => Err(error),
            // An error: somebody else was faster, or the engine did it without an answer in time.
            _ => Ok(()),
        }
    }

    /// Joins the container again and returns what is not as before, to be put behind a sentence.
    async fn join(&self) -> Result<String> {
        let (engine, id, membership) = (self.engine, self.id, &self.membership);
        let (network, note) = self.network().await?;
        let requested = if DEFAULT_NETWORKS.contains(&membership.network.as_str()) {
            EndpointSettings::default()
        } else {
            with_addresses(membership)
        };
        if let Err(error) = steps::connect(engine, id, &network, requested).await {
            use PlatformError as E;
            let fixed = membership.endpoint.ipam_config.is_some();
            let had = membership.ipv4.is_some() || membership.ipv6.is_some();
            let refused = matches!(error, E::Failed { .. } | E::Denied { .. });
            // An address that was never requested is refused on a network without a
            // subnet of its own, and another container may have got it meanwhile.
            if fixed || !had || !refused {
                return Err(error);
            }
            steps::connect(engine, id, &network, membership.endpoint.clone()).await?;
        }
        let facts = inspect(engine, id).await?;
        let now = facts.as_ref().and_then(|facts| {
            let by_name = || place_in(facts, &membership.network);
            place_in(facts, &network).or_else(by_name)
        });
        let news = |had: &Option<String>, has: Option<&String>| {
            // One that does not run gets its addresses when it starts.
            let (had, has) = (had.as_ref()?, has.filter(|has| !has.is_empty())?);
            (has != had).then(|| format!("; its address is new: {has}, was {had}"))
        };
        let v4 = news(
            &membership.ipv4,
            now.and_then(|now| now.ip_address.as_ref()),
        );
        let v6 = now.and_then(|now| now.global_ipv6_address.as_ref());
        let v6 = news(&membership.ipv6, v6);
        let [v4, v6] = [v4, v6].map(Option::unwrap_or_default);
        Ok(format!("{note}{v4}{v6}"))
    }

    /// The network to join, by its id; or the one that has its name now, with a note of that.
    async fn network(&self) -> Result<(String, &'static str)> {
        let (network, network_id) = (&self.membership.network, &self.membership.network_id);
        for (key, note) in [
            (network_id.as_ref(), ""),
            (Some(network), " (the network was made anew)"),
        ] {
            let Some(key) = key else { continue };
            let call = self.engine.client()?.inspect_network(key, None);
            let found = self.engine.query("the network", optional(call)).await?;
            if let Some(id) = found.and_then(|network| network.id) {
                let anew = network_id.as_ref().is_some_and(|old| *old != id);
                return Ok((id, if anew { note } else { "" }));
            }
        }
        let hint = format!(
            "it was removed meanwhile: make it with `docker compose up --no-start` (or `docker \
             network create {network}`) and release again"
        );
        Err(not_found(self.to, hint))
    }
}

/// The place as it was requested, with the addresses that it had.
fn with_addresses(membership: &Membership) -> EndpointSettings {
    let mut requested = membership.endpoint.clone();
    let had = EndpointIpamConfig {
        ipv4_address: membership.ipv4.clone(),
        ipv6_address: membership.ipv6.clone(),
        ..EndpointIpamConfig::default()
    };
    if requested.ipam_config.is_none() && had != EndpointIpamConfig::default() {
        requested.ipam_config = Some(had);
    }
    // Newer engines give another one unless it is requested, see the crate's head.
    requested.mac_address.clone_from(&membership.mac);
    requested
}
