//! What was left of an example: addresses and ids that are nobody's.

use super::root::Root;

/// Names that will never be anybody's (RFC 2606, RFC 6761).
const RESERVED: [&str; 5] = [
    "example",
    "invalid",
    "example.com",
    "example.net",
    "example.org",
];

/// What stands in `deploy/treasury-bot.example.toml` for people, accounts and numbers.
const EXAMPLES: [&str; 7] = [
    "U0ANA00001",
    "U0BEN00001",
    "U0BOSS0001",
    "ana-4711",
    "AC0001",
    "SK0001",
    "+15005550006",
];

/// Reports all texts of the file that are an example's.
pub(super) fn look_over(root: &Root<'_>) {
    root.each_text(&mut |text| {
        let (what, value) = (&text.what, text.value);
        if let Some(host) = nobodys(value) {
            let message = format!("`{what}`: `{host}` is an example, and nobody's");
            text.fiction(message, "write your own, or take it out");
        } else if is_placeholder(value) {
            let message = format!("`{what}`: `{value}` is from an example");
            let hint = if value.starts_with(['U', 'W']) {
                "write a user id of yours: in Slack, Profile, Copy member ID"
            } else {
                "write your own, or take it out"
            };
            text.fiction(message, hint);
        }
    });
}

/// The first host in a text that is nobody's.
fn nobodys(text: &str) -> Option<&str> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let mut names = text.split(|c| !of_name(c));
    names.find(|name| {
        let name = name.to_ascii_lowercase();
        RESERVED.iter().any(|reserved| {
            let before = name.strip_suffix(reserved);
            // The word alone, such as in a sentence, is no host.
            before.is_some_and(|before| {
                before.ends_with('.') || before.is_empty() && name.contains('.')
            })
        })
    })
}

/// An id that only stands for one: of the example, counted up, or all zeros or X.
fn is_placeholder(text: &str) -> bool {
    if EXAMPLES.contains(&text) {
        return true;
    }
    let Some(rest) = text.strip_prefix(['U', 'W', 'S', 'C', 'G']) else {
        return false;
    };
    let counted = "0123456789ABCDEF".starts_with(rest) || "123456789".starts_with(rest);
    rest.len() >= 6
        && (counted
            || ["0", "X"]
                .iter()
                .any(|one| rest.replace(one, "").is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_examples_names_and_ids_are_known_and_others_are_not() {
        for (text, host) in [
            ("smtp.example.com", Some("smtp.example.com")),
            ("Ana <ana@example.org>", Some("example.org")),
            (
                "https://Hooks.Example.com/x/{to}",
                Some("Hooks.Example.com"),
            ),
            ("https://docker-2.example:2376", Some("docker-2.example")),
            ("for example this", None),
            ("example", None),
            ("myexample.com", None),
            ("https://example.company/", None),
            ("https://bank.test/example.html", None),
        ] {
            assert_eq!(nobodys(text), host, "{text}");
        }
        for (text, is) in [
            ("U0ANA00001", true),
            ("U0123456789", true),
            ("S0123456789", true),
            ("C0000000000", true),
            ("CXXXXXXXX", true),
            ("U02ABCDEF12", false),
            ("U1", false),
            ("C0", false),
            ("SLOW", false),
        ] {
            assert_eq!(is_placeholder(text), is, "{text}");
        }
    }
}
