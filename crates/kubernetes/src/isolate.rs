//! Cutting a workload off and joining it again.

use kube::api::{DeleteParams, Patch};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::attachments::{ISOLATED, Link, NOWHERE, exclusion};
use crate::config::MANAGER;
use crate::edit::{edit, member, remove};
use crate::{
    Kind, Metadata, Object, Pod, Result, Scope, Snapshot, attachments, if_there, patch_params,
    snapshot,
};
use treasury_domain::service::Attachment;
use treasury_ports::platform::{PlatformError, ProgressSink};

/// By what our policies are known.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Cuts these links, all that still are there.
pub(crate) async fn isolate(
    scope: Scope<'_>,
    attachments: &[Attachment],
    progress: &ProgressSink,
) -> Result<Snapshot> {
    let seen = snapshot::take(scope).await?;
    // Pods that came since the links were recorded are cut off too.
    for pod in seen.living() {
        let label = |object: &mut Value| {
            *member(object, &["metadata", "labels", ISOLATED]) = "true".into();
        };
        if !edit_pod(scope, pod, label).await? {
            progress.report(0, 1, format!("{} is gone meanwhile", pod.name()));
        }
    }
    let total = attachments.len() as u32;
    for (done, attachment) in (0..).zip(attachments) {
        progress.report(done, total, format!("cutting {}", attachment.to));
        match attachments::link(attachment)? {
            Link::Pod { .. } => {}
            Link::Open { policy, selector } => forbid(scope, &policy, &selector).await?,
            Link::Allowed { policy, .. } => {
                edit_if_there(scope, Kind::NETWORK_POLICY, &policy, progress, &mut exclude).await?;
            }
            Link::Endpoint { service } => {
                let cut = &mut |object: &mut Value| {
                    *member(object, &["spec", "selector", NOWHERE]) = "true".into();
                };
                edit_if_there(scope, Kind::SERVICE, &service, progress, cut).await?;
            }
        }
    }
    let surroundings = attachments::surroundings(scope).await?;
    for shared in attachments::shared(&seen, &surroundings) {
        let line = format!(
            "service {shared} leads to other workloads too: it was left, but these pods don't answer it"
        );
        progress.report(total, total, line);
    }
    snapshot::take(scope).await
}

/// Makes again the links that were cut, in the opposite order.
pub(crate) async fn release(
    scope: Scope<'_>,
    attachments: &[Attachment],
    progress: &ProgressSink,
) -> Result<Snapshot> {
    let seen = snapshot::take(scope).await?;
    let total = attachments.len() as u32;
    for (done, attachment) in (0..).zip(attachments.iter().rev()) {
        progress.report(done, total, format!("joining {}", attachment.to));
        match attachments::link(attachment)? {
            Link::Pod { name } => {
                // One that is not there is told; its successor is joined below.
                if seen.pods.iter().all(|pod| pod.uid() != attachment.id) {
                    progress.report(done, total, format!("{name} is gone: left out"));
                }
            }
            Link::Open { policy, .. } => allow(scope, &policy).await?,
            Link::Allowed {
                policy,
                expressions,
            } => {
                let join = &mut |object: &mut Value| include(object, expressions);
                edit_if_there(scope, Kind::NETWORK_POLICY, &policy, progress, join).await?;
            }
            Link::Endpoint { service } => {
                let join = &mut |object: &mut Value| {
                    remove(object, &["spec", "selector"], NOWHERE);
                };
                edit_if_there(scope, Kind::SERVICE, &service, progress, join).await?;
            }
        }
    }
    // Only with something cut by us is there a label to take off.
    if !attachments.is_empty() {
        for pod in seen.pods.iter().filter(|pod| !pod.is_leaving()) {
            let unlabel = |object: &mut Value| remove(object, &["metadata", "labels"], ISOLATED);
            edit_pod(scope, pod, unlabel).await?;
        }
    }
    snapshot::take(scope).await
}

/// Changes exactly this pod; whether it was there.
async fn edit_pod(scope: Scope<'_>, pod: &Pod, change: fn(&mut Value)) -> Result<bool> {
    let mut same = true;
    let change = &mut |object: &mut Value| {
        // A StatefulSet's new pod has the old one's name.
        same = object["metadata"]["uid"] == pod.uid();
        if same {
            change(object);
        }
    };
    let edited = if_there(edit(&scope.all(Kind::POD), pod.name(), change).await)?;
    Ok(edited.is_some() && same)
}

/// Changes an object; where it is not there any more, that is told and it is left out.
async fn edit_if_there(
    scope: Scope<'_>,
    kind: Kind,
    name: &str,
    progress: &ProgressSink,
    change: &mut (dyn FnMut(&mut Value) + Send),
) -> Result<()> {
    let edited = edit(&scope.all(kind), name, change).await;
    if if_there(edited)?.is_none() {
        progress.report(0, 1, format!("{name} is gone: left out"));
    }
    Ok(())
}

/// Puts our policy there: it selects the workload's pods and allows nothing.
async fn forbid(scope: Scope<'_>, policy: &str, selector: &Value) -> Result<()> {
    let policies = scope.all(Kind::NETWORK_POLICY);
    let patch = Patch::Apply(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": policy,
            "namespace": scope.target.namespace,
            "labels": { MANAGED_BY: MANAGER },
        },
        "spec": { "podSelector": selector, "policyTypes": ["Ingress", "Egress"] },
    }));
    let request = policies.request.patch(policy, &patch_params(), &patch);
    let what = format!("making the policy {policy}");
    policies.send::<IgnoredAny>(&what, request).await.map(drop)
}

/// Removes our policy, and only if it is ours.
async fn allow(scope: Scope<'_>, policy: &str) -> Result<()> {
    let policies = scope.all(Kind::NETWORK_POLICY);
    let found: Option<Object<IgnoredAny>> = if_there(policies.get(policy).await)?;
    let Some(Metadata { labels, .. }) = found.map(|found| found.metadata) else {
        return Ok(());
    };
    if labels.get(MANAGED_BY).is_none_or(|by| by != MANAGER) {
        return Err(PlatformError::Unsupported(format!(
            "the network policy {policy} is not the bot's: remove it by hand if the service is to \
             be joined again"
        )));
    }
    let request = policies.request.delete(policy, &DeleteParams::default());
    let what = format!("removing {policy}");
    if_there(policies.send::<IgnoredAny>(&what, request).await).map(drop)
}

/// Makes another's policy leave out what is cut off.
fn exclude(policy: &mut Value) {
    let expressions = member(policy, &["spec", "podSelector", "matchExpressions"]);
    if !expressions.is_array() {
        *expressions = json!([]);
    }
    if let Some(all) = expressions.as_array_mut()
        && !all.contains(&exclusion())
    {
        all.push(exclusion());
    }
}

/// Takes our expression out again; the list too, if it was not there before and is empty.
fn include(policy: &mut Value, had: bool) {
    let Some(selector) = policy.pointer_mut("/spec/podSelector") else {
        return;
    };
    let Some(all) = selector
        .get_mut("matchExpressions")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    all.retain(|one| *one != exclusion());
    if all.is_empty()
        && !had
        && let Some(selector) = selector.as_object_mut()
    {
        selector.remove("matchExpressions");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_as_it_was_after_it_left_something_out() {
        for before in [
            json!({"spec": {"podSelector": {"matchLabels": {"tier": "front"}}}}),
            json!({"spec": {"podSelector": {}}}),
            json!({"spec": {"podSelector": {"matchExpressions": [
                {"key": "a", "operator": "Exists"}]}}}),
            json!({"spec": {"podSelector": {"matchExpressions": []}}}),
        ] {
            let had = before
                .pointer("/spec/podSelector/matchExpressions")
                .is_some();
            let mut policy = before.clone();
            exclude(&mut policy);
            let cut = policy.clone();
            assert_ne!(cut, before);
            exclude(&mut policy);
            assert_eq!(policy, cut, "the same again changes nothing");
            include(&mut policy, had);
            assert_eq!(policy, before);
            include(&mut policy, had);
            assert_eq!(policy, before);
        }
    }
}
