//! What a run is about where that is not said: the service, the database or the cache of an alert or of
//! an incident, or the only one there is.

use std::collections::BTreeMap;

use crate::bot::Context;
use crate::bot::services::{Catalogue, Named};
use crate::domain::alert::Conversation;
use crate::domain::{Incident, ServiceName};
use crate::runbook::model::{Param, ParamKind, Runbook};
use crate::store::StoreError;

/// What a run is about, as far as somebody has told.
#[derive(Debug, Clone, Default)]
pub(in crate::bot) struct About {
    service: Option<ServiceName>,
    labels: BTreeMap<String, String>,
    /// The service is not only a hint: somebody began the run from the alert, or nobody did.
    is_alert: bool,
}

/// Labels that may name a database or a cache, the surest first: `datname` and `instance` are those of
/// postgres_exporter and of Prometheus itself, `name` that of `[watch]`.
const LABELS: [&str; 5] = ["database", "datname", "cache", "name", "instance"];

impl About {
    /// Alerts that are told together: the first of them.
    pub(in crate::bot) fn alerts(conversation: &Conversation) -> Self {
        Self {
            service: conversation.service.clone(),
            labels: conversation.first.tracked.alert.labels.clone(),
            is_alert: true,
        }
    }

    /// An incident: by its alerts, or else by its service where it has one only. Whoever types there
    /// says which service is to be changed.
    pub(super) async fn incident(
        context: &Context,
        incident: &Incident,
    ) -> Result<Self, StoreError> {
        let key = Conversation::key_of(incident.id);
        Ok(match context.store().conversation(&key).await? {
            Some(conversation) => Self {
                is_alert: false,
                ..Self::alerts(&conversation)
            },
            None => match incident.services.as_slice() {
                [service] => Self {
                    service: Some(service.clone()),
                    ..Self::default()
                },
                _ => Self::default(),
            },
        })
    }

    /// The service for a parameter: of a runbook's services only the one it is for.
    pub(super) fn service(&self, runbook: &Runbook, param: &Param) -> Option<String> {
        let is_service = |one: &&Param| one.kind == ParamKind::Service;
        let mut needed = runbook.params.iter().filter(|one| one.is_needed());
        let named = |one: &Param| one.name.value == "service";
        let is_meant = named(param)
            || !runbook.params.iter().any(named)
                && needed.find(is_service).is_some_and(|one| one == param);
        let is_meant = self.is_alert && is_meant && param.kind == ParamKind::Service;
        let service = self.service.as_ref().filter(|_| is_meant);
        service.map(ToString::to_string)
    }

    /// The database or cache that the labels, or else the service, lead to.
    fn found(&self, all: &[Known]) -> Option<String> {
        let only = |fits: &dyn Fn(&&Known) -> bool| {
            let mut found = all.iter().filter(fits);
            let first = found.next()?;
            found.next().is_none().then(|| first.name.clone())
        };
        let mut told = LABELS.iter().filter_map(|label| self.labels.get(*label));
        let by_label = told.find_map(|value| {
            only(&|one| one.name == *value)
                .or_else(|| only(&|one| one.also.contains(value)))
                .or_else(|| {
                    let host = value.split(':').next().unwrap_or_default();
                    only(&|one| {
                        one.name == host
                            || one.service == host
                            || one.also.iter().any(|a| a == host)
                    })
                })
        });
        let service = self.service.as_ref();
        by_label.or_else(|| {
            only(&|one| service.is_some_and(|service| one.service == *service.as_str()))
        })
    }
}

/// A database or a cache of the configuration.
struct Known {
    name: String,
    service: String,
    also: Vec<String>,
}

fn known(catalogue: &Catalogue, kind: ParamKind) -> Vec<Known> {
    fn of<P: ?Sized>(all: &[Named<P>], also: impl Fn(&P) -> Vec<String>) -> Vec<Known> {
        let one = |one: &Named<P>| Known {
            name: one.name.to_string(),
            service: one.service.to_string(),
            also: also(&one.probe),
        };
        all.iter().map(one).collect()
    }
    match kind {
        ParamKind::Database => of(
            catalogue.databases(),
            treasury_probes::Database::also_called,
        ),
        ParamKind::Cache => of(catalogue.caches(), |_| Vec::new()),
        _ => Vec::new(),
    }
}

/// Which of several is not known, or is none of them.
pub(super) struct Which {
    /// What is wrong, in one line.
    pub(super) line: String,
    /// Those there are.
    pub(super) names: Vec<String>,
}

/// The database or the cache for a parameter; `None`: there is none, or none is needed.
pub(super) fn found(
    context: &Context,
    param: &Param,
    given: Option<&str>,
    about: &About,
) -> Result<Option<String>, Which> {
    let all = known(context.catalogue(), param.kind);
    let kind = param.kind.word();
    let names = || all.iter().map(|one| one.name.clone()).collect();
    let which = |line| Which {
        line,
        names: names(),
    };
    match (given, all.as_slice()) {
        (Some(given), all) if all.iter().any(|one| one.name == given) => Ok(Some(given.to_owned())),
        (Some(_), []) => Err(which(format!("No {kind} is configured"))),
        (Some(given), _) => {
            let given = crate::domain::timeline::cut(given, 60);
            Err(which(format!("There is no {kind} {given}: which?")))
        }
        (None, []) => Ok(None),
        (None, [one]) => Ok(Some(one.name.clone())),
        (None, all) => match about.found(all) {
            None if param.optional => Ok(None),
            None => Err(which(format!("Which {kind}?"))),
            found => Ok(found),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str, service: &str, also: &[&str]) -> Known {
        Known {
            name: name.into(),
            service: service.into(),
            also: also.iter().map(|one| (*one).to_owned()).collect(),
        }
    }

    #[test]
    fn labels_tell_the_database_and_what_fits_several_tells_nothing() {
        let all = [
            known("orders", "postgres", &["10.0.0.5:5432", "10.0.0.5", "shop"]),
            known(
                "ledger",
                "postgres",
                &["10.0.0.5:5432", "10.0.0.5", "ledger_db"],
            ),
            known("rates", "rates", &["rates-db:5432", "rates-db", "rates"]),
        ];
        let found = |labels: &[(&str, &str)], service: Option<&str>| {
            let about = About {
                service: service.map(|name| ServiceName::parse(name).unwrap()),
                labels: labels
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                is_alert: true,
            };
            about.found(&all)
        };
        for (labels, service, expected) in [
            (&[("database", "ledger")][..], None, Some("ledger")),
            (
                &[("datname", "ledger_db"), ("instance", "10.0.0.5:9187")],
                None,
                Some("ledger"),
            ),
            (&[("instance", "rates-db:9187")], None, Some("rates")),
            // Two live there.
            (&[("instance", "10.0.0.5:5432")], Some("postgres"), None),
            (&[("datname", "nobody's")], Some("rates"), Some("rates")),
            (&[], Some("api"), None),
        ] {
            assert_eq!(found(labels, service).as_deref(), expected, "{labels:?}");
        }
    }
}
