//! The emulator against the conventions of the API: asked by a plain HTTP client and by kube.

mod objects;
mod watches;
mod workloads;

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Cluster, TOKEN};

/// A plain HTTP client of the cluster.
pub struct Raw<'a> {
    pub cluster: &'a Cluster,
    pub http: reqwest::Client,
}

impl<'a> Raw<'a> {
    pub fn new(cluster: &'a Cluster) -> Self {
        Self {
            cluster,
            http: reqwest::Client::new(),
        }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.cluster.url());
        self.http.request(method, url).bearer_auth(TOKEN)
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn send(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request(method, path).json(body)).await
    }

    /// A patch of a kind such as `merge-patch+json`.
    pub async fn patch(&self, path: &str, kind: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.request(Method::PATCH, path);
        let request = request.header("content-type", format!("application/{kind}"));
        answer(request.body(body.to_string())).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

/// Looks until there is something, for at most 20 s.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(20), looking).await;
    looked.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A client of kube for the cluster.
pub fn kube(cluster: &Cluster) -> kube::Client {
    let mut config = kube::Config::new(cluster.url().parse().unwrap());
    config.auth_info.token = Some(TOKEN.to_owned().into());
    kube::Client::try_from(config).unwrap()
}

/// A deployment `web` in the namespace `shop`.
pub fn web(replicas: u32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{
                    "name": "web", "image": image, "ports": [{"containerPort": 80}],
                    "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
                }]},
            },
        },
    })
}
