//! Restart, scale, deploy.

use serde_json::{Value, json};
use treasury_bot::domain::service::{
    Bounds, Intent, ReplicaMark, ReplicaOutcome, Service, WorkloadKind,
};
use treasury_bot::platform::{Platform, PlatformError, ProgressSink};

use super::{SOON, driver, entry, now, patch, web, with_variable, workload};
use crate::kubernetes::Cluster;
use crate::kubernetes::json::text;

fn revision(cluster: &Cluster) -> String {
    let object = cluster.get("deployments", "shop", "web").unwrap();
    text(
        &object,
        "/metadata/annotations/deployment.kubernetes.io~1revision",
    )
    .to_owned()
}

async fn marks(driver: &dyn Platform, service: &Service) -> Vec<ReplicaMark> {
    let status = driver.status(service).await.unwrap();
    status.replicas.iter().map(ReplicaMark::from).collect()
}

#[tokio::test]
async fn five_equal_restarts_are_one_rollout_and_its_mark_tells_what_became_of_it() {
    let (cluster, driver, service) = web(2).await;
    let before = marks(&driver, &service).await;
    let mut intent = Intent::new("7-1764237600000000", now());
    intent.step = Some("3/restart-web".to_owned());
    let untouched = driver
        .restart_outcome(&service, &before, &intent)
        .await
        .unwrap();
    assert_eq!(untouched, [ReplicaOutcome::Untouched; 2]);

    let quiet = ProgressSink::none();
    let all = (0..5).map(|_| driver.restart(&service, None, &intent, SOON, &quiet));
    for after in futures_util::future::join_all(all).await {
        assert!(after.unwrap().is_well());
    }
    assert_eq!(revision(&cluster), "2");
    let object = cluster.get("deployments", "shop", "web").unwrap();
    let at = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
    assert_eq!(
        text(&object, at),
        intent.since.strftime("%FT%TZ").to_string()
    );
    let step = "/spec/template/metadata/annotations/treasury-bot~1step";
    assert_eq!(text(&object, step), "3/restart-web");
    let outcomes = driver
        .restart_outcome(&service, &before, &intent)
        .await
        .unwrap();
    assert_eq!(outcomes, [ReplicaOutcome::Restarted; 2]);
    let after = marks(&driver, &service).await;
    assert!(
        after
            .iter()
            .all(|now| before.iter().all(|old| old.id != now.id))
    );

    // Another intent is another rollout.
    let next = Intent::new("8-1", now());
    driver
        .restart(&service, None, &next, SOON, &quiet)
        .await
        .unwrap();
    assert_eq!(revision(&cluster), "3");
}

#[tokio::test]
async fn given_the_bot_dies_after_the_patch_then_what_is_found_leads_to_no_second_rollout() {
    let (cluster, driver, service) = web(2).await;
    let before = marks(&driver, &service).await;
    let intent = Intent::new("7-1", now());
    // The patch is carried out, but its answer never comes; and then the bot dies.
    let fault = crate::kubernetes::Fault::DropAfter;
    cluster.fault(fault, &["patch"], &["deployments"], Some(1));
    let quiet = ProgressSink::none();
    let marked = cluster.eventually("the mark", |store| {
        let (_, object) = store.list("deployments", "shop").next()?;
        let mark = text(object, "/metadata/annotations/treasury-bot~1restart-id");
        (mark == "7-1").then_some(())
    });
    tokio::select! {
        done = driver.restart(&service, None, &intent, SOON, &quiet) => panic!("{done:?}"),
        () = marked => {}
    }

    let again = super::driver(&cluster).await;
    loop {
        let outcomes = again
            .restart_outcome(&service, &before, &intent)
            .await
            .unwrap();
        assert!(
            !outcomes.contains(&ReplicaOutcome::Untouched),
            "{outcomes:?}"
        );
        if outcomes == [ReplicaOutcome::Restarted; 2] {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // As the recovery does: nothing is left, only awaited.
    let after = again
        .restart(&service, Some(&[]), &intent, SOON, &quiet)
        .await
        .unwrap();
    assert!(after.is_well());
    // And even where all were to be done again.
    again
        .restart(&service, None, &intent, SOON, &quiet)
        .await
        .unwrap();
    assert_eq!(revision(&cluster), "2");
}

#[tokio::test]
async fn some_replicas_are_replaced_one_by_one_as_their_budget_allows() {
    let (cluster, driver, service) = web(3).await;
    cluster.create(&json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
    }));
    let before = marks(&driver, &service).await;
    let only = [before[0].id.clone(), before[2].id.clone()];
    let quiet = ProgressSink::none();
    let intent = Intent::new("1-1", now());
    let after = driver
        .restart(&service, Some(&only), &intent, SOON, &quiet)
        .await
        .unwrap();
    assert_eq!((after.well(), revision(&cluster)), (3, "1".to_owned()));
    let ids: Vec<&str> = after.replicas.iter().map(|one| one.id.as_str()).collect();
    assert!(ids.contains(&before[1].id.as_str()));
    assert!(only.iter().all(|id| !ids.contains(&id.as_str())));

    let gone = driver
        .restart(&service, Some(&only), &intent, SOON, &quiet)
        .await;
    assert!(matches!(gone, Err(PlatformError::NotFound { .. })));
}

#[tokio::test]
async fn a_restart_that_crashes_is_told_early_with_its_last_words() {
    let (cluster, driver, service) = web(2).await;
    cluster.with(|state| {
        let crash = crate::kubernetes::Behaviour {
            ends: Some(crate::kubernetes::End {
                after: std::time::Duration::from_millis(20),
                code: 3,
                oom: false,
            }),
            ready: None,
            last_words: vec!["no DATABASE_URL".to_owned()],
            ..Default::default()
        };
        state.kubelet.images.insert("web:1".to_owned(), crash);
        state.kubelet.backoff = Some(std::time::Duration::from_millis(200));
    });
    let intent = Intent::new("1-1", now());
    let quiet = ProgressSink::none();
    let error = driver
        .restart(&service, None, &intent, SOON, &quiet)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, PlatformError::Unwell { .. }), "{text}");
    for words in [
        "CrashLoopBackOff",
        "exit code 3",
        "> no DATABASE_URL",
        "2 pods that are ready",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
async fn what_holds_a_rollout_back_is_refused_before_anything_is_touched() {
    let (cluster, driver, service) = web(1).await;
    cluster.merge(
        "deployments",
        "shop",
        "web",
        &json!({"spec": {"paused": true}}),
    );
    cluster.clear_access();
    let intent = Intent::new("1-1", now());
    let quiet = ProgressSink::none();
    let error = driver
        .restart(&service, None, &intent, SOON, &quiet)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("kubectl rollout resume deployment/web"),
        "{error}"
    );
    assert!(driver.deployable(&service, "web:2").await.is_err());
    assert_eq!(cluster.writes("").len(), 0);
}

#[tokio::test]
async fn a_conflict_is_tried_again_on_what_is_there_then() {
    let (cluster, driver, service) = web(1).await;
    cluster.conflicts(3);
    let intent = Intent::new("1-1", now());
    let quiet = ProgressSink::none();
    driver
        .restart(&service, None, &intent, SOON, &quiet)
        .await
        .unwrap();
    assert_eq!(revision(&cluster), "2");
    let patch = cluster.writes("deployments").pop().unwrap();
    assert!(
        patch.body["metadata"]["resourceVersion"].is_string(),
        "{patch:?}"
    );
    assert!(
        patch.query.contains("fieldManager=treasury-bot"),
        "{}",
        patch.query
    );
}

#[tokio::test]
async fn a_workload_is_scaled_to_nothing_and_back() {
    for (kind, name, plural) in [
        (WorkloadKind::Deployment, "Deployment", "deployments"),
        (WorkloadKind::StatefulSet, "StatefulSet", "statefulsets"),
    ] {
        let cluster = Cluster::start();
        cluster.create(&workload(name, "web", 2, "web:1"));
        cluster.settled(plural, "shop", "web").await;
        let driver = driver(&cluster).await;
        let service = entry(kind, "web");
        let quiet = ProgressSink::none();
        for replicas in [4, 0, 1] {
            let after = driver
                .scale(&service, replicas, SOON, &quiet)
                .await
                .unwrap();
            assert_eq!(after.replicas.len(), replicas as usize);
            let again = driver.status(&service).await.unwrap();
            assert_eq!(again.replicas.len(), replicas as usize);
        }
        cluster.clear_access();
        driver.scale(&service, 1, SOON, &quiet).await.unwrap();
        assert_eq!(
            cluster.writes("").len(),
            0,
            "the same again changes nothing"
        );
    }
}

#[tokio::test]
async fn what_scales_itself_is_refused_with_its_bounds() {
    let (cluster, driver, service) = web(2).await;
    cluster.create(&json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"namespace": "shop", "name": "web-hpa"},
        "spec": {"minReplicas": 2, "maxReplicas": 6, "scaleTargetRef": {
            "apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    }));
    let error = driver.scalable(&service, 3).await.unwrap_err().to_string();
    assert!(error.contains("web-hpa between 2 and 6"), "{error}");
    let wanted = Bounds { min: 3, max: 4 };
    let usual = Bounds { min: 2, max: 6 };
    assert_eq!(driver.bounds(&service).await.unwrap(), usual);
    driver.set_bounds(&service, wanted).await.unwrap();
    assert_eq!(driver.bounds(&service).await.unwrap(), wanted);
    cluster.clear_access();
    driver.set_bounds(&service, wanted).await.unwrap();
    assert_eq!(
        cluster.writes("").len(),
        0,
        "the same again changes nothing"
    );
    cluster
        .eventually("the autoscaler obeys", |store| {
            let pods = store.list("pods", "shop").count();
            (pods == 3).then_some(())
        })
        .await;
    driver.set_bounds(&service, usual).await.unwrap();
    let status = driver.status(&service).await.unwrap();
    assert!(
        status
            .facts
            .contains(&"autoscaled by web-hpa between 2 and 6".to_owned())
    );

    let agent = workload("DaemonSet", "agent", 0, "agent:1");
    cluster.create(&agent);
    cluster.settled("daemonsets", "shop", "agent").await;
    let agent = entry(WorkloadKind::DaemonSet, "agent");
    let error = driver.scalable(&agent, 3).await.unwrap_err().to_string();
    assert!(error.contains("one pod on each machine"), "{error}");
    assert_eq!(driver.status(&agent).await.unwrap().well(), 2);
}

#[tokio::test]
async fn a_version_is_deployed_and_rolled_back_whatever_was_restarted_between() {
    for (kind, name, plural) in [
        (WorkloadKind::Deployment, "Deployment", "deployments"),
        (WorkloadKind::StatefulSet, "StatefulSet", "statefulsets"),
        (WorkloadKind::DaemonSet, "DaemonSet", "daemonsets"),
    ] {
        let cluster = Cluster::start();
        cluster.create(&workload(name, "web", 2, "web:1"));
        cluster.settled(plural, "shop", "web").await;
        let driver = driver(&cluster).await;
        let service = entry(kind, "web");
        let quiet = ProgressSink::none();

        let next = driver.deployable(&service, "web:2").await.unwrap();
        let after = driver.deploy(&service, &next, SOON, &quiet).await.unwrap();
        assert!(after.is_well() && after.replicas.iter().all(|one| one.image == "web:2"));
        let intent = Intent::new("1-1", now());
        driver
            .restart(&service, None, &intent, SOON, &quiet)
            .await
            .unwrap();
        let versions = driver.versions(&service).await.unwrap();
        let images: Vec<&str> = versions.iter().map(|one| one.image.as_str()).collect();
        assert_eq!(images, ["web:2", "web:1"], "{name}");
        assert_eq!(versions[0].id, next.id);

        let after = driver
            .deploy(&service, &versions[1], SOON, &quiet)
            .await
            .unwrap();
        assert!(after.is_well() && after.replicas.iter().all(|one| one.image == "web:1"));
        let versions = driver.versions(&service).await.unwrap();
        let images: Vec<&str> = versions.iter().map(|one| one.image.as_str()).collect();
        assert_eq!(images, ["web:1", "web:2"], "{name}");
        cluster.clear_access();
        driver
            .deploy(&service, &versions[0], SOON, &quiet)
            .await
            .unwrap();
        assert_eq!(
            cluster.writes("").len(),
            0,
            "the same again changes nothing"
        );
    }
}

#[tokio::test]
async fn what_does_not_get_well_is_put_back_to_what_still_runs() {
    let (cluster, driver, service) = web(2).await;
    let before = marks(&driver, &service).await;
    let spec = |cluster: &Cluster| -> Value {
        cluster.get("deployments", "shop", "web").unwrap()["spec"].clone()
    };
    let was = spec(&cluster);
    let quiet = ProgressSink::none();
    for (image, word) in [
        ("web:crash", "CrashLoopBackOff"),
        ("web:missing", "ImagePullBackOff"),
    ] {
        let bad = driver.deployable(&service, image).await.unwrap();
        let error = driver
            .deploy(&service, &bad, SOON, &quiet)
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, PlatformError::Unwell { .. }), "{text}");
        assert!(
            text.contains(word) && text.contains("web:1 was put back"),
            "{text}"
        );
        assert_eq!(spec(&cluster), was);
        // Those that served all the time still do.
        let after = marks(&driver, &service).await;
        let kept = after
            .iter()
            .filter(|now| before.iter().any(|old| old.id == now.id));
        assert!(kept.count() >= 1);
        assert!(driver.status(&service).await.unwrap().is_well());
    }
    for bad in ["web tag", "-x", ""] {
        assert!(
            driver
                .deployable(&service, bad)
                .await
                .unwrap_err()
                .is_refusal()
        );
    }
}

#[tokio::test]
async fn the_versions_tell_in_what_they_differ_by_name() {
    let (cluster, driver, service) = web(1).await;
    patch(&cluster, &with_variable()).await;
    let versions = driver.versions(&service).await.unwrap();
    assert_eq!(versions[1].image, "web:1");
    let told = versions[1].changes.join(", ");
    assert!(
        told.contains("env -TOKEN") && !told.contains("hunter2"),
        "{told}"
    );
}
