//! Keeps other sites' pages out: a browser will send requests to loopback for anybody.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Refuses a `Host` that isn't this machine (DNS rebinding) and an `Origin` that isn't this host
/// (a foreign page's form or fetch).
pub(super) async fn loopback_only(request: Request, next: Next) -> Response {
    match refusal(request.method(), request.headers()) {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    }
}

fn refusal(method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|v: &axum::http::HeaderValue| v.to_str().ok())
    };
    let host = text(header::HOST).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    if !["127.0.0.1", "localhost", "[::1]"].contains(&name) {
        return Some("the sandbox answers to 127.0.0.1, localhost and [::1] only");
    }
    // A WebSocket is opened by GET and is not held back by the browser's same-origin policy.
    let reads =
        [Method::GET, Method::HEAD].contains(method) && !headers.contains_key(header::UPGRADE);
    if !reads && headers.contains_key(header::ORIGIN) {
        let origin = text(header::ORIGIN).unwrap_or_default();
        if origin.strip_prefix("http://") != Some(host) {
            return Some("a page of another origin may not do that");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &Method, pairs: &[(header::HeaderName, &str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(k, v)| (k.clone(), v.parse().unwrap()))
            .collect();
        refusal(method, &headers).is_some()
    }

    #[test]
    fn only_this_machines_names_are_answered_to() {
        for host in [
            "127.0.0.1:8080",
            "localhost",
            "localhost:1",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(!refused(&Method::GET, &[(header::HOST, host)]), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:80",
            "localhost:x",
            "10.0.0.1:80",
            "",
        ] {
            assert!(refused(&Method::GET, &[(header::HOST, host)]), "{host}");
        }
        assert!(refused(&Method::GET, &[]));
    }

    #[test]
    fn foreign_pages_may_not_post() {
        let host = (header::HOST, "127.0.0.1:8080");
        let with = |origin| [host.clone(), (header::ORIGIN, origin)];
        assert!(!refused(&Method::POST, std::slice::from_ref(&host)));
        assert!(!refused(&Method::POST, &with("http://127.0.0.1:8080")));
        assert!(refused(&Method::POST, &with("http://127.0.0.1:9999")));
        assert!(refused(&Method::POST, &with("https://evil.example")));
        assert!(refused(&Method::POST, &with("null")));
        let socket = [
            host.clone(),
            (header::ORIGIN, "null"),
            (header::UPGRADE, "websocket"),
        ];
        assert!(refused(&Method::GET, &socket));
    }
}
