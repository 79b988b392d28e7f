//! Who hangs on a container, and on whom it hangs itself: every action asks here before anything is
//! done.
//!
//! A namespace ends with its container's process: whoever shares it has a network without interfaces
//! from then on, and says nothing of it. A restart of theirs joins the new one; but not where the
//! container is replaced, since it is named by its id. Compose's `depends_on` with `restart: true`
//! is followed as `docker compose restart` does (its documentation, "depends_on, long syntax"): by
//! the label that it leaves, `service:condition:restart`, of all services of the project in turn.
//! Unlike Compose, what was stopped is not started by it.

use std::collections::BTreeSet;

use bollard::models::ContainerInspectResponse;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::find::{DEPENDS_ON, ONE_OFF, PROJECT, SERVICE};
use crate::engine::container::{self, inspect, label, list, some_names, to_replica};
use crate::engine::{ContainerRef, Engine, Result, unsupported};
use treasury_domain::service::{Consequence, Dependant, DependencyKind, ReplicaMark, ReplicaState};
use treasury_ports::platform::PlatformError;

/// So many containers are described at the same time.
const AT_ONCE: usize = 16;

/// All containers of an engine, and how they hang on each other.
pub struct Neighbours {
    all: Vec<ContainerInspectResponse>,
    threads: Vec<Thread>,
}

/// One container hangs on another.
struct Thread {
    from: usize,
    /// `None`: it is gone.
    to: Option<usize>,
    /// What it is called where it is named.
    named: String,
    tie: DependencyKind,
    /// Compose restarts the one after the other.
    follows: bool,
}

impl Neighbours {
    /// Asks the engine for all of its containers.
    pub async fn of(engine: &Engine) -> Result<Self> {
        let listed = list(engine, &[])
            .await?
            .into_iter()
            .filter_map(|one| one.id);
        let asked = stream::iter(listed)
            .map(|id| async move { inspect(engine, &id).await })
            .buffered(AT_ONCE);
        // What is gone meanwhile hangs on nothing.
        let all: Vec<_> = asked.try_collect().await?;
        Ok(Self::new(all.into_iter().flatten().collect()))
    }

    fn new(mut all: Vec<ContainerInspectResponse>) -> Self {
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let of_each = all
            .iter()
            .enumerate()
            .map(|(from, one)| threads(&all, from, one));
        let threads = of_each.flatten().collect();
        Self { all, threads }
    }

    fn name(&self, at: usize) -> &str {
        container::name(&self.all[at])
    }

    /// All that the engine said of these containers, in their order.
    pub fn described<'a>(
        &'a self,
        own: &'a [ContainerRef],
    ) -> impl Iterator<Item = &'a ContainerInspectResponse> {
        own.iter().filter_map(|one| {
            self.all
                .iter()
                .find(|facts| facts.id.as_ref() == Some(&one.id))
        })
    }

    fn places(&self, own: &[ContainerRef]) -> BTreeSet<usize> {
        let is_own = |at: &usize| {
            own.iter()
                .any(|one| self.all[*at].id.as_ref() == Some(&one.id))
        };
        (0..self.all.len()).filter(is_own).collect()
    }

    /// Whether its process runs, frozen or not.
    fn runs(&self, at: usize) -> bool {
        use ReplicaState as S;
        let state = to_replica(&self.all[at]).state;
        matches!(state, S::Running | S::Paused | S::Restarting)
    }

    /// What hangs on these containers by such a thread, and what hangs on that, in the order in
    /// which each comes after all that it hangs on. What does not run is left out.
    fn hanging(
        &self,
        own: &[ContainerRef],
        fate: Consequence,
        by: impl Fn(&Thread) -> bool,
    ) -> Vec<Dependant> {
        let own = self.places(own);
        let mut reached = own.clone();
        let threads = || self.threads.iter().filter(|thread| by(thread));
        loop {
            let next = threads().filter(|one| {
                !reached.contains(&one.from)
                    && self.runs(one.from)
                    && one.to.is_some_and(|to| reached.contains(&to))
            });
            let next: Vec<usize> = next.map(|one| one.from).collect();
            if next.is_empty() {
                break;
            }
            reached.extend(next);
        }
        let mut left: Vec<usize> = reached.difference(&own).copied().collect();
        let mut found = Vec::new();
        while !left.is_empty() {
            let is_next = |from: &usize| {
                let mut to = threads()
                    .filter(|one| one.from == *from)
                    .filter_map(|one| one.to);
                to.all(|to| !left.contains(&to))
            };
            // Nothing comes first only where they hang on each other in a circle.
            // The closest first: it has nothing until then.
            let closest = |from: &usize| {
                threads()
                    .filter(|one| one.from == *from)
                    .map(|one| one.tie)
                    .min()
            };
            let first = left.iter().copied().filter(is_next).min_by_key(closest);
            let from = first.unwrap_or(left[0]);
            left.retain(|other| *other != from);
            let to = threads().filter(|one| one.from == from);
            let to =
                to.filter_map(|one| Some((one.tie, one.to.filter(|to| reached.contains(to))?)));
            let to: BTreeSet<(DependencyKind, usize)> = to.collect();
            found.extend(self.dependant(from, &to, fate));
        }
        found
    }

    fn dependant(
        &self,
        from: usize,
        to: &BTreeSet<(DependencyKind, usize)>,
        fate: Consequence,
    ) -> Option<Dependant> {
        let (tie, _) = *to.first()?;
        let names = |closest: bool| {
            let to = to.iter().filter(|(one, _)| !closest || *one == tie);
            let to: BTreeSet<usize> = to.map(|(_, to)| *to).collect();
            to.into_iter().map(|to| self.name(to).to_owned()).collect()
        };
        Some(Dependant {
            mark: ReplicaMark::from(&to_replica(&self.all[from])),
            tie,
            on: names(true),
            after: names(false),
            fate,
        })
    }

    /// Who is restarted after these containers, and who else depends on them.
    pub fn restarted(&self, own: &[ContainerRef]) -> Vec<Dependant> {
        let mut found = self.hanging(own, Consequence::Restarted, |one| {
            one.follows || one.tie.shares_namespace()
        });
        found.extend(self.left(own, &found));
        found
    }

    /// Who is in the network of one of these containers.
    pub fn in_their_network(&self, own: &[ContainerRef], fate: Consequence) -> Vec<Dependant> {
        self.hanging(own, fate, |one| one.tie == DependencyKind::Network)
    }

    /// It started after what it hangs on did.
    pub fn has_present_network(&self, one: &Dependant) -> bool {
        let mut on = self
            .all
            .iter()
            .filter(|other| one.on.iter().any(|on| on == container::name(other)));
        on.all(|on| to_replica(on).started_at <= one.mark.started_at)
    }

    /// Who depends on these containers and is left alone.
    fn left(&self, own: &[ContainerRef], others: &[Dependant]) -> Vec<Dependant> {
        let places = self.places(own);
        let direct = |one: &Thread| {
            one.tie == DependencyKind::Depends && one.to.is_some_and(|to| places.contains(&to))
        };
        let mut left = self.hanging(own, Consequence::Left, direct);
        left.retain(|one| others.iter().all(|other| other.mark.id != one.mark.id));
        left
    }

    /// What would be broken without this container, which another one of the same name does not
    /// mend: `tool uses the network of vpn`.
    pub fn held_by(&self, one: &ContainerRef, own: &[ContainerRef]) -> Vec<Dependant> {
        let (place, own) = (self.places(std::slice::from_ref(one)), self.places(own));
        let threads = self.threads.iter().filter(|thread| {
            thread.tie != DependencyKind::Depends
                && !own.contains(&thread.from)
                && thread.to.is_some_and(|to| place.contains(&to))
        });
        threads
            .filter_map(|thread| {
                let to = BTreeSet::from([(thread.tie, thread.to?)]);
                self.dependant(thread.from, &to, Consequence::Spared)
            })
            .collect()
    }

    /// The refusal to replace these containers, where others hang on them by their ids.
    pub fn replaceable(&self, own: &[ContainerRef]) -> Result<()> {
        let held = own
            .iter()
            .find_map(|one| self.held_by(one, own).into_iter().next());
        let held = held.map(|held| {
            let mend = format!(
                "deploy both with `docker compose up -d`, or remove {0} first and make it anew \
                 afterwards",
                held.mark.name
            );
            refusal(&held, &mend)
        });
        held.map_or(Ok(()), Err)
    }

    /// The refusal to start these containers anew, where what they hang on is not there.
    pub fn startable(&self, own: &[ContainerRef]) -> Result<()> {
        let own = self.places(own);
        let lacking = self.threads.iter().find(|one| {
            own.contains(&one.from)
                && one.tie.shares_namespace()
                && one.to.is_none_or(|to| !own.contains(&to) && !self.runs(to))
        });
        let Some(thread) = lacking else {
            return Ok(());
        };
        let (name, verb) = (self.name(thread.from), thread.tie.verb(false));
        Err(unsupported(match thread.to {
            Some(to) => {
                let on = self.name(to);
                format!(
                    "{name} {verb} {on}, which does not run: it could not start again. Start {on} \
                     first: `docker start {on}`"
                )
            }
            None => format!(
                "{name} {verb} the container {}, which is gone: it could not start again. Make it \
                 anew: {}",
                short(&thread.named),
                made_by(&self.all[thread.from], name)
            ),
        }))
    }
}

/// How a container is made anew by whoever made it.
fn made_by(facts: &ContainerInspectResponse, name: &str) -> String {
    match label(facts, SERVICE) {
        Some(service) => format!("`docker compose up -d {service}`"),
        None => format!("`docker rm -f {name}`, then `docker run` as it was made"),
    }
}

/// The refusal of a change that would take away what a container hangs on.
pub fn refusal(held: &Dependant, mend: &str) -> PlatformError {
    let (name, verb) = (&held.mark.name, held.tie.verb(false));
    let on = some_names(held.on.iter().map(String::as_str)).unwrap_or_default();
    unsupported(format!(
        "{name} {verb} {on} and would lose it: {mend}. Nothing was done"
    ))
}

/// By what a container hangs on others.
fn threads(
    all: &[ContainerInspectResponse],
    from: usize,
    one: &ContainerInspectResponse,
) -> Vec<Thread> {
    let host = one.host_config.clone().unwrap_or_default();
    let shared = [
        (DependencyKind::Network, host.network_mode),
        (DependencyKind::Pid, host.pid_mode),
        (DependencyKind::Ipc, host.ipc_mode),
    ];
    let shared = shared
        .into_iter()
        .filter_map(|(tie, mode)| Some((tie, mode?.strip_prefix("container:")?.to_owned())));
    let of = |tie, words: Option<Vec<String>>| {
        let name = |word: String| word.split(':').next().unwrap_or_default().to_owned();
        let words = words.unwrap_or_default().into_iter();
        words.map(move |word| (tie, name(word)))
    };
    let named = shared
        .chain(of(DependencyKind::Volumes, host.volumes_from))
        .chain(of(DependencyKind::Link, host.links));
    let by_name = named.map(|(tie, named)| Thread {
        from,
        to: all.iter().position(|other| is_named(other, &named)),
        named,
        tie,
        follows: false,
    });
    let mut threads: Vec<Thread> = by_name.collect();
    let depends = label(one, DEPENDS_ON).filter(|_| !is_one_off(one));
    for depends in depends.map_or("", String::as_str).split(',') {
        let mut parts = depends.split(':');
        let service = parts.next().unwrap_or_default();
        let follows = parts.nth(1) == Some("true");
        let is_it = |other: &ContainerInspectResponse| {
            label(other, SERVICE).is_some_and(|it| it == service)
                && label(other, PROJECT) == label(one, PROJECT)
                && !is_one_off(other)
        };
        let to = all.iter().enumerate().filter(|(_, other)| is_it(other));
        threads.extend(to.map(|(to, _)| Thread {
            from,
            to: Some(to),
            named: service.to_owned(),
            tie: DependencyKind::Depends,
            follows,
        }));
    }
    threads.retain(|thread| thread.to != Some(from));
    threads
}

/// It was made by `docker compose run`.
fn is_one_off(facts: &ContainerInspectResponse) -> bool {
    label(facts, ONE_OFF).is_some_and(|it| it == "True")
}

/// A container is named by its name, its id or the beginning of that.
fn is_named(facts: &ContainerInspectResponse, named: &str) -> bool {
    let id = facts.id.as_deref().unwrap_or_default();
    container::name(facts) == named.trim_start_matches('/')
        || (named.len() >= 12 && id.starts_with(named))
}

fn short(named: &str) -> &str {
    named
        .get(..12)
        .filter(|_| named.len() == 64)
        .unwrap_or(named)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn one(name: &str, host: Value, depends_on: &str) -> ContainerInspectResponse {
        serde_json::from_value(json!({
            "Id": format!("{name:0<64}"), "Name": format!("/{name}"), "HostConfig": host,
            "State": {"Status": "running", "Running": true},
            "Config": {"Labels": {PROJECT: "p", SERVICE: name, DEPENDS_ON: depends_on}},
        }))
        .unwrap()
    }

    fn own(all: &Neighbours, name: &str) -> [ContainerRef; 1] {
        let found = all.all.iter().find(|one| container::name(one) == name);
        [ContainerRef::described(found.unwrap())]
    }

    fn told(found: &[Dependant]) -> Vec<String> {
        let line = |one: &Dependant| {
            let (name, verb) = (&one.mark.name, one.tie.verb(false));
            format!("{name} {verb} {}: {:?}", one.on.join(","), one.fate)
        };
        found.iter().map(line).collect()
    }

    #[test]
    fn all_ways_to_hang_on_a_container_are_known_by_its_name_and_its_id() {
        let vpn = format!("{:0<64}", "vpn");
        let all = Neighbours::new(vec![
            one("vpn", json!({"NetworkMode": "bridge"}), ""),
            one(
                "net",
                json!({"NetworkMode": format!("container:{vpn}")}),
                "",
            ),
            one("pid", json!({"PidMode": "container:vpn"}), ""),
            one(
                "ipc",
                json!({"IpcMode": format!("container:{}", &vpn[..12])}),
                "",
            ),
            one("vol", json!({"VolumesFrom": ["vpn:ro"]}), ""),
            one("link", json!({"Links": ["/vpn:/link/alias"]}), ""),
            one(
                "waits",
                json!({}),
                "other:service_started:true,vpn:service_healthy:false",
            ),
            // After both of them, although its name comes first.
            one(
                "after",
                json!({}),
                "vpn:service_started:true,net:service_started:true",
            ),
            one(
                "apart",
                json!({"NetworkMode": "host"}),
                "vpns:service_started:true",
            ),
        ]);
        let vpn = own(&all, "vpn");
        assert_eq!(
            told(&all.restarted(&vpn)),
            [
                "net uses the network of vpn: Restarted",
                "pid shares the processes of vpn: Restarted",
                "ipc shares the memory of vpn: Restarted",
                "after depends on net,vpn: Restarted",
                "waits depends on vpn: Left",
            ]
        );
        assert_eq!(
            told(&all.in_their_network(&vpn, Consequence::CutOff)),
            ["net uses the network of vpn: CutOff"]
        );
        let held = told(&all.held_by(&vpn[0], &vpn)).len();
        assert_eq!(held, 5, "all but who depends on it");
        let why = all.replaceable(&vpn).unwrap_err().to_string();
        assert!(why.contains("would lose it: deploy both with"), "{why}");
        all.replaceable(&own(&all, "net")).unwrap();
        all.startable(&own(&all, "net")).unwrap();
    }
}
