//! Parts that several messages about alerts share.

use crate::command::words::quote;
use crate::domain::alert::{Alert, Conversation};
use crate::domain::timeline::cut;
use crate::domain::{Button, Incident, Line, Person, Span, Style, counted};

/// `1 alert fires`, `2 alerts fire`.
pub(crate) fn alerts(count: usize, one: &str, many: &str) -> String {
    let does = if count == 1 { one } else { many };
    format!("{} {does}", counted(count, "alert"))
}

pub(super) fn acknowledged(conversation: &Conversation) -> Line {
    match &conversation.acknowledged {
        None => "by nobody yet".into(),
        Some((person, at)) => Line::new()
            .text("by ")
            .person(person)
            .text(" at ")
            .time(*at),
    }
}

/// Where the alert was made, if that is an address.
pub(super) fn link(conversation: &Conversation) -> Option<Line> {
    let alert = &conversation.first.tracked.alert;
    let url = alert.other.get("generatorURL")?.as_str();
    url.filter(|url| is_address(url)).map(|url| {
        Line(vec![Span::Link {
            url: url.to_owned(),
            text: "graph".to_owned(),
        }])
    })
}

fn is_address(url: &str) -> bool {
    (url.starts_with("http://") || url.starts_with("https://")) && url.len() < 1_000
}

/// The pages that the sender names: its graph, the runbook's page, dashboards.
pub(super) fn links(alert: &Alert) -> Option<Line> {
    let other = |name: &str| alert.other.get(name).and_then(|value| value.as_str());
    let mut spans: Vec<Span> = Vec::new();
    for (text, url) in [
        ("graph", other("generatorURL")),
        ("runbook", alert.annotation("runbook_url")),
        ("dashboard", other("dashboardURL")),
        ("dashboard", alert.annotation("dashboard_url")),
        ("dashboard", alert.annotation("dashboard")),
        ("panel", other("panelURL")),
    ] {
        let Some(url) = url.filter(|url| is_address(url)) else {
            continue;
        };
        let said = |span: &Span| matches!(span, Span::Link { url: known, .. } if known == url);
        if spans.iter().any(said) {
            continue;
        }
        if !spans.is_empty() {
            spans.push(Span::Plain(" · ".to_owned()));
        }
        let (url, text) = (url.to_owned(), text.to_owned());
        spans.push(Span::Link { url, text });
    }
    (!spans.is_empty()).then_some(Line(spans))
}

/// The labels that say where it is, without those that are said elsewhere or say nothing to people:
/// `host=db-7 · instance=10.0.0.5:9100`.
pub(super) fn labels(alert: &Alert) -> Option<String> {
    const MOST: usize = 8;
    const SAID: [&str; 16] = [
        "alertname",
        "severity",
        "service",
        "team",
        "prometheus",
        "prometheus_replica",
        "monitor",
        "endpoint",
        "uid",
        "id",
        "image_id",
        "container_id",
        "pod_template_hash",
        "controller_revision_hash",
        "grafana_folder",
        "ref_id",
    ];
    let shown = alert.labels.iter().filter(|(name, value)| {
        !SAID.contains(&name.as_str()) && !name.starts_with("__") && !value.is_empty()
    });
    let mut texts: Vec<String> = shown
        .map(|(name, value)| format!("{}={}", cut(name, 40), cut(value, 60)))
        .collect();
    let more = texts.len().saturating_sub(MOST);
    texts.truncate(MOST);
    if more > 0 {
        texts.push(format!("and {more} more"));
    }
    (!texts.is_empty()).then(|| texts.join(" · "))
}

/// These people, so that Slack notifies them.
pub(super) fn mentions(whom: &[Person]) -> Line {
    let begin = Line::new();
    whom.iter()
        .fold(begin, |line, person| line.person(person).text(" "))
}

/// `INC-1 SEV2: `, before what is said of it.
pub(super) fn headed(incident: Option<&Incident>) -> Line {
    let line = Line::new();
    match incident {
        Some(incident) => line
            .bold(incident.id)
            .text(format!(" {}: ", incident.severity)),
        None => line,
    }
}

/// What can be done about a conversation; `fires`: some of its alerts do.
pub(super) fn buttons(conversation: &Conversation, fires: bool) -> Vec<Button> {
    let mut buttons = Vec::new();
    let target = target(conversation);
    let service = |before: &str| match &conversation.service {
        Some(service) => format!("{before}{service}"),
        None => String::new(),
    };
    if fires {
        if conversation.acknowledged.is_none() {
            buttons.push(Button::new("Acknowledge", format!("ack {target}")).style(Style::Primary));
        }
        if let Some(runbook) = &conversation.runbook {
            buttons.push(Button::new(
                cut(&format!("Run {runbook}"), 70),
                format!("runbook run {runbook} --for {target}"),
            ));
        }
        buttons.push(Button::new("Silence 1 h", format!("silence {target} 1h")));
        if conversation.incident.is_none() {
            let service = service(" --service ");
            let title = quote(&conversation.first.title());
            buttons.push(Button::new(
                "Declare incident",
                format!(
                    "incident declare {title} --severity {}{service}",
                    conversation.first.routed.severity
                ),
            ));
        }
    }
    if let Some(service) = &conversation.service {
        buttons.push(Button::new(
            format!("Look at {service}…"),
            format!("menu {service}"),
        ));
    }
    buttons
}

/// What names all alerts of a conversation in a sentence.
pub(crate) fn target(conversation: &Conversation) -> String {
    match conversation.incident {
        Some(id) => id.to_string(),
        None => conversation.first.tracked.alert.short().to_owned(),
    }
}
