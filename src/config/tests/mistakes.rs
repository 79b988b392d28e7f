//! Many mistakes at once, and how they are shown.

use super::*;

#[test]
fn ten_mistakes_are_ten_findings_in_order() {
    let text = r#"[slack]
mode = "sockt"
channel = 7
[web]
lsiten = "127.0.0.1:1"
[acces]
viewers = []
[access]
responders = ["U1", "*"]
[policy]
confirm_within = "5 minutes"
[[service]]
name = "frontend"
container = "a"
compose_project = "treasury"
[[service]]
name = "frontend"
container = "b"
health = "ftp://b/"
[[service]]
name = "api"
compose_project = "treasury"
compose_service = "api"
scale = { min = 5, max = 2 }
"#;
    let errors = Config::parse(text, "treasury-bot.toml", &all_secrets).unwrap_err();
    assert_eq!(errors.problems.len(), 10);
    insta::assert_snapshot!(errors.render(false), @r#"
error: `slack.mode` can't be `sockt`
  --> treasury-bot.toml:2:8
   |
 2 | mode = "sockt"
   |        ^^^^^^^
   = help: did you mean `socket`?

error: `slack.channel` must be a string, not a whole number
  --> treasury-bot.toml:3:11
   |
 3 | channel = 7
   |           ^

error: unknown key `lsiten` in `web`
  --> treasury-bot.toml:5:1
   |
 5 | lsiten = "127.0.0.1:1"
   | ^^^^^^
   = help: did you mean `listen`?

error: unknown section `acces`
  --> treasury-bot.toml:6:2
   |
 6 | [acces]
   |  ^^^^^
   = help: did you mean `[access]`?

error: `*` is not allowed in `access.responders`, only among viewers
  --> treasury-bot.toml:9:21
   |
 9 | responders = ["U1", "*"]
   |                     ^^^
   = help: list the people who may act, or a user group (`S…`)

error: `5 minutes` is not a duration: write a number and a unit, such as `90s`, `10m`, `2h` or `3d`
   --> treasury-bot.toml:11:18
    |
 11 | confirm_within = "5 minutes"
    |                  ^^^^^^^^^^^

error: a service has both `container` and Compose labels
   --> treasury-bot.toml:14:1
    |
 14 | container = "a"
    | ^^^^^^^^^
    = help: write `compose_project` and `compose_service`, or `container`, or `swarm_service`, or `namespace` and `workload`

error: a second service `frontend`
   --> treasury-bot.toml:17:8
    |
 17 | name = "frontend"
    |        ^^^^^^^^^^
    = help: the first is in line 13

error: `service.health` must begin with http:// or https://
   --> treasury-bot.toml:19:10
    |
 19 | health = "ftp://b/"
    |          ^^^^^^^^^^
    = help: write an address such as `http://127.0.0.1:8081/health`

error: `scale.min` 5 is more than `scale.max` 2
   --> treasury-bot.toml:24:9
    |
 24 | scale = { min = 5, max = 2 }
    |         ^^^^^^^^^^^^^^^^^^^^
"#);
}

#[test]
fn syntax_errors_are_all_told() {
    let problems = bad("[web]\nlisten = \n[log]\nlevel = info\n");
    let lines: Vec<_> = problems
        .iter()
        .map(|p| p.location.as_ref().unwrap().line)
        .collect();
    assert_eq!(lines, [2, 4]);
    assert!(problems.iter().all(|p| p.message.starts_with("not TOML: ")));
    let twice = bad("[web]\nlisten = '[::1]:1'\nlisten = '[::1]:2'\n");
    assert_eq!(told(&twice), ["3:1 not TOML: duplicate key"]);
}

#[test]
fn places_are_told_in_odd_texts() {
    let place = |text: &str| bad(text)[0].location.clone().unwrap();
    let crlf = place("[web]\r\n\tlsiten = 'ä'\r\n");
    assert_eq!(
        (crlf.line, crlf.column, crlf.caret, crlf.width),
        (2, 2, 1, 6)
    );
    assert_eq!(crlf.excerpt, " lsiten = 'ä'");
    let mark = place("\u{feff}lsiten = 1");
    assert_eq!((mark.line, mark.column), (1, 1));
    let list = "'U1', ".repeat(100);
    let long = place(&format!("[access]\nviewers = [{list}'é', 7]"));
    assert_eq!((long.line, long.column, long.caret), (2, 612, 40));
    assert_eq!(
        long.excerpt.chars().skip(long.caret).collect::<String>(),
        "'é', 7]"
    );
    let letters = place("[access]\nviewers = ['@é', 7]");
    assert_eq!((letters.line, letters.column, letters.caret), (2, 18, 17));
    let escape = place("[web]\nlsiten = '\u{202e}'\n");
    assert_eq!(escape.excerpt, "lsiten = '\u{fffd}'");
    let lines = place("[slack]\nchannel = '''a\nb'''\n");
    assert_eq!((lines.line, lines.column, lines.width), (2, 11, 4));
}

#[test]
fn warnings_are_told_apart() {
    let config = good(
        r#"
[slack]
api_url = "http://slack.example/api/"
[docker]
host = "tcp://10.0.0.1:2375"
[access]
commanders = ["@ana"]
[[service]]
name = "a"
container = "c"
health = "http://10.0.0.1/health"
[[service]]
name = "b"
container = "c"
health = "http://[::1]/health"
"#,
    );
    assert_eq!(
        told(&config.warnings),
        [
            "3:11 `slack.api_url` goes beyond this machine without encryption (use https:// if it can)",
            "5:8 `docker.host` is reached without TLS: nobody proves who they are (who can reach that port is root there: set ca_file, cert_file and key_file, or forward the socket with `ssh -L`)",
            "7:15 `@ana` in `access.commanders` is a name, and names can be changed (prefer the user id (`U…`): in Slack, Profile, Copy member ID)",
            "11:10 `service.health` goes beyond this machine without encryption (use https:// if it can)",
            "13:8 `b` and `a` are the same containers",
        ]
    );
    assert!(
        config
            .warnings
            .iter()
            .all(|warning| warning.level == Level::Warning)
    );
    let shown = config.warnings[2].render(true);
    assert!(shown.starts_with("\u{1b}[1;33mwarning\u{1b}[0m"), "{shown}");
}
