//! What a request asks for.

use std::collections::BTreeMap;

use axum::http::{Method, Uri};

use crate::resource::{Kind, METRICS, REVIEW};

/// A part of a path without its percent signs. No name holds `&` or `=`, and `+` is itself.
fn decoded(part: &str) -> String {
    let part = part.replace('+', "%2B");
    let pairs = url::form_urlencoded::parse(part.as_bytes());
    pairs.map(|(name, _)| name).collect()
}

/// The query of a request; the last value of each key.
pub type Query = BTreeMap<String, String>;

/// A request for a resource.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The verb as RBAC names it.
    pub verb: &'static str,
    pub kind: &'static Kind,
    /// Empty at the scope of the cluster.
    pub namespace: String,
    /// Empty for a collection.
    pub name: String,
    /// The subresource, or empty.
    pub sub: String,
    pub query: Query,
}

impl Operation {
    /// The resource as RBAC names it, such as `pods/log`.
    pub fn resource(&self) -> String {
        match self.sub.as_str() {
            "" => self.kind.plural.to_owned(),
            sub => format!("{}/{sub}", self.kind.plural),
        }
    }

    pub fn flag(&self, key: &str) -> bool {
        matches!(self.query.get(key).map(String::as_str), Some("true" | "1"))
    }

    pub fn word(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }

    /// Reads a path below `/api` or `/apis`; `None` where it leads nowhere.
    pub fn read(method: &Method, uri: &Uri) -> Option<Self> {
        let parts: Vec<String> = uri
            .path()
            .split('/')
            .filter(|part| !part.is_empty())
            .map(decoded)
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => ("", rest),
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            rest => ("", rest),
        };
        let (plural, name, sub) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, sub] => (*plural, *name, *sub),
            _ => return None,
        };
        let kind = Kind::find(group, version, plural)
            .or_else(|| {
                let same = |kind: &&Kind| kind.group == group && kind.plural == plural;
                METRICS.iter().find(same)
            })
            .or_else(|| (group == REVIEW.group && plural == REVIEW.plural).then_some(&REVIEW))?;
        if !kind.namespaced && !namespace.is_empty() {
            return None;
        }
        let query = query(uri);
        let watch = matches!(query.get("watch").map(String::as_str), Some("true" | "1"));
        let verb = match *method {
            Method::GET if watch => "watch",
            Method::GET if name.is_empty() => "list",
            Method::GET => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if name.is_empty() => "deletecollection",
            Method::DELETE => "delete",
            _ => return None,
        };
        Some(Self {
            verb,
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            sub: sub.to_owned(),
            query,
        })
    }
}

pub fn query(uri: &Uri) -> Query {
    let text = uri.query().unwrap_or("").as_bytes();
    url::form_urlencoded::parse(text).into_owned().collect()
}
