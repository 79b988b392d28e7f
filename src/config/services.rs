//! `[[service]]`: the catalogue.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use toml::de::DeTable;

use super::clusters::{self, ClusterSection};
use super::engines::{self, EngineSection};
use super::reader::{At, Reader, tables};
use super::sections::elsewhere;
use super::source::Report;
use super::urls;
use crate::command::nearest;
use crate::domain::series::Metric;
use crate::domain::service::{MetricsPage, WorkloadKind};
use crate::domain::{Service, ServiceName, Target};

/// The keys of a service.
pub(super) const KEYS: [&str; 16] = [
    "name",
    "platform",
    "compose_project",
    "compose_service",
    "container",
    "swarm_service",
    "engine",
    "cluster",
    "namespace",
    "workload",
    "scale",
    "health",
    "check",
    "metrics",
    "metrics_page",
    "depends_on",
];

/// Most addresses and most metrics of a service.
const MOST_LISTED: usize = 20;

/// The most replicas that may be configured.
const MOST: u32 = 1_000;

/// The installations of platforms that services can be on.
pub(super) struct Known<'a> {
    pub(super) clusters: &'a [ClusterSection],
    pub(super) engines: &'a [EngineSection],
}

/// All services, in the file's order.
pub(super) fn services(
    report: &mut Report<'_>,
    root: &DeTable<'_>,
    known: &Known<'_>,
) -> Vec<Service> {
    let mut names = HashMap::new();
    let mut targets = HashMap::new();
    let mut services = Vec::new();
    let Some((_, readers)) = tables(report, root, "service") else {
        let hint = "add a [[service]] for each service that people ask about".to_owned();
        report.warning(None, "there is no service", Some(hint));
        return services;
    };
    for reader in readers {
        let Some((at, service)) = service(report, reader, &mut names, known) else {
            continue;
        };
        let target = format!("{:?}", service.target);
        if let Some(other) = targets.insert(target, service.name.clone()) {
            let what = match service.target {
                Target::Kubernetes { .. } => "workload",
                Target::Swarm { .. } => "Swarm service",
                _ => "containers",
            };
            let message = format!("`{}` and `{other}` are the same {what}", service.name);
            report.warning(at, message, None);
        }
        services.push(service);
    }
    stands_on_nothing(report, &services);
    services
}

/// One service and the place of its name; `None` after an error.
fn service(
    report: &mut Report<'_>,
    mut reader: Reader<'_, '_>,
    names: &mut HashMap<ServiceName, usize>,
    known: &Known<'_>,
) -> Option<(Range<usize>, Service)> {
    let header = reader.span.clone().unwrap_or_default();
    let has_name = reader.written("name").is_some();
    let name = reader.text(report, "name");
    if !has_name {
        let hint = "add `name`, as people will write it in chat".to_owned();
        report.error(header.clone(), "a service without a name", Some(hint));
    }
    let name = name.and_then(|text| match ServiceName::parse(text.value) {
        Ok(value) => Some(At {
            value,
            span: text.span,
        }),
        Err(error) => {
            report.error(text.span, error.to_string(), None);
            None
        }
    });
    if let Some(name) = &name {
        match names.get(&name.value) {
            Some(first) => {
                let hint = format!("the first is in line {}", report.line(*first));
                let message = format!("a second service `{}`", name.value);
                report.error(name.span.clone(), message, Some(hint));
            }
            None => {
                names.insert(name.value.clone(), name.span.start);
            }
        }
    }
    let target = target(report, &mut reader, known);
    let scale = reader.table(report, "scale");
    let single = match &target {
        Some(Target::Container { .. }) => Some("a single container can't be scaled"),
        Some(Target::Kubernetes { kind, .. }) if *kind == WorkloadKind::DaemonSet => {
            Some("a DaemonSet has one pod on each machine: it can't be scaled")
        }
        _ => None,
    };
    let (min_replicas, max_replicas) = replicas(report, scale, single);
    let health_url = reader.text(report, "health").and_then(|text| {
        urls::http(report, "service.health", &text).map(|_| text.value.to_owned())
    });
    let check = addresses(report, &mut reader, health_url.as_ref());
    let metrics = metrics(report, &mut reader);
    let metrics_page = metrics_page(report, &mut reader);
    let depends_on = depends_on(report, &mut reader);
    reader.finish(report, elsewhere);
    let At { value: name, span } = name?;
    Some((
        span,
        Service {
            name,
            target: target?,
            min_replicas,
            max_replicas,
            health_url,
            check,
            metrics,
            metrics_page,
            depends_on,
        },
    ))
}

/// The services that this one stands on. That there are such is told once all are known.
fn depends_on(report: &mut Report<'_>, reader: &mut Reader<'_, '_>) -> Vec<ServiceName> {
    let mut names = Vec::new();
    for entry in reader.texts(report, "depends_on").unwrap_or_default() {
        match ServiceName::parse(entry.value) {
            Ok(name) => names.push(name),
            Err(error) => report.error(entry.span, error.to_string(), None),
        }
    }
    names
}

/// Services that stand on something that is none.
fn stands_on_nothing(report: &mut Report<'_>, services: &[Service]) {
    for service in services {
        for below in &service.depends_on {
            if services.iter().all(|other| other.name != *below) {
                let hint = nearest(below.as_str(), services.iter().map(|s| s.name.as_str()))
                    .map(|near| format!("did you mean `{near}`?"));
                let message = format!(
                    "`{}` depends on `{below}`, which is no service",
                    service.name
                );
                report.error(None, message, hint);
            }
        }
    }
}

/// What `check` asks: the listed addresses, else the health address.
fn addresses(
    report: &mut Report<'_>,
    reader: &mut Reader<'_, '_>,
    health: Option<&String>,
) -> Vec<String> {
    let at = reader.written("check");
    let Some(listed) = reader.texts(report, "check") else {
        return health.cloned().into_iter().collect();
    };
    if listed.len() > MOST_LISTED {
        let message = format!("`service.check` lists more than {MOST_LISTED} addresses");
        report.error(at, message, None);
    }
    listed
        .iter()
        .filter_map(|text| urls::http(report, "service.check", text).map(String::from))
        .collect()
}

/// Names for `graph`, and what Prometheus is asked for each.
fn metrics(report: &mut Report<'_>, reader: &mut Reader<'_, '_>) -> BTreeMap<String, String> {
    let at = reader.written("metrics");
    let Some(table) = reader.raw_table(report, "metrics") else {
        return BTreeMap::new();
    };
    let mut metrics = BTreeMap::new();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let good = !name.is_empty()
            && name.len() <= 40
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
        if !good || Metric::parse(name).is_some() {
            let message = format!("a metric can't be called `{name}`");
            let hint = "use lower-case letters, digits, `_` and `-`; memory, cpu, connections \
                        and error-rate are the bot's own";
            report.error(key.span(), message, Some(hint.to_owned()));
            continue;
        }
        match value.get_ref().as_str().map(str::trim) {
            Some(query) if !query.is_empty() => {
                metrics.insert(name.to_owned(), query.to_owned());
            }
            _ => {
                let message = format!("`metrics.{name}` must be a PromQL text");
                report.error(key.span(), message, None);
            }
        }
    }
    if metrics.len() > MOST_LISTED {
        let message = format!("`service.metrics` names more than {MOST_LISTED}");
        report.error(at, message, None);
    }
    metrics
}

/// Where the service counts its own answers: an address, or a table with names for it.
fn metrics_page(report: &mut Report<'_>, reader: &mut Reader<'_, '_>) -> Option<MetricsPage> {
    let at = reader.written("metrics_page");
    let (written, mut table) = reader.text_or_table(report, "metrics_page");
    let is_table = table.span.is_some();
    let url = written.or_else(|| table.text(report, "url"));
    let mut name = |report: &mut Report<'_>, key| {
        let text = table.text(report, key)?;
        let good = !text.value.is_empty()
            && text
                .value
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
        if !good {
            let message = format!("`metrics_page.{key}` can't be `{}`", text.value);
            let hint = "write it as the page does: letters, digits, `_` and `:`".to_owned();
            report.error(text.span, message, Some(hint));
        }
        good.then(|| text.value.to_owned())
    };
    let (counter, label) = (name(report, "counter"), name(report, "label"));
    let only = table.named_texts(report, "only");
    let only = only
        .into_iter()
        .filter_map(|(name, values)| Some((name, values.first()?.value.to_owned())))
        .collect();
    table.finish(report, |_| None);
    let Some(url) = url else {
        if let (Some(at), true) = (at, is_table) {
            let hint = "such as `metrics_page = \"http://127.0.0.1:8080/metrics\"`".to_owned();
            report.error(at, "`metrics_page` without a `url`", Some(hint));
        }
        return None;
    };
    urls::http(report, "service.metrics_page", &url).map(|url| MetricsPage {
        url: url.into(),
        counter,
        label,
        only,
    })
}

/// Where it runs: the platform is the one that is named, else the one whose keys are there.
fn target(
    report: &mut Report<'_>,
    reader: &mut Reader<'_, '_>,
    known: &Known<'_>,
) -> Option<Target> {
    const DOCKER: &[&str] = &[
        "compose_project",
        "compose_service",
        "container",
        "swarm_service",
        "engine",
    ];
    const KUBERNETES: &[&str] = &["cluster", "namespace", "workload"];
    let words = [("docker", false), ("kubernetes", true)];
    let named = reader.word(report, "platform", &words);
    let kubernetes = named.unwrap_or_else(|| reader.written("workload").is_some());
    let (strangers, there) = if kubernetes {
        (DOCKER, "docker")
    } else {
        (KUBERNETES, "kubernetes")
    };
    for key in strangers.iter().copied() {
        if let Some(at) = reader.written(key) {
            // Asked for, so that it is not told again as an unknown key.
            reader.text(report, key);
            let message = format!("`{key}` is of services on the platform {there}");
            let hint = "a service runs in one place: leave the other's keys out".to_owned();
            report.error(at, message, Some(hint));
        }
    }
    if kubernetes {
        clusters::target(report, reader, known.clusters)
    } else {
        engines::target(report, reader, known.engines)
    }
}

/// Fewest and most replicas.
fn replicas(
    report: &mut Report<'_>,
    mut scale: Reader<'_, '_>,
    single: Option<&str>,
) -> (u32, u32) {
    let default = if single.is_some() { (1, 1) } else { (1, 10) };
    let span = scale.span.clone();
    let min = scale.number(report, "min", MOST).map(|at| at.value);
    let max = scale.number(report, "max", MOST).map(|at| at.value);
    scale.finish(report, |_| None);
    let said = |bound: Option<u32>| {
        if bound.is_some() {
            ""
        } else {
            " (the default)"
        }
    };
    let (low, high) = (min.unwrap_or(default.0), max.unwrap_or(default.1));
    if let Some(why) = single
        && (low, high) != default
    {
        let hint = "leave `scale` out, or name a Compose service or another workload".to_owned();
        report.error(span, why, Some(hint));
        return default;
    }
    if low > high {
        let message = format!(
            "`scale.min` {low}{} is more than `scale.max` {high}{}",
            said(min),
            said(max)
        );
        report.error(span, message, None);
        return default;
    }
    (low, high)
}
