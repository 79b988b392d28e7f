//! Who the bot is at Slack, and what its token may do: `auth.test`, whose answer tells the token's
//! scopes in the header `x-oauth-scopes` (<https://docs.slack.dev/authentication/installing-with-oauth>).
//! The client of slack-morphism gives no headers out, so this one call is made without it.

use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::header::AUTHORIZATION;
use serde_json::Value;

use super::client::Client;
use super::error::{ApiError, from_code};
use super::scopes::Method;

/// The largest answer that is read, bytes.
const MOST: usize = 64 << 10;

/// Who the bot is, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The bot's own user id.
    pub user_id: String,
    /// Its name, as people mention it.
    pub user: String,
    /// The workspace's name.
    pub team: String,
    /// The workspace's address.
    pub url: String,
    /// The scopes of the token; `None` where the answer does not tell.
    pub scopes: Option<Vec<String>>,
}

/// The header of an answer that tells the token's scopes.
pub const SCOPES: &str = "x-oauth-scopes";

/// The scopes that this header lists.
pub fn scopes(header: &str) -> Vec<String> {
    let listed = header.split(',').map(str::trim);
    let listed = listed.filter(|scope| !scope.is_empty());
    listed.map(str::to_owned).collect()
}

impl Client {
    /// Asks Slack who the bot is and what its token may do.
    pub async fn granted(&self) -> Result<Granted, ApiError> {
        self.timely(self.ask_granted()).await
    }

    async fn ask_granted(&self) -> Result<Granted, ApiError> {
        let token = &self.bot.token_value.0;
        let request = Request::post(format!("{}/{}", self.base, Method::AuthTest))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(String::new())
            .map_err(|error| ApiError::transient(error.to_string(), false))?;
        let answer = self.send(request).await?;
        let header = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
        let scopes = header(SCOPES).map(|listed| scopes(&listed));
        let body = Limited::new(answer.into_body(), MOST).collect().await;
        let unreadable = || ApiError::transient("unreadable answer", true);
        let body = body.map_err(|_| unreadable())?.to_bytes();
        let body: Value = serde_json::from_slice(&body).map_err(|_| unreadable())?;
        if body["ok"] != true {
            return Err(from_code(body["error"].as_str().unwrap_or("no word why")));
        }
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        Ok(Granted {
            user_id: text("user_id"),
            user: text("user"),
            team: text("team"),
            url: text("url"),
            scopes,
        })
    }
}
