//! The methods of the Web API that the bot calls, the events it hears, and the scopes that these take.
//!
//! The client takes a [`Method`] and no text, so that none is called which this table does not know.
//! Source: the pages of each method and event below <https://docs.slack.dev/reference>.

/// A method of the Web API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    AppsConnectionsOpen,
    AuthTest,
    ChatGetPermalink,
    ChatPostEphemeral,
    ChatPostMessage,
    ChatUpdate,
    ConversationsCreate,
    ConversationsHistory,
    ConversationsInvite,
    ConversationsJoin,
    ConversationsList,
    ConversationsOpen,
    ConversationsReplies,
    ConversationsSetTopic,
    FilesCompleteUploadExternal,
    FilesGetUploadUrlExternal,
    UsergroupsUsersList,
    UsersInfo,
    UsersList,
}

crate::domain::words!(Method {
    AppsConnectionsOpen: "apps.connections.open",
    AuthTest: "auth.test",
    ChatGetPermalink: "chat.getPermalink",
    ChatPostEphemeral: "chat.postEphemeral",
    ChatPostMessage: "chat.postMessage",
    ChatUpdate: "chat.update",
    ConversationsCreate: "conversations.create",
    ConversationsHistory: "conversations.history",
    ConversationsInvite: "conversations.invite",
    ConversationsJoin: "conversations.join",
    ConversationsList: "conversations.list",
    ConversationsOpen: "conversations.open",
    ConversationsReplies: "conversations.replies",
    ConversationsSetTopic: "conversations.setTopic",
    FilesCompleteUploadExternal: "files.completeUploadExternal",
    FilesGetUploadUrlExternal: "files.getUploadURLExternal",
    UsergroupsUsersList: "usergroups.users.list",
    UsersInfo: "users.info",
    UsersList: "users.list",
});

/// The events that the bot hears, each with the scope that it takes.
pub const EVENTS: [(&str, &str); 2] = [
    ("app_mention", "app_mentions:read"),
    // What is written to the bot itself.
    ("message.im", "im:history"),
];

/// A scope of the bot token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Its name at Slack.
    pub name: &'static str,
    /// What it is for.
    pub gives: &'static str,
    /// What is done without it; `None`: it is needed.
    pub without: Option<&'static str>,
    /// What of the configuration asks for it.
    of: Of,
}

/// What of the configuration asks for a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Any.
    Any,
    /// `slack.incident_channels`
    IncidentChannels,
    /// User groups in `[access]`.
    Groups,
}

const fn needed(of: Of, name: &'static str, gives: &'static str) -> Scope {
    Scope {
        name,
        gives,
        without: None,
        of,
    }
}

const fn optional(of: Of, name: &'static str, gives: &'static str, without: &'static str) -> Scope {
    Scope {
        name,
        gives,
        without: Some(without),
        of,
    }
}

/// All scopes that the bot knows how to use.
pub const SCOPES: [Scope; 13] = [
    needed(Of::Any, "commands", "the slash command"),
    needed(Of::Any, "chat:write", "answers and messages"),
    needed(Of::Any, "app_mentions:read", "what is asked by a mention"),
    needed(
        Of::Any,
        "im:history",
        "what is written to the bot in its direct messages",
    ),
    needed(Of::Any, "users:read", "people's names"),
    needed(
        Of::Groups,
        "usergroups:read",
        "who is in the user groups of `[access]`",
    ),
    optional(
        Of::Any,
        "chat:write.public",
        "posts in public channels that it is not in",
        "it has to join or be invited first",
    ),
    optional(
        Of::Any,
        "channels:read",
        "finds public channels by their names",
        "`channel` has to be an id (`C…`)",
    ),
    optional(
        Of::Any,
        "channels:join",
        "joins public channels",
        "somebody has to `/invite` it",
    ),
    optional(
        Of::Any,
        "channels:history",
        "finds a post again whose answer was lost",
        "it is perhaps said twice",
    ),
    optional(
        Of::IncidentChannels,
        "channels:manage",
        "a channel for each incident",
        "a thread in the main channel",
    ),
    optional(
        Of::Any,
        "files:write",
        "exports and charts as files",
        "a message says that it can't",
    ),
    optional(
        Of::Any,
        "im:write",
        "a file for its requester alone",
        "it is not sent",
    ),
];

/// What of a configuration decides about scopes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uses {
    /// Each incident gets a channel.
    pub incident_channels: bool,
    /// User groups are listed in `[access]`.
    pub groups: bool,
}

impl Uses {
    /// The scopes that it takes, in the table's order.
    pub fn scopes(self) -> impl Iterator<Item = Scope> {
        SCOPES.into_iter().filter(move |scope| match scope.of {
            Of::Any => true,
            Of::IncidentChannels => self.incident_channels,
            Of::Groups => self.groups,
        })
    }

    /// The scopes that it takes and that are not among those `granted`.
    pub fn lacking(self, granted: &[String]) -> Vec<Scope> {
        let lacks = |scope: &Scope| !granted.iter().any(|one| one == scope.name);
        self.scopes().filter(lacks).collect()
    }
}

impl Method {
    /// The scopes of the bot token that it can take; any of them makes it work somewhere.
    pub fn scopes(self) -> &'static [&'static str] {
        match self {
            // The app-level token's own scope is no scope of the bot token.
            Self::AppsConnectionsOpen | Self::AuthTest | Self::ChatGetPermalink => &[],
            Self::ChatPostEphemeral | Self::ChatUpdate => &["chat:write"],
            Self::ChatPostMessage => &["chat:write", "chat:write.public"],
            Self::ConversationsCreate | Self::ConversationsInvite | Self::ConversationsSetTopic => {
                &["channels:manage"]
            }
            Self::ConversationsHistory | Self::ConversationsReplies => {
                &["channels:history", "im:history"]
            }
            Self::ConversationsJoin => &["channels:join"],
            Self::ConversationsList => &["channels:read"],
            Self::ConversationsOpen => &["im:write"],
            Self::FilesCompleteUploadExternal | Self::FilesGetUploadUrlExternal => &["files:write"],
            Self::UsergroupsUsersList => &["usergroups:read"],
            Self::UsersInfo | Self::UsersList => &["users:read"],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_methods_and_events_take_is_what_the_table_asks_for() {
        let methods = Method::ALL.into_iter().flat_map(Method::scopes).copied();
        let events = EVENTS.into_iter().map(|(_, scope)| scope);
        let taken: BTreeSet<&str> = methods.chain(events).chain(["commands"]).collect();
        let asked: BTreeSet<&str> = SCOPES.iter().map(|scope| scope.name).collect();
        assert_eq!(taken, asked);
        assert_eq!(asked.len(), SCOPES.len(), "one is listed twice");
    }

    #[test]
    fn the_configuration_decides_what_is_asked_for() {
        let names = |uses: Uses| -> Vec<&str> { uses.scopes().map(|one| one.name).collect() };
        let least = names(Uses::default());
        assert!(!least.contains(&"channels:manage") && !least.contains(&"usergroups:read"));
        let all = names(Uses {
            incident_channels: true,
            groups: true,
        });
        assert_eq!(all.len(), SCOPES.len());

        let granted = ["commands", "chat:write", "admin"].map(str::to_owned);
        let lacking = Uses::default().lacking(&granted);
        assert_eq!(lacking.len(), least.len() - 2);
    }
}
