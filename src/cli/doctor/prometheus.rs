//! Prometheus.

use jiff::Timestamp;

use super::finding::{Check, Finding, Group, Limit};
use crate::domain::Service;
use crate::domain::counted;
use crate::domain::service::Charted;
use crate::probe::prometheus::{Config, Prometheus, Samples};

const SERVER: Check = Check {
    id: "prometheus.server",
    group: Group::Prometheus,
    asks: "Does it answer a query?",
    mend: "correct `[prometheus] url`, or its token; is it running?",
};
const METRIC: Check = Check {
    id: "prometheus.metric",
    group: Group::Prometheus,
    asks: "Does each metric that a service names have a value now?",
    mend: "correct the query in `metrics` of the `[[service]]`; try it on Prometheus' own page",
};
const ALERTMANAGERS: Check = Check {
    id: "prometheus.alertmanager",
    group: Group::Prometheus,
    asks: "Does it send alerts to an Alertmanager, where `[alertmanager]` is configured?",
    mend: "add the Alertmanager to `alerting: alertmanagers:` in prometheus.yml",
};
pub(super) const CHECKS: &[Check] = &[SERVER, METRIC, ALERTMANAGERS];

/// Looks at it, and at the metrics of these services. `alerts`: it has an Alertmanager to know.
pub(super) async fn look(
    config: Config,
    services: Vec<Service>,
    alerts: bool,
    limit: Limit,
) -> Vec<Finding> {
    let subject = config.url.clone();
    let prometheus = Prometheus::new(config);
    let now = Timestamp::now();
    if let Err(fault) = limit.ask(prometheus.samples("vector(1)", now)).await {
        return vec![SERVER.broken(&subject, fault)];
    }
    let mut found = vec![SERVER.ok(&subject, "it answers")];
    let (mut asked, mut good) = (0, true);
    for service in &services {
        for (metric, Charted { query, .. }) in &service.metrics {
            asked += 1;
            let subject = format!("{} of {}", metric, service.name);
            let finding = match limit.ask(prometheus.samples(query, now)).await {
                Ok(Samples { list, odd, .. }) if list.is_empty() && !odd.is_empty() => {
                    METRIC.warning(&subject, format!("its value now is {}: {query}", odd[0].1))
                }
                Ok(samples) if samples.list.is_empty() => {
                    METRIC.warning(&subject, format!("there is no value now: {query}"))
                }
                Ok(_) => continue,
                Err(fault) => METRIC.broken(&subject, fault),
            };
            good = false;
            found.push(finding);
        }
    }
    if asked > 0 && good {
        let what = format!("{} with a value", counted(asked, "metric"));
        found.push(METRIC.ok("metrics", what));
    }
    if alerts {
        found.push(match limit.ask(prometheus.alertmanagers()).await {
            Ok(all) if all.is_empty() => {
                ALERTMANAGERS.warning(&subject, "it sends its alerts to no Alertmanager")
            }
            Ok(all) => ALERTMANAGERS.ok(&subject, format!("it sends alerts to {}", all.join(", "))),
            Err(fault) => ALERTMANAGERS.broken(&subject, fault),
        });
    }
    found
}
