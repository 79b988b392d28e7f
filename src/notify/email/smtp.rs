//! E-mail: one mail to one mailbox, over SMTP.
//!
//! A connection a mail: lettre's pool would go on with a connection whose conversation was broken off
//! in the middle (a time-out drops the future), and take a late answer for that to the next mail.

use std::time::Duration;

use async_trait::async_trait;
use lettre::address::Envelope;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};

use super::letter;
use crate::domain::mail::Mailbox;
use crate::domain::notification::{Channel, Notification, Recipient, one_line};
use crate::notify::sender::{SendError, Sender};

/// Saying good-bye may take so long; the mail is taken already.
const QUIT: Duration = Duration::from_secs(1);

/// Where mail is handed over.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    /// The server's name; its certificate has to be for it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept private.
    pub security: Security,
    /// User name and password.
    pub login: Option<(String, SecretString)>,
    /// Who the mails are from.
    pub from: Mailbox,
    /// Who answers go to; without it, answers are not read.
    pub reply_to: Option<Mailbox>,
    /// Certificate authorities beside those of the system, PEM.
    pub extra_roots_pem: Option<Vec<u8>>,
    /// How long handing over one mail may take, from connecting to the server's last word.
    pub timeout: Duration,
}

/// How a connection is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS is begun by STARTTLS; a server that can't is not talked to.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Not at all.
    Plain,
}

/// What can't be used of the configuration.
#[derive(Debug, thiserror::Error)]
#[error("e-mail to {host}: {source}")]
pub struct SmtpError {
    host: String,
    source: smtp::Error,
}

/// Hands mails over to a server.
pub struct Smtp {
    config: SmtpConfig,
    tls: TlsParameters,
    hello: ClientId,
}

impl Smtp {
    /// Nothing is connected yet; certificate authorities are read.
    pub fn new(config: SmtpConfig) -> Result<Self, SmtpError> {
        let fault = |source| SmtpError {
            host: config.host.clone(),
            source,
        };
        let mut tls = TlsParameters::builder(config.host.clone());
        if let Some(pem) = &config.extra_roots_pem {
            tls = tls.add_root_certificate(Certificate::from_pem(pem).map_err(fault)?);
        }
        Ok(Self {
            tls: tls.build().map_err(fault)?,
            hello: ClientId::default(),
            config,
        })
    }

    /// Goes as far as a mail would, and hands none over: connects, begins TLS, logs in. The server's
    /// certificate (DER), where there is one.
    pub async fn check(&self) -> Result<Option<Vec<u8>>, SendError> {
        let by = Instant::now() + self.config.timeout;
        let mut connection = self.connect(by).await?;
        let alive = async { Ok(connection.test_connected().await) };
        if !self.step(by, Step::LogIn, alive).await? {
            let (host, port) = (&self.config.host, self.config.port);
            let why = format!("{host}:{port} does not go on after the login (NOOP)");
            return Err(SendError::Later(why));
        }
        let is_private = self.config.security != Security::Plain;
        let certificate = is_private.then(|| connection.peer_certificate().ok());
        // Nothing hangs on it.
        let _ = tokio::time::timeout(QUIT, connection.quit()).await;
        Ok(certificate.flatten())
    }

    async fn connect(&self, by: Instant) -> Result<AsyncSmtpConnection, SendError> {
        let config = &self.config;
        let wrapped = (config.security == Security::Tls).then(|| self.tls.clone());
        let connecting = AsyncSmtpConnection::connect_tokio1(
            (config.host.as_str(), config.port),
            Some(config.timeout),
            &self.hello,
            wrapped,
            None,
        );
        let mut connection = self.step(by, Step::Connect, connecting).await?;
        if config.security == Security::StartTls {
            let upgrade = connection.starttls(self.tls.clone(), &self.hello);
            self.step(by, Step::StartTls, upgrade).await?;
        }
        if let Some((user, password)) = &config.login {
            let password = password.expose_secret().to_owned();
            let credentials = Credentials::new(user.clone(), password);
            let login = connection.auth(DEFAULT_MECHANISMS, &credentials);
            self.step(by, Step::LogIn, login).await?;
        }
        Ok(connection)
    }

    async fn step<T>(
        &self,
        by: Instant,
        step: Step,
        doing: impl Future<Output = Result<T, smtp::Error>>,
    ) -> Result<T, SendError> {
        let server = format!("{}:{}", self.config.host, self.config.port);
        match timeout_at(by, doing).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(step.failed(&server, &error)),
            Err(_) => Err(SendError::Later(format!(
                "{server} gave no answer within {} s ({})",
                self.config.timeout.as_secs(),
                step.name()
            ))),
        }
    }
}

#[async_trait]
impl Sender for Smtp {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn timeout(&self) -> Duration {
        self.config.timeout + QUIT
    }

    async fn send(&self, notification: &Notification, link: Option<&str>) -> Result<(), SendError> {
        let Recipient::Email(to) = &notification.to else {
            return Err(SendError::Refused("it is for another way".to_owned()));
        };
        let refused = |error: &dyn std::error::Error| SendError::Refused(error.to_string());
        let from = &self.config.from;
        let envelope = Envelope::new(
            Some(from.address.as_str().parse().map_err(|e| refused(&e))?),
            vec![to.address.as_str().parse().map_err(|e| refused(&e))?],
        )
        .map_err(|error| refused(&error))?;
        let linked = link.map(|link| letter::with_link(notification, link));
        let mail = linked.as_ref().unwrap_or(notification);
        let letter = letter::write(mail, to, from, self.config.reply_to.as_ref())
            .map_err(|error| refused(&error))?;

        let by = Instant::now() + self.config.timeout;
        let mut connection = self.connect(by).await?;
        let sent = self
            .step(by, Step::HandOver, connection.send(&envelope, &letter))
            .await;
        if sent.is_ok() {
            // Nothing hangs on it: the mail is taken.
            let _ = tokio::time::timeout(QUIT, connection.quit()).await;
        }
        sent.map(|_| ())
    }
}

/// What is being done with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    StartTls,
    LogIn,
    HandOver,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::StartTls => "STARTTLS",
            Self::LogIn => "logging in",
            Self::HandOver => "handing the mail over",
        }
    }

    /// What a failure means. Only a refusal of the mail itself is for good: a login or a certificate
    /// may be mended, and the mail is to go out then.
    fn failed(self, server: &str, error: &smtp::Error) -> SendError {
        let code = error.status().map(|code| code.to_string());
        let text = cause(error);
        let hint = match self {
            _ if text.contains("certificate") || text.contains("UnknownIssuer") => {
                "; check [email] host and ca_file"
            }
            Self::LogIn => "; check [email] username and its password",
            Self::StartTls => "; check [email] security",
            Self::Connect if error.is_tls() => "; check [email] security and port",
            _ => "",
        };
        // Authentication required, or of a kind that is too weak: no fault of the mail.
        let about_login = matches!(code.as_deref(), Some("530" | "534" | "535" | "538"));
        let code = code.map(|code| format!("{code} ")).unwrap_or_default();
        let why = format!("{server}, {}: {code}{text}{hint}", self.name());
        if self == Self::HandOver && error.is_permanent() && !about_login {
            SendError::Refused(why)
        } else {
            SendError::Later(why)
        }
    }
}

/// What the server or the network said, on one line.
fn cause(error: &smtp::Error) -> String {
    use std::error::Error;
    let said = error.source().map(ToString::to_string);
    one_line(&said.unwrap_or_else(|| error.to_string()))
}
