//! Replicas that are cut off from the network, and what is kept of them for an examination.

use serde_json::json;

use super::answers::{NAME, changeable, role_of};
use super::container::Container;
use super::driver::Stack;
use super::model::World;
use treasury_domain::service::{Attachment, Evidence, Service, ServiceStatus};
use treasury_ports::platform::{Platform, PlatformError, ProgressSink};

/// The one network of the stack.
const NETWORK: &str = "treasury_default";

/// What still joins the replicas of a service to the others.
pub(super) fn attachments(
    world: &World,
    service: &Service,
) -> Result<Vec<Attachment>, PlatformError> {
    let role = role_of(world, service)?;
    let joined = world.of(role).filter(|c| !c.cut);
    Ok(joined
        .map(|c| Attachment {
            id: c.id.clone(),
            replica: c.name.clone(),
            to: format!("network {NETWORK}"),
            detail: json!({ "network": NETWORK, "aliases": [role.name()] }),
        })
        .collect())
}

impl Stack {
    /// Cuts ties, or joins them again.
    pub(super) async fn attachment(
        &self,
        service: &Service,
        attachments: &[Attachment],
        cut: bool,
        progress: &ProgressSink,
    ) -> Result<ServiceStatus, PlatformError> {
        let role = {
            let world = self.world();
            let role = role_of(&world, service)?;
            changeable(&world)?;
            role
        };
        let deed = if cut { "isolate" } else { "release" };
        self.record(format!("{deed} {}", role.name()));
        let total = attachments.len() as u32;
        for (done, attachment) in (0..).zip(attachments) {
            let changed = self.with(|world| world.set_cut(&attachment.id, cut));
            let what = match (changed, cut) {
                (None, _) => "is gone, so it is left out",
                (Some(true), true) => "cut off",
                (Some(true), false) => "joined again",
                (Some(false), true) => "is cut off already",
                (Some(false), false) => "is joined already",
            };
            let line = format!("{}: {what} ({})", attachment.replica, attachment.to);
            progress.report(done + 1, total, line);
        }
        self.status(service).await
    }
}

impl World {
    /// Cuts a replica off or joins it again. Returns whether that is new; `None` if it is gone.
    fn set_cut(&mut self, id: &str, cut: bool) -> Option<bool> {
        let c = self.containers.iter_mut().find(|c| c.id == id)?;
        let new = c.cut != cut;
        if new {
            c.cut = cut;
            // Both ends give the connections up.
            c.connections = 0.0;
            self.journal.changes += 1;
        }
        Some(new)
    }
}

/// Logs, description and processes of each replica.
pub(super) fn evidence(world: &World, service: &Service) -> Result<Vec<Evidence>, PlatformError> {
    let role = role_of(world, service)?;
    let mut pieces = Vec::new();
    for c in world.of(role) {
        let piece = |kind: &str, mut text: String| {
            let surplus = text.len().saturating_sub(Evidence::MAX_BYTES);
            text.drain(..text.ceil_char_boundary(surplus));
            let name = format!("{}.{kind}", c.name);
            Evidence { name, text }
        };
        pieces.push(piece("logs.txt", lines(c)));
        pieces.push(piece("inspect.json", description(c)?));
        if c.has_process() {
            pieces.push(piece("processes.txt", processes(c)));
        }
    }
    Ok(pieces)
}

fn lines(c: &Container) -> String {
    let mut text = String::new();
    for (_, line) in &c.log {
        let at = line.at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let stream = if line.stderr { "stderr" } else { "stdout" };
        text.push_str(&format!("{at} {stream} {}\n", line.text));
    }
    text
}

fn description(c: &Container) -> Result<String, PlatformError> {
    let networks: &[&str] = if c.cut { &[] } else { &[NETWORK] };
    let facts = json!({ "replica": c.view(), "networks": networks, "usage": c.now });
    serde_json::to_string_pretty(&facts).map_err(|error| PlatformError::Failed {
        platform: NAME,
        message: format!("a description of {} that can't be kept: {error}", c.name),
        source: Some(Box::new(error)),
    })
}

fn processes(c: &Container) -> String {
    let command = c.role.command();
    let workers = c.now.pids.saturating_sub(1);
    let mut text = String::from("PID\tPPID\tCMD\n");
    text.push_str(&format!("1\t0\t{command}\n"));
    for pid in (0..workers).map(|n| 29 + n) {
        text.push_str(&format!("{pid}\t1\t{command}: worker\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::stories::{restart, seen, service, stack, status};
    use super::super::{Fault, Role};
    use super::*;

    fn quiet() -> ProgressSink {
        ProgressSink::none()
    }
    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn given_one_replica_is_cut_off_then_the_other_serves_and_given_both_then_nobody_does() {
        let stack = stack();
        let api = service(Role::Api);
        let attachments = stack.attachments(&api).await.unwrap();
        assert_eq!(attachments.len(), 2);
        assert_eq!(attachments[0].to, "network treasury_default");
        let started = |status: &ServiceStatus| -> Vec<_> {
            status.replicas.iter().map(|one| one.started_at).collect()
        };
        let before = started(&status(&stack, Role::Api).await);

        stack
            .isolate(&api, &attachments[..1], &quiet())
            .await
            .unwrap();
        stack.advance(MINUTE);
        assert!(seen(&stack, Role::Frontend).error_percent < 2.0);
        assert_eq!(stack.attachments(&api).await.unwrap(), attachments[1..]);

        for _ in 0..2 {
            stack.isolate(&api, &attachments, &quiet()).await.unwrap();
            assert_eq!(stack.attachments(&api).await.unwrap(), []);
        }
        stack.advance(MINUTE);
        assert!(seen(&stack, Role::Frontend).error_percent > 60.0);
        let cut = status(&stack, Role::Api).await;
        assert_eq!(started(&cut), before, "the processes go on");
        let usage = stack.stats(&api).await.unwrap();
        assert!(
            usage.replicas.iter().all(|one| one.cpu_percent < 10.0),
            "{usage:?}"
        );
        let refused = stack.deployable(&api, "1.9.0").await.unwrap_err();
        assert!(
            refused.to_string().contains("Release it first"),
            "{refused}"
        );

        for _ in 0..2 {
            stack.release(&api, &attachments, &quiet()).await.unwrap();
            assert_eq!(stack.attachments(&api).await.unwrap(), attachments);
        }
        stack.advance(MINUTE);
        assert!(status(&stack, Role::Api).await.is_well());
        assert!(seen(&stack, Role::Frontend).error_percent < 1.0);
        assert_eq!(started(&status(&stack, Role::Api).await), before);
        let expected = ["isolate api"; 3].into_iter().chain(["release api"; 2]);
        assert_eq!(stack.calls(), expected.collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_restart_does_not_join_what_is_cut_off_and_the_gone_are_left_out() {
        let stack = stack();
        let redis = service(Role::Redis);
        let attachments = stack.attachments(&redis).await.unwrap();
        stack.isolate(&redis, &attachments, &quiet()).await.unwrap();
        restart(&stack, Role::Redis).await.unwrap();
        assert_eq!(stack.attachments(&redis).await.unwrap(), []);
        stack.advance(MINUTE);
        let slow = seen(&stack, Role::Api).p95_ms;
        let mut all = attachments.clone();
        all[0].id = "nobody".to_owned();
        stack.release(&redis, &all, &quiet()).await.unwrap();
        assert_eq!(stack.attachments(&redis).await.unwrap(), []);
        stack.release(&redis, &attachments, &quiet()).await.unwrap();
        stack.advance(2 * MINUTE);
        assert!(seen(&stack, Role::Api).p95_ms < slow / 2.0);

        stack.put_in(Fault::PermissionDenied, None).unwrap();
        let denied = stack.isolate(&redis, &attachments, &quiet()).await;
        assert!(matches!(denied, Err(PlatformError::Denied { .. })));
    }

    #[tokio::test]
    async fn evidence_is_gathered_of_each_replica_and_nothing_is_touched() {
        let stack = stack();
        stack.put_in(Fault::CacheDown, None).unwrap();
        let before = status(&stack, Role::Redis).await;
        let pieces = stack.evidence(&service(Role::Redis)).await.unwrap();
        let names: Vec<&str> = pieces.iter().map(|piece| piece.name.as_str()).collect();
        let expected = ["treasury-redis-1.logs.txt", "treasury-redis-1.inspect.json"];
        assert_eq!(names, expected, "what has ended has no processes");
        assert!(pieces[0].text.contains("Out Of Memory"));
        assert!(pieces[1].text.contains("treasury_default"));
        assert_eq!(status(&stack, Role::Redis).await, before);

        let pieces = stack.evidence(&service(Role::Frontend)).await.unwrap();
        assert_eq!(pieces.len(), 6);
        assert!(pieces[2].text.contains("nginx"), "{}", pieces[2].text);
        assert!(
            pieces
                .iter()
                .all(|piece| piece.text.len() <= Evidence::MAX_BYTES)
        );
        assert_eq!(stack.calls(), [""; 0]);
    }
}
