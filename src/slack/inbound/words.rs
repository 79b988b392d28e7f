//! From Slack's way of writing to the words that were typed, phones and their quotes included.

/// Longer texts are cut here, and say so.
const MAX: usize = 4_000;
/// Put where a text was cut; no command ends like this, so the parser complains.
const CUT: &str = " […]";

/// Takes the first mention of the bot out of a text. Words before it stay: a command that isn't
/// at the beginning is no command. While the bot's own id is unknown, only a mention at the very
/// beginning counts.
pub(super) fn without_mention(text: &str, bot: Option<&str>) -> String {
    let start = if let Some(bot) = bot {
        let is_bot = |at: &usize| {
            let named = text[at + 2..].strip_prefix(bot);
            named.is_some_and(|rest| rest.starts_with(['>', '|']))
        };
        text.match_indices("<@").map(|(at, _)| at).find(is_bot)
    } else {
        let lead = text.len() - text.trim_start().len();
        text[lead..].starts_with("<@").then_some(lead)
    };
    let Some(start) = start else {
        return text.to_owned();
    };
    let Some(length) = text[start..].find('>') else {
        return text.to_owned();
    };
    format!("{}{}", &text[..start], &text[start + length + 1..])
        .trim()
        .to_owned()
}

/// Decodes Slack's entities and references, mends what phones make of quotes, drops
/// control characters, and cuts what is too long.
pub(super) fn clean(text: &str) -> String {
    let mut out = hint(&decode(text)).trim().to_owned();
    if let Some((end, _)) = out.char_indices().nth(MAX) {
        out.truncate(end);
        out.push_str(CUT);
    }
    out
}

/// `&lt;` and its kin to characters, `<…>` references to what was typed.
fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&')]
            .into_iter()
            .find(|(entity, _)| rest.starts_with(entity));
        if let Some((entity, character)) = entity {
            out.push(character);
            rest = &rest[entity.len()..];
            continue;
        }
        if rest.starts_with('<')
            && let Some(end) = rest.find('>')
        {
            out.push_str(&reference(&rest[1..end]));
            rest = &rest[end + 1..];
            continue;
        }
        // A lone `<` or `&`: Slack escapes these, but what is typed elsewhere may have them.
        out.push_str(&rest[..1]);
        rest = &rest[1..];
    }
    out.push_str(rest);
    out
}

/// What stands between `<` and `>`.
fn reference(inner: &str) -> String {
    let (target, label) = match inner.split_once('|') {
        Some((target, label)) => (target, Some(label)),
        None => (inner, None),
    };
    // What a channel is called is known from here only.
    if target.starts_with('#')
        && let Some(name) = label.filter(|name| !name.is_empty())
    {
        return format!("<{target}|{}>", plain(name));
    }
    if target.starts_with(['@', '#']) {
        return format!("<{target}>");
    }
    if let Some(special) = target.strip_prefix('!') {
        return match special {
            "here" | "channel" | "everyone" => format!("@{special}"),
            _ => label.map_or_else(|| format!("<!{special}>"), plain),
        };
    }
    if let Some(address) = target.strip_prefix("mailto:") {
        return plain(address);
    }
    if let Some(number) = target.strip_prefix("tel:") {
        return plain(label.unwrap_or(number));
    }
    // `frontend.prod` becomes `<http://frontend.prod|frontend.prod>`: give back what was typed.
    match (target.strip_prefix("http://"), label) {
        (Some(bare), Some(label)) if bare.trim_end_matches('/') == label => plain(label),
        _ if target.contains("://") => plain(target),
        // Not one of Slack's: it was typed so.
        _ => format!("<{}>", plain(inner)),
    }
}

fn plain(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// Quotes as a keyboard has them. Dashes stay: what they stand for is the grammar's to say.
fn hint(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        match c {
            '“' | '”' | '„' | '‟' | '«' | '»' | '″' => out.push('"'),
            // An apostrophe inside a word quotes nothing; as `'` it would open a quotation.
            '’' if before.is_alphanumeric() && next.is_alphanumeric() => out.push(c),
            '‘' | '’' | '‚' | '‛' | '′' => out.push('\''),
            '\n' | '\t' => out.push(c),
            '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
                out.push(' ');
            }
            // Invisible: zero widths, marks of direction.
            '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}' => continue,
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slack_and_phones_make_of_words_is_undone() {
        for (sent, typed) in [
            ("a &amp;lt; b &lt;c&gt; &amp; d", "a &lt; b <c> & d"),
            ("assign commander <@U123|ana>", "assign commander <@U123>"),
            ("in <#C1|general> <#C2|>", "in <#C1|general> <#C2>"),
            (
                "check <https://a.example/x?a=1&amp;b=2>",
                "check https://a.example/x?a=1&b=2",
            ),
            (
                "check <https://x.example|x.example>",
                "check https://x.example",
            ),
            (
                "restart <http://frontend.prod|frontend.prod>",
                "restart frontend.prod",
            ),
            ("mail <mailto:a@b.example|a@b.example>", "mail a@b.example"),
            ("<!here> <!subteam^S1|@oncall>", "@here @oncall"),
            (
                "restart frontend —reason “502 at the ‘edge’”",
                "restart frontend —reason \"502 at the 'edge'\"",
            ),
            ("logs api –lines 20", "logs api –lines 20"),
            (
                "note the DB — which is slow – can’t be reached",
                "note the DB — which is slow – can’t be reached",
            ),
            ("  status\u{a0}\u{200b}frontend\u{7} ", "status frontend"),
            ("note a\nb", "note a\nb"),
            ("a < b > c & d", "a < b > c & d"),
            ("<", "<"),
            ("&lt;@U1&gt;", "<@U1>"),
        ] {
            assert_eq!(clean(sent), typed, "{sent}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let text = clean(&"ä".repeat(5_000));
        assert_eq!(text.chars().count(), MAX + CUT.chars().count());
        assert!(text.ends_with("[…]"));
    }

    #[test]
    fn the_mention_is_taken_out_wherever_it_stands() {
        let bot = Some("UBOT");
        assert_eq!(without_mention("<@UBOT> status", bot), "status");
        assert_eq!(
            without_mention(" <@UBOT|treasury>  status <@UBOT>", bot),
            "status <@UBOT>"
        );
        assert_eq!(
            without_mention("<@UANA> ask <@UBOT> status", bot),
            "<@UANA> ask  status"
        );
        assert_eq!(
            without_mention("<@UBOTTOM> status", bot),
            "<@UBOTTOM> status"
        );
        assert_eq!(without_mention("<@UBOT> status", None), "status");
        assert_eq!(
            without_mention("ask <@UBOT> status", None),
            "ask <@UBOT> status"
        );
        assert_eq!(without_mention("<@UBOT", bot), "<@UBOT");
    }
}
