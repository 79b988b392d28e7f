//! `exec` for people and scripts, help, completions, the manual, colours.

use std::path::Path;
use std::process::Command;

use crate::checked::{Written, binary, run};

#[test]
fn help_needs_no_configuration_and_exec_no_slack() {
    let empty = tempfile::tempdir().unwrap();
    let exec = |words: &[&str]| run(binary(&["exec"]).args(words).current_dir(&empty));
    let (code, out, err) = exec(&["help"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("restart"), "{out}");
    for words in [
        &["help scale"][..],
        &["help", "scale"],
        &["/treasury", "help", "scale"],
        &["scale --help"],
    ] {
        let (code, out, err) = exec(words);
        assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
        assert!(out.contains("<REPLICAS>"), "{words:?}: {out}");
    }
    let (code, out, _) = exec(&["help", "rebot"]);
    assert!(
        code == 2 && out.contains("There is no command rebot"),
        "{out}"
    );
    assert_eq!(
        std::fs::read_dir(&empty).unwrap().count(),
        0,
        "nothing is left behind"
    );

    let written = Written::new("[[service]]\nname = \"api\"\ncontainer = \"api\"\n");
    let exec = |words: &[&str]| run(binary(&["exec"]).args(words).current_dir(written.path()));
    for words in [
        &["version"][..],
        &["/treasury version"],
        &["/treasury", "VERSION"],
    ] {
        let (code, out, err) = exec(words);
        assert_eq!(code, 0, "{words:?}: {out}{err}");
        assert!(out.contains(env!("CARGO_PKG_VERSION")), "{out}");
    }
    let (code, out, _) = exec(&["/treasury", "scale", "api", "three"]);
    assert_eq!(code, 2);
    assert!(
        out.contains("REPLICAS `three`: write a whole number"),
        "{out}"
    );
}

#[test]
fn a_script_reads_what_exec_says() {
    let written = Written::new(
        "[docker]\nhost = \"unix:///nowhere.sock\"\n[[service]]\nname = \"api\"\ncontainer = \"api\"\n",
    );
    let exec = |words: &[&str]| {
        let (code, out, err) = run(binary(&["exec", "--json"])
            .args(words)
            .current_dir(written.path()));
        let told: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
        assert_eq!(told["code"], code, "{out}");
        assert_eq!(out.lines().count(), 1, "{out}");
        told
    };
    let told = exec(&["version"]);
    let mut keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "code", "commands", "fields", "file", "lines", "result", "title"
        ]
    );
    assert_eq!(
        (&told["result"], &told["file"]),
        (&"done".into(), &serde_json::Value::Null)
    );

    let told = exec(&["restart ap"]);
    assert_eq!(told["result"], "refused");
    assert_eq!(told["title"], "There is no service ap");
    let commands = told["commands"].as_array().unwrap();
    assert!(
        commands.iter().any(|one| one["command"] == "restart api"),
        "{told}"
    );

    let told = exec(&["status", "api"]);
    assert_eq!(told["result"], "failed", "the engine is away: {told}");

    exec(&["incident declare Slow payments"]);
    let told = exec(&["export --format json"]);
    let file = &told["file"];
    assert_eq!(
        (&told["result"], told["code"].as_i64()),
        (&"done".into(), Some(0))
    );
    let name = Path::new(file["name"].as_str().unwrap());
    assert_eq!(name.extension().unwrap(), "json", "{told}");
    let export: serde_json::Value = serde_json::from_str(file["text"].as_str().unwrap()).unwrap();
    assert_eq!(export["format"], "treasury-bot/export/v1");
}

#[test]
fn bash_completes_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let (code, script, _) = run(&mut binary(&["completions", "bash"]));
    assert_eq!(code, 0);
    let file = folder.path().join("treasury-bot.bash");
    std::fs::write(&file, script).unwrap();
    let completes = |words: &str| {
        let script = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             asked=$(complete -p treasury-bot); asked=${{asked#*-F }}; ${{asked%% *}} treasury-bot \
             \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\"",
            file.display()
        );
        let (code, out, err) = run(Command::new("bash").args(["-c", &script]));
        assert_eq!((code, err.as_str()), (0, ""), "{script}");
        out.trim().to_owned()
    };
    assert_eq!(completes("treasury-bot conf"), "config");
    assert_eq!(completes("treasury-bot config check --no"), "--no-secrets");
    assert_eq!(completes("treasury-bot completions z"), "zsh");
    for shell in ["zsh", "fish"] {
        let (code, script, _) = run(&mut binary(&["completions", shell]));
        assert!(code == 0 && script.contains("no-secrets"), "{shell}");
    }
    assert_eq!(run(&mut binary(&["completions", "csh"])).0, 2);
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let (code, page, _) = run(&mut binary(&["man"]));
    assert_eq!(code, 0);
    assert!(
        page.contains(".TH treasury-bot 1") && page.contains("config"),
        "{page}"
    );
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let (code, _, err) = run(binary(&["man", "--dir"]).arg(&pages));
    assert_eq!(code, 0, "{err}");
    let page = std::fs::read_to_string(pages.join("treasury-bot-config-check.1")).unwrap();
    assert!(page.contains("no\\-secrets"), "{page}");
}

#[test]
fn a_terminal_without_colours_gets_none() {
    let written = Written::new("[web]\nlsiten = 1\n");
    let check = |term: &str, no_color: &str| {
        let shell = format!("{} config check", env!("CARGO_BIN_EXE_treasury-bot"));
        let mut script = Command::new("script");
        let script = script
            .args(["-qec", &shell, "/dev/null"])
            .current_dir(written.path());
        let (_, out, _) = run(script.env("TERM", term).env("NO_COLOR", no_color));
        assert!(out.contains("unknown key `lsiten`"), "{out}");
        out.contains('\x1b')
    };
    assert!(check("xterm-256color", ""));
    assert!(!check("dumb", ""));
    assert!(!check("xterm-256color", "1"));
}

#[test]
fn health_says_what_it_asks() {
    let (_, out, _) = run(&mut binary(&["health", "--help"]));
    assert!(
        out.contains("Ask a running bot whether it is alive"),
        "{out}"
    );
    assert!(
        out.contains("[default: http://127.0.0.1:8080/health/live]"),
        "{out}"
    );
}
