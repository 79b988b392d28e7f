//! What a person types, in the form in which Slack sends it: names become ids, links get brackets,
//! `&`, `<` and `>` are escaped.

use serde_json::{Value, json};

use super::workspace::Workspace;

/// A typed line in wire form. What already is in wire form (`<@U…>`) stays.
pub(super) fn to_wire(world: &Workspace, text: &str, labelled: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (taken, wire) = token(world, rest, labelled, at_word_start(&out))
            .unwrap_or_else(|| (next.len_utf8(), escaped(next)));
        out.push_str(&wire);
        rest = &rest[taken..];
    }
    out
}

fn at_word_start(out: &str) -> bool {
    out.chars().next_back().is_none_or(|c| !c.is_alphanumeric())
}

fn escaped(c: char) -> String {
    match c {
        '&' => "&amp;".to_string(),
        '<' => "&lt;".to_string(),
        '>' => "&gt;".to_string(),
        c => c.to_string(),
    }
}

/// What stands in the brackets at the beginning, if that is a mention or a link.
fn bracketed(rest: &str) -> Option<&str> {
    let inner = rest.strip_prefix('<')?;
    let inner = &inner[..inner.find('>')?];
    let known = ["@U", "@W", "#C", "!", "http://", "https://", "mailto:"];
    let known = known.iter().any(|start| inner.starts_with(start));
    known.then_some(inner)
}

/// How many bytes Slack keeps of a text that an app sends: what is neither a mention nor a link nor
/// escaped already is escaped.
pub(super) fn stored_bytes(text: &str) -> usize {
    let (mut bytes, mut rest) = (0, text);
    while let Some(next) = rest.chars().next() {
        let entity = ["&amp;", "&lt;", "&gt;"]
            .iter()
            .find(|one| rest.starts_with(**one));
        let kept = bracketed(rest).map(|inner| inner.len() + 2);
        let kept = kept.or(entity.map(|one| one.len()));
        bytes += kept.unwrap_or_else(|| escaped(next).len());
        rest = &rest[kept.unwrap_or(next.len_utf8())..];
    }
    bytes
}

/// The elements of a `rich_text_section` for a text in wire form: mentions and links are elements of
/// their own, and the rest is text without escapes.
pub(super) fn elements(wire: &str) -> Vec<Value> {
    let (mut elements, mut plain, mut rest) = (Vec::new(), String::new(), wire);
    let text = |plain: &mut String, elements: &mut Vec<Value>| {
        let unescaped = plain.replace("&lt;", "<").replace("&gt;", ">");
        let unescaped = unescaped.replace("&amp;", "&");
        if !plain.is_empty() {
            elements.push(json!({"type": "text", "text": unescaped}));
        }
        plain.clear();
    };
    while let Some(next) = rest.chars().next() {
        let Some(inner) = bracketed(rest) else {
            plain.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        text(&mut plain, &mut elements);
        elements.push(element(inner));
        rest = &rest[inner.len() + 2..];
    }
    text(&mut plain, &mut elements);
    elements
}

fn element(inner: &str) -> Value {
    let (target, label) = inner.split_once('|').unwrap_or((inner, ""));
    if let Some(user) = target.strip_prefix('@') {
        json!({"type": "user", "user_id": user})
    } else if let Some(channel) = target.strip_prefix('#') {
        json!({"type": "channel", "channel_id": channel})
    } else if let Some(group) = target.strip_prefix("!subteam^") {
        json!({"type": "usergroup", "usergroup_id": group})
    } else if let Some(range) = target.strip_prefix('!') {
        json!({"type": "broadcast", "range": range})
    } else if label.is_empty() {
        json!({"type": "link", "url": target})
    } else {
        json!({"type": "link", "url": target, "text": label})
    }
}

fn token(world: &Workspace, rest: &str, labelled: bool, start: bool) -> Option<(usize, String)> {
    if rest.starts_with('<') {
        let inner = bracketed(rest)?;
        return Some((inner.len() + 2, format!("<{inner}>")));
    }
    if !start {
        return None;
    }
    if rest.starts_with("http://") || rest.starts_with("https://") {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let link: String = rest[..end].chars().map(escaped).collect();
        return Some((end, format!("<{link}>")));
    }
    let name_of = |text: &str| -> usize {
        text.find(|c: char| !(c.is_alphanumeric() || "-_.".contains(c)))
            .unwrap_or(text.len())
    };
    if let Some(inner) = rest.strip_prefix('@') {
        let name = inner[..name_of(inner)].trim_end_matches('.');
        let wire = if matches!(name, "here" | "channel" | "everyone") {
            format!("<!{name}>")
        } else if let Some(group) = world.usergroups.iter().find(|g| g.handle == name) {
            format!("<!subteam^{}|@{name}>", group.id)
        } else {
            let bot = (name == world.bot.name).then_some(&world.bot.user_id);
            let id = bot.or_else(|| world.people.iter().find(|p| p.name == name).map(|p| &p.id))?;
            if labelled {
                format!("<@{id}|{name}>")
            } else {
                format!("<@{id}>")
            }
        };
        return Some((1 + name.len(), wire));
    }
    let inner = rest.strip_prefix('#')?;
    let name = inner[..name_of(inner)].trim_end_matches('.');
    let channel = world
        .channels
        .values()
        .find(|c| !name.is_empty() && c.name == name)?;
    Some((
        1 + name.len(),
        format!("<#{}|{}>", channel.id, channel.name),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slack::SandboxConfig;

    #[test]
    fn typed_lines_become_what_slack_sends() {
        let world = Workspace::new(&SandboxConfig::default(), String::new());
        let general = &world.channel("general").unwrap().id;
        for (typed, sent) in [
            ("restart frontend", "restart frontend".to_string()),
            ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d".to_string()),
            ("ask @ana.", "ask <@U0ANA00001|ana>.".to_string()),
            ("mail ana@ben", "mail ana@ben".to_string()),
            ("@nobody", "@nobody".to_string()),
            (
                "@here @oncall",
                "<!here> <!subteam^S0ONCALL01|@oncall>".to_string(),
            ),
            ("in #general", format!("in <#{general}|general>")),
            ("<@U0BEN00001> hi", "<@U0BEN00001> hi".to_string()),
            ("<@U0BEN00001", "&lt;@U0BEN00001".to_string()),
            (
                "see https://a.example/?x=1&y=2 now",
                "see <https://a.example/?x=1&amp;y=2> now".into(),
            ),
        ] {
            assert_eq!(to_wire(&world, typed, true), sent);
        }
        assert_eq!(to_wire(&world, "@treasury hi", false), "<@UTREASURYBOT> hi");
    }

    #[test]
    fn a_mention_is_an_element_of_its_own() {
        assert_eq!(
            elements(
                "<@UTREASURYBOT> is a &lt; b in <#C1|general>? <https://a.example|see> <!here>"
            ),
            [
                json!({"type": "user", "user_id": "UTREASURYBOT"}),
                json!({"type": "text", "text": " is a < b in "}),
                json!({"type": "channel", "channel_id": "C1"}),
                json!({"type": "text", "text": "? "}),
                json!({"type": "link", "url": "https://a.example", "text": "see"}),
                json!({"type": "text", "text": " "}),
                json!({"type": "broadcast", "range": "here"}),
            ]
        );
        assert_eq!(
            elements("hello"),
            [json!({"type": "text", "text": "hello"})]
        );
    }

    #[test]
    fn bytes_are_counted_as_they_are_kept() {
        for (text, bytes) in [
            ("abc", 3),
            ("ü", 2),
            ("a & b", 9),
            ("a &amp; b", 9),
            ("a < b", 8),
            ("<@U0ANA00001> hi", 16),
        ] {
            assert_eq!(stored_bytes(text), bytes, "{text}");
        }
    }
}
