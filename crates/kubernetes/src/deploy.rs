//! Another version: the template is changed, and its controller brings the pods to it.

use serde_json::Value;

use crate::edit::edit;
use crate::rollout::Goal;
use crate::versions::Revision;
use crate::{Result, Scope, Snapshot, WorkloadRef, rollout, snapshot, template, versions};
use treasury_domain::service::{Patience, Version};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// Brings all pods to a version; what does not get well is put back.
pub(crate) async fn deploy(
    scope: Scope<'_>,
    version: &Version,
    patience: Patience,
    progress: &ProgressSink,
) -> Result<Snapshot> {
    let seen = snapshot::take(scope).await?;
    if let Some(why) = seen.workload.holds_back() {
        return Err(PlatformError::Unsupported(why));
    }
    let kept = versions::revisions(scope, &seen.workload).await?;
    let former = former(&kept, version, scope.target);
    let next = next(&kept, version, scope.target)?;
    let goal = Goal::complete(&seen, patience, progress);
    let put = &mut |object: &mut Value| replace(object, &next);
    edit(&scope.workloads(), scope.target.name, put).await?;
    progress.report(0, seen.desired(), format!("rolling out {}", version.image));
    let failed = match rollout::follow(scope, &goal).await {
        Err(error @ (PlatformError::Unwell { .. } | PlatformError::Timeout { .. })) => error,
        result => return result,
    };
    let end = match former {
        None => "There is no version before it to put back".to_owned(),
        Some(former) => {
            let image = template::image(&former.template, &scope.target.names());
            progress.report(0, seen.desired(), format!("not well: putting {image} back"));
            match put_back(scope, &next, former, goal).await {
                Ok(true) => format!("{image} was put back and is well"),
                Ok(false) => {
                    "Somebody has changed it meanwhile: it was left as they want it".to_owned()
                }
                Err(error) => format!("{image} was to be put back, but: {error}"),
            }
        }
    };
    Err(PlatformError::Unwell {
        what: format!("{failed}\n{end}"),
    })
}

/// What ran before the version: where it is there already, what is kept of the one before.
fn former<'a>(
    kept: &'a [Revision],
    version: &Version,
    target: WorkloadRef<'_>,
) -> Option<&'a Revision> {
    let names = target.names();
    let present = kept.first()?;
    let there = present.id == version.id
        || (kept.iter().all(|one| one.id != version.id)
            && template::image(&present.template, &names) == version.image);
    if there { kept.get(1) } else { Some(present) }
}

/// The template that is wanted: a kept one of this identity, else the present with its image.
fn next(kept: &[Revision], version: &Version, target: WorkloadRef<'_>) -> Result<Value> {
    if let Some(found) = kept.iter().find(|one| one.id == version.id) {
        return Ok(found.raw.clone());
    }
    let names = target.names();
    let mut next = kept
        .first()
        .map(|present| present.raw.clone())
        .unwrap_or_default();
    if template::set_image(&mut next, &names, &version.image) {
        Ok(next)
    } else {
        Err(PlatformError::Unsupported(format!(
            "{} has no container whose image could be set",
            target.name
        )))
    }
}

/// Makes the template this one, unless it is; the marks of restarts stay.
fn replace(object: &mut Value, next: &Value) {
    let Some(template) = object.pointer_mut("/spec/template") else {
        return;
    };
    // The same but for what restarts wrote: no rollout.
    if template::bare(template) != template::bare(next) {
        next.clone_into(template);
    }
}

/// Puts the former template back if the present one is still ours, and awaits it; whether it was.
async fn put_back(
    scope: Scope<'_>,
    ours: &Value,
    former: &Revision,
    goal: Goal<'_>,
) -> Result<bool> {
    let ours = template::id(&template::bare(ours));
    // What ails the pods that are there now is known.
    let old = rollout::ids(&snapshot::take(scope).await?);
    let mut was_ours = true;
    let put = &mut |object: &mut Value| {
        let now = template::id(&template::bare(&object["spec"]["template"]));
        was_ours = now == ours || now == former.id;
        if was_ours {
            replace(object, &former.raw);
        }
    };
    edit(&scope.workloads(), scope.target.name, put).await?;
    if was_ours {
        rollout::follow(scope, &Goal { old, ..goal }).await?;
    }
    Ok(was_ours)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use treasury_domain::service::WorkloadKind;

    const TARGET: WorkloadRef<'_> = WorkloadRef {
        namespace: "shop",
        kind: WorkloadKind::Deployment,
        name: "web",
        service: "frontend",
    };

    fn template(image: &str) -> Value {
        json!({"spec": {"containers": [{"name": "web", "image": image}]}})
    }

    fn object(template: &Value) -> Value {
        json!({"spec": {"replicas": 2, "template": template}})
    }

    fn revision(template: Value) -> Revision {
        Revision {
            id: template::id(&template),
            raw: template.clone(),
            template,
            since: None,
            number: 0,
        }
    }

    #[test]
    fn a_version_that_is_there_is_not_rolled_out_again() {
        let mut restarted = template("web:1");
        restarted["metadata"] = json!({"annotations": {"kubectl.kubernetes.io/restartedAt": "x"}});
        let mut now = object(&restarted);
        replace(&mut now, &template("web:1"));
        assert_eq!(now, object(&restarted));
        replace(&mut now, &template("web:2"));
        assert_eq!(now, object(&template("web:2")));
    }

    #[test]
    fn an_image_that_never_ran_goes_into_the_present_template() {
        let version = Version {
            id: "template:none".into(),
            image: "web:9".into(),
            since: None,
            changes: Vec::new(),
        };
        let kept = [template("web:2"), template("web:1")].map(revision);
        assert_eq!(next(&kept, &version, TARGET).unwrap(), template("web:9"));
        assert_eq!(former(&kept, &version, TARGET), kept.first());
        let back = Version {
            id: kept[1].id.clone(),
            ..version
        };
        assert_eq!(next(&kept, &back, TARGET).unwrap(), template("web:1"));
        let again = Version {
            id: kept[0].id.clone(),
            ..back
        };
        assert_eq!(former(&kept, &again, TARGET), kept.get(1), "after a crash");
    }
}
