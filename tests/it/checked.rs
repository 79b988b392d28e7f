//! `config check` and `runbook check`: what is told before anything runs.

use std::path::Path;
use std::process::Command;

use crate::support::process::root;

/// The binary, without any of our variables.
pub fn binary(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_treasury-bot"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TREASURY_BOT_")) {
        command.env_remove(name);
    }
    command
        .args(words)
        .env("USER", "tester")
        .env("NO_COLOR", "");
    command
}

/// Exit code, standard output, standard error.
pub fn run(command: &mut Command) -> (i32, String, String) {
    let ended = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        ended.status.code().unwrap_or(-1),
        text(ended.stdout),
        text(ended.stderr),
    )
}

/// A folder with this configuration; the check of it with these words and variables.
pub struct Written(tempfile::TempDir);

impl Written {
    pub fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("treasury-bot.toml"), text).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn check(&self, words: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
        let all: Vec<&str> = ["config", "check"].iter().chain(words).copied().collect();
        run(binary(&all)
            .current_dir(self.path())
            .envs(env.iter().copied()))
    }
}

/// `LINE message` of each error, `LINE? message` of each warning, as they are printed.
fn told(err: &str) -> Vec<String> {
    let lines: Vec<&str> = err.lines().collect();
    let found = lines.windows(2).filter_map(|pair| {
        let (level, message) = pair[0].split_once(": ")?;
        let mark = match level {
            "error" => "",
            "warning" => "?",
            _ => return None,
        };
        let place = pair[1].split_once("treasury-bot.toml")?.1;
        let line = place.split(':').nth(1).unwrap_or("-");
        Some(format!("{line}{mark} {message}"))
    });
    found.collect()
}

const TOKENS: [(&str, &str); 2] = [
    ("TREASURY_BOT_SLACK_BOT_TOKEN", "xoxb-1-2-abc"),
    ("TREASURY_BOT_SLACK_APP_TOKEN", "xapp-1-2-abc"),
];

/// What somebody wrote at night: nothing of it is an error of form, and little of it can work.
const FICTION: &str = r#"[slack]
channel = "C0123456789"
[web]
public_url = "http://127.0.0.1:8080"
[access]
responders = ["U0ANA00001", "U02KDJ3F4QX"]
[alerts]
auto = "off"
[watch]
enabled = false
[[route]]
match = ['alertname="Slow"']
runbook = "slow-respones"
service = "frontend"
[[source]]
name = "checker"
[[service]]
name = "frontend"
container = "frontend"
health = "https://frontend.example/health"
[email]
host = "smtp.example.com"
from = "bot@bank.test"
"#;

#[test]
fn fiction_is_found_with_its_line_and_its_mend() {
    let written = Written::new(FICTION);
    let (code, out, err) = written.check(&[], &TOKENS);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert_eq!(
        told(&err),
        [
            "2 `slack.channel`: `C0123456789` is from an example",
            "4? `web.public_url` is this machine: the links work nowhere else",
            "6 `access.responders`: `U0ANA00001` is from an example",
            "13 `route.runbook`: there is no runbook `slow-respones`",
            "15 all that `checker` sends is refused: there is no token for it",
            "20 `service.health`: `frontend.example` is an example, and nobody's",
            "22 `email.host`: `smtp.example.com` is an example, and nobody's",
        ]
        .map(str::to_owned),
        "{err}"
    );
    for mend in [
        "did you mean `slow-responses`?",
        "set TREASURY_BOT_ALERTS_CHECKER_TOKEN, or `token_file`",
        "in Slack, Profile, Copy member ID",
    ] {
        assert!(err.contains(mend), "no “{mend}” in:\n{err}");
    }
    assert!(
        err.ends_with("treasury-bot.toml has 6 mistakes and 1 warning\n"),
        "{err}"
    );
    // With a Slack for trying, as the sandbox is, an example's people and addresses will do.
    let trial = FICTION.replace(
        "channel = \"C0123456789\"",
        "api_url = \"http://127.0.0.1:9/\"",
    );
    let (_, _, err) = Written::new(&trial).check(&[], &TOKENS);
    assert!(!err.contains("example"), "{err}");
}

#[test]
fn the_example_that_is_only_copied_is_not_good() {
    let example = std::fs::read_to_string(root().join("deploy/treasury-bot.example.toml")).unwrap();
    let (code, _, err) = Written::new(&example).check(&["--no-secrets"], &[]);
    assert_eq!(code, 2);
    for part in [
        "`docker-2.example` is an example",
        "`smtp.example.com` is an example",
        "`rotation.members`: `U0ANA00001` is from an example",
        "`access.responders`: `S0123456789` is from an example",
    ] {
        assert!(err.contains(part), "no “{part}” in:\n{err}");
    }
}

#[test]
fn alerts_that_nobody_may_send_and_rotations_of_nobody_are_no_good() {
    let service = "[[service]]\nname = \"api\"\ncontainer = \"api\"\n";
    let access = "[access]\nresponders = [\"U02KDJ3F4QX\"]\n";
    let text = format!("{access}{service}[alerts]\nauto = \"off\"\n[watch]\nenabled = false\n");
    let written = Written::new(&text);
    let (code, _, err) = written.check(&[], &TOKENS);
    let refused = "6 no alert comes in: there is no token for senders, so each is refused";
    assert_eq!((code, told(&err)), (2, vec![refused.to_owned()]), "{err}");
    // A token mends it; so do alerts of the bot's own; and a pipeline has no tokens.
    let token = ("TREASURY_BOT_ALERTS_TOKEN", "hush");
    let (code, out, err) = written.check(&[], &[TOKENS[0], TOKENS[1], token]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, "treasury-bot.toml is good: 1 service\n");
    assert_eq!(written.check(&["--no-secrets"], &[]).0, 0);
    let watched = Written::new(&text.replace("enabled = false", "enabled = true"));
    assert_eq!(watched.check(&[], &TOKENS).0, 0);

    let rotation = "[[rotation]]\nname = \"primary\"\nmembers = []\nhandover = \"daily 09:00\"\n\
                    [[rotation]]\nname = \"second\"\nmembers = [\"U02KDJ3F4QX\"]\n\
                    handover = \"daily 25:00\"\ntimezone = \"Europe/Pariss\"\nthen = [\"primary\"]\n";
    let (code, _, err) = Written::new(&format!("{access}{service}{rotation}")).check(&[], &TOKENS);
    assert_eq!(code, 2);
    // The time zone does not hide the hour, and the empty rotation is not "not there" as well.
    assert_eq!(
        told(&err),
        [
            "8 `rotation.members` is empty: nobody would be on call",
            "13 `rotation.handover`: daily 25:00: a time of day is written as `09:00`",
            "14 `rotation.timezone`: there is no time zone `Europe/Pariss`",
        ]
        .map(str::to_owned),
        "{err}"
    );
}

#[test]
fn a_service_with_a_mistake_is_told_once_and_not_by_all_who_name_it() {
    let text = "[access]\nresponders = [\"U02KDJ3F4QX\"]\n[[service]]\nname = \"api\"\n\
                container = \"/api\"\n[[service]]\nname = \"web\"\ncontainer = \"web\"\n\
                depends_on = [\"api\", \"reddis\"]\n[[service]]\nname = \"redis\"\ncontainer = \"redis\"\n\
                [[route]]\nservice = \"api\"\n[[database]]\nservice = \"api\"\nurl = \"postgres://h/d\"\n\
                [reach.phone]\npreset = \"gotify\"\n[[person]]\nid = \"U02KDJ3F4QX\"\n\
                reach = [\"phone\"]\n";
    let token = ("TREASURY_BOT_REACH_PHONE_TOKEN", "hush");
    let (code, _, err) = Written::new(text).check(&[], &[TOKENS[0], TOKENS[1], token]);
    assert_eq!(code, 2);
    let errors: Vec<String> = told(&err)
        .into_iter()
        .filter(|one| !one.contains('?'))
        .collect();
    assert_eq!(
        errors,
        [
            "5 `service.container` can't be `/api`",
            "9 `web` depends on `reddis`, which is no service",
            "18 Gotify without `url`",
        ]
        .map(str::to_owned),
        "{err}"
    );
}

#[test]
fn a_pipeline_checks_without_secrets_and_what_is_there_is_checked_all_the_same() {
    let text = "[slack]\nbot_token_file = \"/nowhere/bot\"\n[store]\nurl_file = \"/nowhere/url\"\n\
                [access]\nresponders = [\"U02KDJ3F4QX\"]\n[docker]\nhost = \"https://10.0.0.1:2376\"\n\
                ca_file = \"/nowhere/ca\"\ncert_file = \"/nowhere/cert\"\nkey_file = \"/nowhere/key\"\n\
                [[service]]\nname = \"api\"\ncontainer = \"api\"\n\
                [email]\nhost = \"smtp.bank.test\"\nfrom = \"bot@bank.test\"\nusername = \"bot\"\n\
                [alertmanager]\nurl = \"https://am.bank.test\"\nuser = \"bot\"\n\
                [reach.phone]\npreset = \"pushover\"\n[[source]]\nname = \"checker\"\n";
    let written = Written::new(text);
    let (code, out, err) = written.check(&["--no-secrets"], &[]);
    assert_eq!(
        (code, out.as_str()),
        (0, "treasury-bot.toml is good: 1 service\n"),
        "{err}"
    );
    let (code, _, err) = written.check(&[], &[]);
    assert_eq!(code, 2);
    for part in [
        "can't read /nowhere/bot",
        "can't read /nowhere/url",
        "can't read /nowhere/key",
        "the app-level token of mode `socket` is missing",
        "`email.username` without a password",
        "`alertmanager.user` without a password",
        "`reach.phone` needs a token",
        "all that `checker` sends is refused",
    ] {
        assert!(err.contains(part), "no “{part}” in:\n{err}");
    }
    for (name, value, said) in [
        (
            "TREASURY_BOT_SLACK_BOT_TOKEN",
            "hello",
            "which begins with `xoxb-`",
        ),
        (
            "TREASURY_BOT_SLACK_APP_TOKEN",
            "xoxb-1",
            "which begins with `xapp-`",
        ),
        (
            "TREASURY_BOT_SLACK_SIGNING_SECRET",
            "xoxb-1",
            "which is no token",
        ),
    ] {
        let (code, _, err) = written.check(&["--no-secrets"], &[(name, value)]);
        assert_eq!(code, 2, "{name}: {err}");
        assert!(err.contains(said) && err.contains(name), "{err}");
    }
}

#[test]
fn warnings_count_where_they_are_asked_to() {
    let written = Written::new("[[service]]\nname = \"api\"\ncontainer = \"api\"\n");
    let (code, out, err) = written.check(&[], &TOKENS);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("nobody is a responder"), "{err}");
    assert_eq!(out, "treasury-bot.toml is good: 1 service, 1 warning\n");
    let (code, out, err) = written.check(&["--strict"], &TOKENS);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.ends_with("treasury-bot.toml has 0 mistakes and 1 warning\n"),
        "{err}"
    );
}

#[test]
fn runbooks_of_the_folder_that_cannot_be_run_are_told() {
    let written = Written::new(
        "[access]\nresponders = [\"U02KDJ3F4QX\"]\n[runbooks]\nfolder = \"own\"\n[[service]]\n\
         name = \"api\"\ncontainer = \"api\"\n[[route]]\nrunbook = \"mine\"\n[[route]]\nrunbook = \"broken\"\n",
    );
    let own = written.path().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(
        own.join("mine.yml"),
        "name: mine\nsteps:\n  - note: hello\n",
    )
    .unwrap();
    let broken = "name: broken\nsteps:\n  - id: a\n    shell: rm -rf /\n  - uses: service.restrt\n    \
                  with: {service: api}\n  - note: \"${{ steps.nope.x }} ${{ steps.a.y }}\"\n";
    std::fs::write(own.join("broken.yml"), broken).unwrap();
    let (code, _, err) = written.check(&["--no-secrets"], &[]);
    assert_eq!(code, 0, "{err}");
    assert!(
        err.contains("broken.yml can't be run: it has mistakes"),
        "{err}"
    );

    // All mistakes of the file at once, each once.
    let (code, out, _) = run(binary(&["runbook", "check", "own"]).current_dir(written.path()));
    assert_eq!(code, 1);
    let errors: Vec<&str> = out
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(
        errors,
        [
            "error: unknown key `shell`",
            "error: there is no action or probe `service.restrt`",
            "error: there is no `nope` here",
        ]
    );
    assert!(out.contains("no step runs a shell"), "{out}");
    assert!(
        out.ends_with("1 runbook can be run; 3 errors, 0 warnings\n"),
        "{out}"
    );

    // Who wants to see it is told the same.
    let mut show = binary(&["runbook", "show", "own/broken.yml"]);
    let (code, out, err) = run(show.current_dir(written.path()));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(errors.iter().all(|one| err.contains(one)), "{err}");
    assert!(
        err.ends_with("own/broken.yml can't be shown: it has mistakes\n"),
        "{err}"
    );
    let (code, out, _) =
        run(binary(&["runbook", "show", "own/mine.yml"]).current_dir(written.path()));
    assert!(code == 0 && out.contains("hello"), "{out}");
}
