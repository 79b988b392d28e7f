//! Alerts, mail, further ways to people, certificates, time.

use super::Fault;

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "Alertmanager is away",
        only: "alerts",
        plant: |world, case| case.edit(&world.alertmanager.url(), "http://127.0.0.1:1"),
        id: "alerts.alertmanager",
        state: "failed",
        found: "can't be reached",
        mend: "is it running",
    },
    Fault {
        name: "Alertmanager sends elsewhere",
        only: "alerts",
        plant: |world, case| case.edit(&world.alertmanager.url(), &world.elsewhere.url()),
        id: "alerts.receiver",
        state: "warning",
        found: "no receiver sends to /alerts/alertmanager",
        mend: "webhook_configs",
    },
    Fault {
        name: "no token lets Alertmanager in",
        only: "alerts",
        plant: |_, case| case.set("TREASURY_BOT_ALERTS_TOKEN", ""),
        id: "alerts.token",
        state: "failed",
        found: "is refused",
        mend: "TREASURY_BOT_ALERTS_TOKEN",
    },
    Fault {
        name: "the mail server is away",
        only: "email",
        plant: |world, case| case.edit(&format!("port = {}\n", world.smtp.port), "port = 1\n"),
        id: "email.server",
        state: "failed",
        found: "localhost:1, connecting",
        mend: "correct host, port",
    },
    Fault {
        name: "the mail server refuses the password",
        only: "email",
        plant: |_, case| case.set("TREASURY_BOT_EMAIL_PASSWORD", "hunter2"),
        id: "email.server",
        state: "failed",
        found: "logging in",
        mend: "check [email] username and its password",
    },
    Fault {
        name: "the mail server has no STARTTLS",
        only: "email",
        plant: |world, case| {
            let own = format!("port = {}\n", world.smtp.port);
            case.edit(&own, &format!("port = {}\n", world.plain.port));
        },
        id: "email.server",
        state: "failed",
        found: "STARTTLS",
        mend: "check [email] security",
    },
    Fault {
        name: "nobody vouches for the mail server",
        only: "email",
        plant: |world, case| {
            let own = world.smtp.ca_file().display().to_string();
            case.edit(&own, &world.tls.authority.display().to_string());
        },
        id: "email.server",
        state: "failed",
        found: "certificate",
        mend: "ca_file",
    },
    Fault {
        name: "the name of a way to people does not resolve",
        only: "reach",
        plant: |world, case| {
            let own = format!("https://localhost:{}/on-call", world.tls.good);
            case.edit(&own, "https://hook.invalid/on-call");
        },
        id: "reach.address",
        state: "failed",
        found: "hook.invalid has no address",
        mend: "correct `url`",
    },
    Fault {
        name: "nobody vouches for a way to people",
        only: "reach",
        plant: |world, case| {
            let own = format!("https://localhost:{}/on-call", world.tls.good);
            case.edit(
                &own,
                &format!("https://localhost:{}/on-call", world.tls.unknown),
            );
        },
        id: "reach.address",
        state: "failed",
        found: "no known authority",
        mend: "renew the certificate",
    },
    Fault {
        name: "a certificate ends in five days",
        only: "certificates",
        plant: |world, case| {
            let (good, soon) = (world.tls.good.to_string(), world.tls.soon.to_string());
            case.edit(&good, &soon);
        },
        id: "certificates.expiry",
        state: "warning",
        found: "good for 5 days more",
        mend: "renew",
    },
    Fault {
        name: "a certificate has expired",
        only: "certificates",
        plant: |_, case| case.clock = Some("+2y"),
        id: "certificates.expiry",
        state: "failed",
        found: "it expired on",
        mend: "renew",
    },
    Fault {
        name: "the tables of time zones are old",
        only: "time",
        plant: |_, case| case.clock = Some("+4y"),
        id: "time.zones",
        state: "warning",
        found: "years old",
        mend: "tzdata",
    },
    Fault {
        name: "our clock is two hours ahead of Slack's",
        only: "slack",
        plant: |_, case| case.clock = Some("+2h"),
        id: "slack.clock",
        state: "failed",
        found: "behind ours",
        mend: "timedatectl set-ntp true",
    },
    Fault {
        name: "our clock is 20 seconds behind the database's",
        only: "databases",
        plant: |_, case| case.clock = Some("-20s"),
        id: "databases.clock",
        state: "warning",
        found: "the server's clock is",
        mend: "chrony",
    },
    Fault {
        name: "our clock is an hour behind the cluster's",
        only: "kubernetes",
        plant: |_, case| case.clock = Some("-1h"),
        id: "kubernetes.clock",
        state: "failed",
        found: "ahead of ours",
        mend: "set the clock that is wrong",
    },
];
