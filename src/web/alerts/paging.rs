//! The shapes of those that send to PagerDuty or Opsgenie: who leaves them changes an address.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::Outcome;
use super::token::{Token, allowed, shown};
use super::{Intake, Sent, Source, unread};
use crate::domain::alert::generic::{Shape, dedup_key, digest};

/// PagerDuty's Events API v2.
///
/// <https://developer.pagerduty.com/docs/events-api-v2-overview/>
pub(super) async fn pagerduty(
    State(intake): State<Intake>,
    headers: HeaderMap,
    body: Sent,
) -> Response {
    intake.pagerduty(None, &headers, body).await
}

/// A new alert by Opsgenie's Alert API.
///
/// <https://docs.opsgenie.com/docs/alert-api>
pub(super) async fn opsgenie(
    State(intake): State<Intake>,
    headers: HeaderMap,
    body: Sent,
) -> Response {
    intake.opsgenie(&headers, body, "create", None).await
}

/// `POST …/v2/alerts/{alias}/close`, `…/acknowledge` and so on, or `DELETE …/v2/alerts/{alias}`.
pub(super) async fn opsgenie_about(
    State(intake): State<Intake>,
    method: Method,
    Path(rest): Path<String>,
    headers: HeaderMap,
    body: Sent,
) -> Response {
    // An alias may have slashes; the last part is the action.
    let (alias, action) = match rest.rsplit_once('/') {
        Some(both) if method != Method::DELETE => both,
        _ if method == Method::DELETE => (rest.as_str(), "delete"),
        _ => (rest.as_str(), "look"),
    };
    intake.opsgenie(&headers, body, action, Some(alias)).await
}

impl Intake {
    /// An event for this source, or for the one whose token is its `routing_key`.
    pub(super) async fn pagerduty(
        &self,
        source: Option<&Source>,
        headers: &HeaderMap,
        body: Sent,
    ) -> Response {
        let shape = Shape::PagerDuty;
        let body = match body {
            Ok(body) => body,
            Err(error) => return unread(&error).answer(shape, ""),
        };
        let event = super::json(&body);
        let key = event["routing_key"].as_str().map(str::to_owned);
        let key = key.or_else(|| shown(headers));
        let source = match self.let_in(shape, source, key.as_deref(), headers) {
            Ok(source) => source,
            Err(outcome) => return outcome.answer(shape, ""),
        };
        let key = dedup_key(&event);
        self.read(source, &body, None).await.answer(shape, &key)
    }

    /// What is to be done with an alert of the source whose token is the `GenieKey`.
    async fn opsgenie(
        &self,
        headers: &HeaderMap,
        body: Sent,
        action: &str,
        alias: Option<&str>,
    ) -> Response {
        let shape = Shape::Opsgenie;
        let body = match body {
            Ok(body) => body,
            Err(error) => return unread(&error).answer(shape, ""),
        };
        let source = match self.let_in(shape, None, shown(headers).as_deref(), headers) {
            Ok(source) => source,
            Err(outcome) => return outcome.answer(shape, ""),
        };
        let mut request = super::json(&body);
        if !request.is_object() {
            if action == "create" {
                let told = "a JSON object is expected".to_owned();
                return Outcome::Malformed(told).answer(shape, "");
            }
            request = json!({});
        }
        let given = alias.or_else(|| request["alias"].as_str().filter(|alias| !alias.is_empty()));
        let alias = given.map_or_else(
            || digest(["message", "entity", "source"].map(|key| &request[key])),
            str::to_owned,
        );
        request["action"] = Value::from(action);
        request["alias"] = Value::from(alias.as_str());
        let body = request.to_string();
        let outcome = self.read(source, body.as_bytes(), None).await;
        outcome.answer(shape, &alias)
    }

    /// The source that this key belongs to: the one that is named, else any of this shape.
    fn let_in<'a>(
        &'a self,
        shape: Shape,
        named: Option<&'a Source>,
        key: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<&'a Source, Outcome> {
        let of_shape = self
            .sources
            .iter()
            .filter(|one| one.of.mapping.shape == shape);
        let candidates: Vec<&Source> = named.map_or_else(|| of_shape.collect(), |one| vec![one]);
        let Some(first) = candidates.first() else {
            let told = "there is no [[source]] with this preset in the configuration";
            return Err(self.no_source(headers, told.to_owned()));
        };
        let is_its = |token: Option<&Token>| allowed(token, key).is_ok();
        let found = candidates.iter().find(|one| is_its(one.token.as_ref()));
        found.copied().ok_or_else(|| {
            let why = allowed(first.token.as_ref(), key).err().unwrap_or_default();
            Outcome::NotAllowed(why.to_owned())
        })
    }
}
