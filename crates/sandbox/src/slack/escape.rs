//! What a person types, in the form in which Slack sends it: names become ids, links get brackets,
//! `&`, `<` and `>` are escaped.

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

fn token(world: &Workspace, rest: &str, labelled: bool, start: bool) -> Option<(usize, String)> {
    if let Some(inner) = rest.strip_prefix('<') {
        let end = inner.find('>')?;
        let known = ["@U", "@W", "#C", "!", "http://", "https://", "mailto:"];
        return known
            .iter()
            .any(|k| inner[..end].starts_with(k))
            .then(|| (end + 2, rest[..end + 2].to_string()));
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
}
