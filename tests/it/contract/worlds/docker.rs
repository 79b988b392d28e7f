//! A Compose service on the real engine, behind a gate.

use std::path::Path;

use bollard::models::{ContainerCreateBody, RestartPolicy, RestartPolicyNameEnum};
use serde_json::{Value, json};
use treasury_bot::domain::Service;
use treasury_bot::platform::Platform;
use treasury_bot::platform::docker::Docker;

use super::gate::{Gate, Mode};
use crate::contract::{World, status};
use crate::support::engine::{OBEYS, Stack, check, entry, eventually};

const SOCKET: &str = "/var/run/docker.sock";

pub struct Engine {
    stack: Stack,
    driver: Docker,
    gate: Gate,
    /// Mounted at `/s` in the containers: what they are told, and their starts.
    shared: tempfile::TempDir,
    peer: String,
}

/// What the images do: `begin` is said first.
fn script(begin: &str) -> String {
    format!(
        "echo x >> /s/starts; [ -f /s/crash ] && {{ echo boom >&2; exit 3; }}; {begin}; \
         echo hello from \"$(busybox hostname)\"; echo ready to serve; {OBEYS}"
    )
}

async fn image(stack: &Stack, tag: &str, begin: &str) -> String {
    let command = json!(["/bin/busybox", "sh", "-c", script(begin)]);
    let change = format!("CMD {command}\nENV PATH=/bin");
    stack.import(tag, &change).await
}

fn body(stack: &Stack, shared: &Path, number: u32) -> ContainerCreateBody {
    let mut body = stack.body("web", number, "");
    body.image = Some(format!("{}:first", stack.project));
    body.cmd = None;
    body.env = Some(vec!["DB_PASSWORD=hunter2".to_owned()]);
    body.healthcheck = Some(check("[ ! -f /s/ill ]", 1_000));
    let host = body.host_config.as_mut().unwrap();
    host.binds = Some(vec![format!("{}:/s", shared.display())]);
    host.restart_policy = Some(RestartPolicy {
        name: Some(RestartPolicyNameEnum::ALWAYS),
        maximum_retry_count: None,
    });
    body
}

impl Engine {
    fn tell(&self, what: &str) {
        std::fs::write(self.shared.path().join(what), "").unwrap();
    }

    /// The identifiers of the containers of the service that are there.
    async fn ids(&self) -> Vec<String> {
        let prefix = format!("{}-web-", self.stack.project);
        let names = self.stack.names().await.into_iter();
        let names: Vec<String> = names.filter(|name| name.starts_with(&prefix)).collect();
        let mut ids = Vec::new();
        for name in names {
            ids.push(self.stack.inspect(&name).await.id.unwrap());
        }
        ids
    }
}

impl World for Engine {
    const NAME: &'static str = "Docker";

    async fn new() -> Self {
        let stack = Stack::new("contract").await;
        let shared = tempfile::tempdir().unwrap();
        image(&stack, "first", "true").await;
        for number in [1, 2] {
            let body = body(&stack, shared.path(), number);
            stack.start(&stack.container("web", number), body).await;
        }
        let peer = stack.run("peer", 1, OBEYS).await;
        let gate = Gate::new(SOCKET).await;
        let driver = Docker::new(Some(&format!("tcp://{}", gate.address))).unwrap();
        let world = Self {
            stack,
            driver,
            gate,
            shared,
            peer,
        };
        let well = async || status(&world).await.is_well().then_some(());
        eventually("both are well", well).await;
        world
    }

    fn driver(&self) -> &dyn Platform {
        &self.driver
    }

    fn service(&self) -> Service {
        self.stack.service("web")
    }

    fn absent(&self) -> Service {
        self.stack.service("nowhere")
    }

    async fn starts(&self) -> usize {
        let starts = std::fs::read_to_string(self.shared.path().join("starts"));
        starts.unwrap_or_default().lines().count()
    }

    async fn crash_new(&self) {
        self.tell("crash");
    }

    async fn ail_new(&self) {
        // Those that run notice it too, but they are healthy until a thousand checks have failed.
        self.tell("ill");
    }

    async fn end_one(&self) {
        let id = self.ids().await[0].clone();
        let starts = self.starts().await;
        self.stack.exec(&id, "kill -TERM 1").await;
        let again = async || {
            let again = self.starts().await > starts && status(self).await.is_well();
            again.then_some(())
        };
        eventually("it is back", again).await;
    }

    async fn remove_one(&self) -> String {
        let id = self.ids().await[1].clone();
        self.stack.remove(&id).await;
        id
    }

    async fn remove_all(&self) {
        for id in self.ids().await {
            self.stack.remove(&id).await;
        }
    }

    async fn forbid(&self) {
        self.gate.set(Mode::Deny).await;
    }

    async fn hang(&self) {
        self.gate.set(Mode::Hang).await;
    }

    async fn reach(&self, open: bool) {
        self.gate
            .set(if open { Mode::Open } else { Mode::Closed })
            .await;
    }

    async fn say(&self, replica: &str, lines: &[&str]) {
        for line in lines {
            let file = self.shared.path().join("line");
            std::fs::write(&file, format!("{line}\n")).unwrap();
            self.stack
                .exec(replica, "busybox cat /s/line > /proc/1/fd/1")
                .await;
        }
    }

    async fn images(&self) -> [String; 2] {
        [
            image(&self.stack, "good", "true").await,
            image(&self.stack, "bad", "echo no database >&2; exit 5").await,
        ]
    }

    async fn unscalable(&self) -> (Service, u32) {
        let name = format!("{}fixed", self.stack.project);
        let body = self.stack.body("fixed", 1, OBEYS);
        self.stack.start(&name, body).await;
        let service = self.stack.service("fixed");
        (entry(service.target), 2)
    }

    async fn reached(&self) -> bool {
        self.stack
            .exec(&self.peer, "busybox ping -c1 -W1 web")
            .await
            .0
    }

    async fn bonds(&self) -> Value {
        let mut bonds = json!({});
        for id in self.ids().await {
            let networks = self.stack.inspect(&id).await.network_settings;
            for (name, end) in networks.and_then(|all| all.networks).unwrap_or_default() {
                let mut aliases = end.aliases.unwrap_or_default();
                aliases.retain(|alias| !id.starts_with(alias.as_str()));
                aliases.sort();
                bonds[&id][name] = json!({"aliases": aliases, "address": end.ip_address});
            }
        }
        bonds
    }
}
