//! A small Slack on loopback, strict at the wire: Web API, Socket Mode or HTTP mode, people who
//! type and click. The bot talks to it only over the real protocols; `demo` and the tests drive it
//! from the other side.
//!
//! # Layout
//! - [`Sandbox`], the handle, and `server`, which starts it; [`Human`], a person to act as;
//!   [`SandboxConfig`]
//! - [`workspace`] and `message`: the model, plain data under one lock
//! - `api`: the Web API, one file a family of methods; `blocks`: the rules of Block Kit
//! - `payload`, `shapes`: Slack's JSON; `escape`, `controls`: what typing and clicking mean
//! - `delivery`: to the bot, by `post` or by the open sockets (`hub`, `socket`, `websocket`);
//!   `grants`: trigger_id and response_url
//! - `faults`: bad days on demand, and the `fault_plan`; `wire`: connections that can be cut
//! - `page_api`: JSON for the chat page; `guard`: which hosts and origins are answered

mod api;
mod blocks;
mod cannot_act;
mod config;
mod controls;
mod delivery;
mod escape;
mod fault_plan;
mod faults;
mod grants;
mod guard;
mod hub;
mod human;
mod human_views;
mod message;
mod page_api;
mod payload;
mod post;
mod sandbox;
mod server;
mod shapes;
mod socket;
pub mod websocket;
mod wire;
pub mod workspace;

pub use cannot_act::CannotAct;
pub use config::{ChannelSeed, Delivery, Person, SandboxConfig, UserGroup};
pub use delivery::Receipt;
pub use fault_plan::Fault;
pub use faults::Faults;
pub use human::{Human, Said};
pub use sandbox::{ApiCall, Sandbox, Timeout};
pub use workspace::{Channel, ChannelKind, File, Message, Reaction, Revision, View, Workspace};

#[cfg(test)]
mod tests;
