//! Faults that tests put in, who may do what, and what was asked.

use std::time::Duration;

use serde_json::Value;

use crate::path::Operation;
use crate::status::Status;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this code; 409 is a conflict about the object.
    Code(u16),
    /// It is carried out, but the answer comes this late.
    Slow(Duration),
    /// The connection is closed without an answer, before it is carried out.
    Drop,
    /// It is carried out, and then the connection is closed without an answer.
    DropAfter,
    /// A watch is answered as if its version were too old.
    Gone,
}

/// A fault and the requests that it is for.
#[derive(Debug, Clone)]
pub struct Rule {
    pub fault: Fault,
    /// Verbs as RBAC names them; all where empty.
    pub verbs: Vec<String>,
    /// Resources as RBAC names them, such as `pods/log`; all where empty.
    pub resources: Vec<String>,
    /// How many requests it still hits; `None` for all.
    pub left: Option<u32>,
}

/// All faults that are in.
#[derive(Debug, Default)]
pub struct Faults(pub Vec<Rule>);

impl Faults {
    /// The fault that hits this request, counted off.
    pub fn hit(&mut self, verb: &str, resource: &str) -> Option<Fault> {
        let has = |all: &[String], one: &str| all.is_empty() || all.iter().any(|all| all == one);
        let at = self.0.iter().position(|rule| {
            has(&rule.verbs, verb) && has(&rule.resources, resource) && rule.left != Some(0)
        })?;
        let rule = &mut self.0[at];
        let fault = rule.fault;
        if let Some(left) = &mut rule.left {
            *left -= 1;
        }
        self.0.retain(|rule| rule.left != Some(0));
        Some(fault)
    }
}

/// One rule of a Role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The namespace that it holds in; all where `None`.
    pub namespace: Option<String>,
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    pub verbs: Vec<String>,
    /// Where it is not empty, only objects of these names.
    pub names: Vec<String>,
}

impl Grant {
    /// Of a rule of a Role as it is written in YAML or JSON.
    pub fn of(namespace: Option<&str>, rule: &Value) -> Self {
        let words = |key: &str| {
            let all = rule
                .get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            all.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            namespace: namespace.map(str::to_owned),
            groups: words("apiGroups"),
            resources: words("resources"),
            verbs: words("verbs"),
            names: words("resourceNames"),
        }
    }

    fn allows(&self, verb: &str, group: &str, resource: &str, namespace: &str, name: &str) -> bool {
        let has = |all: &[String], one: &str| all.iter().any(|all| all == one || all == "*");
        let below = resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
        self.namespace.as_deref().is_none_or(|own| own == namespace)
            && has(&self.groups, group)
            && has(&self.verbs, verb)
            && (has(&self.resources, resource)
                || below.is_some_and(|below| self.resources.contains(&below)))
            && (self.names.is_empty() || self.names.iter().any(|one| one == name))
    }
}

/// Who asks, and what they may do.
#[derive(Debug)]
pub struct Rights {
    pub user: String,
    /// The only things allowed; everything is where `None`.
    pub grants: Option<Vec<Grant>>,
    /// Verb and resource that are taken away.
    pub forbidden: Vec<(String, String)>,
}

impl Rights {
    pub fn allow(
        &self,
        verb: &str,
        group: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> bool {
        let taken = self.forbidden.iter().any(|(taken_verb, taken)| {
            (taken_verb == verb || taken_verb == "*") && (taken == resource || taken == "*")
        });
        let granted = self.grants.as_ref().is_none_or(|grants| {
            grants
                .iter()
                .any(|grant| grant.allows(verb, group, resource, namespace, name))
        });
        !taken && granted
    }

    /// Refuses what this user may not do.
    pub fn check(&self, operation: &Operation, verb: &str) -> Result<(), Status> {
        let resource = operation.resource();
        let (namespace, name) = (&operation.namespace, &operation.name);
        // A request for a namespace by its name is authorised within that namespace.
        let within = if operation.kind.plural == "namespaces" {
            name
        } else {
            namespace
        };
        if self.allow(verb, operation.kind.group, &resource, within, name) {
            return Ok(());
        }
        let user = &self.user;
        Err(Status::forbidden(
            operation.kind,
            name,
            user,
            verb,
            &resource,
            within,
        ))
    }
}

/// A request that was made.
#[derive(Debug, Clone)]
pub struct Access {
    pub verb: &'static str,
    /// As RBAC names it, such as `deployments/scale`.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub query: String,
    pub content_type: String,
    /// `Null` where there was none.
    pub body: Value,
    /// 0 while there is no answer.
    pub code: u16,
}

impl Access {
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
            && self.resource != "selfsubjectaccessreviews"
    }
}
