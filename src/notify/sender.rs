//! What each way to reach somebody does.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::notification::{Channel, Notification};

/// Why a notification was not handed over.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SendError {
    /// It will never be taken.
    #[error("{0}")]
    Refused(String),
    /// Not now; perhaps later, or once somebody has repaired something.
    #[error("{0}")]
    Later(String),
    /// Not before this time: who takes it said so.
    #[error("{1}")]
    Wait(Duration, String),
}

/// A way to reach somebody.
#[async_trait]
pub trait Sender: Send + Sync {
    /// The notifications that go this way.
    fn channel(&self) -> Channel;

    /// How long [`Sender::send`] takes at most.
    fn timeout(&self) -> Duration;

    /// Hands a notification over. `Ok`: it is taken. `link`: an address that acknowledges, once.
    async fn send(&self, notification: &Notification, link: Option<&str>) -> Result<(), SendError>;
}
