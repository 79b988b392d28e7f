//! E-mail by lettre: a notification as text and HTML, handed over by SMTP.

mod html;
mod letter;
mod smtp;
mod text;

pub use smtp::{Security, Smtp, SmtpConfig, SmtpError};
