//! `help` and the menu: what somebody types who knows no command.

use crate::support::stage::{HOME, Stage, words_of};

#[tokio::test]
async fn a_bare_command_is_a_menu_for_a_phone() {
    let stage = Stage::new().await;
    stage.ana("").await;
    let menu = stage.said(HOME, "What do you want to look at?").await;
    assert!(menu.visible_to.is_some(), "only for the asker");
    let ana = stage.person("ana");
    ana.clicks(HOME, &menu.ts, "frontend").await.unwrap();
    let menu = stage.said(HOME, "What about frontend?").await;
    ana.clicks(HOME, &menu.ts, "Logs").await.unwrap();
    stage.said(HOME, "log lines of frontend").await;
    ana.clicks(HOME, &menu.ts, "Restart").await.unwrap();
    stage.said(HOME, "Restart frontend?").await;

    // What is needed at night is a press away, and one more declares an incident.
    let menu = stage.said(HOME, "What do you want to look at?").await;
    for (label, told) in [
        ("Alerts", "No alert fires"),
        ("On call", "on call"),
        ("Runbooks", "restart-service"),
        ("Declare an incident…", "What is wrong?"),
    ] {
        ana.clicks(HOME, &menu.ts, label).await.unwrap();
        stage.said(HOME, told).await;
    }
    let ask = stage.said(HOME, "What is wrong?").await;
    let elements = ask
        .blocks
        .iter()
        .filter_map(|one| one["elements"].as_array());
    let mut menus = elements
        .flatten()
        .filter(|one| one["type"] == "static_select");
    let menu = menus.next().unwrap()["action_id"].as_str().unwrap();
    ana.selects(HOME, &ask.ts, menu, "api").await.unwrap();
    stage
        .said(HOME, "INC-1 declared as SEV3: Something is wrong")
        .await;
    stage.finish().await;
}

#[tokio::test]
async fn help_is_a_screen_of_names_and_each_name_tells_more() {
    let stage = Stage::new().await;
    stage.ana("help").await;
    let help = stage.said(HOME, "and one of these words").await;
    let words = words_of(&help);
    assert!(words.contains("On call: alerts · ack"), "{words}");
    assert!(words.len() < 700, "too long for a phone: {words}");
    let ana = stage.person("ana");
    ana.clicks(HOME, &help.ts, "Act").await.unwrap();
    stage
        .said(HOME, "Restart a service, one replica after another")
        .await;
    stage.ana("help db").await;
    stage
        .said(HOME, "db locks [OPTIONS]  Show who blocks whom")
        .await;
    stage.ana("help nonsense").await;
    stage.said(HOME, "There is no command nonsense").await;
    stage.finish().await;
}

#[tokio::test]
async fn of_several_open_incidents_the_answer_says_how_one_is_named() {
    let stage = Stage::new().await;
    stage.ana("incident declare Slow pages").await;
    stage.ana("incident declare Slow database").await;
    let room = stage.room(2).await;
    stage.ana("note it is the disk").await;
    stage
        .said(HOME, "name it at the end: --incident INC-2")
        .await;
    stage.ana("note it is the disk --incident INC-2").await;
    stage.said(&room, "it is the disk").await;
    stage.finish().await;
}
