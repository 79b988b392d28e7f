//! The api of the simulated stack, fifty times as fast as life.

use std::time::Duration;

use serde_json::Value;
use treasury_bot::domain::Service;
use treasury_bot::domain::service::{Patience, Target};
use treasury_bot::platform::Platform;
use treasury_bot::sandbox::stack::{Fault, Stack, StackConfig};

use crate::contract::{World, quiet};
use crate::support::engine::{entry, eventually};

/// The service that the cases are about.
const SERVICE: &str = "api";

pub struct Simulated {
    stack: Stack,
    began: jiff::Timestamp,
}

fn named(name: &str) -> Service {
    entry(Target::Simulated {
        name: name.to_owned(),
    })
}

impl World for Simulated {
    const NAME: &'static str = "Simulated stack";

    async fn new() -> Self {
        let config = StackConfig {
            speed: 50.0,
            ..StackConfig::default()
        };
        Self {
            stack: Stack::start(config),
            began: jiff::Timestamp::now() - jiff::SignedDuration::from_secs(300),
        }
    }

    fn driver(&self) -> &dyn Platform {
        &self.stack
    }

    fn service(&self) -> Service {
        named(SERVICE)
    }

    fn absent(&self) -> Service {
        named("nowhere")
    }

    async fn starts(&self) -> usize {
        let events = self
            .stack
            .events(&self.service(), self.began)
            .await
            .unwrap();
        events
            .list
            .iter()
            .filter(|event| event.what == "start")
            .count()
    }

    async fn crash_new(&self) {
        self.stack.put_in(Fault::CrashLoop, Some(SERVICE)).unwrap();
    }

    async fn end_one(&self) {
        self.stack.put_in(Fault::CrashLoop, Some(SERVICE)).unwrap();
        let ended = async || {
            let status = self.stack.status(&self.service()).await.unwrap();
            status
                .replicas
                .iter()
                .any(|one| one.restarts > 0)
                .then_some(())
        };
        eventually("one ended", ended).await;
        self.stack.take_out(Fault::CrashLoop);
        let well = async || {
            let status = self.stack.status(&self.service()).await.unwrap();
            status.is_well().then_some(())
        };
        eventually("it is back", well).await;
    }

    async fn remove_one(&self) -> String {
        let service = self.service();
        let before = self.stack.status(&service).await.unwrap();
        let patience = self.patience();
        self.stack
            .scale(&service, 1, patience, &quiet())
            .await
            .unwrap();
        before.replicas[1].id.clone()
    }

    async fn forbid(&self) {
        self.stack.put_in(Fault::PermissionDenied, None).unwrap();
    }

    async fn hang(&self) {
        self.stack.put_in(Fault::RestartHangs, None).unwrap();
    }

    async fn reach(&self, open: bool) {
        if open {
            self.stack.take_out(Fault::EngineGone);
        } else {
            self.stack.put_in(Fault::EngineGone, None).unwrap();
        }
    }

    async fn images(&self) -> [String; 2] {
        ["1.9.0", "1.9.1-broken"].map(str::to_owned)
    }

    async fn unscalable(&self) -> (Service, u32) {
        (self.service(), 99)
    }

    async fn reached(&self) -> bool {
        !self
            .stack
            .attachments(&self.service())
            .await
            .unwrap()
            .is_empty()
    }

    async fn bonds(&self) -> Value {
        let attachments = self.stack.attachments(&self.service()).await.unwrap();
        serde_json::to_value(attachments).unwrap()
    }

    fn patience(&self) -> Patience {
        Patience {
            stop: Duration::from_secs(10),
            healthy: Duration::from_secs(120),
        }
    }
}
