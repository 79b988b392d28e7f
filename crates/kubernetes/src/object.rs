//! What objects of every kind have. Only what the driver uses is read, so that an object takes
//! little room in memory and reading it takes little code.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use treasury_ports::text::shown;

/// Labels or annotations.
pub(crate) type Labels = BTreeMap<String, String>;

/// An object with those parts that are read of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Object<Spec, Status = IgnoredAny> {
    pub(crate) metadata: Metadata,
    pub(crate) spec: Spec,
    pub(crate) status: Status,
}

impl<Spec, Status> AsRef<Metadata> for Object<Spec, Status> {
    fn as_ref(&self) -> &Metadata {
        &self.metadata
    }
}

/// Like what is missing, `null` is nothing.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    value: D,
) -> Result<T, D::Error> {
    Option::deserialize(value).map(Option::unwrap_or_default)
}

/// What is told of an object itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) resource_version: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) labels: Labels,
    #[serde(deserialize_with = "or_default")]
    pub(crate) annotations: Labels,
    pub(crate) creation_timestamp: Option<Timestamp>,
    pub(crate) deletion_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) owner_references: Vec<OwnerReference>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OwnerReference {
    uid: String,
    controller: bool,
}

impl Metadata {
    /// The identifier of the object's controller.
    pub(crate) fn controller(&self) -> Option<&str> {
        let controls = self.owner_references.iter().find(|one| one.controller)?;
        Some(&controls.uid)
    }
}

/// What another object is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub(crate) struct ObjectReference {
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// One of the conditions that a controller or a kubelet tells.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    status: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Condition {
    pub(crate) fn holds(&self) -> bool {
        self.status == "True"
    }

    /// Its reason (`otherwise` where it tells none) and message, at most so many bytes.
    pub(crate) fn words(&self, otherwise: &str, most: usize) -> String {
        let reason = match self.reason.as_str() {
            "" => otherwise,
            reason => reason,
        };
        shown(&format!("{reason}: {}", self.message), most)
    }

    /// It is told that it does not hold; `Unknown` tells nothing.
    pub(crate) fn fails(&self) -> bool {
        self.status == "False"
    }
}
