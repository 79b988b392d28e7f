//! Cutting a workload off and joining it again.

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::MANAGER;
use super::api::{Line, if_there};
use super::attachments::{self, ISOLATED, Join, NOWHERE, exclusion};
use super::edit::{edit, member, remove};
use super::find::{self, Place, Seen};
use super::pod;
use super::workload::named;
use treasury_domain::service::Attachment;
use treasury_ports::platform::{PlatformError, ProgressSink};

/// By what our policies are known.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Cuts these ties, all that still hold.
pub(super) async fn isolate(
    line: &Line,
    place: Place<'_>,
    attachments: &[Attachment],
    progress: &ProgressSink,
) -> Result<Seen, PlatformError> {
    let seen = find::look(line, place).await?;
    // Pods that came since the ties were recorded are cut off too.
    for pod in seen.living() {
        let name = pod::name(pod);
        let label = |object: &mut Value| {
            *member(object, &["metadata", "labels", ISOLATED]) = "true".into();
        };
        if !edit_pod(line, place, name, pod::uid(pod), label).await? {
            progress.report(0, 1, format!("{name} is gone meanwhile"));
        }
    }
    let total = attachments.len() as u32;
    for (done, attachment) in (0..).zip(attachments) {
        progress.report(done, total, format!("cutting {}", attachment.to));
        match attachments::read(attachment)? {
            Join::Pod { .. } => {}
            Join::Open { policy, selector } => forbid(line, place, &policy, &selector).await?,
            Join::Allowed { policy, .. } => {
                let api = find::objects(line, place, &attachments::network_policy()).await?;
                let change = edit(line, &api, &policy, |object| {
                    exclude(object);
                    Ok(())
                });
                there(change.await, &policy, progress)?;
            }
            Join::Endpoint { service } => {
                let api = find::objects(line, place, &attachments::service()).await?;
                let change = edit(line, &api, &service, |object| {
                    *member(object, &["spec", "selector", NOWHERE]) = "true".into();
                    Ok(())
                });
                there(change.await, &service, progress)?;
            }
        }
    }
    let around = attachments::around(line, place).await?;
    for shared in attachments::shared(&seen, &around) {
        let line = format!(
            "service {shared} leads to other workloads too: it was left, but these pods don't answer it"
        );
        progress.report(total, total, line);
    }
    find::look(line, place).await
}

/// Joins again what was cut, in the opposite order.
pub(super) async fn release(
    line: &Line,
    place: Place<'_>,
    attachments: &[Attachment],
    progress: &ProgressSink,
) -> Result<Seen, PlatformError> {
    let seen = find::look(line, place).await?;
    let total = attachments.len() as u32;
    for (done, attachment) in (0..).zip(attachments.iter().rev()) {
        progress.report(done, total, format!("joining {}", attachment.to));
        match attachments::read(attachment)? {
            Join::Pod { name } => {
                // One that is not there is told; its successor is joined below.
                if seen.pods.iter().all(|pod| pod::uid(pod) != attachment.id) {
                    progress.report(done, total, format!("{name} is gone: left out"));
                }
            }
            Join::Open { policy, .. } => allow(line, place, &policy).await?,
            Join::Allowed {
                policy,
                expressions,
            } => {
                let api = find::objects(line, place, &attachments::network_policy()).await?;
                let change = edit(line, &api, &policy, |object| {
                    include(object, expressions);
                    Ok(())
                });
                there(change.await, &policy, progress)?;
            }
            Join::Endpoint { service } => {
                let api = find::objects(line, place, &attachments::service()).await?;
                let change = edit(line, &api, &service, |object| {
                    remove(object, &["spec", "selector"], NOWHERE);
                    Ok(())
                });
                there(change.await, &service, progress)?;
            }
        }
    }
    // Only with something cut by us is there a label to take off.
    if !attachments.is_empty() {
        for pod in seen.pods.iter().filter(|pod| !pod::is_leaving(pod)) {
            let unlabel = |object: &mut Value| remove(object, &["metadata", "labels"], ISOLATED);
            edit_pod(line, place, pod::name(pod), pod::uid(pod), unlabel).await?;
        }
    }
    find::look(line, place).await
}

/// Changes exactly this pod; whether it was there.
async fn edit_pod(
    line: &Line,
    place: Place<'_>,
    name: &str,
    uid: &str,
    change: impl Fn(&mut Value) + Send + Sync,
) -> Result<bool, PlatformError> {
    let api = find::objects(line, place, &named("", "v1", "Pod", "pods")).await?;
    let mut same = true;
    let edited = edit(line, &api, name, |object| {
        // A StatefulSet's new pod has the old one's name.
        same = object["metadata"]["uid"] == uid;
        if same {
            change(object);
        }
        Ok(())
    });
    match edited.await {
        Ok(_) => Ok(same),
        Err(PlatformError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What is not there any more is told and left out.
fn there<T>(
    result: Result<T, PlatformError>,
    name: &str,
    progress: &ProgressSink,
) -> Result<(), PlatformError> {
    match result {
        Ok(_) => Ok(()),
        Err(PlatformError::NotFound { .. }) => {
            progress.report(0, 1, format!("{name} is gone: left out"));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Puts our policy there: it selects the workload's pods and allows nothing.
async fn forbid(
    line: &Line,
    place: Place<'_>,
    policy: &str,
    selector: &Value,
) -> Result<(), PlatformError> {
    let resource = attachments::network_policy();
    let api = find::objects(line, place, &resource).await?;
    let wanted = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": policy,
            "namespace": place.namespace,
            "labels": { MANAGED_BY: MANAGER },
        },
        "spec": { "podSelector": selector, "policyTypes": ["Ingress", "Egress"] },
    });
    let params = PatchParams::apply(MANAGER);
    let patch = Patch::Apply(&wanted);
    let call = api.patch(policy, &params, &patch);
    line.call(&format!("making the policy {policy}"), call)
        .await?;
    Ok(())
}

/// Removes our policy, and only if it is ours.
async fn allow(line: &Line, place: Place<'_>, policy: &str) -> Result<(), PlatformError> {
    let api = find::objects(line, place, &attachments::network_policy()).await?;
    let call = async { if_there(api.get(policy).await) };
    let Some(found) = line.call(&format!("reading {policy}"), call).await? else {
        return Ok(());
    };
    let labels = found.metadata.labels.as_ref();
    if labels
        .and_then(|labels| labels.get(MANAGED_BY))
        .map(String::as_str)
        != Some(MANAGER)
    {
        return Err(PlatformError::Unsupported(format!(
            "the network policy {policy} is not the bot's: remove it by hand if the service is to \
             be joined again"
        )));
    }
    let params = DeleteParams::default();
    let call = async { if_there(api.delete(policy, &params).await) };
    line.call(&format!("removing {policy}"), call).await?;
    Ok(())
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
