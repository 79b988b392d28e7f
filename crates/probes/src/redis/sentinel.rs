//! The Sentinels that watch a master.

use std::collections::HashMap;

use super::address::Address;
use super::ask::{SENTINEL_MASTERS, SENTINELS};
use super::connect::Redis;
use super::parse::clean;
use crate::cache::{CacheSummary, Node};
use crate::{ProbeError, ProbeErrorKind as Kind};

/// What a Sentinel tells of a server.
type Fields = HashMap<String, String>;

/// Sentinels that are shown.
const SHOWN: usize = 16;

/// Adds the Sentinels, and a warning when too few of them are there for a failover. `asked` is the
/// one that answered; that it stops answering now is worth a warning, no more.
pub(super) async fn look(redis: &Redis, asked: &Address, name: &str, summary: &mut CacheSummary) {
    match ask_about(redis, asked, name).await {
        Ok((master, others)) => {
            let known = others.iter().filter_map(address);
            redis.remember(known.chain([asked.clone()])).await;
            if let Some(warning) = too_few(&master, &others) {
                summary.warnings.insert(0, warning);
            }
            summary.nodes.push(node(asked.to_string(), None));
            let others = others.iter().take(SHOWN);
            summary.nodes.extend(others.filter_map(|other| {
                let problem = (!is_up(other)).then(|| "the other Sentinels miss it".to_owned());
                Some(node(address(other)?.to_string(), problem))
            }));
        }
        Err(error) => {
            summary
                .warnings
                .push(format!("The Sentinels are not known: {}", error.what));
            summary
                .nodes
                .push(node(asked.to_string(), Some(error.what)));
        }
    }
}

/// The master, and the other Sentinels that watch it.
async fn ask_about(
    redis: &Redis,
    asked: &Address,
    name: &str,
) -> Result<(Fields, Vec<Fields>), ProbeError> {
    let masters: Vec<Fields> = redis.ask(asked, &SENTINEL_MASTERS.alone()).await?;
    let master = masters
        .into_iter()
        .find(|master| master.get("name").is_some_and(|one| one == name))
        .ok_or_else(|| {
            ProbeError::new(
                Kind::NotFound,
                format!("the Sentinel at {asked} has just forgotten the master `{name}`"),
                "ask again",
            )
        })?;
    Ok((master, redis.ask(asked, &SENTINELS.with(name)).await?))
}

/// A failover needs the quorum to agree that the master is down, and most Sentinels to elect the
/// one that does it.
fn too_few(master: &Fields, others: &[Fields]) -> Option<String> {
    let quorum = master.get("quorum").and_then(|n| n.parse().ok());
    let all = others.len() + 1;
    let needed = quorum.unwrap_or(0).max(all / 2 + 1);
    let up = others.iter().filter(|other| is_up(other)).count() + 1;
    (up < needed).then(|| format!("{up} of the {needed} Sentinels that a failover needs are there"))
}

fn is_up(sentinel: &Fields) -> bool {
    let flags = sentinel.get("flags").map_or("", String::as_str);
    !flags
        .split(',')
        .any(|flag| matches!(flag, "s_down" | "o_down" | "disconnected"))
}

fn address(sentinel: &Fields) -> Option<Address> {
    let host = sentinel.get("ip").filter(|host| !host.is_empty())?;
    Some(Address {
        host: clean(host.as_bytes(), 100),
        port: sentinel
            .get("port")?
            .parse()
            .ok()
            .filter(|port| *port > 0)?,
    })
}

fn node(address: String, problem: Option<String>) -> Node {
    Node {
        address,
        role: "sentinel".to_owned(),
        up: problem.is_none(),
        problem,
        ..Node::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        text.split(' ')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn only_sentinels_that_are_there_count() {
        let there = fields("flags=sentinel");
        let gone = fields("flags=s_down,sentinel,disconnected");
        let master = fields("quorum=2");
        assert_eq!(too_few(&master, &[there.clone(), gone.clone()]), None);
        assert_eq!(
            too_few(&master, &[gone.clone(), gone.clone()]).unwrap(),
            "1 of the 2 Sentinels that a failover needs are there"
        );
        // The quorum is there, most of the Sentinels are not.
        let low = fields("quorum=1");
        let others = [there, gone.clone(), gone.clone(), gone];
        assert_eq!(
            too_few(&low, &others).unwrap(),
            "2 of the 3 Sentinels that a failover needs are there"
        );
    }
}
