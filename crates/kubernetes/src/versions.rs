//! What a workload ran: its revisions, as its controller keeps them.
//!
//! A Deployment keeps a ReplicaSet for each, the others a ControllerRevision. A version is known by
//! what its pods are made from: controllers give an old one a new number when it comes back, and a
//! restart is a revision of its own although it runs the same.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::{Kind, Metadata, Result, Scope, Workload, WorkloadObject, snapshot, template};
use treasury_domain::service::{Version, WorkloadKind};
use treasury_ports::platform::PlatformError;

/// The most versions that are told.
const KEPT: usize = 10;

/// The number that a Deployment's controller gives a ReplicaSet.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// The most characters of a reference (a name of 255, a tag of 128, a digest).
const LONGEST: usize = 460;

/// One version with what its pods are made from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Revision {
    pub(crate) id: String,
    /// Without what restarts and controllers write.
    pub(crate) template: Value,
    /// With what restarts wrote: put back like this, the pods that still run it may stay.
    pub(crate) raw: Value,
    pub(crate) since: Option<Timestamp>,
    pub(crate) number: i64,
}

/// How the controllers of StatefulSets and DaemonSets keep one.
#[derive(Deserialize)]
struct ControllerRevision {
    metadata: Metadata,
    data: Value,
    revision: i64,
}

/// The versions, the present one first.
pub(crate) async fn versions(scope: Scope<'_>) -> Result<Vec<Version>> {
    let workload = snapshot::workload(scope).await?;
    let all = revisions(scope, &workload).await?;
    let names = scope.target.names();
    let now = template::bare(workload.template());
    let version = |one: Revision| Version {
        image: template::image(&one.template, &names).to_owned(),
        since: one.since,
        changes: template::changes(&now, &one.template, &names),
        id: one.id,
    };
    Ok(all.into_iter().take(KEPT).map(version).collect())
}

/// The revisions, the present one first, none twice.
pub(crate) async fn revisions(scope: Scope<'_>, workload: &Workload) -> Result<Vec<Revision>> {
    let kept = if workload.kind == WorkloadKind::Deployment {
        let sets = snapshot::replica_sets(scope, workload).await?;
        sets.iter().filter_map(of_set).collect()
    } else {
        let all = scope.all(Kind::CONTROLLER_REVISION);
        let mut all: Vec<ControllerRevision> = all.list(Some(&workload.selector()?)).await?;
        all.retain(|one| one.metadata.controller() == Some(workload.uid()));
        all.iter().filter_map(of_controller_revision).collect()
    };
    Ok(in_order(workload.template(), kept))
}

/// The present one first, then by number, the newest first; each once.
fn in_order(raw: &Value, mut kept: Vec<Revision>) -> Vec<Revision> {
    kept.sort_by_key(|one| std::cmp::Reverse(one.number));
    let now = template::bare(raw);
    let id = template::id(&now);
    let same = kept.iter().find(|one| one.id == id);
    let present = Revision {
        since: same.and_then(|one| one.since),
        number: same.map_or(0, |one| one.number),
        template: now,
        raw: template::raw(raw),
        id,
    };
    let mut all = vec![present];
    for one in kept {
        if all.iter().all(|other| other.id != one.id) {
            all.push(one);
        }
    }
    all
}

fn of_set(set: &WorkloadObject) -> Option<Revision> {
    let number = set.metadata.annotations.get(REVISION)?.parse().ok()?;
    revision(&set.metadata, number, &set.spec.template)
}

fn of_controller_revision(one: &ControllerRevision) -> Option<Revision> {
    let template = one.data.pointer("/spec/template")?;
    revision(&one.metadata, one.revision, template)
}

fn revision(metadata: &Metadata, number: i64, template: &Value) -> Option<Revision> {
    let raw = template::raw(template);
    let template = template::bare(template);
    template.is_object().then(|| Revision {
        id: template::id(&template),
        since: metadata.creation_timestamp,
        template,
        raw,
        number,
    })
}

/// The version that this image would make.
pub(crate) async fn deployable(scope: Scope<'_>, image: &str) -> Result<Version> {
    if !is_reference(image) {
        let shown: String = image.chars().take(80).collect();
        return Err(PlatformError::Unsupported(format!(
            "`{shown}` is not an image: write NAME:TAG, such as `treasury/api:1.4.2`"
        )));
    }
    let workload = snapshot::workload(scope).await?;
    if let Some(why) = workload.holds_back() {
        return Err(PlatformError::Unsupported(why));
    }
    let mut next = template::bare(workload.template());
    if !template::set_image(&mut next, &scope.target.names(), image) {
        return Err(PlatformError::Unsupported(format!(
            "{} has no container whose image could be set",
            workload.path()
        )));
    }
    Ok(Version {
        id: template::id(&next),
        image: image.to_owned(),
        since: None,
        changes: Vec::new(),
    })
}

/// The form of a reference; whether there is such an image only the machines can tell.
fn is_reference(text: &str) -> bool {
    text.len() <= LONGEST
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@+".contains(&byte))
        && !text.ends_with(['/', ':', '@'])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(image: &str, restarted: Option<&str>) -> Value {
        let mut template = json!({"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": image}]}});
        if let Some(at) = restarted {
            template["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/restartedAt": at});
        }
        template
    }

    fn set(number: &str, template: &Value) -> WorkloadObject {
        let mut template = template.clone();
        template["metadata"]["labels"]["pod-template-hash"] = number.into();
        serde_json::from_value(json!({"metadata": {"name": number, "annotations": {
            REVISION: number}}, "spec": {"template": template}}))
        .unwrap()
    }

    fn images(now: &Value, sets: &[WorkloadObject]) -> Vec<String> {
        let kept = sets.iter().filter_map(of_set).collect();
        let all = in_order(now, kept);
        let images = all
            .iter()
            .map(|one| template::image(&one.template, &["web"]));
        images.map(str::to_owned).collect()
    }

    #[test]
    fn a_restart_is_no_version_to_go_back_to() {
        let now = template("web:3", Some("today"));
        let sets = [
            set("2", &template("web:2", None)),
            set("4", &now),
            set("3", &template("web:3", None)),
            set("1", &template("web:1", None)),
        ];
        assert_eq!(images(&now, &sets), ["web:3", "web:2", "web:1"]);
    }

    #[test]
    fn a_version_that_came_back_under_a_new_number_is_the_same() {
        let now = template("web:1", None);
        let sets = [set("3", &now), set("2", &template("web:2", None))];
        assert_eq!(images(&now, &sets), ["web:1", "web:2"]);
        let id = |number: &str| of_set(&set(number, &now)).unwrap().id;
        assert_eq!(id("1"), id("3"));
    }

    #[test]
    fn a_revision_of_a_stateful_set_is_read() {
        let mut data = template("db:1", None);
        data["$patch"] = "replace".into();
        let one = json!({"metadata": {"name": "db-1"}, "revision": 4,
                         "data": {"spec": {"template": data}}});
        let one = of_controller_revision(&serde_json::from_value(one).unwrap()).unwrap();
        assert_eq!(one.number, 4);
        assert_eq!(
            one.id,
            template::id(&template::bare(&template("db:1", None)))
        );
    }

    #[test]
    fn an_image_has_the_form_of_one() {
        for good in [
            "web",
            "ghcr.io/a/web:1.2",
            "web@sha256:0af1",
            "localhost:5000/x",
        ] {
            assert!(is_reference(good), "{good}");
        }
        for bad in ["", "-web", "web;rm", "web tag", "web:", &"x".repeat(500)] {
            assert!(!is_reference(bad), "{bad}");
        }
    }
}
