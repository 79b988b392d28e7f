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
    if let Some(value) = secret_value(chars) {
        cover(&mut chars[value..]);
    }
}

/// Where the value of the first key that sounds like a secret begins.
fn secret_value(chars: &[char]) -> Option<usize> {
    (0..chars.len())
        .filter(|at| chars[*at] == '=')
        .map(|at| at + 1)
        .find(|value| {
            let key: String = chars[..value - 1]
                .iter()
                .rev()
                .skip_while(|c| c.is_whitespace() || matches!(c, '"' | '\''))
                .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
                .collect();
            let key: String = key.chars().rev().collect::<String>().to_lowercase();
            let secret = ["tok", "secret", "passw", "pwd"]
                .iter()
                .any(|word| key.contains(word));
            secret && !key.ends_with("_file")
        })
}

/// One line of a text that shows no secret, with the same number of characters: beyond what
/// [`masked`] does, all of it is covered where it belongs to a secret that began on a line before.
pub(super) fn masked_line(before: &str, line: &str) -> String {
    let opening = before.lines().rev().find(|line| line.contains('='));
    let open = opening.is_some_and(|opening| {
        let chars: Vec<char> = opening.chars().collect();
        secret_value(&chars).is_some_and(|value| {
            let value: String = chars[value..].iter().collect();
            !closed(value.trim())
        })
    });
    if open && !line.contains('=') {
        let mut chars: Vec<char> = line.chars().collect();
        cover(&mut chars);
        chars.into_iter().collect()
    } else {
        masked(line)
    }
}

/// The value is a string that ends where it began.
fn closed(value: &str) -> bool {
    ['"', '\''].iter().any(|quote| {
        let triple = quote.to_string().repeat(3);
        !value.starts_with(&triple)
            && value
                .strip_prefix(*quote)
                .is_some_and(|rest| rest.contains(*quote))
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
