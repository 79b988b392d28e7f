//! What a sandbox is started with: who works there, which channels exist, how the bot is reached.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Serialize;

/// A person of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// `U0ANA00001`
    pub id: String,
    /// The handle, as in `@ana`.
    pub name: String,
    /// `Ana Silva`
    pub real_name: String,
    /// What they do, shown on their profile: `on-call engineer`.
    pub title: String,
    pub email: String,
}

impl Person {
    /// A person with a made-up address under `treasury.example`.
    pub fn new(id: &str, name: &str, real_name: &str, title: &str) -> Self {
        Self {
            id: id.to_string(),
            name: name.to_string(),
            real_name: real_name.to_string(),
            title: title.to_string(),
            email: format!("{name}@treasury.example"),
        }
    }
}

/// A channel that exists from the start; all people are members of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSeed {
    /// Without the `#`.
    pub name: String,
    pub bot_is_member: bool,
}

/// A user group, as `usergroups.users.list` tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserGroup {
    pub id: String,
    pub handle: String,
    pub name: String,
    /// Ids of the members.
    pub users: Vec<String>,
}

/// The way commands, clicks and events take to the bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Socket Mode: the bot opens WebSockets.
    Socket,
    /// HTTP mode: signed requests are POSTed to `{base_url}/slack/{commands,interactions,events}`.
    Http { base_url: String },
}

/// Everything a sandbox is started with. `default()` is ready for the demo.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// A loopback address, or all of a container's own (`0.0.0.0`); port 0 takes any free one. Others
    /// are refused. It answers to this machine's names only, whoever asks.
    pub listen: SocketAddr,
    pub bot_token: String,
    pub app_token: String,
    pub signing_secret: String,
    pub team_id: String,
    pub team_domain: String,
    pub app_id: String,
    pub bot_user_id: String,
    pub bot_id: String,
    pub bot_name: String,
    pub people: Vec<Person>,
    pub channels: Vec<ChannelSeed>,
    pub usergroups: Vec<UserGroup>,
    /// The one slash command of the app, with its slash.
    pub command: String,
    pub delivery: Delivery,
    /// Event types the app is subscribed to: `app_mention`, `message.channels`, `message.im`,
    /// `reaction_added`. Others are never sent.
    pub events: BTreeSet<String>,
    /// How long the bot may take to acknowledge. Slack's is 3 s.
    pub ack_timeout: Duration,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        let people = vec![
            Person::new("U0ANA00001", "ana", "Ana Silva", "on-call engineer"),
            Person::new("U0BEN00001", "ben", "Ben Okoro", "incident commander"),
            Person::new("U0CHLOE001", "chloe", "Chloe Martin", "stakeholder"),
        ];
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            bot_token: "xoxb-sandbox-bot-token".to_string(),
            app_token: "xapp-1-ATREASURY-sandbox-app-token".to_string(),
            signing_secret: "sandbox-signing-secret".to_string(),
            team_id: "T0TREASURY".to_string(),
            team_domain: "treasury".to_string(),
            app_id: "ATREASURY".to_string(),
            bot_user_id: "UTREASURYBOT".to_string(),
            bot_id: "BTREASURY".to_string(),
            bot_name: "treasury".to_string(),
            usergroups: vec![UserGroup {
                id: "S0ONCALL01".to_string(),
                handle: "oncall".to_string(),
                name: "On-call".to_string(),
                users: people.iter().take(2).map(|p| p.id.clone()).collect(),
            }],
            people,
            channels: vec![
                ChannelSeed {
                    name: "treasury-incidents".to_string(),
                    bot_is_member: true,
                },
                ChannelSeed {
                    name: "general".to_string(),
                    bot_is_member: false,
                },
            ],
            command: "/treasury".to_string(),
            delivery: Delivery::Socket,
            events: BTreeSet::from(["app_mention".to_string()]),
            ack_timeout: Duration::from_secs(3),
        }
    }
}
