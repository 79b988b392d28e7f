//! The frontend as its clients see it: latency, errors, headers and the cache in front of it.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::container::Container;
use super::driver::Stack;
use super::metrics;
use super::role::Role;

/// No answer takes longer, real time: who asks is a person at a demo.
const SLOWEST: Duration = Duration::from_secs(3);
/// The 95th percentile is this many times what a request usually takes.
const USUAL: f64 = 0.5;
const PAGE: &str = "<!doctype html>\n<html lang=\"en\">\n<title>Treasury</title>\n<script src=\"/stack/site/assets/app.js\" defer></script>\n<h1>Treasury</h1>\n<p>Cash, payments and risk at a glance.</p>\n</html>\n";
const SCRIPT: &str = "document.documentElement.dataset.ready = 'yes';\n";
const ETAG: &str = "\"treasury-1.8.3\"";

const SECURITY: [(&str, &str); 4] = [
    // Plain http: Strict-Transport-Security would mean nothing.
    (
        "content-security-policy",
        "default-src 'self'; object-src 'none'; base-uri 'self'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
];

pub(super) fn routes() -> Router<Stack> {
    Router::new()
        .route("/stack/site/", get(page))
        .route("/stack/site/assets/app.js", get(script))
        .route("/stack/site/health", get(health))
}

async fn page(State(stack): State<Stack>) -> Response {
    if let Err(code) = pass(&stack).await {
        return failed(code);
    }
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    secured((headers, PAGE))
}

/// The cache in front answers without asking anybody; what it does not have takes the long way.
async fn script(State(stack): State<Stack>, asked: HeaderMap) -> Response {
    let hit = stack.with(|world| {
        let warmth = world.warmth();
        world.diagnostics.hits.takes(warmth)
    });
    let passed = if hit {
        serves(&stack)
    } else {
        pass(&stack).await
    };
    if let Err(code) = passed {
        return failed(code);
    }
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::ETAG, ETAG),
    ];
    let known = asked.get(header::IF_NONE_MATCH);
    let mut response = if known.is_some_and(|etag| etag == ETAG) {
        secured((StatusCode::NOT_MODIFIED, headers))
    } else {
        secured((headers, SCRIPT))
    };
    let word = HeaderValue::from_static(if hit { "HIT" } else { "MISS" });
    response.headers_mut().insert("x-cache-status", word);
    response
}

/// Errors of the api do not show here: it only says that the frontend is there.
async fn health(State(stack): State<Stack>) -> Response {
    match serves(&stack) {
        Err(code) => failed(code),
        Ok(()) => {
            let headers = [
                (header::CONTENT_TYPE, "application/json"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            secured((headers, "{\"status\":\"ok\"}\n"))
        }
    }
}

/// What stands before the frontend finds a replica, or answers itself.
fn serves(stack: &Stack) -> Result<(), StatusCode> {
    if stack.world().of(Role::Frontend).any(Container::serves) {
        Ok(())
    } else {
        Err(StatusCode::BAD_GATEWAY)
    }
}

/// Takes as long as a request takes now, and fails as often.
async fn pass(stack: &Stack) -> Result<(), StatusCode> {
    serves(stack)?;
    let (takes, fails) = stack.with(|world| {
        let figures = metrics::figures(world, Role::Frontend);
        let fails = world.diagnostics.failures.takes(figures.errors);
        let code = fails.then(|| metrics::failure(world, Role::Frontend));
        (figures.p95 * USUAL / 1_000.0, code)
    });
    let takes = Duration::try_from_secs_f64(takes).unwrap_or(SLOWEST);
    tokio::time::sleep(takes.min(SLOWEST)).await;
    match fails {
        None => Ok(()),
        Some(code) => Err(StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY)),
    }
}

fn failed(code: StatusCode) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    secured((code, headers, format!("<h1>{code}</h1>\n")))
}

fn secured(response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    for (name, value) in SECURITY {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::super::stories::{restart, stack};
    use super::super::{Fault, router};
    use super::*;
    use treasury_probes::web::{CacheVerdict, Config, Web};

    /// Serves the stack; its address without scheme.
    async fn serve(stack: &Stack) -> String {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let app = router(stack.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }

    /// How many of so many requests are answered with 5xx.
    async fn failing(address: &str, path: &str, of: usize) -> usize {
        let mut failed = 0;
        for _ in 0..of {
            let answer = reqwest::get(format!("http://{address}/stack/site/{path}")).await;
            failed += usize::from(answer.unwrap().status().is_server_error());
        }
        failed
    }

    #[tokio::test]
    async fn a_client_sees_the_errors_of_the_api_while_the_health_page_is_well() {
        let stack = stack();
        let address = serve(&stack).await;
        assert_eq!(failing(&address, "", 12).await, 0);
        stack.put_in(Fault::ApiErrors, None).unwrap();
        stack.advance(Duration::from_mins(1));
        let failed = failing(&address, "", 12).await;
        assert!(
            (2..=4).contains(&failed),
            "a quarter passes through: {failed}"
        );
        assert_eq!(failing(&address, "health", 12).await, 0);
        restart(&stack, Role::Api).await.unwrap();
        stack.advance(Duration::from_mins(1));
        assert_eq!(failing(&address, "", 12).await, 0);
    }

    #[tokio::test]
    async fn without_a_frontend_there_is_a_502_and_a_slow_database_is_felt() {
        let stack = stack();
        let address = serve(&stack).await;
        let url = format!("http://{address}/stack/site/");
        let took = async || {
            let began = tokio::time::Instant::now();
            assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
            began.elapsed()
        };
        stack.put_in(Fault::SlowDatabase, None).unwrap();
        stack.advance(Duration::from_mins(1));
        let slow = took().await;
        assert!(slow > Duration::from_millis(700), "{slow:?}");
        stack.take_out(Fault::SlowDatabase);

        stack.put_in(Fault::CrashLoop, Some("frontend")).unwrap();
        stack.advance(Duration::from_mins(1));
        for _ in 0..100 {
            if serves(&stack).is_ok() {
                stack.advance(Duration::from_millis(500));
            }
        }
        for path in ["", "health", "assets/app.js"] {
            let answer = reqwest::get(format!("{url}{path}")).await.unwrap();
            assert_eq!(answer.status(), 502, "{path}");
        }
    }

    #[tokio::test]
    async fn our_own_check_finds_the_headers_and_the_cache() {
        let stack = stack();
        let address = serve(&stack).await;
        let web = Web::new(Config {
            hosts: vec![address.clone()],
            ..Config::default()
        });
        let web = web.unwrap();
        let page = web.check(&format!("http://{address}/stack/site/")).await;
        let told = format!("{page:?}");
        assert!(
            told.contains("nosniff") && told.contains("frame-ancestors"),
            "{told}"
        );
        let script = format!("http://{address}/stack/site/assets/app.js");
        let mut verdicts = Vec::new();
        for _ in 0..3 {
            verdicts.push(web.check(&script).await.unwrap().cache.verdict);
        }
        assert!(verdicts.contains(&CacheVerdict::Hit), "{verdicts:?}");
        stack.put_in(Fault::CacheDown, None).unwrap();
        stack.advance(Duration::from_mins(1));
        let answer = reqwest::get(&script).await.unwrap();
        assert_eq!(answer.headers()["x-cache-status"], "MISS");
        let etag = answer.headers()["etag"].clone();
        let again = reqwest::Client::new()
            .get(&script)
            .header("if-none-match", etag);
        assert_eq!(again.send().await.unwrap().status(), 304);
    }
}
