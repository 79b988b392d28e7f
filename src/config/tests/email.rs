//! `[email]` and `[[person]]`.

use super::*;
use crate::domain::mail::Mailbox;
use crate::notify::Security;

/// The usual secrets and the password of the mail server.
fn with_password(name: &str) -> Option<String> {
    match name {
        "TREASURY_BOT_EMAIL_PASSWORD" => Some("hush".to_owned()),
        _ => all_secrets(name),
    }
}

const USUAL: &str = "[email]\nhost = 'smtp.example.com'\nfrom = 'Bot <bot@example.com>'\n";

#[test]
fn what_is_left_out_has_its_default_and_without_the_section_no_mail_is_sent() {
    assert!(good("").smtp.is_none());
    let config = good(USUAL);
    let (email, mail) = (config.smtp.unwrap(), config.settings.notify.unwrap());
    assert_eq!((email.host.as_str(), email.port), ("smtp.example.com", 587));
    assert_eq!(email.security, Security::StartTls);
    assert_eq!(email.from, Mailbox::parse("Bot <bot@example.com>").unwrap());
    assert_eq!(email.timeout, Duration::from_secs(20));
    assert_eq!(mail.from_severity, Severity::Sev2);
    assert!(email.login.is_none() && email.reply_to.is_none() && mail.stakeholders.is_empty());
    for (security, port) in [("tls", 465), ("none", 25)] {
        let text = format!("{USUAL}security = '{security}'\nallow_plain = true\n");
        assert_eq!(good(&text).smtp.unwrap().port, port);
    }
}

#[test]
fn everything_is_read() {
    let text = format!(
        "{USUAL}security = 'tls'\nport = 2465\nusername = 'bot'\nreply_to = 'ops@example.com'\n\
         timeout = '5s'\nstakeholders = ['Clara <cfo@example.com>', 'b@example.com']\n\
         from_severity = 'SEV3'\n[alerts]\non_call = ['U1', 'U2']\n\
         [[person]]\nid = 'U1'\nemail = 'ana@example.com'\nname = 'Ana Ruiz'\n"
    );
    let config = Config::parse(&text, "treasury-bot.toml", &with_password).unwrap();
    let (email, mail) = (config.smtp.unwrap(), config.settings.notify.unwrap());
    let (user, password) = email.login.unwrap();
    assert_eq!((user.as_str(), password.expose_secret()), ("bot", "hush"));
    assert_eq!((email.port, email.timeout), (2465, Duration::from_secs(5)));
    assert_eq!(mail.stakeholders[0].to_string(), "Clara <cfo@example.com>");
    assert_eq!(mail.from_severity, Severity::Sev3);
    assert_eq!(
        mail.people["U1"][0].to_string(),
        "Ana Ruiz <ana@example.com>"
    );
    let warnings = told(&config.warnings);
    assert!(
        warnings.iter().any(|one| one
            .starts_with("- `U2` is on call, but is asked in Slack only (add a [[person]]")),
        "{warnings:?}"
    );
    let warnings = told(&good("[[person]]\nid = 'U1'\nemail = 'ana@example.com'\n").warnings);
    assert!(
        warnings
            .iter()
            .any(|one| one.starts_with("- there are people with addresses, but no `email`")),
        "{warnings:?}"
    );
}

#[test]
fn each_mistake_is_told() {
    let plain = "security = 'none'\n";
    for (text, expected) in [
        (
            "[email]\n".to_owned(),
            &["1:1 `email` without `host` (", "1:1 `email` without `from` ("][..],
        ),
        (
            format!("{USUAL}{plain}"),
            &["4:1 `email.security` is `none`, and the server is another machine ("],
        ),
        (
            format!("{USUAL}security = 'ssl'\n"),
            &["4:12 `email.security` can't be `ssl`"],
        ),
        (
            USUAL.replace("smtp.example.com", "smtp://example.com"),
            &["2:8 `email.host` can't be `smtp://example.com` ("],
        ),
        (
            USUAL.replace("Bot <bot@example.com>", "Bot"),
            &["3:8 `email.from`: `Bot` is no e-mail address: write"],
        ),
        (
            format!("{USUAL}stakeholders = ['a@x.example', 'A@x.example', 'b']\nport = 70000\n"),
            &[
                "4:32 `email.stakeholders` lists A@x.example twice",
                "4:47 `email.stakeholders`: `b` is no e-mail address",
                "5:8 `email.port` must be from 0 to 65535",
            ],
        ),
        (
            format!("{USUAL}username = 'bot'\n"),
            &["4:12 `email.username` without a password (set TREASURY_BOT_EMAIL_PASSWORD"],
        ),
        (
            format!("{USUAL}timeout = '2m'\n"),
            &["4:1 `email.timeout` must be from 1s to 30s"],
        ),
        (
            "[[person]]\nid = '@ana'\nemail = 'ana'\nphone = '1'\n[[person]]\nid = 'U1'\n".to_owned(),
            &[
                "2:6 `person.id` can't be `@ana`: it is no user id (",
                "3:9 `person.email`: `ana` is no e-mail address",
                "4:1 unknown key `phone` in `person` (",
                "5:1 a person without `email` or `reach` (",
            ],
        ),
        (
            "[[person]]\nid = 'U1'\nemail = 'a@x.example'\n[[person]]\nid = 'U1'\nemail = 'b@x.example'\nname = 'a<b'\n"
                .to_owned(),
            &["4:1 a second person `U1`", "7:8 `person.name` can't be empty"],
        ),
    ] {
        let found = told(&bad(&text));
        assert_eq!(found.len(), expected.len(), "{text}\n{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{text}\n{found} / {expected}");
        }
    }
}

#[test]
fn a_password_is_never_sent_in_the_clear_nor_written_in_the_file() {
    let found = |text: &str| match Config::parse(text, "treasury-bot.toml", &with_password) {
        Ok(config) => panic!("{config:?}"),
        Err(errors) => told(&errors.problems),
    };
    let clear = format!("{USUAL}security = 'none'\nallow_plain = true\nusername = 'bot'\n");
    let told = found(&clear);
    assert!(
        told[0].contains("a password would be sent without encryption"),
        "{told:?}"
    );
    // On this machine nobody listens in.
    let here = clear.replace("smtp.example.com", "127.0.0.1");
    assert!(Config::parse(&here, "treasury-bot.toml", &with_password).is_ok());
    let told = found(USUAL);
    assert!(told[0].contains("no `email.username`"), "{told:?}");
    let written = format!("{USUAL}username = 'bot'\npassword = 'S3CRET'\n");
    let told = found(&written);
    assert!(
        told[0].contains("a secret doesn't belong in this file"),
        "{told:?}"
    );
    assert!(!told.concat().contains("S3CRET"), "{told:?}");
}
