//! Another version: the template is changed, and its controller brings the pods to it.

use serde_json::Value;

use super::api::Line;
use super::edit::edit;
use super::find::{self, Place, Seen};
use super::rollout::{self, Goal};
use super::template;
use super::versions::{self, Revision};
use super::workload::resource;
use treasury_domain::service::{Patience, Version};
use treasury_ports::platform::{PlatformError, ProgressSink};

/// Brings all pods to a version; what does not get well is put back.
pub(super) async fn deploy(
    line: &Line,
    place: Place<'_>,
    version: &Version,
    patience: Patience,
    progress: &ProgressSink,
) -> Result<Seen, PlatformError> {
    let seen = find::look(line, place).await?;
    if let Some(why) = seen.workload.holds_back() {
        return Err(PlatformError::Unsupported(why));
    }
    let kept = versions::revisions(line, place, &seen.workload).await?;
    let former = former(&kept, version, place);
    let next = next(&kept, version, place)?;
    let goal = Goal {
        old: rollout::ids(&seen.pods),
        patience,
        progress,
        done: &rollout::is_complete,
    };
    put(line, place, &next).await?;
    let desired = seen.workload.counts().desired;
    progress.report(0, desired, format!("rolling out {}", version.image));
    let failed = match rollout::follow(line, place, &goal).await {
        Err(error @ (PlatformError::Unwell { .. } | PlatformError::Timeout { .. })) => error,
        result => return result,
    };
    let Some(former) = former else {
        return Err(PlatformError::Unwell {
            what: format!("{failed}\nThere is no version before it to put back"),
        });
    };
    let names = [place.service, place.name];
    let image = template::image(&former.template, &names).to_owned();
    progress.report(0, desired, format!("not well: putting {image} back"));
    let ours = template::id(&template::bare(&next));
    let back = async {
        // What ails the pods that are there now is known.
        let old = rollout::ids(&find::look(line, place).await?.pods);
        let ours = put_back(line, place, &ours, former).await?;
        if ours {
            rollout::follow(line, place, &Goal { old, ..goal }).await?;
        }
        Ok::<bool, PlatformError>(ours)
    };
    let back = back.await;
    let now = match back {
        Ok(true) => format!("{image} was put back and is well"),
        Ok(false) => "Somebody has changed it meanwhile: it was left as they want it".to_owned(),
        Err(error) => format!("{image} was to be put back, but: {error}"),
    };
    Err(PlatformError::Unwell {
        what: format!("{failed}\n{now}"),
    })
}

/// What ran before the version: where it is there already, what is kept of the one before.
fn former<'a>(kept: &'a [Revision], version: &Version, place: Place<'_>) -> Option<&'a Revision> {
    let names = [place.service, place.name];
    let present = kept.first()?;
    let there = present.id == version.id
        || (kept.iter().all(|one| one.id != version.id)
            && template::image(&present.template, &names) == version.image);
    if there { kept.get(1) } else { Some(present) }
}

/// The template that is wanted: a kept one of this identity, else the present with its image.
fn next(kept: &[Revision], version: &Version, place: Place<'_>) -> Result<Value, PlatformError> {
    if let Some(found) = kept.iter().find(|one| one.id == version.id) {
        return Ok(found.raw.clone());
    }
    let names = [place.service, place.name];
    let mut next = kept
        .first()
        .map(|present| present.raw.clone())
        .unwrap_or_default();
    if template::set_image(&mut next, &names, &version.image) {
        Ok(next)
    } else {
        Err(PlatformError::Unsupported(format!(
            "{} has no container whose image could be set",
            place.name
        )))
    }
}

/// Makes the template this one, unless it is; the marks of restarts stay.
async fn put(line: &Line, place: Place<'_>, next: &Value) -> Result<(), PlatformError> {
    let api = find::objects(line, place, &resource(place.kind)).await?;
    edit(line, &api, place.name, |object| {
        replace(object, next);
        Ok(())
    })
    .await?;
    Ok(())
}

fn replace(object: &mut Value, next: &Value) {
    let Some(template) = object.pointer_mut("/spec/template") else {
        return;
    };
    // The same but for what restarts wrote: no rollout.
    if template::bare(template) != template::bare(next) {
        next.clone_into(template);
    }
}

/// Puts the former template back if the present one is still ours; whether it was.
async fn put_back(
    line: &Line,
    place: Place<'_>,
    ours: &str,
    former: &Revision,
) -> Result<bool, PlatformError> {
    let api = find::objects(line, place, &resource(place.kind)).await?;
    let mut was_ours = true;
    edit(line, &api, place.name, |object| {
        let now = object.pointer("/spec/template").unwrap_or(&Value::Null);
        let now = template::id(&template::bare(now));
        was_ours = now == ours || now == former.id;
        if was_ours {
            replace(object, &former.raw);
        }
        Ok(())
    })
    .await?;
    Ok(was_ours)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use treasury_domain::service::WorkloadKind;

    const PLACE: Place<'_> = Place {
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
        assert_eq!(next(&kept, &version, PLACE).unwrap(), template("web:9"));
        assert_eq!(former(&kept, &version, PLACE), kept.first());
        let back = Version {
            id: kept[1].id.clone(),
            ..version
        };
        assert_eq!(next(&kept, &back, PLACE).unwrap(), template("web:1"));
        let again = Version {
            id: kept[0].id.clone(),
            ..back
        };
        assert_eq!(former(&kept, &again, PLACE), kept.get(1), "after a crash");
    }
}
