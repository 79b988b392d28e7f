//! The sandbox's chat page: static files over the sandbox's JSON endpoints and its event stream.

use std::sync::{Arc, OnceLock};

use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::slack::Sandbox;

/// What the page tells of the bot behind it. A bot has its address only once it runs, and needs the
/// sandbox for that: so this is told afterwards, once.
#[derive(Debug, Clone, Default)]
pub struct About(Arc<OnceLock<BotFacts>>);

/// The bot behind the page.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BotFacts {
    /// Its commands: usage and purpose.
    pub commands: Vec<(String, String)>,
    /// How alerts reach it.
    pub alerts: Option<Alerts>,
}

/// How alerts reach the bot.
#[derive(Debug, Clone, Serialize)]
pub struct Alerts {
    /// What the sender proves itself with.
    pub token: String,
    /// A line for a terminal that sends one.
    pub line: String,
}

impl About {
    /// Tells it; what is told first counts.
    pub fn tell(&self, told: BotFacts) {
        let _ = self.0.set(told);
    }
}

/// The page's files: path, media type, content.
const FILES: [(&str, &str, &str); 7] = [
    ("/", "text/html; charset=utf-8", include_str!("page.html")),
    (
        "/page.css",
        "text/css; charset=utf-8",
        include_str!("page.css"),
    ),
    (
        "/app.js",
        "text/javascript; charset=utf-8",
        include_str!("app.js"),
    ),
    (
        "/feed.js",
        "text/javascript; charset=utf-8",
        include_str!("feed.js"),
    ),
    (
        "/blocks.js",
        "text/javascript; charset=utf-8",
        include_str!("blocks.js"),
    ),
    (
        "/mrkdwn.js",
        "text/javascript; charset=utf-8",
        include_str!("mrkdwn.js"),
    ),
    (
        "/panel.js",
        "text/javascript; charset=utf-8",
        include_str!("panel.js"),
    ),
];

/// Nothing but this origin's own files; no inline script, no frame around it.
const POLICY: &str =
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";

/// The page, for [`Sandbox::start_with`]. It reads everything from the sandbox's own endpoints.
pub fn router(_: &Sandbox, about: &About) -> Router {
    let about = about.clone();
    let told = || async move { Json(about.0.get().cloned().unwrap_or_default()) };
    FILES.into_iter().fold(
        Router::new().route("/about.json", get(told)),
        |router, (path, kind, content)| {
            router.route(
                path,
                get(move || async move {
                    let headers = [
                        (header::CONTENT_TYPE, kind),
                        (header::CONTENT_SECURITY_POLICY, POLICY),
                        (header::CACHE_CONTROL, "no-store"),
                        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                    ];
                    (headers, content).into_response()
                }),
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slack::SandboxConfig;

    #[tokio::test]
    async fn every_file_is_served_with_its_type_and_the_policy() {
        let config = SandboxConfig::default();
        let sandbox = Sandbox::start_with(config, |one| router(one, &About::default()))
            .await
            .unwrap();
        for (path, kind, content) in FILES {
            let url = format!("http://{}{path}", sandbox.addr());
            let answer = reqwest::get(url).await.unwrap();
            assert_eq!(answer.headers()["content-type"], kind, "{path}");
            assert_eq!(answer.headers()["content-security-policy"], POLICY);
            assert_eq!(answer.text().await.unwrap(), content);
        }
        sandbox.stop();
    }

    #[test]
    fn nothing_comes_from_outside_and_no_text_becomes_markup() {
        for (path, _, content) in FILES {
            assert!(!content.contains("://"), "{path} names an address");
            assert!(
                !content.contains("innerHTML"),
                "{path} makes markup of text"
            );
            assert!(
                !content.contains(" onclick="),
                "{path} has an inline handler"
            );
        }
    }

    #[test]
    fn what_a_test_in_a_browser_looks_for_is_there() {
        let all: String = FILES.iter().map(|(_, _, content)| *content).collect();
        let ids = [
            "composer",
            "send",
            "message",
            "button",
            "person-switch",
            "channel",
            "modal",
            "fault",
        ];
        for id in ids {
            assert!(
                all.contains(&format!("testid=\"{id}\""))
                    || all.contains(&format!("testid: \"{id}\"")),
                "{id}"
            );
        }
    }
}
