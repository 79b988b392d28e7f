//! `[reach.NAME]`, and the `reach` of a `[[person]]`.

use super::*;
use crate::domain::notification::Recipient;
use crate::notify::http::Service;

/// The usual secrets, and the tokens of ways.
fn with_tokens(name: &str) -> Option<String> {
    match name {
        "TREASURY_BOT_REACH_NO_TOKEN_TOKEN" => None,
        _ if name.starts_with("TREASURY_BOT_REACH_") => Some("hush".to_owned()),
        _ => all_secrets(name),
    }
}

fn read(text: &str) -> Config {
    Config::parse(text, "treasury-bot.toml", &with_tokens).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_person_of_three_lines_is_asked_by_mail_and_one_with_ways_in_their_order() {
    let config = read(
        "[email]\nhost = 'smtp.example.com'\nfrom = 'bot@example.com'\n\
         [web]\npublic_url = 'https://bot.example.com'\n\
         [reach.phone]\npreset = 'ntfy'\n\
         [[person]]\nid = 'U1'\nemail = 'ana@example.com'\n\
         [[person]]\nid = 'U2'\nname = 'Ben'\nemail = 'ben@example.com'\n\
         reach = ['slack', {by = 'phone', to = 'ben-1', after = '2m'}, {by = 'email', after = '5m'}]\n",
    );
    let (reach, mail) = (config.settings.reach, config.settings.notify.unwrap());
    assert!(reach.links, "the pages have an address that others reach");
    assert_eq!(mail.people.len(), 2);
    assert_eq!(reach.people.keys().collect::<Vec<_>>(), ["U2"]);
    let ways: Vec<(String, u64)> = reach.people["U2"]
        .iter()
        .map(|way| (way.to.channel().as_str().into_owned(), way.after.as_secs()))
        .collect();
    let expected = [("slack", 0), ("reach:phone", 120), ("email", 300)];
    assert_eq!(ways, expected.map(|(way, after)| (way.to_owned(), after)));
    let Recipient::Way(to) = &reach.people["U2"][1].to else {
        panic!("{reach:?}");
    };
    assert_eq!((to.to.as_str(), to.name.as_str()), ("ben-1", "Ben"));
    assert!(matches!(&config.ways[0].service, Service::Ntfy(url) if url == "https://ntfy.sh"));
    assert!(!format!("{:?}", config.ways).contains("hush"));
    assert!(!read("").settings.reach.links);
}

#[test]
fn each_mistake_is_told() {
    for (text, expected) in [
        (
            "[reach.slack]\nurl = 'https://x.example'\n[reach.a]\npreset = 'ntfi'\n",
            &[
                "1:8 a way can't be called `slack` (",
                "4:10 `reach.preset` can't be `ntfi` (did you mean `ntfy`?",
            ][..],
        ),
        (
            "[reach.no-token]\npreset = 'pushover'\njson = {}\nfrom = '+1'\n",
            &[
                "1:1 `reach.no-token` needs a token (set TREASURY_BOT_REACH_NO_TOKEN_TOKEN",
                "3:1 `reach.json` is for `preset = \"webhook\"`",
                "4:1 `reach.from` is for `preset = \"twilio\"`",
            ],
        ),
        (
            "[reach.a]\npreset = 'twilio'\n[reach.b]\npreset = 'gotify'\n[reach.c]\n",
            &[
                "1:1 Twilio without `account`",
                "1:1 Twilio without `from`",
                "3:1 Gotify without `url`",
                "5:1 a webhook without `url`",
            ],
        ),
        (
            "[reach.a]\nurl = 'https://x.example/{titel}'\n\
             [reach.b]\nurl = 'https://{to}.example/'\n\
             [reach.c]\nurl = 'ftp://x.example/{to}'\n\
             [reach.d]\nurl = 'https://x.example'\ntext = 'a {b'\nheaders = {'a b' = 'x'}\n\
             json = {at = 1979-05-27}\nmethod = 'PATCH'\n",
            &[
                "2:7 `reach.url`: there is no placeholder `{titel}` (did you mean `title`?",
                "4:7 `reach.url`: a placeholder can't stand in scheme, host or port",
                "6:7 `reach.url` must begin with http:// or https://",
                "9:1 a request has one body",
                "10:12 `a b` is no name of a header",
                "11:14 `reach.json.at` can't be written as JSON",
                "12:10 `reach.method` can't be `PATCH`",
            ],
        ),
        (
            "[reach.phone]\npreset = 'ntfy'\n[reach.bell]\npreset = 'gotify'\nurl = 'https://x.example'\n\
             [[person]]\nid = 'U1'\n\
             reach = ['fone', 'phone', {by = 'bell', to = 'x'}, {after = '1m'}, 7, 'email', {by = 'slack', after = '2d', at = 1}]\n\
             [[person]]\nid = 'U2'\n",
            &[
                "8:10 there is no way `fone` (did you mean `phone`?",
                "8:18 `phone` needs `to`",
                "8:46 `bell` takes no `to`",
                "8:52 a way without `by`",
                "8:68 `person.reach` must list strings or tables, not a whole number",
                "8:71 `reach` by e-mail needs `email` of the person",
                "8:95 `reach.after` must be at most 24h",
                "8:109 unknown key `at` in `reach`",
                "9:1 a person without `email` or `reach`",
            ],
        ),
        ("reach = 1\n", &["1:1 "]),
        (
            "[reach]\nphone = 'x'\n",
            &["2:1 `reach.phone` must be a table, not a string"],
        ),
    ] {
        let found = match Config::parse(text, "treasury-bot.toml", &with_tokens) {
            Ok(config) => panic!("{text}\n{config:?}"),
            Err(errors) => told(&errors.problems),
        };
        assert_eq!(found.len(), expected.len(), "{text}\n{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{text}\n{found} / {expected}");
        }
    }
}
