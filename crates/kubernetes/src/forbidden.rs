//! What a refusal (403) of the API server lacks, from its own words.

/// The refused verb and resource, such as `patch` and `deployments.apps`.
#[derive(Debug, PartialEq, Eq)]
struct Missing<'a> {
    account: &'a str,
    verb: &'a str,
    /// With the subresource: `deployments/scale`.
    resource: &'a str,
    group: &'a str,
    /// `None`: for the whole cluster.
    namespace: Option<&'a str>,
}

/// Reads `… User "x" cannot patch resource "deployments" in API group "apps" in the namespace "y"`.
fn missing(message: &str) -> Option<Missing<'_>> {
    let (_, rest) = message.split_once("User \"")?;
    let (account, rest) = rest.split_once("\" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once("\" in API group \"")?;
    let (group, rest) = rest.split_once('"')?;
    let namespace = rest
        .split_once("in the namespace \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(namespace, _)| namespace);
    Some(Missing {
        account,
        verb,
        resource,
        group,
        namespace,
    })
}

/// What the operator can do about it.
pub(crate) fn hint(message: &str) -> String {
    let Some(missing) = missing(message) else {
        // Not RBAC: an admission controller, a quota. Its words are all there is.
        let words: String = message.chars().take(500).collect();
        return format!("{words}. If it is a missing right: see `treasury-bot rbac`");
    };
    let resource = match missing.group {
        "" => missing.resource.to_owned(),
        group => format!("{} ({group})", missing.resource),
    };
    let place = match missing.namespace {
        Some(namespace) => format!("in namespace {namespace}"),
        None => "in the whole cluster".to_owned(),
    };
    format!(
        "{} may not {} {resource} {place}. `treasury-bot rbac | kubectl apply -f -` grants what \
         the bot needs",
        missing.account, missing.verb
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_verb_resource_and_namespace() {
        let words = "deployments.apps \"web\" is forbidden: User \
                     \"system:serviceaccount:ops:treasury-bot\" cannot patch resource \
                     \"deployments/scale\" in API group \"apps\" in the namespace \"treasury\"";
        let expected = Missing {
            account: "system:serviceaccount:ops:treasury-bot",
            verb: "patch",
            resource: "deployments/scale",
            group: "apps",
            namespace: Some("treasury"),
        };
        assert_eq!(missing(words), Some(expected));
        assert_eq!(
            hint(words),
            "system:serviceaccount:ops:treasury-bot may not patch deployments/scale (apps) in \
             namespace treasury. `treasury-bot rbac | kubectl apply -f -` grants what the bot needs"
        );
    }

    #[test]
    fn a_refusal_for_the_whole_cluster_or_of_the_core_group_is_read_too() {
        let words = "pods is forbidden: User \"bot\" cannot list resource \"pods\" in API group \
                     \"\" at the cluster scope";
        assert!(hint(words).starts_with("bot may not list pods in the whole cluster."));
    }

    #[test]
    fn other_words_are_passed_on() {
        let words = "admission webhook \"policy\" denied the request: no tag latest";
        assert!(missing(words).is_none());
        assert!(hint(words).starts_with(words));
    }
}
