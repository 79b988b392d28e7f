//! Masks what looks like a secret in texts that are shown.

/// The text, as many characters long, with `*` for what is or may be a secret: Slack tokens,
/// passwords in URLs, long hexadecimal numbers, and the values of keys that sound like secrets.
pub(super) fn masked(text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    tokens(&mut chars);
    passwords(&mut chars);
    hexadecimal(&mut chars);
    values(&mut chars);
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
fn tokens(chars: &mut [char]) {
    let mut at = 0;
    while at + 4 <= chars.len() {
        let word: String = chars[at..at + 4]
            .iter()
            .collect::<String>()
            .to_ascii_lowercase();
        if word.starts_with("xox") || word == "xapp" {
            let rest = at + 4;
            let end = chars[rest..]
                .iter()
                .position(|c| !c.is_alphanumeric() && !"-_.\\+/".contains(*c))
                .map_or(chars.len(), |length| rest + length);
            let shown = (rest + usize::from(chars.get(rest) == Some(&'-'))).min(end);
            cover(&mut chars[shown..end]);
            at = end.max(at + 1);
        } else {
            at += 1;
        }
    }
}

/// `postgres://u:p@h` becomes `postgres://u:*@h`.
fn passwords(chars: &mut [char]) {
    let mut at = 0;
    while at + 3 <= chars.len() {
        if chars[at..at + 3] == [':', '/', '/'] {
            let rest = at + 3;
            let colon = chars[rest..]
                .iter()
                .position(|c| *c == ':')
                .map(|n| rest + n);
            let sign = chars.iter().rposition(|c| *c == '@');
            if let (Some(colon), Some(sign)) = (colon, sign)
                && colon < sign
            {
                cover(&mut chars[colon + 1..sign]);
            }
        }
        at += 1;
    }
}

/// Runs of 32 or more hexadecimal digits, as signing secrets are.
fn hexadecimal(chars: &mut [char]) {
    let mut start = 0;
    for at in 0..=chars.len() {
        if chars.get(at).is_none_or(|c| !c.is_ascii_hexdigit()) {
            if at - start >= 32 {
                cover(&mut chars[start..at]);
            }
            start = at + 1;
        }
    }
}

/// All behind `password =`, `bot_token =` and the like; not behind `…_file =`.
fn values(chars: &mut [char]) {
    for at in 0..chars.len() {
        if chars[at] != '=' {
            continue;
        }
        let key: String = chars[..at]
            .iter()
            .rev()
            .skip_while(|c| c.is_whitespace() || matches!(c, '"' | '\''))
            .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
            .collect();
        let key: String = key.chars().rev().collect::<String>().to_lowercase();
        let secret = ["tok", "secret", "passw", "pwd"]
            .iter()
            .any(|word| key.contains(word));
        if secret && !key.ends_with("_file") {
            cover(&mut chars[at + 1..]);
            return;
        }
    }
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
