//! What the bot measures by itself over time.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ServiceName;

/// What is measured.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Memory of a replica, bytes.
    Memory,
    /// CPU of a replica, percent of one core.
    Cpu,
    /// Connections of a database's clients.
    Connections,
    /// Answers 5xx of a service, percent of all (of all replicas together).
    #[serde(rename = "error-rate")]
    ErrorRate,
}

crate::words!(Metric {
    Memory: "memory",
    Cpu: "cpu",
    Connections: "connections",
    ErrorRate: "error-rate",
});

/// One line on a chart: a metric of a replica of a service (for [`Metric::Connections`] the
/// replica is the database).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// The service.
    pub service: ServiceName,
    /// What is measured.
    pub metric: Metric,
    /// Of which replica.
    pub replica: String,
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.service, self.metric, self.replica)
    }
}

/// Why a text is no series.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a series: write `service/metric/replica`")]
pub struct InvalidSeries;

impl FromStr for Series {
    type Err = InvalidSeries;

    fn from_str(text: &str) -> Result<Self, InvalidSeries> {
        let mut parts = text.splitn(3, '/');
        let mut next = || parts.next().ok_or(InvalidSeries);
        let (service, metric, replica) = (next()?, next()?, next()?);
        Ok(Self {
            service: ServiceName::parse(service).map_err(|_| InvalidSeries)?,
            metric: Metric::parse(metric).ok_or(InvalidSeries)?,
            replica: replica.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_again_by_its_text() {
        let series = Series {
            service: ServiceName::parse("api.v2").unwrap(),
            metric: Metric::Memory,
            replica: "treasury/api-1".into(),
        };
        assert_eq!(series.to_string().parse(), Ok(series));
        assert_eq!("api/weight/api-1".parse::<Series>(), Err(InvalidSeries));
        assert_eq!("api/memory".parse::<Series>(), Err(InvalidSeries));
    }
}
