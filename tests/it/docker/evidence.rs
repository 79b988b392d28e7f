//! What is kept of containers for an examination.

use treasury_bot::domain::service::{Evidence, Target};
use treasury_bot::platform::Platform;
use treasury_bot::platform::docker::{Docker, EngineConfig};

use crate::support::dockerd::Dockerd;
use crate::support::engine::{OBEYS, Stack, entry, eventually};

#[tokio::test]
#[ignore = "needs Docker"]
async fn evidence_tells_logs_description_and_processes_and_no_secrets() {
    let stack = Stack::new("kept").await;
    let script = format!("echo hello; echo worse >&2; {OBEYS}");
    let mut body = stack.body("web", 1, &script);
    body.env
        .as_mut()
        .unwrap()
        .push("DB_PASSWORD=hunter2".into());
    let id = stack.start(&stack.container("web", 1), body).await;
    stack.run("web", 2, "echo bye; exit 4").await;
    let web = stack.service("web");
    let before = eventually("the end of the second", async || {
        let status = stack.driver.status(&web).await.unwrap();
        status.replicas[1].finished_at.is_some().then_some(status)
    })
    .await;
    let pieces = eventually("the words", async || {
        let pieces = stack.driver.evidence(&web).await.unwrap();
        let said = |piece: &Evidence| piece.text.contains("worse");
        pieces.iter().any(said).then_some(pieces)
    })
    .await;
    let [first, second] = [1, 2].map(|number| stack.container("web", number));
    let names: Vec<&str> = pieces.iter().map(|piece| piece.name.as_str()).collect();
    let expected = [
        format!("{first}.logs.txt"),
        format!("{first}.inspect.json"),
        format!("{first}.processes.txt"),
        format!("{second}.logs.txt"),
        format!("{second}.inspect.json"),
    ];
    assert_eq!(names, expected, "what has ended has no processes");
    let log: Vec<&str> = pieces[0].text.lines().collect();
    assert!(
        log.iter().any(|line| line.ends_with("Z stdout hello")),
        "{log:?}"
    );
    assert!(
        log.iter().any(|line| line.ends_with("Z stderr worse")),
        "{log:?}"
    );
    let description: serde_json::Value = serde_json::from_str(&pieces[1].text).unwrap();
    assert_eq!(description["Id"], id.as_str());
    assert_eq!(
        description["Config"]["Labels"]["com.docker.compose.service"],
        "web"
    );
    let env = description["Config"]["Env"].to_string();
    assert!(env.contains("DB_PASSWORD=***"), "{env}");
    assert!(pieces[2].text.contains("sleep 600"), "{}", pieces[2].text);
    assert!(pieces[3].text.contains("stdout bye"));
    assert!(pieces.iter().all(|piece| !piece.text.contains("hunter2")));
    assert_eq!(
        stack.driver.status(&web).await.unwrap(),
        before,
        "nothing was touched"
    );
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_newest_part_of_a_long_log_is_kept_and_a_log_that_can_not_be_read_is_told() {
    let stack = Stack::new("long").await;
    let script =
        format!("busybox seq 1 60000 | busybox sed s/$/xxxxxxxxxxxxxxxxxxxx/; echo last; {OBEYS}");
    stack.run("web", 1, &script).await;
    let mut silent = stack.body("web", 2, OBEYS);
    let none = serde_json::json!({"Type": "none", "Config": {}});
    silent.host_config.as_mut().unwrap().log_config = serde_json::from_value(none).ok();
    stack.start(&stack.container("web", 2), silent).await;
    let web = stack.service("web");
    let pieces = eventually("the last line", async || {
        let pieces = stack.driver.evidence(&web).await.unwrap();
        pieces[0].text.ends_with(" last\n").then_some(pieces)
    })
    .await;
    let log = &pieces[0].text;
    assert!(
        (Evidence::MAX_BYTES - 200..=Evidence::MAX_BYTES).contains(&log.len()),
        "{}",
        log.len()
    );
    assert!(log.contains(" 60000xxx") && !log.contains(" 1xxx"));
    assert!(
        pieces[3].text.contains("can't be read"),
        "{}",
        pieces[3].text
    );
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_engine_without_ps_costs_the_list_of_processes_only() {
    // Everything that an engine calls, but `ps`.
    let programs = tempfile::tempdir().unwrap();
    for folder in ["/usr/bin", "/usr/sbin"] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            let link = programs.path().join(name);
            if name != "ps" && !link.exists() {
                std::os::unix::fs::symlink(&path, link).unwrap();
            }
        }
    }
    let path = format!("PATH={}", programs.path().display());
    let engine =
        Dockerd::run_by(&["env", &path, "dockerd"], &["--bridge=docker0".to_owned()]).await;
    let script = format!("echo hello; {OBEYS}");
    engine.import("till:1", &script).await;
    engine.run("till", "till:1").await;
    let driver = Docker::with(EngineConfig::at(Some(&engine.host()))).unwrap();
    let till = entry(Target::Container {
        engine: None,
        name: "till".to_owned(),
    });
    let pieces = driver.evidence(&till).await.unwrap();
    let [log, description, processes] = pieces.as_slice() else {
        panic!("{pieces:?}");
    };
    assert_eq!(log.name, "till.logs.txt");
    assert!(description.text.contains("till:1"));
    assert_eq!(processes.name, "till.processes.txt");
    assert!(
        processes
            .text
            .starts_with("The processes can't be listed: ")
            && processes.text.contains("\"ps\""),
        "{}",
        processes.text
    );
}
