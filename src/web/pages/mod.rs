//! The incident pages for people: `/incidents`, an incident, its exports.
//!
//! They only read, and need nothing but the store: with Slack down they are the way out. Who comes by
//! a one-time link gets a session in a cookie; each page asks the bot anew what they may. No script
//! at all, nothing from another place; everything written by people is escaped by maud.

mod html;
mod incident;
mod list;
mod sign_in;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Form, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::Markup;
use serde::Deserialize;

use crate::bot::Bot;
use crate::bot::pages::{NoEntry, SESSION_FOR, Visitor};
use crate::domain::IncidentId;
use crate::store::StoreError;
use crate::telemetry::metrics::PAGES_REFUSED;

/// A form of ours has one field.
const MAX_BODY: usize = 1_024;
/// The cookie of a browser at the door.
const DOOR: &str = "treasury-bot-door";
/// How long a request may take, its body included.
const WITHIN: Duration = Duration::from_secs(10);

/// What the routes work on.
#[derive(Clone)]
struct Pages {
    bot: Bot,
    /// People come by https: the cookie is sent no other way.
    is_https: bool,
}

/// The routes. `is_https`: how people reach them, whatever a proxy makes of it.
pub fn pages_router(bot: Bot, is_https: bool) -> Router {
    Router::new()
        .route("/incidents", get(list))
        .route("/incidents/", get(list))
        .route("/incidents/{id}", get(incident))
        .route("/incidents/{id}/{file}", get(export))
        .route("/incidents/link/{token}", get(door).post(enter))
        .route(
            "/incidents/ack/{token}",
            get(ask_to_acknowledge).post(acknowledge),
        )
        .route("/incidents/sign-out", post(sign_out))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(guard))
        .with_state(Pages { bot, is_https })
}

/// Around every page: a limit of time, and what browsers are told to keep to.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            html::plain("That took too long", "The store is slow, or the way to it."),
        )
            .into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        // Nothing is kept: neither on a shared machine nor in a proxy.
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A link's token is in the address of its page.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-robots-tag", "noindex, nofollow"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(html::policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A page that is not shown, and why.
enum No {
    /// The requester is not let in.
    Entry(NoEntry),
    /// There is no such page.
    NotFound,
}

impl From<NoEntry> for No {
    fn from(error: NoEntry) -> Self {
        Self::Entry(error)
    }
}

impl From<StoreError> for No {
    fn from(error: StoreError) -> Self {
        Self::Entry(error.into())
    }
}

impl Pages {
    /// The slash command, for what pages tell people to type.
    fn command(&self) -> &str {
        self.bot.command()
    }

    fn cookie_name(&self) -> &'static str {
        if self.is_https {
            // Browsers take it from this very host by https only.
            "__Host-treasury-bot"
        } else {
            "treasury-bot"
        }
    }

    /// The session's token, if the browser sent one.
    fn session(&self, headers: &HeaderMap) -> Option<String> {
        sent(headers, self.cookie_name())
    }

    /// Lax, not strict: a link to an incident in a chat or mail is to find who is signed in. Pages
    /// that are fetched change nothing.
    fn cookie(&self, token: &str, seconds: u64) -> String {
        let secure = if self.is_https { "; Secure" } else { "" };
        format!(
            "{}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}",
            self.cookie_name()
        )
    }

    /// Tells a browser from others while it is at the door, so that it may press twice.
    fn door_cookie(&self) -> String {
        let secure = if self.is_https { "; Secure" } else { "" };
        let token = crate::bot::pages::token();
        format!("{DOOR}={token}; Path=/incidents/link; Max-Age=600; HttpOnly; SameSite=Lax{secure}")
    }

    async fn visitor(&self, headers: &HeaderMap) -> Result<Visitor, NoEntry> {
        let token = self.session(headers).ok_or(NoEntry::SignedOut)?;
        crate::bot::visitor(&self.bot, &token).await
    }

    /// The page of a notification's link, or the one that says why it does nothing any more.
    async fn acknowledged(&self, page: Result<Response, NoEntry>, token: &str) -> Response {
        let no = match page {
            Err(no @ (NoEntry::Used | NoEntry::Expired)) => no,
            other => return self.answer(other.map_err(No::from), None),
        };
        // Without it the page says less.
        let answer = crate::bot::ack_answer(&self.bot, token)
            .await
            .ok()
            .flatten();
        (
            StatusCode::GONE,
            sign_in::no_acknowledgement(&no, answer.as_ref(), self.command()),
        )
            .into_response()
    }

    /// The page, or the one that says why not.
    fn answer(&self, page: Result<Response, No>, wanted: Option<IncidentId>) -> Response {
        let (status, why, page) = match page {
            Ok(response) => return response,
            Err(No::NotFound) => (
                StatusCode::NOT_FOUND,
                "not_found",
                html::plain(
                    "There is no such page",
                    "Perhaps the incident's number is another.",
                ),
            ),
            Err(No::Entry(NoEntry::Store(error))) => {
                tracing::error!(%error, "a page could not be made");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store",
                    html::plain("The store does not answer", "Try again in a moment."),
                )
            }
            Err(No::Entry(no)) => {
                let (status, why) = match no {
                    NoEntry::SignedOut => (StatusCode::UNAUTHORIZED, "signed_out"),
                    NoEntry::NoLink => (StatusCode::NOT_FOUND, "no_link"),
                    NoEntry::Used => (StatusCode::GONE, "used"),
                    NoEntry::Expired => (StatusCode::GONE, "expired"),
                    NoEntry::NotAllowed(_) => (StatusCode::FORBIDDEN, "not_allowed"),
                    NoEntry::Forged | NoEntry::Store(_) => (StatusCode::FORBIDDEN, "forged"),
                };
                (status, why, sign_in::refused(&no, self.command(), wanted))
            }
        };
        PAGES_REFUSED.count(&[why]);
        (status, page).into_response()
    }
}

/// The value of a cookie, if the browser sent it.
fn sent(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned())
}

fn shown(page: Markup) -> Response {
    page.into_response()
}

/// What the list is asked for.
#[derive(Debug, Default, Deserialize)]
struct ListQuery {
    /// `all`: those that are over as well.
    show: Option<String>,
    /// From 1.
    page: Option<u32>,
    refresh: Option<String>,
}

async fn list(
    State(pages): State<Pages>,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let made = async {
        let visitor = pages.visitor(&headers).await?;
        let asked = list::ListQuery {
            all: query.show.as_deref() == Some("all"),
            page: query.page.unwrap_or(1).clamp(1, 10_000),
            refresh: query.refresh.as_deref() != Some("off"),
        };
        let (listed, more) =
            crate::bot::page_of_incidents(&pages.bot, !asked.all, asked.page - 1).await?;
        let now = jiff::Timestamp::now();
        let page = list::page(&asked, &listed, more, now, &visitor, pages.command());
        Ok(shown(page))
    };
    pages.answer(made.await, None)
}

/// What an incident's page is asked for.
#[derive(Debug, Default, Deserialize)]
struct IncidentQuery {
    /// Only entries before this one.
    before: Option<i64>,
    refresh: Option<String>,
}

async fn incident(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Path(id): Path<String>,
    query: Result<Query<IncidentQuery>, QueryRejection>,
) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let id = IncidentId::parse(&id);
    let made = async {
        // First who asks: what there is, is only told to who may know.
        let visitor = pages.visitor(&headers).await?;
        let id = id.ok_or(No::NotFound)?;
        let view = crate::bot::page_of_incident(&pages.bot, id, query.before).await?;
        let view = view.ok_or(No::NotFound)?;
        let asked = incident::IncidentQuery {
            before: query.before,
            refresh: query.refresh.as_deref() != Some("off"),
        };
        Ok(shown(incident::page(
            &asked,
            &view,
            &visitor,
            pages.command(),
        )))
    };
    pages.answer(made.await, id)
}

async fn export(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Path((id, file)): Path<(String, String)>,
) -> Response {
    let id = IncidentId::parse(&id);
    let made = async {
        let visitor = pages.visitor(&headers).await?;
        let extension = file.strip_prefix("export.").ok_or(No::NotFound)?;
        let id = id.ok_or(No::NotFound)?;
        let file = crate::bot::page_export(&pages.bot, &visitor, id, extension).await?;
        let file = file.ok_or(No::NotFound)?;
        // The name is made of the number, the day and the ending.
        let disposition = format!("attachment; filename=\"{}\"", file.name);
        Ok((
            [
                (header::CONTENT_TYPE, file.media_type.to_owned()),
                (header::CONTENT_DISPOSITION, disposition),
            ],
            Body::from_stream(file.pieces),
        )
            .into_response())
    };
    pages.answer(made.await, id)
}

/// The page of a link. Whoever only looks (a chat's preview, a mail's scanner, a browser that is
/// ahead of its person) does not use it up: that takes the button.
async fn door(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Response {
    let made = async {
        let incident = match crate::bot::page_link(&pages.bot, &token).await {
            // Who comes back by the same link and is signed in wants to go on.
            Err(NoEntry::Used | NoEntry::Expired) if pages.visitor(&headers).await.is_ok() => {
                return Ok(Redirect::to("/incidents").into_response());
            }
            other => other?,
        };
        let page = sign_in::door(&token, incident);
        Ok(match sent(&headers, DOOR) {
            Some(_) => shown(page),
            None => ([(header::SET_COOKIE, pages.door_cookie())], page).into_response(),
        })
    };
    pages.answer(made.await, None)
}

async fn enter(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Response {
    let made = async {
        from_here(&headers)?;
        let former = pages.session(&headers);
        let browser = sent(&headers, DOOR);
        let bot = &pages.bot;
        let entered = crate::bot::enter(bot, &token, browser.as_deref(), former.as_deref()).await?;
        let to = match entered.incident {
            Some(id) => format!("/incidents/{id}"),
            None => "/incidents".to_owned(),
        };
        let cookie = pages.cookie(&entered.token, SESSION_FOR.as_secs());
        Ok((
            StatusCode::SEE_OTHER,
            [(header::LOCATION, to), (header::SET_COOKIE, cookie)],
        )
            .into_response())
    };
    pages.answer(made.await, None)
}

/// The page of a notification's link: a button, and nothing that whoever only looks could bring about.
async fn ask_to_acknowledge(State(pages): State<Pages>, Path(token): Path<String>) -> Response {
    let sentence = crate::bot::ack_link(&pages.bot, &token).await;
    let made = sentence.map(|sentence| shown(sign_in::acknowledge(&token, &sentence)));
    pages.acknowledged(made, &token).await
}

async fn acknowledge(
    State(pages): State<Pages>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Response {
    let made = async {
        from_here(&headers)?;
        let answer = crate::bot::acknowledge(&pages.bot, &token).await?;
        Ok(shown(sign_in::acknowledged(answer.as_ref())))
    };
    pages.acknowledged(made.await, &token).await
}

/// Browsers that say so tell truly whether a form was ours. (With `no-referrer` the header `Origin`
/// is always `null`, so it can't be asked.)
fn from_here(headers: &HeaderMap) -> Result<(), NoEntry> {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(NoEntry::Forged),
    }
}

#[derive(Deserialize)]
struct SignOut {
    check: String,
}

async fn sign_out(
    State(pages): State<Pages>,
    headers: HeaderMap,
    form: Result<Form<SignOut>, FormRejection>,
) -> Response {
    let made = async {
        from_here(&headers)?;
        let token = pages.session(&headers).ok_or(NoEntry::SignedOut)?;
        let Form(form) = form.map_err(|_| NoEntry::Forged)?;
        crate::bot::leave(&pages.bot, &token, &form.check).await?;
        let gone = [(header::SET_COOKIE, pages.cookie("", 0))];
        Ok((gone, sign_in::signed_out(pages.command())).into_response())
    };
    pages.answer(made.await, None)
}
