//! The scopes of the bot token that a configuration takes.

/// A scope of the bot token.
pub(super) struct Scope {
    /// Its name at Slack.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) gives: &'static str,
    /// What is done without it; `None`: it is needed.
    pub(super) without: Option<&'static str>,
}

const fn needed(name: &'static str, gives: &'static str) -> Scope {
    Scope {
        name,
        gives,
        without: None,
    }
}

const fn optional(name: &'static str, gives: &'static str, without: &'static str) -> Scope {
    Scope {
        name,
        gives,
        without: Some(without),
    }
}

/// Those of a configuration: `channels`: each incident gets a channel; `groups`: user groups are listed
/// in `[access]`.
pub(super) fn scopes(channels: bool, groups: bool) -> Vec<Scope> {
    let mut all = vec![
        needed("commands", "the slash command"),
        needed("chat:write", "answers and messages"),
        needed("app_mentions:read", "what is asked by a mention"),
        needed("users:read", "people's names"),
        optional(
            "chat:write.public",
            "posts in public channels that it is not in",
            "it has to join or be invited first",
        ),
        optional(
            "channels:read",
            "finds public channels by their names",
            "`channel` has to be an id (`C…`)",
        ),
        optional(
            "channels:join",
            "joins public channels",
            "somebody has to `/invite` it",
        ),
        optional(
            "channels:history",
            "finds a post again whose answer was lost",
            "it is perhaps said twice",
        ),
        optional(
            "files:write",
            "exports and charts as files",
            "a message says that it can't",
        ),
        optional(
            "im:write",
            "a file for its requester alone",
            "it is not sent",
        ),
    ];
    if channels {
        all.push(optional(
            "channels:manage",
            "a channel for each incident",
            "a thread in the main channel",
        ));
    }
    if groups {
        all.push(needed(
            "usergroups:read",
            "who is in the user groups of `[access]`",
        ));
    }
    all
}
