//! What the server is, and what it lets the bot do: asked before it is needed.

use futures_util::future::try_join_all;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, GetParams, PostParams};
use kube::client::Body;
use kube::core::Request;

use crate::rbac::Role;
use crate::{Kubernetes, Result};

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Such as `v1.31.2`.
    pub version: String,
    /// Its clock at the moment of the answer, to the second; `None`: it does not tell.
    pub clock: Option<Timestamp>,
}

/// A right that the bot takes and does not have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lack {
    /// Where.
    pub namespace: String,
    /// What it would do, such as `patch`.
    pub verb: &'static str,
    /// With what, as a Role names it: `deployments/scale`.
    pub resource: &'static str,
    /// The API group; empty for the core's.
    pub group: &'static str,
    /// With which object, where it is about one.
    pub name: Option<String>,
}

impl Kubernetes {
    /// Asks the server what it is.
    pub async fn about(&self) -> Result<About> {
        let server = &self.server;
        let call = async {
            let told = Request::new("").get("version", &GetParams::default());
            let request = told.map_err(|error| server.error(kube::Error::BuildRequest(error)))?;
            let client = server.client().await?;
            let answer = client.send(request.map(Body::from)).await;
            let answer = answer.map_err(|error| server.error(error))?;
            let clock = answer.headers().get("date");
            let clock = clock.and_then(|date| rfc2822::parse(date.to_str().ok()?).ok());
            // The answer itself is read by the client, with its errors.
            let version = client.apiserver_version().await;
            let version = version.map_err(|error| server.error(error))?;
            Ok(About {
                version: version.git_version,
                clock: clock.map(|date| date.timestamp()),
            })
        };
        server.call("its version", server.limit(), call).await
    }

    /// Which of these rights the bot does not have, by the server's own word
    /// (SelfSubjectAccessReview, which changes nothing).
    pub async fn lacking(&self, roles: &[Role]) -> Result<Vec<Lack>> {
        let mut wanted = Vec::new();
        for role in roles {
            for rule in &role.rules {
                let names: Vec<Option<&String>> = match rule.names.as_slice() {
                    [] => vec![None],
                    names => names.iter().map(Some).collect(),
                };
                for resource in &rule.resources {
                    for verb in &rule.verbs {
                        wanted.extend(names.iter().map(|name| Lack {
                            namespace: role.namespace.clone(),
                            verb,
                            resource,
                            group: rule.group,
                            name: name.cloned(),
                        }));
                    }
                }
            }
        }
        let asked = wanted.into_iter().map(|one| self.reviewed(one));
        let mut lacking: Vec<Lack> = try_join_all(asked).await?.into_iter().flatten().collect();
        lacking.sort();
        Ok(lacking)
    }

    /// The right itself where the server would refuse it.
    async fn reviewed(&self, right: Lack) -> Result<Option<Lack>> {
        let server = &self.server;
        let call = async {
            let (resource, sub) = match right.resource.split_once('/') {
                Some((resource, sub)) => (resource, Some(sub.to_owned())),
                None => (right.resource, None),
            };
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(ResourceAttributes {
                        namespace: Some(right.namespace.clone()),
                        verb: Some(right.verb.to_owned()),
                        group: Some(right.group.to_owned()),
                        resource: Some(resource.to_owned()),
                        subresource: sub,
                        name: right.name.clone(),
                        ..ResourceAttributes::default()
                    }),
                    ..SelfSubjectAccessReviewSpec::default()
                },
                ..SelfSubjectAccessReview::default()
            };
            let reviews = Api::<SelfSubjectAccessReview>::all(server.client().await?.clone());
            let answer = reviews.create(&PostParams::default(), &review).await;
            let answer = answer.map_err(|error| server.error(error))?;
            Ok(answer.status.is_some_and(|status| status.allowed))
        };
        let allowed = server.call("a question about rights", server.limit(), call);
        Ok((!allowed.await?).then_some(right))
    }
}
