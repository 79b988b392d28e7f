//! What always holds of the world, whatever is done to it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::changes::MAX_REPLICAS;
use super::container::{MAX_LINES, Phase};
use super::journal::MAX_EVENTS;
use super::load::MAX_CONNECTIONS;
use super::sessions::Backend;
use super::{Fault, Role, World};

fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let tell = |seed| {
        let mut world = World::new(seed, noon());
        world.put_in(Fault::MemoryLeak, None).unwrap();
        world.advance(noon() + jiff::SignedDuration::from_mins(10), 600.0);
        let logs: Vec<_> = world.containers.iter().map(|c| c.log.clone()).collect();
        (world.overview(), logs)
    };
    assert_eq!(tell(7), tell(7));
    assert_ne!(tell(7).1, tell(8).1);
}

#[derive(Debug, Clone)]
enum Action {
    Put(Fault, Option<Role>),
    Take(Fault),
    Restart(usize, u64),
    Grow(Role),
    Shrink(Role),
    Pass(f64),
}

fn action() -> impl Strategy<Value = Action> {
    let fault = || proptest::sample::select(&Fault::ALL[..]);
    let role = || proptest::sample::select(&Role::ALL[..]);
    prop_oneof![
        (fault(), proptest::option::of(role())).prop_map(|(f, r)| Action::Put(f, r)),
        fault().prop_map(Action::Take),
        (0..30_usize, 0..5_u64).prop_map(|(i, p)| Action::Restart(i, p)),
        role().prop_map(Action::Grow),
        role().prop_map(Action::Shrink),
        (0.01..240.0_f64).prop_map(Action::Pass),
    ]
}

/// Numbers and times of sessions only rise.
fn pair_rises(a: &Backend, b: &Backend) -> bool {
    a.pid < b.pid && a.started_at <= b.started_at
}

/// What always holds; `starts` are the start times seen before.
fn sound(world: &World, starts: &mut BTreeMap<String, (u64, Timestamp)>) {
    for role in Role::ALL {
        let n = world.of(role).count() as u32;
        assert!((1..=MAX_REPLICAS).contains(&n), "{role:?}: {n}");
    }
    assert_eq!(world.of(Role::Postgres).count(), 1);
    assert!(world.load().connections <= MAX_CONNECTIONS);
    assert!(world.journal.events.len() <= MAX_EVENTS);
    let sessions = &world.diagnostics.backends.list;
    let clients = sessions.iter().filter(|one| one.kind.is_client()).count();
    assert_eq!(clients as u32, world.load().connections, "one each");
    let oldest_first = |pair: &[_]| pair_rises(&pair[0], &pair[1]);
    assert!(sessions.windows(2).all(oldest_first), "{sessions:?}");
    for c in &world.containers {
        assert!(c.now.memory_bytes <= c.role.memory_limit());
        assert!((0.0..=400.0).contains(&c.now.cpu_percent));
        assert!(c.log.len() <= MAX_LINES && c.phase != Phase::Gone);
        assert!(
            c.log
                .iter()
                .zip(c.log.iter().skip(1))
                .all(|(a, b)| a.1.at <= b.1.at)
        );
        assert!(c.log.iter().all(|(_, line)| line.text.len() < 1_000));
        let Some(at) = c.started_at else { continue };
        let before = starts.insert(c.id.clone(), (c.run, at));
        if let Some((run, before)) = before {
            assert!(c.run >= run && (at > before) == (c.run > run));
        }
    }
    for service in world.overview().services {
        let percent = service.error_percent;
        assert!((0.0..=100.0).contains(&percent), "{service:?}");
        assert!(service.p95_ms >= 0.0 && service.p95_ms <= 30_000.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_the_world_stays_sound(
        seed in any::<u64>(),
        actions in proptest::collection::vec(action(), 1..40),
    ) {
        let mut world = World::new(seed, noon());
        let mut starts = BTreeMap::new();
        for action in actions {
            match action {
                Action::Put(fault, role) => {
                    let _ = world.put_in(fault, role.map(Role::name));
                }
                Action::Take(fault) => world.take_out(fault),
                Action::Restart(i, patience) => {
                    let id = world.containers[i % world.containers.len()].id.clone();
                    world.restart(&id, Duration::from_secs(patience));
                }
                Action::Grow(role) => {
                    world.grow(role);
                }
                Action::Shrink(role) => {
                    world.shrink(role, Duration::from_secs(10));
                }
                Action::Pass(seconds) => {
                    let until = world.now() + Duration::from_secs_f64(seconds);
                    world.advance(until, seconds);
                }
            }
            sound(&world, &mut starts);
        }
    }
}

#[test]
fn given_a_replica_that_is_leaving_when_the_cache_goes_down_then_it_is_gone_at_once() {
    let mut world = World::new(1, noon());
    world.grow(Role::Redis);
    world.advance(noon() + Duration::from_secs(20), 20.0);
    world.shrink(Role::Redis, Duration::from_secs(10));
    world.put_in(Fault::CacheDown, None).unwrap();
    sound(&world, &mut BTreeMap::new());
    assert_eq!(world.of(Role::Redis).count(), 1);
}
