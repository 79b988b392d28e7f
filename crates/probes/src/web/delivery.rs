//! How an answer was delivered: from a cache or not, compressed or not, elsewhere. Pure.

use hyper::HeaderMap;

use super::answer::{CacheInfo, CacheVerdict};
use super::headers::{VALUE_CHARS, printable, value};

/// A body below this is not worth compressing, bytes.
const COMPRESS_BYTES: u64 = 1_024;

/// Headers about caches that are told as they are.
const CACHE_HEADERS: [&str; 8] = [
    "Age",
    "X-Cache",
    "X-Cache-Status",
    "CF-Cache-Status",
    "Cache-Status",
    "X-Served-By",
    "Via",
    "X-Amz-Cf-Pop",
];

/// Headers that say in a word whether a cache answered, the most exact first.
const WORDS: [&str; 6] = [
    "CF-Cache-Status",
    "Cache-Status",
    "X-Cache-Status",
    "X-Cache",
    "X-Proxy-Cache",
    "X-Vercel-Cache",
];

/// What the headers tell of a cache on the way.
pub(super) fn cache(headers: &HeaderMap) -> CacheInfo {
    let age_s = value(headers, "age").and_then(|age| age.trim().parse().ok());
    let cache_control = value(headers, "cache-control").map(|value| printable(&value, VALUE_CHARS));
    let by_word = WORDS.iter().find_map(|name| {
        let value = value(headers, name)?;
        let verdict = match *name {
            "Cache-Status" => cache_status(&value),
            // Here it is a word of its own: Cloudflare answered without its cache.
            "CF-Cache-Status" if value.eq_ignore_ascii_case("UNKNOWN") => {
                Some(CacheVerdict::Bypass)
            }
            _ => cache_word(&value),
        };
        Some((verdict?, *name))
    });
    let control = cache_control.as_deref().unwrap_or_default();
    let kept_from_caches = control.split(',').any(|word| {
        let word = word.trim();
        word.eq_ignore_ascii_case("no-store") || word.eq_ignore_ascii_case("private")
    });
    let (verdict, by) = match by_word {
        Some(found) => found,
        // A fresh answer has no age: only something kept has grown older.
        None if age_s.is_some_and(|age| age > 0) => (CacheVerdict::Hit, "Age"),
        None if kept_from_caches => (CacheVerdict::Bypass, "Cache-Control"),
        None => (CacheVerdict::Unknown, ""),
    };
    CacheInfo {
        verdict,
        by: by.to_owned(),
        age_s,
        cache_control,
        etag: headers.contains_key("etag"),
        headers: CACHE_HEADERS
            .iter()
            .filter_map(|name| {
                value(headers, name)
                    .map(|value| ((*name).to_owned(), printable(&value, VALUE_CHARS)))
            })
            .collect(),
    }
}

/// `HIT`, `Miss from cloudfront`, `TCP_HIT from host`, `MISS, HIT` (the last one stands nearest).
fn cache_word(value: &str) -> Option<CacheVerdict> {
    let nearest = value.rsplit(',').next()?.trim();
    // What follows may be a host name with "hit" in it.
    let word = nearest.split_whitespace().next()?.to_ascii_uppercase();
    if word.contains("MISS") || word == "EXPIRED" {
        Some(CacheVerdict::Miss)
    } else if word.contains("PASS")
        || matches!(
            word.as_str(),
            "DYNAMIC"
                | "UNCACHEABLE"
                | "CONFIG_NOCACHE"
                | "PRIVATE_NOSTORE"
                | "NONE"
                | "NONE/UNKNOWN"
        )
    {
        Some(CacheVerdict::Bypass)
    } else if word.contains("HIT")
        || matches!(
            word.as_str(),
            "STALE" | "UPDATING" | "REVALIDATED" | "PRERENDER"
        )
    {
        Some(CacheVerdict::Hit)
    } else {
        None
    }
}

/// `Cache-Status` of RFC 9211: `origin; fwd=miss, edge; hit`; the last one stands nearest.
fn cache_status(value: &str) -> Option<CacheVerdict> {
    let members = unquoted(value, ',');
    unquoted(members.last()?, ';')
        .into_iter()
        .skip(1)
        .find_map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, "?1"));
            match (key.trim(), value.trim().trim_matches('"')) {
                ("hit", "?1") => Some(CacheVerdict::Hit),
                ("fwd", "bypass" | "request" | "method") => Some(CacheVerdict::Bypass),
                ("fwd", _) => Some(CacheVerdict::Miss),
                _ => None,
            }
        })
}

/// A structured field (RFC 9651) split where the separator stands outside of quoted strings.
fn unquoted(value: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(|c: char| {
            let splits = c == separator && !quoted;
            quoted ^= c == '"' && !escaped;
            escaped = quoted && c == '\\' && !escaped;
            splits
        })
        .collect()
}

/// The compression of the body; `None` for none.
pub(super) fn compression(headers: &HeaderMap) -> Option<String> {
    value(headers, "content-encoding")
        .map(|value| printable(&value.to_ascii_lowercase(), 40))
        .filter(|value| !value.is_empty() && value != "identity")
}

/// A body of this type and size should come compressed.
pub(super) fn worth_compressing(headers: &HeaderMap, bytes: u64) -> bool {
    let kind = value(headers, "content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    bytes >= COMPRESS_BYTES
        && (kind.starts_with("text/")
            || ["json", "javascript", "xml", "wasm", "ecmascript"]
                .iter()
                .any(|word| kind.contains(word)))
}

/// Where a redirect leads; `None` when the answer is none.
pub(super) fn redirect(status: u16, headers: &HeaderMap) -> Option<String> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = headers.get("location")?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let name: HeaderName = name.to_ascii_lowercase().parse().unwrap();
            map.append(name, value.parse::<HeaderValue>().unwrap());
        }
        map
    }

    #[test]
    fn caches_tell_hit_and_miss_in_many_words() {
        use CacheVerdict::{Bypass, Hit, Miss, Unknown};
        for (lines, verdict, by) in [
            (&["X-Cache-Status: HIT"][..], Hit, "X-Cache-Status"),
            (&["X-Cache-Status: MISS"], Miss, "X-Cache-Status"),
            (&["X-Cache-Status: EXPIRED"], Miss, "X-Cache-Status"),
            (&["X-Cache-Status: STALE"], Hit, "X-Cache-Status"),
            (&["X-Cache-Status: REVALIDATED"], Hit, "X-Cache-Status"),
            (&["X-Cache-Status: BYPASS"], Bypass, "X-Cache-Status"),
            (&["X-Cache: Hit from cloudfront"], Hit, "X-Cache"),
            (&["X-Cache: RefreshHit from cloudfront"], Hit, "X-Cache"),
            (&["X-Cache: Miss from cloudfront"], Miss, "X-Cache"),
            (&["X-Cache: Error from cloudfront"], Unknown, ""),
            (&["X-Cache: TCP_HIT from a23-1-1-1.deploy"], Hit, "X-Cache"),
            (&["X-Cache: MISS from whitehit.example"], Miss, "X-Cache"),
            (&["X-Cache: MISS, HIT"], Hit, "X-Cache"),
            (&["X-Cache: HIT, MISS"], Miss, "X-Cache"),
            (&["X-Cache: MISS", "X-Cache: HIT"], Hit, "X-Cache"),
            (&["CF-Cache-Status: DYNAMIC"], Bypass, "CF-Cache-Status"),
            (
                &["CF-Cache-Status: HIT", "X-Cache: MISS"],
                Hit,
                "CF-Cache-Status",
            ),
            (
                &["Cache-Status: Origin; fwd=miss, \"edge\"; hit; ttl=30"],
                Hit,
                "Cache-Status",
            ),
            (
                &["Cache-Status: edge; fwd=stale; stored"],
                Miss,
                "Cache-Status",
            ),
            (
                &["Cache-Status: c; fwd=uri-miss; detail=\"a, b; hit\""],
                Miss,
                "Cache-Status",
            ),
            (
                &["Cache-Status: c; detail=\"say \\\"x, y; hit\\\" \"; fwd=bypass"],
                Bypass,
                "Cache-Status",
            ),
            (&["Cache-Status: edge; hit=?1"], Hit, "Cache-Status"),
            (
                &["Cache-Status: edge; hit=?0; fwd=miss"],
                Miss,
                "Cache-Status",
            ),
            (&["Cache-Status: edge; hit=?0"], Unknown, ""),
            (&["X-Cache: CONFIG_NOCACHE"], Bypass, "X-Cache"),
            (&["X-Cache: PRIVATE_NOSTORE"], Bypass, "X-Cache"),
            (&["X-Cache: REVALIDATED_HIT"], Hit, "X-Cache"),
            (&["X-Cache: TCP_REFRESH_MISS from a1"], Miss, "X-Cache"),
            (&["X-Cache: UNKNOWN"], Unknown, ""),
            (
                &["CF-Cache-Status: NONE/UNKNOWN"],
                Bypass,
                "CF-Cache-Status",
            ),
            (&["CF-Cache-Status: NONE"], Bypass, "CF-Cache-Status"),
            (&["CF-Cache-Status: UNKNOWN"], Bypass, "CF-Cache-Status"),
            (&["Age: 17"], Hit, "Age"),
            (&["Age: 0"], Unknown, ""),
            (
                &["Age: 0", "X-Cache: Miss from cloudfront"],
                Miss,
                "X-Cache",
            ),
            (
                &["Cache-Control: no-store, max-age=0"],
                Bypass,
                "Cache-Control",
            ),
            (&["Cache-Control: public, max-age=60"], Unknown, ""),
            (&["X-Cache: "], Unknown, ""),
            (&[], Unknown, ""),
        ] {
            let info = cache(&headers(lines));
            assert_eq!((info.verdict, info.by.as_str()), (verdict, by), "{lines:?}");
        }
    }

    #[test]
    fn what_else_a_cache_tells_is_kept() {
        let info = cache(&headers(&[
            "Age: 61",
            "ETag: \"x\"",
            "Cache-Control: public, max-age=300",
            "Via: 1.1 varnish",
            "X-Served-By: cache-fra-1",
            "X-Amz-Cf-Pop: FRA60",
        ]));
        assert_eq!(info.age_s, Some(61));
        assert!(info.etag);
        assert_eq!(info.cache_control.as_deref(), Some("public, max-age=300"));
        let names: Vec<_> = info.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Age", "X-Served-By", "Via", "X-Amz-Cf-Pop"]);
    }

    #[test]
    fn a_text_of_some_size_should_come_compressed() {
        let html = headers(&["Content-Type: text/html; charset=utf-8"]);
        assert!(worth_compressing(&html, 1_024));
        assert!(!worth_compressing(&html, 1_023));
        assert!(worth_compressing(
            &headers(&["Content-Type: application/json"]),
            9_000
        ));
        assert!(!worth_compressing(
            &headers(&["Content-Type: image/png"]),
            9_000
        ));
        assert_eq!(
            compression(&headers(&["Content-Encoding: GZIP"])).as_deref(),
            Some("gzip")
        );
        assert_eq!(compression(&headers(&["Content-Encoding: identity"])), None);
    }

    #[test]
    fn only_a_redirect_with_a_place_is_one() {
        let there = headers(&["Location: /there"]);
        assert_eq!(redirect(302, &there).as_deref(), Some("/there"));
        assert_eq!(redirect(308, &there).as_deref(), Some("/there"));
        assert_eq!(redirect(304, &there), None);
        assert_eq!(redirect(201, &there), None);
        assert_eq!(redirect(301, &HeaderMap::new()), None);
    }
}
