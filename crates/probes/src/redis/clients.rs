//! Who is connected, and closing a connection.

use std::collections::BTreeMap;

use super::address::Address;
use super::ask::{CLIENTS, KILL, NAME};
use super::connect::Redis;
use super::parse::{self, clean};
use super::servers::Servers;
use crate::cache::{Client, ClientId, Clients};
use crate::database::Count;
use crate::{ProbeError, ProbeErrorKind as Kind};

/// Rows of an answer.
const SHOWN: usize = 20;

/// Who is connected to one server.
#[derive(Default)]
struct Part {
    connected: u64,
    replicas: u64,
    max: u64,
    by_host: BTreeMap<String, u64>,
    /// Those that are worth showing.
    list: Vec<Client>,
}

async fn clients_at(redis: &Redis, servers: &Servers, at: Address) -> Result<Part, ProbeError> {
    let max = redis.setting(&at, "maxclients").await?;
    let mut part = Part {
        max: max.and_then(|max| max.parse().ok()).unwrap_or(0),
        ..Part::default()
    };
    // Over how many channels a replica is filled, only this tells.
    part.replicas = servers.info_of(redis, &at).await?.replicas().len() as u64;
    let text: Vec<u8> = redis.ask(&at, &CLIENTS.alone()).await?;
    let text = String::from_utf8_lossy(&text);
    let own = redis.own(&at).await;
    let server = at.to_string();
    for client in parse::clients(&text).filter_map(|fields| client(&fields, &server, own)) {
        if client.kind == "replica" {
            part.list.push(client);
            continue;
        }
        part.connected += 1;
        let host = client.address.rsplit_once(':').map_or("", |(host, _)| host);
        let name = if client.name.is_empty() {
            host.to_owned()
        } else {
            format!("{} at {host}", client.name)
        };
        *part.by_host.entry(name).or_default() += 1;
        part.list.push(client);
        // Thousands may be connected: no more than are needed are kept.
        if part.list.len() > 50 * SHOWN {
            shorten(&mut part.list);
        }
    }
    shorten(&mut part.list);
    Ok(part)
}

/// Keeps those with the most buffered output, then the longest idle.
fn shorten(list: &mut Vec<Client>) {
    list.sort_by_key(|one| std::cmp::Reverse((one.output_bytes, one.idle_ms)));
    list.truncate(SHOWN);
}

/// `own` is the number of the bot's connection to that server.
fn client(fields: &BTreeMap<&str, &str>, server: &str, own: Option<u64>) -> Option<Client> {
    let text = |name: &str| fields.get(name).copied().unwrap_or_default();
    let number = |name: &str| text(name).parse::<u64>().unwrap_or(0);
    let flags = text("flags");
    let kind = if flags.contains('O') {
        "monitor"
    } else if flags.contains('S') {
        "replica"
    } else if flags.contains('M') {
        "master"
    } else if flags.contains('P') || number("sub") + number("psub") > 0 {
        "pubsub"
    } else {
        "normal"
    };
    let id = text("id").parse().ok()?;
    Some(Client {
        id,
        server: server.to_owned(),
        address: clean(text("addr").as_bytes(), 64),
        name: clean(text("name").as_bytes(), 64),
        age_ms: number("age").saturating_mul(1_000),
        idle_ms: number("idle").saturating_mul(1_000),
        command: clean(text("cmd").as_bytes(), 30),
        output_bytes: number("omem"),
        kind: kind.to_owned(),
        // Anybody may take the name; it counts only where the server tells no numbers.
        own: own.map_or_else(|| text("name") == NAME, |own| own == id),
    })
}

pub(super) async fn clients(redis: &Redis) -> Result<Clients, ProbeError> {
    let servers = redis.servers().await?;
    let round = redis
        .round(&servers, |at| clients_at(redis, &servers, at))
        .await?;
    let mut all = Clients {
        missing: round.missing,
        ..Clients::default()
    };
    let mut by_host: BTreeMap<String, u64> = BTreeMap::new();
    for part in round.answers {
        all.connected += part.connected;
        all.replicas += part.replicas;
        all.max += part.max;
        all.list.extend(part.list);
        for (name, count) in part.by_host {
            *by_host.entry(name).or_default() += count;
        }
    }
    all.by_host = by_host
        .into_iter()
        .map(|(name, count)| Count { name, count })
        .collect();
    all.by_host.sort_by_key(|one| std::cmp::Reverse(one.count));
    all.by_host.truncate(SHOWN);
    shorten(&mut all.list);
    Ok(all)
}

pub(super) async fn kill(redis: &Redis, wanted: &ClientId) -> Result<bool, ProbeError> {
    let servers = redis.servers().await?.addresses();
    let at = match &wanted.server {
        Some(server) => servers.iter().find(|at| at.to_string() == *server),
        None if servers.len() == 1 => servers.first(),
        None => {
            return Err(ProbeError::new(
                Kind::Unsupported,
                "there are several servers, each with its own client numbers",
                "say which with --server, as `cache clients` shows it",
            ));
        }
    };
    let Some(at) = at else {
        let known: Vec<String> = servers.iter().map(ToString::to_string).collect();
        return Err(ProbeError::new(
            Kind::NotFound,
            "there is no such server",
            format!("the servers are {}", known.join(", ")),
        ));
    };
    let text: Vec<u8> = redis.ask(at, &CLIENTS.alone()).await?;
    let text = String::from_utf8_lossy(&text);
    let own = redis.own(at).await;
    let found = parse::clients(&text)
        .filter_map(|fields| client(&fields, "", own))
        .find(|client| client.id == wanted.id);
    let Some(client) = found else {
        return Ok(false);
    };
    if client.own || matches!(client.kind.as_str(), "replica" | "master") {
        let what = if client.own {
            "the bot itself"
        } else {
            &client.kind
        };
        return Err(ProbeError::new(
            Kind::Unsupported,
            format!("client {} is {what}", wanted.id),
            "only ordinary clients are closed",
        ));
    }
    let closed: u64 = redis.ask(at, &KILL.with(wanted.id)).await?;
    Ok(closed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bot_is_known_by_its_number_and_by_its_name_only_without_one() {
        let line = "id=7 addr=10.0.0.9:5000 name=treasury-bot age=1 idle=0 flags=N cmd=get";
        let fields = parse::clients(line).next().unwrap();
        let own = |number| client(&fields, "cache:6379", number).unwrap().own;
        assert!(own(Some(7)) && own(None));
        assert!(!own(Some(8)));
    }
}
