//! Secrets: where they are taken from, and that none is shown.

use std::fs;

use super::*;

/// No variable is set.
fn nothing(_: &str) -> Option<String> {
    None
}

fn found(text: &str, env: Env<'_>) -> Vec<String> {
    match Config::parse(text, "treasury-bot.toml", env) {
        Ok(config) => panic!("{config:?}"),
        Err(errors) => told(&errors.problems),
    }
}

#[test]
fn a_missing_secret_is_told_for_the_mode() {
    let missing = |what: &str, variable: &str, key: &str| {
        format!("{what} is missing (set {variable}, or `{key}` in `[slack]`)")
    };
    let bot = missing("the bot token", BOT, "bot_token_file");
    let app = missing(
        "the app-level token of mode `socket`",
        APP,
        "app_token_file",
    );
    let sign = missing(
        "the signing secret of mode `http`",
        SIGNING,
        "signing_secret_file",
    );
    assert_eq!(
        found("", &nothing),
        [format!("- {bot}"), format!("- {app}")]
    );
    let socket = "\n[slack]\nmode = 'socket'\n";
    assert_eq!(
        found(socket, &nothing),
        [format!("2:1 {bot}"), format!("3:8 {app}")]
    );
    let http = "[slack]\nmode = 'http'\n";
    assert_eq!(
        found(http, &nothing),
        [format!("1:1 {bot}"), format!("2:8 {sign}")]
    );
    // Nobody knows what a bad mode needs; an empty variable is none.
    let empty = |_: &str| Some(" \n".to_owned());
    let problems = found("[slack]\nmode = 'htp'\n", &empty);
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn secrets_come_from_files_beside_the_configuration_and_variables_win() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("treasury-bot.toml");
    let file = |name: &str| folder.path().join("run").join(name);
    fs::create_dir(folder.path().join("run")).unwrap();
    fs::write(file("bot"), "xoxb-file\n").unwrap();
    fs::write(file("sign"), "hush").unwrap();
    fs::write(file("url"), "postgres://u:pw@h/d\n").unwrap();
    fs::write(
        &path,
        "[slack]\nmode = 'http'\nbot_token_file = 'run/bot'\nsigning_secret_file = 'run/sign'\n\
         [store]\nurl_file = 'run/url'\n",
    )
    .unwrap();
    let config = Config::load(&path, &nothing).unwrap();
    assert_eq!(config.slack.bot_token.expose_secret(), "xoxb-file");
    assert_eq!(config.slack.signing_secret.unwrap().expose_secret(), "hush");
    assert!(config.slack.app_token.is_none());
    assert_eq!(config.store_url.expose_secret(), "postgres://u:pw@h/d");
    let env = |name: &str| match name {
        STORE => Some("postgres://u:other@h/d".to_owned()),
        _ => all_secrets(name),
    };
    let config = Config::load(&path, &env).unwrap();
    assert_eq!(config.slack.bot_token.expose_secret(), "xoxb-bot");
    assert_eq!(config.store_url.expose_secret(), "postgres://u:other@h/d");
    // Files that don't serve.
    fs::write(file("bot"), "\n").unwrap();
    fs::write(file("sign"), [0xff]).unwrap();
    fs::write(file("url"), "mysql://u:pw@h/d").unwrap();
    let errors = Config::load(&path, &nothing).unwrap_err().to_string();
    assert!(errors.contains("run/bot is empty"), "{errors}");
    assert!(
        errors.contains("run/sign: line 1 is not UTF-8 text"),
        "{errors}"
    );
    assert!(
        errors.contains("the file that `store.url_file` names: it must begin"),
        "{errors}"
    );
    fs::remove_file(file("url")).unwrap();
    let errors = Config::load(&path, &nothing).unwrap_err().to_string();
    assert!(errors.contains("run/url: No such file"), "{errors}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.toml");
    let errors = Config::load(&path, &all_secrets).unwrap_err();
    assert!(
        errors.problems[0]
            .message
            .starts_with("can't read the configuration: No such file")
    );
    fs::write(&path, " ".repeat((1 << 20) + 1)).unwrap();
    let errors = Config::load(&path, &all_secrets).unwrap_err();
    assert!(
        errors.problems[0]
            .message
            .ends_with("larger than 1048576 bytes")
    );
    fs::write(&path, " ".repeat(1 << 20)).unwrap();
    assert!(Config::load(&path, &all_secrets).is_ok());
}

#[test]
fn secrets_that_cannot_be_right_are_told() {
    let env = |name: &str| match name {
        BOT => Some("xapp-1-swapped".to_owned()),
        APP => Some("xapp-1 2".to_owned()),
        STORE => Some("redis://u:pw@h".to_owned()),
        _ => None,
    };
    assert_eq!(
        found("", &env),
        [
            "- TREASURY_BOT_STORE_URL: it must begin with sqlite://, postgres:// or postgresql://",
            "- TREASURY_BOT_SLACK_BOT_TOKEN must be the bot token, which begins with `xoxb-`",
            "- TREASURY_BOT_SLACK_APP_TOKEN has spaces, line ends or foreign letters in it",
        ]
    );
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_shown() {
    let token = |key: &str, variable: &str| {
        format!(
            "2:1 `slack.{key}`: a secret doesn't belong in this file (set {variable}, or \
             {key}_file, and have this one replaced: it has been in a file)"
        )
    };
    let url = format!(
        "2:7 `store.url` holds a password, which doesn't belong in this file (put it in {STORE} \
         or url_file)"
    );
    for (text, expected) in [
        (
            "[slack]\nbot_token = 'xoxb-1-S3CRET'",
            token("bot_token", BOT),
        ),
        (
            "[slack]\nsigning_secret = '''S3CRET'''",
            token("signing_secret", SIGNING),
        ),
        ("[slack]\napp_token = ['S3CRET']", token("app_token", APP)),
        ("[store]\nurl = 'postgres://u:S3CRET@h/d'", url.clone()),
        (
            "[store]\nurl = 'postgres://h/d?user=u&password=S3CRET'",
            url,
        ),
    ] {
        for env in [&nothing as Env<'_>, &all_secrets] {
            let errors = Config::parse(text, "treasury-bot.toml", env).unwrap_err();
            let all = told(&errors.problems);
            assert!(all.contains(&expected), "{all:#?}");
            let shown = format!("{errors}{errors:?}{}", errors.render(true));
            assert!(!shown.contains("S3CRET"), "{shown}");
        }
    }
}

#[test]
fn other_mistakes_beside_a_secret_do_not_show_it() {
    for text in [
        "[slack]\nbot_token = 'S3CRET",
        "[slack]\nbot_token = xoxb-S3CRET",
        "[slack]\nbot_token_file = 'xoxb-S3CRET'",
        "[slack]\nbot_tokn = 'S3CRET'",
        "slack = { bot_token = 'S3CRET', lsiten = 1 }",
        "[store]\npassword = 'S3CRET'",
        "[store]\nurl = 'postgres://u:S3CRET@h:x/d'",
        "[store]\nurl = 'postgres://u:S3CRET@h/d",
        "[slack]\napi_url = 'https://u:S3CRET@h/'",
        "[web]\nlisten = 'https://u:S3CRET@h/'",
        "[log]\nlevel = 'xapp-S3CRET=x=y'",
        "[[service]]\nname = 'xoxb-S3CRET'",
        "xoxb-S3CRET = 1",
        "[slack]\nbot_token = '''\nS3CRET",
        "[slack]\napp_token = [\n'S3CRET', nil\n]",
        "[slack]\nsigning_secret =\n'S3CRET'",
        "[slack]\n\"bot_token\" = \"\"\"\n\nS3CRET\u{1}\"\"\"",
    ] {
        let errors = Config::parse(text, "treasury-bot.toml", &all_secrets).unwrap_err();
        let shown = format!("{errors}{errors:?}");
        assert!(!shown.contains("S3CRET"), "{shown}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let env = |name: &str| match name {
        STORE => Some("postgres://u:S3CRET@h/d".to_owned()),
        _ => all_secrets(name).map(|secret| secret + "S3CRET"),
    };
    let config = Config::parse("", "treasury-bot.toml", &env).unwrap();
    assert_eq!(config.slack.bot_token.expose_secret(), "xoxb-botS3CRET");
    assert!(!format!("{config:?}").contains("S3CRET"));
}
