//! A Swarm of two machines: two engines, each in a network namespace of its own, with a cable between.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use bollard::models::{
    NodeSpec, SwarmInitRequest, SwarmJoinRequest, SwarmSpec, SwarmSpecDispatcher,
};
use bollard::query_parameters::{ListNodesOptions, UpdateNodeOptionsBuilder};

use super::dockerd::Dockerd;
use super::engine::eventually;

/// The worker's name, and that of the manager.
pub const B: &str = "node-b";
pub const A: &str = "node-a";

/// A manager, `node-a`, and a worker, `node-b`. A worker that is lost is Down after some two
/// seconds. Engines and namespaces are gone when it is dropped.
pub struct TwoNodes {
    pub a: Dockerd,
    pub b: Dockerd,
    cable: Cable,
}

/// Two network namespaces with a cable between them.
struct Cable {
    a: String,
    b: String,
}

impl Cable {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("tbd{}x{count}{end}", std::process::id());
        let cable = Self {
            a: name("a"),
            b: name("b"),
        };
        let (a, b) = (cable.a.as_str(), cable.b.as_str());
        for end in [a, b] {
            ip(&format!("netns add {end}"));
            ip(&format!("-n {end} link set lo up"));
        }
        ip(&format!(
            "-n {a} link add cable type veth peer name cable netns {b}"
        ));
        for (end, number) in [(a, 1), (b, 2)] {
            ip(&format!("-n {end} addr add 10.99.0.{number}/24 dev cable"));
            ip(&format!("-n {end} link set cable up"));
        }
        cable
    }

    /// An engine at one end of it, by the name of its machine.
    async fn engine(end: &str, name: &str) -> Dockerd {
        // `ip netns exec` would hide the control groups.
        let net = format!("--net=/run/netns/{end}");
        let start = "hostname \"$0\"; exec dockerd \"$@\"";
        let words = ["nsenter", &net, "unshare", "--uts", "sh", "-c", start, name];
        Dockerd::run_by(&words, &[]).await
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for end in [&self.a, &self.b] {
            let gone = Command::new("ip").args(["netns", "del", end]).status();
            drop(gone);
        }
    }
}

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).status();
    assert!(done.expect("ip in PATH").success(), "ip {words}");
}

impl TwoNodes {
    pub async fn start() -> Self {
        let cable = Cable::new();
        let (a, b) = tokio::join!(Cable::engine(&cable.a, A), Cable::engine(&cable.b, B));
        let request = SwarmInitRequest {
            listen_addr: Some("10.99.0.1:2377".to_owned()),
            advertise_addr: Some("10.99.0.1".to_owned()),
            spec: Some(SwarmSpec {
                dispatcher: Some(SwarmSpecDispatcher {
                    heartbeat_period: Some(1_000_000_000),
                }),
                ..SwarmSpec::default()
            }),
            ..SwarmInitRequest::default()
        };
        a.client.init_swarm(request).await.unwrap();
        let swarm = a.client.inspect_swarm().await.unwrap();
        let request = SwarmJoinRequest {
            listen_addr: Some("10.99.0.2:2377".to_owned()),
            advertise_addr: Some("10.99.0.2".to_owned()),
            remote_addrs: Some(vec!["10.99.0.1:2377".to_owned()]),
            join_token: swarm.join_tokens.unwrap().worker,
            ..SwarmJoinRequest::default()
        };
        b.client.join_swarm(request).await.unwrap();
        let both = Self { a, b, cable };
        both.until("ready").await;
        both
    }

    /// Makes an image on both machines.
    pub async fn import(&self, image: &str, script: &str) {
        tokio::join!(self.a.import(image, script), self.b.import(image, script));
    }

    /// Pulls the cable.
    pub fn cut(&self) {
        ip(&format!("-n {} link set cable down", self.cable.a));
    }

    /// Puts it in again.
    pub fn mend(&self) {
        ip(&format!("-n {} link set cable up", self.cable.a));
    }

    /// Waits until the manager takes the worker to be `ready`, or `down`.
    pub async fn until(&self, state: &str) {
        eventually(&format!("{B} is {state}"), || async {
            let node = self.worker().await?;
            let is_it = node.status?.state?.to_string() == state;
            is_it.then_some(())
        })
        .await;
    }

    /// Lets the worker take tasks (`active`) or not (`drain`).
    pub async fn available(&self, word: &str) {
        let node = self.worker().await.unwrap();
        let spec = NodeSpec {
            availability: word.parse().ok(),
            ..node.spec.unwrap()
        };
        let version = node.version.unwrap().index.unwrap() as i64;
        let options = UpdateNodeOptionsBuilder::default().version(version).build();
        let id = node.id.unwrap();
        let call = self.a.client.update_node(&id, spec, options);
        call.await.unwrap();
    }

    async fn worker(&self) -> Option<bollard::models::Node> {
        let nodes = self
            .a
            .client
            .list_nodes(None::<ListNodesOptions>)
            .await
            .ok()?;
        nodes.into_iter().find(|node| {
            let about = node.description.as_ref();
            about.and_then(|about| about.hostname.as_deref()) == Some(B)
        })
    }
}
