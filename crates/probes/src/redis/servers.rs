//! Which servers there are, and asking all of them the same, in time.

use std::collections::HashMap;
use std::time::Instant;

use futures_util::future::{join_all, select_ok};

use super::address::Address;
use super::ask::{CLUSTER_NODES, CONFIG_GET, INFO, SENTINEL_MASTER, SENTINEL_MASTERS};
use super::connect::{Redis, SERVERS};
use super::fault::late;
use super::parse::{ClusterNode, Info, clean, cluster_nodes};
use crate::{ProbeError, ProbeErrorKind as Kind};

/// The servers that hold data.
pub(super) struct Servers {
    /// Who told of the others: a Sentinel, or the same as `first`.
    pub(super) guide: Address,
    /// The server itself, or one of the cluster.
    pub(super) first: Address,
    /// What `first` tells of itself.
    pub(super) info: Info,
    /// The masters of a cluster; `None` outside one.
    pub(super) cluster: Option<Vec<ClusterNode>>,
    /// Masters beyond those.
    beyond: usize,
    /// Until when looking through keys may go on, so that time is left to describe them.
    pub(super) enough: Instant,
    /// Until when the servers of a cluster must have answered, so that the answer of the others is
    /// told in time.
    until: Instant,
}

impl Servers {
    /// Their addresses, without those that were replaced.
    pub(super) fn addresses(&self) -> Vec<Address> {
        match &self.cluster {
            None => vec![self.first.clone()],
            Some(nodes) => nodes
                .iter()
                .filter(|node| !node.is_replaced())
                .map(|node| node.address.clone())
                .collect(),
        }
    }

    /// What one of them tells of itself; the first has told it.
    pub(super) async fn info_of(&self, redis: &Redis, at: &Address) -> Result<Info, ProbeError> {
        if *at == self.first {
            return Ok(self.info.clone());
        }
        redis.info(at).await
    }
}

impl ClusterNode {
    /// It failed and another serves its slots.
    fn is_replaced(&self) -> bool {
        self.failed && self.slots.is_empty()
    }
}

/// What the servers answered.
pub(super) struct Round<T> {
    /// At least one.
    pub(super) answers: Vec<T>,
    /// Those that did not, each with why.
    pub(super) missing: Vec<String>,
}

impl Redis {
    pub(super) async fn info(&self, at: &Address) -> Result<Info, ProbeError> {
        Ok(Info::parse(&self.ask::<String>(at, &INFO.alone()).await?))
    }

    /// A setting; `None` where the server does not tell it, as managed ones do not.
    pub(super) async fn setting(
        &self,
        at: &Address,
        name: &'static str,
    ) -> Result<Option<String>, ProbeError> {
        let told: Result<Vec<(String, String)>, _> = self.ask(at, &CONFIG_GET.with(name)).await;
        match told {
            Ok(pairs) => Ok(pairs.into_iter().next().map(|(_, value)| value)),
            Err(error) if matches!(error.kind, Kind::Denied | Kind::Failed) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The servers that hold data, and what the first of them tells of itself.
    pub(super) async fn servers(&self) -> Result<Servers, ProbeError> {
        let began = Instant::now();
        let (guide, lead) = self.lead().await?;
        let (first, info) = match lead {
            Lead::Server(info) => (guide.clone(), info),
            Lead::Master(first) => {
                let info = self.info(&first).await?;
                (first, info)
            }
        };
        let mut servers = Servers {
            guide,
            first,
            info,
            cluster: None,
            beyond: 0,
            enough: began + self.timeout.mul_f64(0.75),
            until: began + self.timeout.mul_f64(0.9),
        };
        if servers.info.text("cluster_enabled") != "1" {
            return Ok(servers);
        }
        let text: String = self.ask(&servers.first, &CLUSTER_NODES.alone()).await?;
        let mut nodes = cluster_nodes(&text, &servers.first);
        let alive = nodes.iter().filter(|node| !node.failed);
        self.remember(alive.map(|node| node.address.clone())).await;
        nodes.retain(|node| node.master);
        servers.beyond = nodes.len().saturating_sub(SERVERS);
        nodes.truncate(SERVERS);
        if !nodes.is_empty() {
            servers.cluster = Some(nodes);
        }
        Ok(servers)
    }

    /// Who leads to the data: the server of the URL, or, when it is gone, another one that it told
    /// of before.
    async fn lead(&self) -> Result<(Address, Lead), ProbeError> {
        let others = self.seeds.lock().await.clone();
        if others.is_empty() {
            return Ok((self.main.clone(), self.lead_of(&self.main).await?));
        }
        let patience = self.timeout / 4;
        let main = tokio::time::timeout(patience, self.lead_of(&self.main)).await;
        let error = match main {
            Ok(Ok(lead)) => return Ok((self.main.clone(), lead)),
            Ok(Err(error)) if !error.kind.is_down() => return Err(error),
            Ok(Err(error)) => error,
            Err(_) => {
                self.forget(&self.main).await;
                late(&self.main)
            }
        };
        let asked = others.into_iter().map(|at| {
            Box::pin(async move {
                let lead = self.lead_of(&at).await?;
                Ok::<_, ProbeError>((at, lead))
            })
        });
        match tokio::time::timeout(patience, select_ok(asked)).await {
            Ok(Ok((found, _))) => Ok(found),
            Ok(Err(_)) | Err(_) => Err(error),
        }
    }

    async fn lead_of(&self, at: &Address) -> Result<Lead, ProbeError> {
        let Some(name) = &self.sentinel else {
            return Ok(Lead::Server(self.info(at).await?));
        };
        let found: Option<(String, u16)> = self.ask(at, &SENTINEL_MASTER.with(name)).await?;
        if let Some((host, port)) = found {
            return Ok(Lead::Master(Address { host, port }));
        }
        let masters: Vec<HashMap<String, String>> = self.ask(at, &SENTINEL_MASTERS.alone()).await?;
        let known: Vec<String> = masters
            .iter()
            .filter_map(|master| master.get("name"))
            .take(20)
            .map(|name| clean(name.as_bytes(), 60))
            .collect();
        Err(ProbeError::new(
            Kind::NotFound,
            format!("the Sentinel at {at} knows no master `{name}`"),
            format!("set sentinel_master to one of: {}", known.join(", ")),
        ))
    }

    /// Asks every server of a cluster the same, all at once; those that do not answer in time are
    /// errors of their own.
    pub(super) async fn every<'a, T, F: Future<Output = Result<T, ProbeError>>>(
        &self,
        nodes: impl Iterator<Item = &'a ClusterNode>,
        servers: &Servers,
        ask: impl Fn(Address) -> F,
    ) -> Vec<(&'a ClusterNode, Result<T, ProbeError>)> {
        let until = servers.until.into();
        let asked = nodes.map(|node| {
            let asked = tokio::time::timeout_at(until, ask(node.address.clone()));
            async move {
                let answer = asked.await;
                let answer = answer.unwrap_or_else(|_| Err(late(&node.address)));
                if matches!(&answer, Err(error) if error.kind == Kind::Timeout) {
                    self.forget(&node.address).await;
                }
                (node, answer)
            }
        });
        join_all(asked).await
    }

    /// Asks the server, or every one of the cluster. One that does not answer is told as missing,
    /// as long as another does.
    pub(super) async fn round<T, F: Future<Output = Result<T, ProbeError>>>(
        &self,
        servers: &Servers,
        ask: impl Fn(Address) -> F,
    ) -> Result<Round<T>, ProbeError> {
        let Some(nodes) = &servers.cluster else {
            return Ok(Round {
                answers: vec![ask(servers.first.clone()).await?],
                missing: Vec::new(),
            });
        };
        let failed = nodes.iter().filter(|n| n.failed && !n.is_replaced());
        let failed = failed.map(|node| format!("the cache at {} has failed", node.address));
        let mut round = Round {
            answers: Vec::new(),
            missing: failed.collect(),
        };
        let mut why = None;
        let alive = nodes.iter().filter(|node| !node.failed);
        for (_, answer) in self.every(alive, servers, ask).await {
            match answer {
                Ok(answer) => round.answers.push(answer),
                Err(error) => {
                    round.missing.push(error.what.clone());
                    why.get_or_insert(error);
                }
            }
        }
        if servers.beyond > 0 {
            let beyond = servers.beyond;
            let text = format!("{beyond} servers beyond the first {SERVERS} are not asked");
            round.missing.push(text);
        }
        if round.answers.is_empty() {
            return Err(why.unwrap_or_else(|| {
                let first = &servers.first;
                ProbeError::new(
                    Kind::Connect,
                    format!("all masters that the cache at {first} knows have failed"),
                    "is a firewall between the servers? Look at their status and logs",
                )
            }));
        }
        Ok(round)
    }
}

/// What a first server tells.
enum Lead {
    /// It holds data, or is one of the cluster.
    Server(Info),
    /// It is a Sentinel, and this is the master.
    Master(Address),
}
