//! What the driver reads from the world, and the words of its refusals.

use super::changes::MAX_REPLICAS;
use super::container::Container;
use super::fault::Fault;
use super::model::World;
use super::role::Role;
use treasury_domain::service::{LogLine, LogQuery, Logs, Service, ServiceStatus, Target};
use treasury_ports::platform::PlatformError;

/// The platform's name for people.
pub(super) const NAME: &str = "Simulated stack";
/// Most log lines of an answer.
const MAX_LOG_LINES: usize = 500;

/// One look while waiting for a replica: the engine may have gone, and so may the replica.
pub(super) fn step<T>(
    world: &World,
    id: &str,
    name: &str,
    look: impl FnOnce(&Container) -> Option<Result<T, PlatformError>>,
) -> Option<Result<T, PlatformError>> {
    if let Err(error) = reachable(world) {
        return Some(Err(error));
    }
    match world.find(id) {
        None => Some(Err(gone(name))),
        Some(c) => look(c),
    }
}

pub(super) fn reachable(world: &World) -> Result<(), PlatformError> {
    if world.has(Fault::EngineGone) {
        return Err(PlatformError::Unreachable {
            platform: NAME,
            hint: "its engine does not answer; take the fault `engine-gone` out".to_owned(),
            source: None,
        });
    }
    Ok(())
}

pub(super) fn changeable(world: &World) -> Result<(), PlatformError> {
    if world.has(Fault::PermissionDenied) {
        return Err(PlatformError::Denied {
            platform: NAME,
            hint: "allow the bot to restart and scale; take the fault `permission-denied` out"
                .to_owned(),
        });
    }
    Ok(())
}

pub(super) fn role_of(world: &World, service: &Service) -> Result<Role, PlatformError> {
    reachable(world)?;
    let Target::Simulated { name } = &service.target else {
        return Err(PlatformError::Unsupported(format!(
            "`{}` does not run on the simulated stack: its target in the configuration is of another platform",
            service.name
        )));
    };
    Role::parse(name).ok_or_else(|| PlatformError::NotFound {
        platform: NAME,
        what: format!("service `{name}`"),
        hint: "it has frontend, api, postgres and redis".to_owned(),
    })
}

pub(super) fn bounded(role: Role, replicas: u32) -> Result<(), PlatformError> {
    let why = if role == Role::Postgres && replicas != 1 {
        "postgres has one writer: a second replica would be a second, empty database".to_owned()
    } else if replicas == 0 {
        format!("`{}` needs at least one replica", role.name())
    } else if replicas > MAX_REPLICAS {
        full()
    } else {
        return Ok(());
    };
    Err(PlatformError::Unsupported(why))
}

pub(super) fn full() -> String {
    format!("the simulated engine has room for {MAX_REPLICAS} replicas of a service")
}

pub(super) fn gone(name: &str) -> PlatformError {
    PlatformError::NotFound {
        platform: NAME,
        what: format!("replica {name}"),
        hint: "it was removed meanwhile; ask for the status".to_owned(),
    }
}

pub(super) fn ended(c: &Container) -> PlatformError {
    let lived = c.finished_at.zip(c.started_at);
    let lived = lived.map_or(0.0, |(end, start)| end.duration_since(start).as_secs_f64());
    let lived = lived.max(1.0).ceil();
    PlatformError::Unwell {
        what: format!(
            "{} exited with code {} within {lived} s",
            c.name,
            c.exit_code.unwrap_or_default()
        ),
    }
}

pub(super) fn status(world: &World, role: Role) -> ServiceStatus {
    ServiceStatus {
        replicas: world.of(role).map(Container::view).collect(),
        ..ServiceStatus::default()
    }
}

/// Identifiers and names of the replicas that are meant; all must exist before any is touched.
pub(super) fn choose(
    world: &World,
    role: Role,
    only: Option<&[String]>,
) -> Result<Vec<(String, String)>, PlatformError> {
    if let Some(only) = only {
        let known = |wanted: &String| world.of(role).any(|c| c.id == *wanted || c.name == *wanted);
        if let Some(missing) = only.iter().find(|wanted| !known(wanted)) {
            return Err(gone(&missing.chars().take(80).collect::<String>()));
        }
    }
    let meant =
        |c: &&Container| only.is_none_or(|only| only.contains(&c.id) || only.contains(&c.name));
    let chosen = world.of(role).filter(meant);
    Ok(chosen.map(|c| (c.id.clone(), c.name.clone())).collect())
}

pub(super) fn logs(world: &World, role: Role, query: &LogQuery) -> Logs {
    let needle = query.grep.as_ref().map(|text| text.to_lowercase());
    let wanted = |c: &Container, run: u64, line: &LogLine| {
        (!query.previous || run + 1 == c.run)
            && query.since.is_none_or(|since| line.at >= Some(since))
            && needle
                .as_ref()
                .is_none_or(|needle| line.text.to_lowercase().contains(needle))
    };
    let mut lines: Vec<LogLine> = world
        .of(role)
        .flat_map(|c| c.log.iter().map(move |(run, line)| (c, *run, line)))
        .filter(|(c, run, line)| wanted(c, *run, line))
        .map(|(_, _, line)| line.clone())
        .collect();
    // Stable: lines of one replica stay in the order they were written.
    lines.sort_by_key(|line| line.at);
    let limit = query.lines.clamp(1, MAX_LOG_LINES);
    let over = lines.len().saturating_sub(limit);
    lines.drain(..over);
    Logs {
        lines,
        truncated: over > 0,
        partial: None,
    }
}
