//! Requests for the objects of one kind in one namespace.

use std::sync::Arc;

use futures_util::io::AsyncBufRead;
use futures_util::stream::Stream;
use hyper::http;
use kube::api::{GetParams, ListParams, LogParams, PatchParams, WatchParams};
use kube::core::request::Error as BuildError;
use kube::core::{Request, Selector, WatchEvent};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::MANAGER;
use crate::server::ApiServer;
use crate::{Kind, Result, code_of};
use treasury_ports::platform::PlatformError;

/// Objects of one answer of a list.
const PAGE: u32 = 500;

/// What the client makes of the wish for a request.
type Built = Result<http::Request<Vec<u8>>, BuildError>;

/// The objects of one kind in one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    server: Arc<ApiServer>,
    kind: Kind,
    /// Builds requests; [`Self::send`] sends them.
    pub(crate) request: Request,
}

/// One page of a list.
#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMetadata {
    r#continue: String,
    resource_version: String,
}

impl Resource {
    pub(crate) fn new(server: &Arc<ApiServer>, namespace: &str, kind: Kind) -> Self {
        let (group, plural) = (kind.group, kind.plural);
        Self {
            server: server.clone(),
            kind,
            request: Request::new(format!("/{group}/namespaces/{namespace}/{plural}")),
        }
    }

    /// What an error of the client means for the operator.
    pub(crate) fn error(&self, error: kube::Error) -> PlatformError {
        self.server.error(error)
    }

    /// Where the objects are.
    pub(crate) fn path(&self) -> &str {
        &self.request.url_path
    }

    /// Sends one request with the usual time limit and reads its answer; `what` names it in the
    /// error.
    pub(crate) async fn send<T: DeserializeOwned>(&self, what: &str, request: Built) -> Result<T> {
        let text = self.send_for_text(what, request).await?;
        serde_json::from_str(&text).map_err(|error| self.error(kube::Error::SerdeError(error)))
    }

    async fn send_for_text(&self, what: &str, request: Built) -> Result<String> {
        let call = async {
            let request = self.built(request)?;
            let client = self.server.client().await?;
            let answer = client.request_text(request).await;
            answer.map_err(|error| self.error(error))
        };
        self.server.call(what, self.server.limit(), call).await
    }

    fn built(&self, request: Built) -> Result<http::Request<Vec<u8>>> {
        request.map_err(|error| self.error(kube::Error::BuildRequest(error)))
    }

    /// Asks for one object.
    pub(crate) async fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let request = self.request.get(name, &GetParams::default());
        self.send(&format!("reading {name}"), request).await
    }

    /// Asks whether there is such a kind, and whether it may be listed.
    pub(crate) async fn probe(&self) -> Result<()> {
        let request = self.request.list(&ListParams::default().limit(1));
        self.send_for_text(self.kind.all, request).await.map(drop)
    }

    /// Asks for all objects, or for those that `selector` finds.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        selector: Option<&Selector>,
    ) -> Result<Vec<T>> {
        Ok(self.list_with_version(selector).await?.0)
    }

    /// All objects, page by page, and the version from which a watch goes on.
    pub(crate) async fn list_with_version<T: DeserializeOwned>(
        &self,
        selector: Option<&Selector>,
    ) -> Result<(Vec<T>, String)> {
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector = selector.map(Selector::to_string);
        let mut found: Vec<T> = Vec::new();
        let mut again = true;
        loop {
            let page: Page<T> = match self.send(self.kind.all, self.request.list(&params)).await {
                Ok(page) => page,
                // The place in the list is no longer known (410): once more from its beginning.
                Err(error)
                    if again && params.continue_token.is_some() && code_of(&error) == Some(410) =>
                {
                    again = false;
                    params.continue_token = None;
                    found.clear();
                    continue;
                }
                Err(error) => return Err(error),
            };
            found.extend(page.items.into_iter().flatten());
            if page.metadata.r#continue.is_empty() {
                return Ok((found, page.metadata.resource_version));
            }
            params.continue_token = Some(page.metadata.r#continue);
        }
    }

    /// What happens to the objects after `version`, for `seconds` at most.
    pub(crate) async fn watch<T: Clone + DeserializeOwned>(
        &self,
        version: &str,
        seconds: u32,
    ) -> Result<impl Stream<Item = Result<WatchEvent<T>, kube::Error>> + use<T>> {
        let params = WatchParams::default().timeout(seconds);
        let request = self.built(self.request.watch(&params, version))?;
        let events = self.server.client().await?.request_events(request).await;
        events.map_err(|error| self.error(error))
    }

    /// The log of a pod.
    pub(crate) async fn log(
        &self,
        pod: &str,
        params: &LogParams,
    ) -> Result<impl AsyncBufRead + use<>> {
        let request = self.built(self.request.logs(pod, params))?;
        let stream = self.server.client().await?.request_stream(request).await;
        stream.map_err(|error| self.error(error))
    }
}

/// By whom a patch is.
pub(crate) fn patch_params() -> PatchParams {
    PatchParams::apply(MANAGER)
}
