//! Events: what the engine saw happen.

use std::collections::HashMap;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use jiff::Timestamp;

use super::{Docker, QUICK, errors};
use crate::domain::service::{Event, Service};
use crate::platform::PlatformError;

/// The newest this many are told.
const MOST: usize = 200;

impl Docker {
    pub(super) async fn read_events(
        &self,
        service: &Service,
        since: Timestamp,
    ) -> Result<Vec<Event>, PlatformError> {
        let found = self.find(service).await?;
        let ids: Vec<String> = found.iter().map(|container| container.id.clone()).collect();
        let raw = self.raw_events(&ids, since).await?;
        let mut events: Vec<Event> = raw.iter().filter_map(event).collect();
        if events.len() > MOST {
            events.drain(..events.len() - MOST);
        }
        Ok(events)
    }

    /// The engine's events of these containers from `since` until now, oldest first.
    pub(super) async fn raw_events(
        &self,
        ids: &[String],
        since: Timestamp,
    ) -> Result<Vec<EventMessage>, PlatformError> {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("container".to_owned(), ids.to_vec()),
        ]);
        // The engine takes fractions of a second; without them this second's events are left out.
        let now = Timestamp::now();
        let options = EventsOptionsBuilder::default()
            .since(&format!(
                "{}.{:09}",
                since.as_second(),
                since.subsec_nanosecond()
            ))
            .until(&format!(
                "{}.{:09}",
                now.as_second(),
                now.subsec_nanosecond()
            ))
            .filters(&filters)
            .build();
        let read = async {
            let mut stream = self.client.events(Some(options));
            let mut events = Vec::new();
            while let Some(event) = stream.next().await {
                events.push(event?);
            }
            Ok(events)
        };
        match tokio::time::timeout(QUICK, read).await {
            Ok(Ok(events)) => Ok(events),
            Ok(Err(error)) => Err(errors::translate(&self.host, "read events", error)),
            Err(_) => Err(PlatformError::Timeout {
                platform: super::NAME,
                what: "reading events".into(),
                after: QUICK,
            }),
        }
    }
}

fn event(message: &EventMessage) -> Option<Event> {
    let what = message.action.clone()?;
    // A health check runs a process each few seconds: noise.
    if what.starts_with("exec_") {
        return None;
    }
    let attributes = message
        .actor
        .as_ref()?
        .attributes
        .clone()
        .unwrap_or_default();
    let detail = match (attributes.get("exitCode"), attributes.get("signal")) {
        (Some(code), _) => Some(format!("exit code {code}")),
        (_, Some(signal)) => Some(format!("signal {signal}")),
        _ => None,
    };
    Some(Event {
        at: Timestamp::from_nanosecond(i128::from(message.time_nano?)).ok()?,
        replica: attributes.get("name").cloned().unwrap_or_default(),
        what,
        detail,
    })
}
