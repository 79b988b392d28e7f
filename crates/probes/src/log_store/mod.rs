//! Log stores: where lines are kept that containers no longer have.

mod elasticsearch;
mod loki;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use super::fetch::Fetch;
use super::service::{Service, authorization, login};
use super::{ProbeError, ProbeErrorKind as Kind};
use treasury_domain::service::{LogLine, Logs};
use treasury_domain::timeline::cut;
use treasury_ports::text::{clean, fit};

/// The largest answer that is read, bytes.
const MAX_BYTES: usize = 16 << 20;

/// Whose API is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Grafana Loki: <https://grafana.com/docs/loki/latest/reference/loki-http-api/>.
    Loki,
    /// Elasticsearch 7.10 or newer:
    /// <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-search>.
    Elasticsearch,
    /// OpenSearch, which answers as Elasticsearch 7.10 does:
    /// <https://docs.opensearch.org/latest/api-reference/search-apis/search/>.
    OpenSearch,
}

impl Flavour {
    /// Its name, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loki => "Loki",
            Self::Elasticsearch => "Elasticsearch",
            Self::OpenSearch => "OpenSearch",
        }
    }

    /// What names the service of a line where nothing else is configured: Loki's own default label,
    /// and the field of the Elastic Common Schema.
    pub fn usual_field(self) -> &'static str {
        match self {
            Self::Loki => "service_name",
            Self::Elasticsearch | Self::OpenSearch => "service.name",
        }
    }
}

/// Where and how a log store is asked.
#[derive(Debug)]
pub struct Config {
    /// Whose API it speaks.
    pub flavour: Flavour,
    /// Its address without a slash at the end.
    pub url: String,
    /// A bearer token; an API key of Elasticsearch.
    pub token: Option<SecretString>,
    /// A user and their password.
    pub login: Option<(String, SecretString)>,
    /// Loki's tenant (`X-Scope-OrgID`).
    pub tenant: Option<String>,
    /// The indices, data streams or aliases that are searched; not of Loki.
    pub index: String,
    /// The label (Loki) or the keyword field that names the service of a line.
    pub field: String,
    /// Services that are called otherwise there.
    pub names: BTreeMap<String, String>,
    /// The longest that a question may take.
    pub timeout: Duration,
}

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The newest this many, 1 to 500.
    pub lines: usize,
    /// From this time …
    pub since: Timestamp,
    /// … to this one.
    pub until: Timestamp,
    /// Only lines that contain this text, in any case. Elasticsearch finds whole words only.
    pub grep: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The lines, oldest first.
    pub logs: Logs,
    /// Why some may be missing, if the store says so.
    pub partial: Option<String>,
}

/// A log store.
pub struct LogStore {
    service: Service,
    flavour: Flavour,
    index: String,
    field: String,
    names: BTreeMap<String, String>,
}

impl fmt::Debug for LogStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service.label.trim_end_matches(':'))
    }
}

impl LogStore {
    /// Nothing is connected yet.
    pub fn new(config: Config) -> Self {
        let flavour = config.flavour;
        let kind_of_token = match flavour {
            Flavour::Elasticsearch => "ApiKey",
            Flavour::Loki | Flavour::OpenSearch => "Bearer",
        };
        let header = login(kind_of_token, config.token.as_ref(), config.login.as_ref());
        let service = Service {
            label: format!("{} at {}:", flavour.name(), config.url),
            setting: "[logs] url",
            url: format!("{}/", config.url),
            authorization: header.as_deref().map(authorization),
            header: config.tenant.map(|tenant| ("x-scope-orgid", tenant)),
            timeout: config.timeout,
            fetch: Fetch::new(MAX_BYTES),
        };
        Self {
            service,
            flavour,
            index: config.index,
            field: config.field,
            names: config.names,
        }
    }

    /// Whose API it speaks.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// How lines of a service are found: the label or field, and its value.
    pub fn place<'a>(&'a self, service: &'a str) -> (&'a str, &'a str) {
        let name = self.names.get(service).map_or(service, String::as_str);
        (&self.field, name)
    }

    /// The newest wanted lines of a service.
    pub async fn search(&self, service: &str, search: &Search) -> Result<Found, ProbeError> {
        let place = self.place(service);
        match self.flavour {
            Flavour::Loki => loki::search(&self.service, place, search).await,
            Flavour::Elasticsearch | Flavour::OpenSearch => {
                elasticsearch::search(&self.service, &self.index, place, search).await
            }
        }
    }
}

/// One line as a store gave it.
fn line(at: Option<Timestamp>, replica: Option<&str>, stderr: bool, text: &str) -> LogLine {
    LogLine {
        at,
        replica: cut(&clean(replica.unwrap_or("unknown")), 200),
        stderr,
        text: fit(clean(text)),
    }
}

/// The newest of the lines, oldest first. One more than wanted was asked for.
fn newest(mut lines: Vec<LogLine>, wanted: usize) -> Logs {
    lines.sort_by_key(|line| line.at);
    let more = lines.len().saturating_sub(wanted);
    lines.drain(..more);
    Logs {
        lines,
        truncated: more > 0,
        partial: None,
    }
}

/// Why a question was refused; `words`: what the store says.
fn refused(service: &Service, status: u16, words: &str) -> ProbeError {
    let words = cut(words.trim(), 300);
    match status {
        401 | 403 => service.error(
            Kind::Authenticate,
            &format!("refuses the bot ({status}): {words}"),
            "set `token_file`, or `user` and `password_file`, in [logs]; it needs to read only",
        ),
        404 => service.error(
            Kind::Unsupported,
            &format!("knows no such place (404): {words}"),
            "correct [logs] `url` and `index`",
        ),
        400 | 422 => service.error(
            Kind::Unsupported,
            &format!("does not take the question ({status}): {words}"),
            "correct [logs] `field`, or ask for a shorter time",
        ),
        429 | 502..=504 => service.error(
            Kind::Timeout,
            &format!("is overloaded ({status}): {words}"),
            "ask for a shorter time",
        ),
        _ => service.error(
            Kind::Failed,
            &format!("answered {status}: {words}"),
            "is [logs] `url` right, and its kind?",
        ),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
