//! What a change of a service touches besides it, asked before anybody is asked to confirm.

use super::dependants::Neighbours;
use super::{find, scale, versions};
use crate::engine::{Engine, Result};
use treasury_domain::action::ActionKind;
use treasury_domain::service::{Consequence, Dependant, Service};

/// What a change of a service touches besides it; see [`Platform::touches`].
///
/// [`Platform::touches`]: treasury_ports::platform::Platform::touches
pub async fn touches(
    engine: &Engine,
    service: &Service,
    change: &ActionKind,
) -> Result<Vec<Dependant>> {
    let seen = async || -> Result<_> {
        let neighbours = Neighbours::of(engine).await?;
        Ok((neighbours, find::with_replaced(engine, service).await?))
    };
    Ok(match change {
        ActionKind::Restart => {
            let (neighbours, own) = seen().await?;
            neighbours.startable(&own)?;
            neighbours.restarted(&own)
        }
        ActionKind::Deploy(_) => {
            let (neighbours, own) = seen().await?;
            versions::can_be_replaced(engine, &neighbours, &own).await?;
            neighbours.restarted(&own)
        }
        ActionKind::Scale(scaling) => scale::spared(engine, service, scaling.replicas).await?,
        ActionKind::Isolate(_) => {
            let (neighbours, own) = seen().await?;
            neighbours.in_their_network(&own, Consequence::CutOff)
        }
        ActionKind::Release(_) => {
            let (neighbours, own) = seen().await?;
            let mut joined = neighbours.in_their_network(&own, Consequence::Joined);
            // One that was there before its present run has the network of a former one.
            joined.retain(|one| neighbours.has_present_network(one));
            joined
        }
        ActionKind::Bounds(_) | ActionKind::Session(_) | ActionKind::Client(_) => Vec::new(),
    })
}
