//! Ways to reach somebody, each in a file or folder of its own.

mod email;
pub mod http;
mod sender;
mod text;

pub use email::{Security, Smtp, SmtpConfig, SmtpError};
pub use sender::{SendError, Sender};
