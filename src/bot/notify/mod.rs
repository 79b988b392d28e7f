//! Notifications: whoever may not look at the chat is reached at an address, by e-mail or another
//! channel.
//!
//! Who wants somebody notified says whom and in which words, in the transaction of what it reports
//! ([`Notice`]). [`deliver`] hands the rows over, by one sender a channel. Nobody is reached at an
//! address that the configuration does not list.

mod delivery;
mod link;
mod notice;
mod reach;
mod recipients;
mod slack;
mod words;

pub use delivery::deliver;
pub(crate) use link::LINK_FOR;
pub(super) use notice::Notice;
pub(crate) use reach::{Asking, Ended, forget, reach, ways};
pub(super) use recipients::STAKEHOLDERS;
pub use slack::DirectMessages;
pub(super) use words::counted;
