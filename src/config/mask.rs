//! Masks what looks like a secret in texts that are shown.

/// The text, as many characters long, with `*` for what is or may be a secret: Slack tokens,
/// passwords in URLs, long hexadecimal numbers, and the values of keys that sound like secrets.
pub(super) fn masked(text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    cover_tokens(&mut chars);
    cover_passwords(&mut chars);
    cover_hexadecimal(&mut chars);
    if let Some(value) = secret_value(&chars) {
        cover(&mut chars[value..]);
    }
    chars.into_iter().collect()
}

/// One line of a text that shows no secret, with the same number of characters: beyond what
/// [`masked`] does, all of it is covered where it belongs to a secret that began on a line before.
pub(super) fn masked_line(before: &str, line: &str) -> String {
    let opening = before.lines().rev().find(|line| line.contains('='));
    let opening: Vec<char> = opening.unwrap_or_default().chars().collect();
    let is_open = secret_value(&opening).is_some_and(|value| {
        let value: String = opening[value..].iter().collect();
        !is_closed(value.trim())
    });
    if !is_open || line.contains('=') {
        return masked(line);
    }
    let mut chars: Vec<char> = line.chars().collect();
    cover(&mut chars);
    chars.into_iter().collect()
}

fn cover(chars: &mut [char]) {
    for c in chars {
        if !c.is_whitespace() && !matches!(*c, '"' | '\'') {
            *c = '*';
        }
    }
}

/// `xoxb-1-a` becomes `xoxb-***`.
fn cover_tokens(chars: &mut [char]) {
    for rest in 4..=chars.len() {
        let word: String = chars[rest - 4..rest].iter().collect();
        let word = word.to_ascii_lowercase();
        if word.starts_with("xox") || word == "xapp" {
            let of_token = |c: &&char| c.is_alphanumeric() || "-_.\\+/".contains(**c);
            let length = chars[rest..].iter().take_while(of_token).count();
            let shown = length.min(usize::from(chars.get(rest) == Some(&'-')));
            cover(&mut chars[rest + shown..rest + length]);
        }
    }
}

/// `postgres://u:p@h` becomes `postgres://u:*@h`.
fn cover_passwords(chars: &mut [char]) {
    for rest in 3..=chars.len() {
        if chars[rest - 3..rest] == [':', '/', '/']
            && let Some(colon) = chars[rest..].iter().position(|c| *c == ':')
            && let Some(sign) = chars.iter().rposition(|c| *c == '@')
            && rest + colon < sign
        {
            cover(&mut chars[rest + colon + 1..sign]);
        }
    }
}

/// Runs of 32 or more hexadecimal digits, as signing secrets are.
fn cover_hexadecimal(chars: &mut [char]) {
    for run in chars.split_mut(|c| !c.is_ascii_hexdigit()) {
        if run.len() >= 32 {
            cover(run);
        }
    }
}

/// Where the value of the first key that sounds like a secret begins: all behind `password =`,
/// `bot_token =` and the like; not behind `…_file =`.
fn secret_value(chars: &[char]) -> Option<usize> {
    let mut values = (1..=chars.len()).filter(|value| chars[value - 1] == '=');
    values.find(|value| {
        let before = chars[..value - 1].iter().rev();
        let before = before.skip_while(|c| c.is_whitespace() || matches!(c, '"' | '\''));
        let key = before.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        let key: Vec<_> = key.flat_map(|c| c.to_lowercase()).collect();
        let key: String = key.into_iter().rev().collect();
        let mut words = ["tok", "secret", "passw", "pwd"].iter();
        words.any(|word| key.contains(word)) && !key.ends_with("_file")
    })
}

/// The value is a string that ends where it began.
fn is_closed(value: &str) -> bool {
    ["\"", "'"].iter().any(|quote| {
        let inside = value.strip_prefix(quote);
        !value.starts_with(&quote.repeat(3)) && inside.is_some_and(|rest| rest.contains(quote))
    })
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn secrets_are_masked_and_the_rest_stays() {
        for (text, shown) in [
            ("a = \"xoxb-12-Ab\" # x", "a = \"xoxb-*****\" # x"),
            ("bot_token = \"hush\"", "bot_token = \"****\""),
            (
                "signing_secret='hush hush' # no",
                "signing_secret='**** ****' * **",
            ),
            (
                "slack = { bot_tokn = \"a\" }",
                "slack = { bot_tokn = \"*\" *",
            ),
            ("bot_token_file = \"/run/x\"", "bot_token_file = \"/run/x\""),
            (
                "url = \"postgres://u:p@ss@h/d\"",
                "url = \"postgres://u:****@h/d\"",
            ),
            (
                "postgres://h/d?user=a&password=b",
                "postgres://h/d?user=a&password=*",
            ),
            ("listen = \"http://a:80/x\"", "listen = \"http://a:80/x\""),
            (
                "0123456789abcdef0123456789abcdef",
                "********************************",
            ),
        ] {
            assert_eq!(masked(text), shown);
            assert_eq!(masked(text).chars().count(), text.chars().count());
        }
    }
}
