//! `[[source]]`, `[alertmanager]`, a route's channel and a service's metrics page: what is read, and
//! what is said of mistakes.

use super::*;
use crate::domain::alert::generic::{Preset, Shape};

const SERVICE: &str = "[[service]]\nname = 'api'\ncontainer = 'c'\n";

fn tells(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(
            told(&bad(&format!("{text}{SERVICE}"))),
            [*expected],
            "{text}"
        );
    }
}

#[test]
fn a_source_is_its_preset_with_what_it_says_otherwise() {
    let text = "[[source]]\nname = 'aws-1'\npreset = 'cloudwatch'\nfiring = 'Alarm'\n\
        title = ['/AlarmName', 'alarm of {/Region}']\nlabels = { service = '/Trigger/Namespace' }\n\
        topics = 'arn:aws:sns:eu-west-1:1:alarms'\ncertificates = 'http://127.0.0.1:8000'\n\
        [[source]]\nname = 'other'\nsignature = 'X-Hub-Signature-256'\n";
    let env = |name: &str| match name {
        "TREASURY_BOT_ALERTS_AWS_1_TOKEN" => Some(" hush ".to_owned()),
        other => all_secrets(other),
    };
    let config = Config::parse(&format!("{text}{SERVICE}"), "f", &env).unwrap();
    let [aws, other] = config.sources.as_slice() else {
        panic!("{:?}", config.sources);
    };
    assert_eq!((aws.name.as_str(), other.name.as_str()), ("aws-1", "other"));
    assert_eq!(aws.token.as_ref().unwrap().expose_secret(), "hush");
    assert!(other.token.is_none());
    let usual = Preset::CloudWatch.mapping();
    assert_eq!(aws.mapping.shape, Shape::Sns);
    assert_eq!(aws.topics, ["arn:aws:sns:eu-west-1:1:alarms"]);
    assert_eq!(aws.certificates.as_deref(), Some("http://127.0.0.1:8000/"));
    assert_eq!(aws.mapping.firing, ["alarm"]);
    assert_eq!(
        aws.mapping.name.to_string(),
        "/AlarmName, alarm of {/Region}"
    );
    assert_eq!(aws.mapping.status, usual.status);
    assert_eq!(aws.mapping.labels.len(), usual.labels.len() + 1);
    assert_eq!(other.mapping.signatures, ["x-hub-signature-256"]);
}

#[test]
fn mistakes_in_a_source_are_told() {
    tells(&[
        (
            "[[source]]\n",
            "1:1 a source without a name (add `name`: it sends to /alerts/generic/NAME)",
        ),
        (
            "[[source]]\nname = 'My Source'\n",
            "2:8 a source can't be called `My Source` (use lower-case letters, digits and `-`, at most 40)",
        ),
        (
            "[[source]]\nname = 'watch'\n",
            "2:8 a source can't be called `watch`: that is one of the bot's own",
        ),
        (
            "[[source]]\nname = 'a'\n[[source]]\nname = 'a'\n",
            "4:8 a second source `a` (the first is in line 2)",
        ),
        (
            "[[source]]\nname = 'a'\npreset = 'sentri'\n",
            "3:10 `source.preset` can't be `sentri` (did you mean `sentry`?)",
        ),
        (
            "[[source]]\nname = 'a'\ntitle = 'data/title'\n",
            "3:9 `source.title`: data/title: write a JSON Pointer such as /data/title, or a text with some in braces",
        ),
        (
            "[[source]]\nname = 'a'\nlabels = { x = ['/x', 7] }\n",
            "3:23 `labels.x` must be a string or a list of strings, not a whole number",
        ),
        (
            "[[source]]\nname = 'a'\nalerts = 'alerts'\n",
            "3:10 `source.alerts` can't be `alerts` (write where the list is: a JSON Pointer such as /alerts)",
        ),
        (
            "[[source]]\nname = 'a'\nresolved = ['UP', 'Down']\n",
            "1:1 `down` can't mean firing and something else (take it out of `resolved` or `ignored`)",
        ),
        (
            "[[source]]\nname = 'a'\nseverities = { p1 = 1 }\n",
            "3:16 `severities.p1` must be a text, not a whole number (write SEV1 to SEV4, or critical, warning or info)",
        ),
        (
            "[[source]]\nname = 'a'\nfingreprint = '/id'\n",
            "3:1 unknown key `fingreprint` in `source` (did you mean `fingerprint`?)",
        ),
        (
            "[[source]]\nname = 'a'\nenvelope = 'sns'\ntopics = 'alarms'\n",
            "4:10 `source.topics` can't be `alarms` (write a topic's ARN, such as arn:aws:sns:eu-west-1:123456789012:alarms)",
        ),
        (
            "[[source]]\nname = 'a'\ntopics = 'arn:x'\n",
            "1:1 `topics` are of Amazon SNS only (add `envelope = \"sns\"`, or `preset = \"cloudwatch\"`)",
        ),
        (
            "[source]\nname = 'a'\n",
            "1:2 `source` must be a list of tables, not a table (write `[[source]]`)",
        ),
    ]);
}

#[test]
fn alertmanager_takes_a_token_or_a_user() {
    let text = "[alertmanager]\nurl = 'http://127.0.0.1:9093/'\nuser = 'bot'\n";
    let env = |name: &str| match name {
        "TREASURY_BOT_ALERTMANAGER_PASSWORD" => Some("S3CRET".to_owned()),
        other => all_secrets(other),
    };
    let config = Config::parse(&format!("{text}{SERVICE}"), "f", &env).unwrap();
    let section = config.alertmanager.unwrap();
    assert_eq!(section.urls, ["http://127.0.0.1:9093"]);
    assert!(!format!("{section:?}").contains("S3CRET"));
    assert_eq!(section.login.unwrap().0, "bot");
    assert!(good("").alertmanager.is_none());
    let text = "[alertmanager]\nurl = ['http://127.0.0.1:9093', 'http://127.0.0.1:9094/am/']\n";
    assert_eq!(
        good(text).alertmanager.unwrap().urls,
        ["http://127.0.0.1:9093", "http://127.0.0.1:9094/am"]
    );
    tells(&[
        (
            "[alertmanager]\n",
            "1:1 `alertmanager` without a `url` (such as `url = \"http://127.0.0.1:9093\"`, or a list of a cluster's)",
        ),
        (
            "[alertmanager]\nurl = []\n",
            "1:1 `alertmanager` without a `url` (such as `url = \"http://127.0.0.1:9093\"`, or a list of a cluster's)",
        ),
        (
            "[alertmanager]\nurl = ['http://127.0.0.1:9093', 7]\n",
            "2:33 `alertmanager.url` must be a string or a list of strings, not a whole number",
        ),
        (
            "[alertmanager]\nurl = 'http://127.0.0.1:9093/'\nuser = 'bot'\n",
            "3:8 `alertmanager.user` without a password (set TREASURY_BOT_ALERTMANAGER_PASSWORD or `password_file`)",
        ),
        (
            "[alertmanager]\nurl = 'http://127.0.0.1:9093'\ntimeout = '1m'\n",
            "3:1 `alertmanager.timeout` must be from 1s to 30s",
        ),
    ]);
}

#[test]
fn a_route_may_name_a_channel_and_a_service_its_metrics_page() {
    let config = good(&format!(
        "[[route]]\nchannel = '#payments-incidents'\n{SERVICE}metrics_page = 'http://127.0.0.1:1/metrics'\n"
    ));
    assert_eq!(
        config.settings.alerts.routes.routes[0].channel.as_deref(),
        Some("#payments-incidents")
    );
    let page = config.services[0].metrics_page.as_ref().unwrap();
    assert_eq!(
        (page.url.as_str(), &page.counter),
        ("http://127.0.0.1:1/metrics", &None)
    );
    let config = good(&format!(
        "{SERVICE}metrics_page = {{ url = 'http://127.0.0.1:1/m', counter = 'http.answers', only = {{ app = 'x' }} }}\n"
    ));
    let page = config.services[0].metrics_page.as_ref().unwrap();
    assert_eq!(
        (page.counter.as_deref(), page.only["app"].as_str()),
        (Some("http.answers"), "x")
    );
    tells(&[(
        "[[route]]\nchannel = 'payments'\n",
        "2:11 `route.channel` can't be `payments` (write `#name`, or the channel's id (`C…`))",
    )]);
    for (line, expected) in [
        (
            "metrics_page = 7",
            "4:16 `service.metrics_page` must be a string or a table, not a whole number",
        ),
        (
            "metrics_page = { counter = 'a{b}', url = 'http://127.0.0.1/m' }",
            "4:28 `metrics_page.counter` can't be `a{b}` (write the name alone, such as `http_requests_total` or `http.requests_total`)",
        ),
        (
            "metrics_page = { counter = 'a' }",
            "4:1 `metrics_page` without a `url` (such as `metrics_page = \"http://127.0.0.1:8080/metrics\"`)",
        ),
        (
            "metrics_page = { url = 'http://127.0.0.1/m', lable = 'x' }",
            "4:46 unknown key `lable` in `metrics_page` (did you mean `label`?)",
        ),
    ] {
        assert_eq!(
            told(&bad(&format!("{SERVICE}{line}\n"))),
            [expected],
            "{line}"
        );
    }
}

#[test]
fn beside_prometheus_the_bot_watches_how_replicas_end_and_no_figures() {
    let prometheus = "[prometheus]\nurl = 'http://prometheus.internal:9090'\n";
    for (text, figures) in [
        ("", Some(true)),
        (prometheus, Some(false)),
        (
            &format!("{prometheus}[watch]\nenabled = true\n"),
            Some(true),
        ),
        ("[watch]\nenabled = false\n", None),
    ] {
        let watch = good(text).settings.alerts.watch;
        assert_eq!(watch.map(|watch| watch.figures), figures, "{text}");
    }
}
