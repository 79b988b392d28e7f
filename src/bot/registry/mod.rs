//! The registry: every probe and action of the bot by name, with the schemas of its parameters and
//! of its result.
//!
//! Chat commands and runbook steps call the same entries, so that they can't part. An entry that
//! only looks has a function here; one that changes something is recorded, driven and judged by
//! `act`, and stands here with its schemas.

pub(in crate::bot) mod cache;
pub(in crate::bot) mod database;
pub(in crate::bot) mod incident;
pub(in crate::bot) mod prometheus;
pub(in crate::bot) mod service;
pub(in crate::bot) mod trend;
pub(in crate::bot) mod web;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::request::{Answer, Effect};
use super::{Context, Failure, Fault, Refusal, policy};
use crate::domain::{Line, Message};
use crate::probe::ProbeError;
use crate::runbook::types::Type;
use crate::runbook::vocabulary::Callable;

pub(super) use cache::about as cache_question;
pub(super) use database::about as session_question;

/// What an entry is called, takes and gives.
#[derive(Debug, Clone, Serialize)]
pub struct Spec {
    /// Its name, such as `db.summary`.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// It changes something: it is recorded before it is done, and needs a responder.
    pub changes: bool,
    /// JSON Schema of its parameters. `format` is `service` where a service is named.
    pub params: Value,
    /// JSON Schema of its result.
    pub result: Value,
}

/// What a call came to: for a machine and for people.
pub(super) struct Called {
    /// The result, as the schema tells.
    pub(super) value: Value,
    /// The same as it is said in chat.
    pub(super) message: Message,
}

type Look = Arc<dyn Fn(Context, Value) -> BoxFuture<'static, Result<Called, Fault>> + Send + Sync>;

struct Entry {
    spec: Spec,
    /// `None` for what changes something.
    look: Option<Look>,
}

/// An entry that only looks.
fn probe<P, R, F, Fut>(name: &'static str, summary: &'static str, look: F) -> Entry
where
    P: DeserializeOwned + JsonSchema,
    R: Serialize + JsonSchema,
    F: Fn(Context, P) -> Fut + Send + Sync + Copy + 'static,
    Fut: Future<Output = Result<(R, Message), Fault>> + Send + 'static,
{
    let look: Look = Arc::new(move |bot, params| {
        async move {
            let params = serde_json::from_value(params)
                .map_err(|error| Refusal::new(Line::new().code(name).text(format!(": {error}"))))?;
            let (result, message) = look(bot, params).await?;
            let value = serde_json::to_value(result)
                .map_err(|error| Fault::Failure(Failure::new(error)))?;
            Ok(Called { value, message })
        }
        .boxed()
    });
    Entry {
        spec: Spec {
            name,
            summary,
            changes: false,
            params: schema::<P>(),
            result: schema::<R>(),
        },
        look: Some(look),
    }
}

/// An entry that changes something.
fn action<P: JsonSchema, R: JsonSchema>(name: &'static str, summary: &'static str) -> Entry {
    Entry {
        spec: Spec {
            name,
            summary,
            changes: true,
            params: schema::<P>(),
            result: schema::<R>(),
        },
        look: None,
    }
}

/// The schema of a type, without references: a reader needs no second look.
fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().into()
}

static ENTRIES: LazyLock<BTreeMap<&'static str, Entry>> = LazyLock::new(|| {
    [
        service::entries(),
        database::entries(),
        cache::entries(),
        incident::entries(),
        web::entries(),
        prometheus::entries(),
        trend::entries(),
    ]
    .into_iter()
    .flatten()
    .map(|entry| (entry.spec.name, entry))
    .collect()
});

/// All entries, by name.
pub fn specs() -> impl Iterator<Item = &'static Spec> {
    ENTRIES.values().map(|entry| &entry.spec)
}

/// All entries as the language of runbooks needs them.
pub fn callables() -> BTreeMap<String, Callable> {
    specs()
        .map(|spec| {
            let callable = Callable {
                summary: spec.summary.to_owned(),
                changes: spec.changes,
                needs: policy::step_needs(spec),
                params: spec.params.clone(),
                result: Type::of_schema(&spec.result),
            };
            (spec.name.to_owned(), callable)
        })
        .collect()
}

/// Asks a probe and returns its result; for who sits at the machine.
pub async fn ask_probe(context: &Context, name: &str, params: Value) -> Result<Value, Fault> {
    Ok(call(context, name, params).await?.value)
}

/// Calls an entry that only looks.
pub(super) async fn call(context: &Context, name: &str, params: Value) -> Result<Called, Fault> {
    let look = ENTRIES.get(name).and_then(|entry| entry.look.clone());
    let look =
        look.ok_or_else(|| Refusal::new(Line::new().text("There is no probe ").code(name)))?;
    look(context.clone(), params).await
}

/// The same, as the answer to a command.
pub(super) async fn ask(context: &Context, name: &str, params: Value) -> Result<Effect, Fault> {
    let called = call(context, name, params).await?;
    Ok(Effect::Say(Answer::to_all(called.message)))
}

impl From<ProbeError> for Fault {
    fn from(error: ProbeError) -> Self {
        if error.is_refusal() {
            Self::Refusal(Refusal::new(error.to_string()))
        } else {
            Self::Failure(Failure::new(error))
        }
    }
}

#[cfg(test)]
pub(in crate::bot) mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::bot::{Access, Catalogue, Library, Settings};
    use crate::domain::ServiceName;
    use crate::domain::service::{Patience, PlatformKey, Service, Target};
    use crate::platform::Platform;
    use crate::platform::docker::Docker;
    use crate::probe::Http;
    use crate::probe::prometheus::Prometheus;
    use crate::probe::web::{Config, Web};
    use crate::store::{Store, Use};

    /// A bot that knows a service `api` on an engine that is not asked, and keeps its store in the
    /// folder.
    pub(in crate::bot) async fn bot(
        folder: &tempfile::TempDir,
        prometheus: Option<Prometheus>,
    ) -> Context {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("sqlite://{}", folder.path().join("bot.db").display());
        let api = Service {
            name: ServiceName::parse("api").unwrap(),
            target: Target::Container {
                engine: None,
                name: "api".into(),
            },
            min_replicas: 1,
            max_replicas: 9,
            health_url: None,
            check: Vec::new(),
            metrics: BTreeMap::new(),
            metrics_page: None,
            depends_on: Vec::new(),
        };
        let docker = Docker::new(Some("tcp://127.0.0.1:1")).unwrap();
        let docker: Arc<dyn Platform> = Arc::new(docker);
        let catalogue = Catalogue::new(vec![api], [(PlatformKey::Docker(None), docker)])
            .with_web(Web::new(Config::default()).unwrap(), prometheus);
        let settings = Settings {
            command: "/treasury".into(),
            access: Access::default(),
            confirm: crate::domain::Guarded::all(),
            second_person: std::collections::BTreeSet::new(),
            confirm_within: Duration::from_secs(60),
            patience: Patience::default(),
            hold: Duration::from_secs(60),
            alerts: crate::bot::AlertSettings::default(),
            mail: None,
            incident_channels: false,
            public_url: None,
        };
        let store = Store::open(&url, Use::Visit).await.unwrap();
        let (library, shutdown) = (Library::open(None, None).unwrap(), CancellationToken::new());
        Context::new(store, settings, catalogue, library, Http::new(), shutdown)
    }

    #[test]
    fn every_entry_has_an_object_of_parameters_and_a_typed_result() {
        assert!(specs().count() >= 20);
        for spec in specs() {
            let (group, verb) = spec.name.split_once('.').unwrap();
            assert!(!group.is_empty() && !verb.is_empty(), "{}", spec.name);
            assert_eq!(spec.params["type"], "object", "{}", spec.name);
            assert_eq!(
                spec.params["additionalProperties"], false,
                "{}: an unknown parameter must be an error",
                spec.name
            );
            assert!(
                spec.result.get("properties").is_some(),
                "{}: {}",
                spec.name,
                spec.result
            );
            let text = format!("{}{}", spec.params, spec.result);
            assert!(!text.contains("$ref"), "{}: {text}", spec.name);
        }
    }
}
