//! Cookies, kept for one check as a browser keeps them: sites set one and lead back to themselves.
//! Pure.

use hyper::HeaderMap;
use url::{Host, Url};

/// Cookies that are kept; a browser keeps more.
const MAX: usize = 50;
/// A longer one is left out, as browsers do (RFC 6265, 6.1).
const MAX_BYTES: usize = 4_096;

/// What the servers of this check have set so far (RFC 6265).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cookies(Vec<Cookie>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// Hosts below the domain get it as well.
    below: bool,
    path: String,
    secure: bool,
}

impl Cookies {
    /// Takes up what an answer sets.
    pub(super) fn take(&mut self, from: &Url, headers: &HeaderMap) {
        for header in headers.get_all("set-cookie") {
            let Some((cookie, ended)) = header.to_str().ok().and_then(|text| read(from, text))
            else {
                continue;
            };
            let same = |one: &Cookie| {
                (&one.name, &one.domain, &one.path) == (&cookie.name, &cookie.domain, &cookie.path)
            };
            self.0.retain(|one| !same(one));
            if !ended && self.0.len() < MAX {
                self.0.push(cookie);
            }
        }
    }

    /// The header for a request; `None` for none.
    pub(super) fn for_url(&self, url: &Url) -> Option<String> {
        let host = url.host_str()?;
        let sent = self.0.iter().filter(|one| {
            let path = url.path();
            let below = path.strip_prefix(&one.path);
            let within = below.is_some_and(|rest| {
                rest.is_empty() || one.path.ends_with('/') || rest.starts_with('/')
            });
            let here = host == one.domain || one.below && is_below(host, &one.domain);
            here && within && (!one.secure || url.scheme() == "https")
        });
        let pairs: Vec<_> = sent
            .map(|one| format!("{}={}", one.name, one.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.'))
}

/// One `Set-Cookie`, and whether it ends the cookie instead.
fn read(from: &Url, text: &str) -> Option<(Cookie, bool)> {
    let host = from.host_str()?;
    let mut parts = text.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let directory = from
        .path()
        .rsplit_once('/')
        .map_or("", |(before, _)| before);
    let mut cookie = Cookie {
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        domain: host.to_owned(),
        below: false,
        path: if directory.is_empty() { "/" } else { directory }.to_owned(),
        secure: false,
    };
    let mut ended = false;
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "domain" if !value.is_empty() => {
                let domain = value.trim_start_matches('.').to_ascii_lowercase();
                let named = matches!(from.host(), Some(Host::Domain(_)));
                // A whole top-level domain is nobody's.
                let may = named && is_below(host, &domain) && domain.contains('.');
                if domain != host && !may {
                    return None;
                }
                cookie.below = named;
                cookie.domain = domain;
            }
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "secure" => cookie.secure = true,
            "max-age" => ended = value.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
            _ => {}
        }
    }
    (!cookie.name.is_empty() && text.len() <= MAX_BYTES).then_some((cookie, ended))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(set: &[&str], from: &str, to: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        for one in set {
            headers.append("set-cookie", one.parse().unwrap());
        }
        let mut cookies = Cookies::default();
        cookies.take(&Url::parse(from).unwrap(), &headers);
        cookies.for_url(&Url::parse(to).unwrap())
    }

    #[test]
    fn a_cookie_goes_back_where_it_belongs_and_nowhere_else() {
        let from = "https://shop.example/a/b";
        for (set, to, told) in [
            (
                &["x=1; HttpOnly"][..],
                "https://shop.example/a/c",
                Some("x=1"),
            ),
            (&["x=1"], "https://shop.example/b", None),
            (&["x=1; Path=/"], "https://shop.example/b", Some("x=1")),
            (&["x=1; Path=/ab"], "https://shop.example/abc", None),
            (&["x=1; Path=/ab"], "https://shop.example/ab/c", Some("x=1")),
            (&["x=1; Path=/"], "https://other.example/", None),
            (&["x=1; Path=/"], "https://api.shop.example/", None),
            (
                &["x=1; Path=/; Domain=.shop.example"],
                "https://api.shop.example/",
                Some("x=1"),
            ),
            (
                &["x=1; Domain=other.example"],
                "https://other.example/a/",
                None,
            ),
            (
                &["x=1; Domain=example; Path=/"],
                "https://other.example/",
                None,
            ),
            (&["x=1; Path=/; Secure"], "http://shop.example/", None),
            (&["x=1; Path=/"], "http://shop.example/", Some("x=1")),
            (
                &["x=1; Path=/", "x=2; Path=/"],
                "https://shop.example/",
                Some("x=2"),
            ),
            (
                &["x=1; Path=/", "y=a=b; Path=/"],
                "https://shop.example/",
                Some("x=1; y=a=b"),
            ),
            (
                &["x=1; Path=/", "x=; Path=/; Max-Age=0"],
                "https://shop.example/",
                None,
            ),
            (
                &["=1; Path=/", "words; Path=/"],
                "https://shop.example/",
                None,
            ),
        ] {
            assert_eq!(sent(set, from, to).as_deref(), told, "{set:?} to {to}");
        }
        let by_address = sent(
            &["x=1; Domain=127.0.0.1; Path=/"],
            "http://127.0.0.1/",
            "http://9.127.0.0.1.example/",
        );
        assert_eq!(by_address, None);
    }
}
