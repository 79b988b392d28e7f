//! `[[service]]`: the catalogue.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::at::{At, did_you_mean};
use super::kind::Kind;
use super::names::Names;
use super::platforms::Platforms;
use super::root::Root;
use super::section::Section;
use crate::domain::series::Metric;
use crate::domain::service::{Charted, MetricsPage, WorkloadKind};
use crate::domain::{Service, ServiceName, Target, Unit};

pub(super) const SERVICE: Kind = Kind::list(
    "service",
    "name platform compose_project compose_service container swarm_service engine cluster \
     namespace workload scale health check metrics metrics_page depends_on",
);
const SCALE: Kind = Kind::single("scale", "min max");
const METRIC: Kind = Kind::single("metrics", "query unit");
const METRICS_PAGE: Kind = Kind::single("metrics_page", "url counter label only");

/// Most addresses and most metrics of a service.
const MOST_LISTED: usize = 20;

/// The most replicas that may be configured.
const MOST_REPLICAS: u32 = 1_000;

/// All services, in the file's order.
pub(super) fn services(root: &Root<'_>, platforms: &Platforms) -> Vec<Service> {
    let (mut names, mut targets) = (Names::default(), HashMap::new());
    if root.count(SERVICE) == 0 {
        let hint = "add a [[service]] for each service that people ask about";
        root.source.warning(None, "there is no service", hint);
    }
    let mut stands_on = Vec::new();
    let services = root.list(SERVICE, |section| {
        let (at, service, below) = service(section, &mut names, platforms)?;
        stands_on.extend(below.into_iter().map(|text| (service.name.clone(), text)));
        let target = format!("{:?}", service.target);
        if let Some(other) = targets.insert(target, service.name.clone()) {
            let what = match service.target {
                Target::Kubernetes { .. } => "workload",
                Target::Swarm { .. } => "Swarm service",
                _ => "containers",
            };
            let message = format!("`{}` and `{other}` are the same {what}", service.name);
            section.source.warning(at, message, "");
        }
        Some(service)
    });
    let all = || services.iter().map(|service| service.name.as_str());
    for (name, text) in stands_on {
        let below = text.value;
        let is_there = all().any(|name| name == below);
        if !is_there && !text.source.is_left_out(SERVICE.name, below) {
            let message = format!("`{name}` depends on `{below}`, which is no service");
            text.error(message, did_you_mean(below, all(), ""));
        }
    }
    services
}

/// One service, the place of its name, and what it depends on; `None` after an error.
fn service<'a>(
    section: &Section<'a>,
    names: &mut Names,
    platforms: &Platforms,
) -> Option<(Range<usize>, Service, Vec<At<'a>>)> {
    let hint = "add `name`, as people will write it in chat";
    let name = section.required("name", "a service without a name", hint);
    let name = name.and_then(|text| Some((service_name(&text)?, text.span)));
    if let Some((name, at)) = &name {
        names.first(section, name.as_str(), at.clone(), "");
    }
    let target = platforms.target(section);
    let single = match &target {
        Some(Target::Container { .. }) => Some("a single container can't be scaled"),
        Some(Target::Kubernetes { kind, .. }) if *kind == WorkloadKind::DaemonSet => {
            Some("a DaemonSet has one pod on each machine: it can't be scaled")
        }
        _ => None,
    };
    let (min_replicas, max_replicas) = section.table(SCALE, |scale| replicas(scale, single));
    let health_url = section.text("health").filter(|text| text.http().is_some());
    let health_url = health_url.map(|text| text.value.to_owned());
    let check = match section.texts("check") {
        // What is not listed: the health address.
        None => health_url.clone().into_iter().collect(),
        Some(listed) => {
            if listed.len() > MOST_LISTED {
                let message = format!("`service.check` lists more than {MOST_LISTED} addresses");
                section.error_at("check", message, "");
            }
            listed
                .iter()
                .filter_map(|text| text.http().map(String::from))
                .collect()
        }
    };
    let metrics = metrics(section);
    let metrics_page = section.text_or_table(METRICS_PAGE, |text, table| {
        metrics_page(section, text, table)
    });
    // That there are such services is looked at once all are known.
    let below = section.texts("depends_on").unwrap_or_default();
    let depends_on = below.iter().filter_map(service_name).collect();
    let (name, at) = name?;
    let service = Service {
        name,
        target: target?,
        min_replicas,
        max_replicas,
        health_url,
        check,
        metrics,
        metrics_page,
        depends_on,
    };
    Some((at, service, below))
}

fn service_name(text: &At<'_>) -> Option<ServiceName> {
    text.ok(ServiceName::parse(text.value))
}

/// Names for `graph`, and what Prometheus is asked for each.
fn metrics(section: &Section<'_>) -> BTreeMap<String, Charted> {
    let mut metrics = BTreeMap::new();
    for (key, value) in section.free_table("metrics").into_iter().flatten() {
        let name = key.get_ref().as_ref();
        let of_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        let good = (1..=40).contains(&name.len()) && name.bytes().all(of_name);
        if !good || Metric::parse(name).is_some() {
            let message = format!("a metric can't be called `{name}`");
            let hint = "use lower-case letters, digits, `_` and `-`; memory, cpu, connections \
                        and error-rate are the bot's own";
            section.source.error(key.span(), message, hint);
            continue;
        }
        let (written, table) = (value.get_ref().as_str(), value.get_ref().as_table());
        let charted = Section::read(section.source, METRIC, Some(key.span()), table, |table| {
            let query = written.or_else(|| table.text("query").map(|text| text.value));
            let query = query.map(str::trim).filter(|query| !query.is_empty())?;
            let unit = table.word("unit", &Unit::ALL.map(|one| (one.as_str(), one)));
            Some(Charted {
                query: query.to_owned(),
                unit,
            })
        });
        if let Some(charted) = charted {
            metrics.insert(name.to_owned(), charted);
        } else {
            let message = format!("`metrics.{name}` must be a PromQL text");
            let hint = "or `{ query = \"…\", unit = \"seconds\" }`";
            section.source.error(key.span(), message, hint);
        }
    }
    if metrics.len() > MOST_LISTED {
        let message = format!("`service.metrics` names more than {MOST_LISTED}");
        section.error_at("metrics", message, "");
    }
    metrics
}

/// Where the service counts its own answers: an address, or a table with names for it.
fn metrics_page(
    section: &Section<'_>,
    written: Option<At<'_>>,
    table: &Section<'_>,
) -> Option<MetricsPage> {
    let name = |key| {
        let text = table.text(key)?;
        let of_name = |c: char| !c.is_control() && !"{}\"=,".contains(c);
        let good = !text.value.trim().is_empty() && text.value.chars().all(of_name);
        text.good(
            good,
            "write the name alone, such as `http_requests_total` or `http.requests_total`",
        )
    };
    let (counter, label) = (name("counter"), name("label"));
    let only = table.named_texts("only").into_iter();
    let only = only.filter_map(|(name, values)| Some((name, values.first()?.value.to_owned())));
    let url = written.or_else(|| table.text("url"));
    if url.is_none() && table.span.is_some() {
        let hint = "such as `metrics_page = \"http://127.0.0.1:8080/metrics\"`";
        section.error_at("metrics_page", "`metrics_page` without a `url`", hint);
    }
    let mut url = url?;
    url.what = "service.metrics_page".into();
    Some(MetricsPage {
        url: url.http()?.into(),
        counter,
        label,
        only: only.collect(),
    })
}

/// Fewest and most replicas. `single`: why there is always one of it, or one on each machine.
fn replicas(scale: &Section<'_>, single: Option<&str>) -> (u32, u32) {
    let default = if single.is_some() { (1, 1) } else { (1, 10) };
    let [min, max] = ["min", "max"].map(|key| scale.number(key, 0, MOST_REPLICAS));
    let (low, high) = (min.unwrap_or(default.0), max.unwrap_or(default.1));
    if let Some(why) = single
        && (low, high) != default
    {
        scale.error(
            why,
            "leave `scale` out, or name a Compose service or another workload",
        );
    } else if low > high {
        let [low_by, high_by] = [min, max].map(|bound| {
            if bound.is_none() {
                " (the default)"
            } else {
                ""
            }
        });
        let message = format!("`scale.min` {low}{low_by} is more than `scale.max` {high}{high_by}");
        scale.error(message, "");
    }
    (low, high)
}
