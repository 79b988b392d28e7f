//! What a kube-apiserver says when it does not do it, in its own words.

use serde_json::{Value, json};

use crate::resource::Kind;

/// The body of a refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    /// `Null` where there are none.
    pub details: Value,
}

impl Status {
    fn about(kind: &Kind, name: &str, code: u16, reason: &'static str, message: String) -> Self {
        let mut details = json!({"kind": kind.plural});
        if !name.is_empty() {
            details["name"] = json!(name);
        }
        if !kind.group.is_empty() {
            details["group"] = json!(kind.group);
        }
        Self {
            code,
            reason,
            message,
            details,
        }
    }

    pub fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.resource());
        Self::about(kind, name, 404, "NotFound", message)
    }

    /// What a client is told of a path that leads nowhere inside of a known group.
    pub fn no_resource() -> Self {
        Self {
            code: 404,
            reason: "NotFound",
            message: "the server could not find the requested resource".to_owned(),
            details: json!({}),
        }
    }

    pub fn already_exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", kind.resource());
        Self::about(kind, name, 409, "AlreadyExists", message)
    }

    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let what = kind.resource();
        let message = format!("Operation cannot be fulfilled on {what} \"{name}\": {why}");
        Self::about(kind, name, 409, "Conflict", message)
    }

    /// Somebody else wrote in between.
    pub fn modified(kind: &Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(kind, name, why)
    }

    /// Another object has this name by now.
    pub fn other_uid(kind: &Kind, name: &str, asked: &str, own: &str) -> Self {
        let why = format!(
            "the UID in the precondition ({asked}) does not match the UID in record ({own}). The \
             object might have been deleted and then recreated"
        );
        Self::conflict(kind, name, &why)
    }

    /// `problems` are field, reason (`FieldValueInvalid` …) and what is told of it.
    pub fn invalid(kind: &Kind, name: &str, problems: &[(&str, &'static str, String)]) -> Self {
        let told: Vec<String> = problems
            .iter()
            .map(|(field, _, what)| format!("{field}: {what}"))
            .collect();
        let told = match told.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let what = match kind.group {
            "" => kind.kind.to_owned(),
            group => format!("{}.{group}", kind.kind),
        };
        let message = format!("{what} \"{name}\" is invalid: {told}");
        let mut status = Self::about(kind, name, 422, "Invalid", message);
        status.details["kind"] = json!(kind.kind);
        let causes = problems.iter().map(
            |(field, reason, what)| json!({"reason": reason, "message": what, "field": field}),
        );
        status.details["causes"] = causes.collect();
        status
    }

    /// `resource` may have a subresource: `pods/log`.
    pub fn forbidden(
        kind: &Kind,
        name: &str,
        user: &str,
        verb: &str,
        resource: &str,
        namespace: &str,
    ) -> Self {
        let what = kind.resource();
        let named = if name.is_empty() {
            what
        } else {
            format!("{what} \"{name}\"")
        };
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{namespace}\"")
        };
        let message = format!(
            "{named} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API \
             group \"{}\" {place}",
            kind.group
        );
        Self::about(kind, name, 403, "Forbidden", message)
    }

    pub fn unauthorized() -> Self {
        Self::plain(401, "Unauthorized", "Unauthorized")
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(400, "BadRequest", message)
    }

    pub fn too_old(asked: u64, oldest: u64) -> Self {
        let message = format!("too old resource version: {asked} ({oldest})");
        Self::plain(410, "Expired", message)
    }

    pub fn expired_continue() -> Self {
        let message = "The provided continue parameter is too old to display a consistent list \
                       result. You can start a new list without the continue parameter, or use \
                       the continue token in this response to retrieve the remainder of the \
                       results. Continuing with the provided token results in an inconsistent \
                       list - objects that were created, modified, or deleted between the time \
                       the first chunk was returned and now may show up in the list.";
        Self::plain(410, "Expired", message)
    }

    pub fn unsupported_patch(content_type: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, \
             application/strategic-merge-patch+json, application/apply-patch+yaml (got \
             {content_type})"
        );
        Self::plain(415, "UnsupportedMediaType", message)
    }

    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::plain(405, "MethodNotAllowed", message)
    }

    /// The answer that a fault makes.
    pub fn faulty(code: u16) -> Self {
        match code {
            429 => Self {
                details: json!({"retryAfterSeconds": 1}),
                ..Self::plain(
                    429,
                    "TooManyRequests",
                    "Too many requests, please try again later.",
                )
            },
            503 => Self::plain(503, "ServiceUnavailable", "apiserver is shutting down"),
            504 => Self::plain(
                504,
                "Timeout",
                "Timeout: request did not complete within the allotted timeout",
            ),
            code => Self::plain(
                code,
                "InternalError",
                "Internal error occurred: etcdserver: leader changed",
            ),
        }
    }

    pub fn plain(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Value::Null,
        }
    }

    pub fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_null() {
            body["details"] = self.details.clone();
        }
        body
    }
}
