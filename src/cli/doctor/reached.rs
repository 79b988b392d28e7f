//! The ways to people: the mail server, and HTTP. Nothing is sent.

use super::certificates::until;
use super::finding::{Check, Fault, Finding, Group, Limit};
use crate::notify::http::WayConfig;
use crate::notify::{Smtp, SmtpConfig};
use crate::probe::web::{self, Web};

const SERVER: Check = Check {
    id: "email.server",
    group: Group::Email,
    asks: "Does the mail server take a connection, TLS and the login? No mail is handed over.",
    mend: "correct host, port, security, username or the password in `[email]`",
};
const ADDRESS: Check = Check {
    id: "reach.address",
    group: Group::Reach,
    asks: "Has the address of each `[reach]` a name that resolves, a port that answers, and a valid \
           certificate? Nothing is sent, so whether the token is right is not known.",
    mend: "correct `url` of the `[reach]`; is it let through from here?",
};
const CERTIFICATE: Check = Check {
    id: "email.certificate",
    group: Group::Email,
    asks: "Is the mail server's certificate good for two more weeks?",
    mend: "let who runs the mail server renew it",
};
pub(super) const MAIL_CHECKS: &[Check] = &[SERVER, CERTIFICATE];
pub(super) const WAY_CHECKS: &[Check] = &[ADDRESS];

/// Looks at the mail server.
pub(super) async fn mail(config: SmtpConfig, limit: Limit) -> Vec<Finding> {
    let subject = format!("{}:{}", config.host, config.port);
    let user = config.login.as_ref().map(|(user, _)| user.clone());
    let smtp = match Smtp::new(config) {
        Ok(smtp) => smtp,
        Err(error) => return vec![SERVER.failed(&subject, error.to_string())],
    };
    match limit.ask(Box::pin(smtp.check())).await {
        Ok(certificate) => {
            let user = user.map_or_else(
                || "no login is used".to_owned(),
                |user| format!("it lets {user} in"),
            );
            let mut found = vec![SERVER.ok(&subject, user)];
            let end = certificate.and_then(|one| web::good_until(&one));
            found.extend(end.map(|end| until(CERTIFICATE, &subject, end)));
            found
        }
        Err(fault) => vec![SERVER.broken(&subject, fault)],
    }
}

/// Looks at one further way.
pub(super) async fn way(config: WayConfig, limit: Limit) -> Finding {
    let name = &config.name;
    let Some(origin) = config.service.origin() else {
        return ADDRESS.failed(name, "its address is not understood");
    };
    match limit.ask(knock(&origin, None, limit)).await {
        Ok(None) => ADDRESS.ok(name, format!("{origin} answers")),
        Ok(Some(certificate)) if certificate.valid => {
            ADDRESS.ok(name, format!("{origin} answers, its certificate is valid"))
        }
        Ok(Some(certificate)) => {
            let why = certificate.problem.unwrap_or_default();
            let what = format!("the certificate of {origin} {why}");
            ADDRESS
                .failed(name, what)
                .by("let its owner renew the certificate, or correct `url`")
        }
        Err(fault) => ADDRESS.failed(name, format!("{origin}: {}", fault.what)),
    }
}

/// Connects to an address, and says nothing.
pub(super) async fn knock(
    url: &str,
    roots: Option<Vec<u8>>,
    limit: Limit,
) -> Result<Option<web::Certificate>, Fault> {
    let parsed = url::Url::parse(url).ok();
    let host = parsed
        .as_ref()
        .and_then(|url| url.host_str())
        .unwrap_or_default();
    let knocker = Web::new(web::Config {
        timeout: limit.0,
        extra_roots_pem: roots,
        // Who wrote the address into the configuration may ask it, wherever it is.
        hosts: vec![host.to_owned()],
    });
    Ok(knocker?.knock(url).await?)
}
