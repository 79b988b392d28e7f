//! The guard: what may be asked. The URL can come from chat, so that without it anybody
//! in a channel could look around the network that the bot stands in. Pure.

use std::net::{IpAddr, Ipv6Addr};

use url::{Host, Url};

use super::address::{canonical, private};
use crate::{ProbeError, ProbeErrorKind};

/// Ports that may be asked at any host.
const PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// A longer URL is nobody's health page.
const MAX_URL_BYTES: usize = 2_000;

const AS_URL: &str = "write it as https://host/path";

/// Hosts that may be asked although their addresses are private.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    host: Pattern,
    port: Option<u16>,
}

#[derive(Debug, Clone)]
enum Pattern {
    Exact(Host<String>),
    /// `*.suffix`, kept as `.suffix`.
    Below(String),
}

impl Guard {
    /// Reads `host`, `host:port`, `*.suffix`, `*.suffix:port`, `10.1.2.3` or `[::1]:8080`.
    pub(super) fn parse(hosts: &[String]) -> Result<Self, ProbeError> {
        let rule = |entry: &String| {
            Rule::parse(entry.trim()).ok_or_else(|| {
                ProbeError::new(
                    ProbeErrorKind::Unsupported,
                    format!("`{entry}` in `[check] hosts` is no host"),
                    "write `host`, `host:port` or `*.suffix`, without scheme and path",
                )
            })
        };
        let rules = hosts.iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// Takes a URL that may be asked as far as its text tells: http or https, no credentials, a
    /// port that is allowed. The fragment is dropped.
    pub(super) fn url(&self, text: &str) -> Result<Url, ProbeError> {
        let refused = |what, hint| ProbeError::new(ProbeErrorKind::Unsupported, what, hint);
        if text.len() > MAX_URL_BYTES {
            let what = "the URL has more than 2000 bytes";
            return Err(refused(what, "ask for a shorter address"));
        }
        let mut url = Url::parse(text.trim())
            .map_err(|error| refused("this is no URL", AS_URL).because(error))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("only http:// and https:// can be checked", AS_URL));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let hint = "leave it out: credentials do not belong into a chat";
            return Err(refused("the URL holds a user name or password", hint));
        }
        url.set_fragment(None);
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(refused("the URL names no host", AS_URL));
        };
        if !PORTS.contains(&port) && !self.lists(&host.to_owned(), port) {
            return Err(ProbeError::new(
                ProbeErrorKind::Denied,
                format!("port {port} is not one that may be checked (80, 443, 8080, 8443)"),
                "if it is meant to be asked, add `host:port` to `[check] hosts`",
            ));
        }
        Ok(url)
    }

    /// May this address be connected to, being what `host` resolved to?
    pub(super) fn address(
        &self,
        host: &Host<String>,
        port: u16,
        ip: IpAddr,
    ) -> Result<(), ProbeError> {
        let Some(private) = private(ip) else {
            return Ok(());
        };
        let listed = self.lists(host, port)
            && (!private.metadata || self.lists(&literal(canonical(ip)), port));
        if listed {
            return Ok(());
        }
        // The address itself is not told: a chat is no place to read the inner DNS from.
        Err(ProbeError::new(
            ProbeErrorKind::Denied,
            match host {
                Host::Domain(name) => format!("{name} leads to {}", private.what),
                Host::Ipv4(_) | Host::Ipv6(_) => format!("{host} is {}", private.what),
            },
            if private.metadata {
                "if it is really meant to be asked, add the address itself to `[check] hosts`"
            } else {
                "if it is meant to be asked, add the host to `[check] hosts`"
            },
        ))
    }

    fn lists(&self, host: &Host<String>, port: u16) -> bool {
        self.rules.iter().any(|rule| {
            rule.port.is_none_or(|only| only == port)
                && match (&rule.host, host) {
                    (Pattern::Exact(Host::Domain(listed)), Host::Domain(asked)) => {
                        listed == bare(asked)
                    }
                    (Pattern::Exact(listed), asked) => listed == asked,
                    (Pattern::Below(suffix), Host::Domain(asked)) => {
                        let asked = bare(asked);
                        asked.len() > suffix.len() && asked.ends_with(suffix.as_str())
                    }
                    (Pattern::Below(_), _) => false,
                }
        })
    }
}

impl Rule {
    fn parse(entry: &str) -> Option<Self> {
        // A bare IPv6 address has colons of its own.
        let (host, port) = if let Ok(ip) = entry.parse::<Ipv6Addr>() {
            (format!("[{ip}]"), None)
        } else {
            match entry.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => {
                    (host.to_owned(), Some(port.parse::<u16>().ok()?))
                }
                _ => (entry.to_owned(), None),
            }
        };
        let host = match host.strip_prefix("*.") {
            Some(suffix) => match Host::parse(bare(suffix)).ok()? {
                Host::Domain(suffix) => Pattern::Below(format!(".{suffix}")),
                Host::Ipv4(_) | Host::Ipv6(_) => return None,
            },
            None => Pattern::Exact(Host::parse(bare(&host)).ok()?),
        };
        if let Pattern::Exact(Host::Domain(name)) | Pattern::Below(name) = &host
            && (name.is_empty() || name.contains('*'))
        {
            return None;
        }
        Some(Self { host, port })
    }
}

/// A name without the dot of the root at its end.
fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn literal(ip: IpAddr) -> Host<String> {
    match ip {
        IpAddr::V4(ip) => Host::Ipv4(ip),
        IpAddr::V6(ip) => Host::Ipv6(ip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(hosts: &[&str]) -> Guard {
        Guard::parse(&hosts.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn other_ways_to_write_an_address_are_the_same_address() {
        for text in [
            "http://0x7f.1/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://0x7f000001/",
            "http://%31%32%37.0.0.1/",
            "http://①27.0.0.1/",
            "http://[::ffff:7f00:1]/",
            "http://127.0.0.1./",
        ] {
            let guard = guard(&[]);
            let url = guard.url(text).unwrap();
            let host = url.host().unwrap().to_owned();
            let ip = match host {
                Host::Ipv4(ip) => IpAddr::V4(ip),
                Host::Ipv6(ip) => IpAddr::V6(ip),
                Host::Domain(name) => panic!("{text} was taken as the name {name}"),
            };
            let error = guard
                .address(&literal(ip), 80, ip)
                .expect_err(text)
                .to_string();
            assert!(error.contains("loopback"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_plain_web_address_is_refused() {
        for (text, word) in [
            ("example.com", "no URL"),
            ("ftp://example.com/", "only http"),
            ("file:///etc/passwd", "only http"),
            ("javascript:alert(1)", "only http"),
            ("gopher://example.com:70/_x", "only http"),
            ("https://ana:geheim@example.com/", "user name"),
            ("https://token@example.com/", "user name"),
            ("http://example.com:22/", "port 22"),
            ("http://example.com:6379/", "port 6379"),
            ("http://", "no URL"),
            (
                &format!("https://example.com/{}", "a".repeat(2_000)),
                "2000 bytes",
            ),
        ] {
            let error = guard(&[]).url(text).expect_err(text).to_string();
            assert!(error.contains(word), "{text}: {error}");
            assert!(!error.contains("geheim"), "{error}");
        }
        let url = guard(&[]).url(" https://Example.COM:443/a?b#c ").unwrap();
        assert_eq!(url.as_str(), "https://example.com/a?b");
    }

    #[test]
    fn a_host_of_the_configuration_may_be_private() {
        let inner: IpAddr = "10.1.2.3".parse().unwrap();
        let ask = |guard: &Guard, text: &str, ip: IpAddr| {
            let url = guard.url(text).map_err(|error| error.kind)?;
            let port = url.port_or_known_default().unwrap();
            guard
                .address(&url.host().unwrap().to_owned(), port, ip)
                .map_err(|error| error.kind)
        };
        let denied = Err(ProbeErrorKind::Denied);
        let guard = guard(&[
            "api.corp",
            "*.treasury.corp",
            "db.corp:9000",
            "[fd00::1]:81",
        ]);
        for (text, result) in [
            ("http://api.corp/", Ok(())),
            ("http://API.corp./", Ok(())),
            ("http://api.corp:5000/", Ok(())),
            ("http://x.api.corp/", denied),
            ("http://evilapi.corp/", denied),
            ("http://a.treasury.corp/", Ok(())),
            ("http://a.b.treasury.corp/", Ok(())),
            ("http://treasury.corp/", denied),
            ("http://eviltreasury.corp/", denied),
            ("http://treasury.corp.evil.com/", denied),
            ("http://db.corp:9000/", Ok(())),
            ("http://db.corp:9001/", denied),
            ("http://db.corp/", denied),
            ("http://10.1.2.3/", denied),
        ] {
            assert_eq!(ask(&guard, text, inner), result, "{text}");
        }
        let v6 = "fd00::1".parse().unwrap();
        assert_eq!(ask(&guard, "http://[fd00::1]:81/", v6), Ok(()));
        assert_eq!(ask(&guard, "http://[fd00::1]/", v6), denied);
    }

    #[test]
    fn the_metadata_address_has_to_be_listed_itself() {
        let metadata = "169.254.169.254".parse().unwrap();
        let mapped = "::ffff:169.254.169.254".parse().unwrap();
        let host = Host::Domain("api.corp".to_owned());
        let ask = |hosts: &[&str], ip| guard(hosts).address(&host, 80, ip).is_ok();
        assert!(!ask(&["api.corp"], metadata));
        assert!(!ask(&["api.corp"], mapped));
        assert!(
            !ask(&["169.254.169.254"], metadata),
            "the name is not listed"
        );
        assert!(ask(&["api.corp", "169.254.169.254"], metadata));
        assert!(ask(&["api.corp", "169.254.169.254"], mapped));
    }

    #[test]
    fn a_wrong_entry_is_told() {
        for bad in [
            "",
            "*",
            "*.",
            "http://x/",
            "a b",
            "x:port",
            "x:99999",
            "*.10.0.0.1",
            "a*b",
        ] {
            let error = Guard::parse(&[bad.to_owned()]).expect_err(bad);
            assert!(error.to_string().contains("[check] hosts"), "{bad}");
        }
    }
}
