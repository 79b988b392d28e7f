//! Stories of deployments and of going back from them. No test waits.

use std::time::Duration;

use super::answers::NAME;
use super::driver::Stack;
use super::fault::Fault;
use super::images::{BAD, BROKEN, tag};
use super::role::Role;
use super::stories::{events, noon, restart, seen, service, stack, status};
use treasury_domain::service::{Patience, ReplicaState, ServiceStatus};
use treasury_ports::platform::{Platform, PlatformError, ProgressSink};

async fn deploy(stack: &Stack, role: Role, image: &str) -> Result<ServiceStatus, PlatformError> {
    let service = service(role);
    let version = stack.deployable(&service, image).await?;
    let patience = Patience::default();
    let quiet = ProgressSink::none();
    stack.deploy(&service, &version, patience, &quiet).await
}

async fn tags(stack: &Stack, role: Role) -> Vec<String> {
    let all = stack.versions(&service(role)).await.unwrap();
    all.iter().map(|one| tag(&one.image).to_owned()).collect()
}

#[tokio::test]
async fn a_deployment_happens_once_and_can_be_rolled_back() {
    let stack = stack();
    assert_eq!(tags(&stack, Role::Api).await, ["1.8.3", "1.8.2"]);
    assert_eq!(
        tags(&stack, Role::Postgres).await,
        ["17.6-alpine", "17.5-alpine"]
    );
    let before = status(&stack, Role::Api).await;
    let after = deploy(&stack, Role::Api, "treasury/api:1.9.0")
        .await
        .unwrap();
    assert!(after.is_well());
    for (old, new) in before.replicas.iter().zip(&after.replicas) {
        assert_eq!(
            (&old.name, new.image.as_str()),
            (&new.name, "ghcr.io/treasury/api:1.9.0")
        );
        assert!(old.id != new.id && new.started_at > old.started_at);
    }
    assert_eq!(deploy(&stack, Role::Api, "1.9.0").await.unwrap(), after);
    assert_eq!(tags(&stack, Role::Api).await, ["1.9.0", "1.8.3", "1.8.2"]);
    // A further replica runs it too.
    let three = super::stories::scale(&stack, Role::Api, 3).await.unwrap();
    assert_eq!(three.replicas[2].image, after.replicas[0].image);

    let former = stack.versions(&service(Role::Api)).await.unwrap().remove(1);
    let quiet = ProgressSink::none();
    let patience = Patience::default();
    let back = stack
        .deploy(&service(Role::Api), &former, patience, &quiet)
        .await;
    assert!(back.unwrap().is_well());
    assert_eq!(tags(&stack, Role::Api).await, ["1.8.3", "1.9.0", "1.8.2"]);
    assert_eq!(
        stack.calls(),
        [
            "deploy api 1.9.0",
            "deploy api 1.9.0",
            "scale api 3",
            "deploy api 1.8.3"
        ]
    );
}

#[tokio::test]
async fn an_image_that_never_gets_healthy_is_taken_back_and_the_other_replica_left_alone() {
    let stack = stack();
    let before = status(&stack, Role::Frontend).await;
    let error = deploy(&stack, Role::Frontend, BROKEN).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "treasury-frontend-1 runs but is unhealthy after 120 s\n\
         treasury-frontend-1 was put back as it was before and is well"
    );
    let after = status(&stack, Role::Frontend).await;
    assert!(after.is_well());
    assert_eq!(after.replicas[0].id, before.replicas[0].id);
    assert_eq!(after.replicas[0].image, before.replicas[0].image);
    assert_eq!(after.replicas[1], before.replicas[1]);
    assert_eq!(tags(&stack, Role::Frontend).await, ["1.8.3", "1.8.2"]);
}

#[tokio::test]
async fn a_call_that_dies_is_finished_by_the_next_one() {
    let stack = stack();
    let api = service(Role::Api);
    let good = stack.deployable(&api, "1.9.0").await.unwrap();
    let broken = stack.deployable(&api, BROKEN).await.unwrap();
    let before = status(&stack, Role::Api).await;
    for left in [&good, &broken] {
        // The bot died when it had told the engine.
        let id = status(&stack, Role::Api).await.replicas[0].id.clone();
        stack.with(|world| world.replace(&id, &left.image, Duration::from_secs(10)));
        assert_eq!(
            status(&stack, Role::Api).await.replicas[0].state,
            ReplicaState::Restarting
        );
        let done = deploy(&stack, Role::Api, "1.9.0").await.unwrap();
        assert!(done.is_well() && done.replicas.iter().all(|one| one.image == good.image));
    }
    let back = deploy(&stack, Role::Api, "1.8.3").await.unwrap();
    assert!(back.is_well() && back.replicas[0].image == before.replicas[0].image);
}

#[tokio::test]
async fn what_the_engine_does_not_have_is_refused_with_what_it_has() {
    let stack = stack();
    for image in [
        "9.9.9",
        "ghcr.io/other/api:1.9.0",
        "",
        "frontend:1.9.0",
        BAD,
    ] {
        let error = deploy(&stack, Role::Api, image).await.unwrap_err();
        let told = error.to_string();
        assert!(error.is_refusal(), "{told}");
        assert!(told.contains("ghcr.io/treasury/api:1.8.2, ghcr.io/treasury/api:1.8.3"));
    }
    stack.put_in(Fault::PermissionDenied, None).unwrap();
    let denied = deploy(&stack, Role::Api, "1.9.0").await;
    assert!(matches!(denied, Err(PlatformError::Denied { .. })));
    assert_eq!(stack.calls(), [""; 0]);
}

#[tokio::test]
async fn given_a_bad_deployment_then_a_rollback_ends_its_errors_and_a_restart_does_not() {
    let stack = stack();
    stack.put_in(Fault::BadDeploy, None).unwrap();
    let minute = Duration::from_mins(1);
    stack.advance(minute);
    let ill = status(&stack, Role::Api).await;
    assert!(ill.is_well(), "its health check sees nothing");
    assert_eq!(tags(&stack, Role::Api).await, [BAD, "1.8.3", "1.8.2"]);
    assert!(seen(&stack, Role::Api).error_percent > 20.0);
    assert!(
        events(&stack, Role::Api)
            .await
            .contains(&"start".to_owned())
    );
    restart(&stack, Role::Api).await.unwrap();
    stack.advance(minute);
    assert!(seen(&stack, Role::Api).error_percent > 20.0);
    assert_eq!(stack.faults().len(), 1);

    let former = stack.versions(&service(Role::Api)).await.unwrap().remove(1);
    assert!(former.since < Some(noon()));
    let well = deploy(&stack, Role::Api, &former.image).await.unwrap();
    assert!(well.is_well() && stack.faults().is_empty());
    stack.advance(minute);
    assert!(seen(&stack, Role::Api).error_percent < 1.0);
    assert_eq!(tags(&stack, Role::Api).await, ["1.8.3", BAD, "1.8.2"]);

    // Who goes back to it has it again; taken out, it is as if it had never been.
    let bad = stack.versions(&service(Role::Api)).await.unwrap().remove(1);
    let quiet = ProgressSink::none();
    let patience = Patience::default();
    stack
        .deploy(&service(Role::Api), &bad, patience, &quiet)
        .await
        .unwrap();
    assert_eq!(stack.faults().len(), 1);
    stack.take_out(Fault::BadDeploy);
    stack.advance(minute);
    assert!(seen(&stack, Role::Api).error_percent < 1.0);
    assert_eq!(tags(&stack, Role::Api).await, ["1.8.3", "1.8.2"]);
    let images = status(&stack, Role::Api).await.replicas;
    assert!(images.iter().all(|one| one.image.ends_with(":1.8.3")));
}

#[tokio::test]
async fn given_a_new_image_that_crashes_then_a_rollback_ends_it_and_a_restart_does_not() {
    let stack = stack();
    stack.put_in(Fault::BadDeploy, None).unwrap();
    stack.put_in(Fault::CrashLoop, Some("api")).unwrap();
    stack.advance(Duration::from_mins(1));
    assert!(!status(&stack, Role::Api).await.is_well());
    assert!(restart(&stack, Role::Api).await.is_err());
    let former = stack.versions(&service(Role::Api)).await.unwrap().remove(1);
    let well = deploy(&stack, Role::Api, &former.image).await.unwrap();
    assert!(well.is_well() && stack.faults().is_empty());
    stack.advance(Duration::from_mins(1));
    assert!(status(&stack, Role::Api).await.is_well());
}

#[tokio::test]
async fn given_the_engine_is_gone_then_nothing_of_it_is_told() {
    let stack = stack();
    let api = service(Role::Api);
    stack.put_in(Fault::EngineGone, None).unwrap();
    for error in [
        stack.versions(&api).await.unwrap_err(),
        stack.deployable(&api, "1.9.0").await.unwrap_err(),
        stack.attachments(&api).await.unwrap_err(),
        stack.evidence(&api).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains(NAME), "{error}");
        assert!(matches!(error, PlatformError::Unreachable { .. }));
    }
}
