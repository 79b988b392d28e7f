//! The addresses of services, and what the bot itself serves.

use std::net::{Ipv4Addr, SocketAddr};

use futures_util::future::join_all;

use super::finding::{Check, Fault, Finding, Group, Limit};
use super::wire::Wire;
use crate::domain::Service;
use crate::probe::Http;
use crate::probe::page::Pages;
use crate::probe::web::{Config, Web};

const HEALTH: Check = Check {
    id: "web.health",
    group: Group::Web,
    asks: "Does the health address of each service answer 2xx, from here?",
    mend: "correct `health` of the `[[service]]` to an address that the bot reaches; or the service is \
           not well",
};
const ADDRESS: Check = Check {
    id: "web.check",
    group: Group::Web,
    asks: "Is each address in `check` of a service up, with a valid certificate?",
    mend: "correct `check` of the `[[service]]`; further authorities go into `[check] ca_file`",
};
const METRICS: Check = Check {
    id: "web.metrics",
    group: Group::Web,
    asks: "Does the `metrics_page` of each service hold a counter of requests by status?",
    mend: "correct `metrics_page` of the `[[service]]`",
};
const LISTEN: Check = Check {
    id: "web.listen",
    group: Group::Web,
    asks: "Is `[web] listen` served by the bot, or still free?",
    mend: "end what listens there, or choose another port: `[web] listen`",
};
const PUBLIC: Check = Check {
    id: "web.public-url",
    group: Group::Web,
    asks: "Does `[web] public_url` lead to the bot (`/health/live`)?",
    mend: "lead the address to `[web] listen` (proxy, ingress, DNS), or correct `public_url`",
};
pub(super) const CHECKS: &[Check] = &[HEALTH, ADDRESS, METRICS, LISTEN, PUBLIC];

/// What a bot says at `/health/live`.
const ALIVE: &[u8] = b"alive\n";

/// Looks at the addresses of services.
pub(super) async fn services(services: Vec<Service>, config: Config, limit: Limit) -> Vec<Finding> {
    let web = Web::new(config);
    let http = Http::new();
    let pages = Pages::default();
    let of_one = |one: Service| {
        let (web, http, pages) = (&web, &http, &pages);
        async move {
            let name = one.name.as_str();
            let mut found = Vec::new();
            if let Some(url) = &one.health_url {
                let well = async {
                    let well = http.well(url).await;
                    well.map_err(|what| Fault { what, hint: None })
                };
                found.push(match limit.ask(well).await {
                    Ok(()) => HEALTH.ok(name, format!("{url} answers")),
                    Err(fault) => HEALTH.broken(name, fault),
                });
            }
            let checks = one.check.iter().map(|url| async move {
                let checked = match web {
                    Ok(web) => limit.ask(Box::pin(web.check(url))).await,
                    Err(error) => return ADDRESS.failed(name, error.to_string()),
                };
                match checked {
                    Ok(answer) => {
                        let why = answer.problem.unwrap_or_default();
                        match answer.up {
                            Some(true) => ADDRESS.ok(name, format!("{url} is up")),
                            Some(false) => ADDRESS.failed(name, format!("{url} is not up: {why}")),
                            None => ADDRESS.unknown(name, format!("{url}: {why}")),
                        }
                    }
                    Err(fault) => ADDRESS.broken(name, fault),
                }
            });
            found.extend(join_all(checks).await);
            if let Some(page) = &one.metrics_page {
                let counted = limit.ask(pages.counted(page)).await;
                found.push(match counted {
                    Ok(counted) => {
                        let n = counted.counters.len();
                        METRICS.ok(
                            name,
                            format!("{} counts in {} ({n} series)", page.url, counted.name),
                        )
                    }
                    Err(fault) => METRICS.broken(name, fault),
                });
            }
            found
        }
    };
    join_all(services.into_iter().map(of_one)).await.concat()
}

/// Where the bot listens, and where people reach it.
pub(super) async fn own(
    listen: SocketAddr,
    health_listen: Option<SocketAddr>,
    public_url: Option<String>,
    wire: Wire,
) -> Vec<Finding> {
    let health = health_listen.unwrap_or(listen);
    let mut here = health;
    if here.ip().is_unspecified() {
        here.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let subject = health.to_string();
    let answer = wire.get(&format!("http://{here}/health/live")).await;
    let serves = matches!(&answer, Ok(answer) if answer.body == ALIVE);
    let mut found = vec![match answer {
        Ok(_) if serves => LISTEN.ok(&subject, "a bot serves there"),
        Ok(answer) => {
            let what = format!("something else serves there (it answers {})", answer.status);
            LISTEN.failed(&subject, what)
        }
        Err(_) if std::net::TcpStream::connect(here).is_ok() => {
            LISTEN.failed(&subject, "something else listens there")
        }
        Err(_) => LISTEN.ok(&subject, "nobody listens there: it is free for the bot"),
    }];
    let Some(url) = public_url else {
        return found;
    };
    if health_listen.is_some() {
        let why = "not looked at: /health is not served there (`health_listen` is set)";
        found.push(PUBLIC.unknown(&url, why));
        return found;
    }
    let away = |what: String| {
        if serves {
            PUBLIC.failed(&url, what)
        } else {
            // It may be led there once it runs.
            PUBLIC.unknown(&url, format!("{what}; no bot runs here that could answer"))
        }
    };
    found.push(match wire.get(&format!("{url}/health/live")).await {
        Ok(answer) if answer.body == ALIVE => PUBLIC.ok(&url, "a bot answers there"),
        Ok(answer) if answer.status == 200 => {
            PUBLIC.failed(&url, "something else answers there, not the bot")
        }
        Ok(answer) if answer.status < 500 => {
            let status = answer.status;
            let why =
                format!("it answers {status} for /health/live: the bot may be behind it, or not");
            PUBLIC.unknown(&url, why)
        }
        Ok(answer) => away(format!("it answers {}", answer.status)),
        Err(fault) => away(fault.what),
    });
    found
}
