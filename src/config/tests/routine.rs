//! `[[window]]`, `[[freeze]]`, `[tasks]`, `[[task]]`.

use super::*;
use crate::domain::period::PlannedPeriod;
use crate::domain::task::TaskBy;

const SERVICE: &str = "[[service]]\nname = 'api'\nplatform = 'docker'\ncontainer = 'api'\n";

#[test]
fn windows_freezes_and_tasks_are_read() {
    let config = good(&format!(
        "{SERVICE}[[window]]\nservice = 'api'\nschedule = 'weekly sunday 03:00'\n\
         timezone = 'Europe/Paris'\nlength = '2h'\nreason = 'patches'\n\
         [[freeze]]\nservice = 'all'\nschedule = 'weekly friday 16:00'\nlength = '64h'\n\
         [tasks]\nusual = true\n\
         [[rotation]]\nname = 'web'\nmembers = ['U1']\nhandover = 'daily 09:00'\n\
         [[task]]\nname = 'log-rotation'\nschedule = 'daily 02:00'\nrunbook = 'high-memory'\n\
         [[task]]\nname = 'certificates'\nschedule = 'monthly 1 04:00'\nask = 'web'\nevery = '1d'\n\
         text = 'look at them'\n"
    ));
    let routine = config.settings.routine;
    let names: Vec<String> = routine.periods.iter().map(PlannedPeriod::name).collect();
    let window = "window api weekly sunday 03:00 Europe/Paris";
    assert_eq!(names, [window, "freeze all weekly friday 16:00"]);
    let tasks: Vec<(&str, String)> = routine
        .tasks
        .iter()
        .map(|one| (one.name.as_str(), one.schedule.to_string()))
        .collect();
    assert_eq!(tasks[0], ("log-rotation", "daily 02:00".to_owned()));
    assert_eq!(tasks[1], ("certificates", "monthly 1 04:00".to_owned()));
    assert_eq!(tasks[2], ("security-updates", "monthly 1 10:00".to_owned()));
    assert_eq!(tasks.len(), 5, "{tasks:?}");
    assert_eq!(routine.tasks[0].by, TaskBy::Runbook("high-memory".into()));
    assert_eq!(routine.tasks[1].by, TaskBy::Rotation(Some("web".into())));
    assert!(
        routine.tasks[0]
            .text
            .starts_with("see that logs are rotated")
    );
    assert!(
        good("").settings.routine.tasks.is_empty(),
        "only where it is wished"
    );
}

#[test]
fn what_is_wrong_with_the_routine_is_told_at_once() {
    let told: Vec<String> = bad(&format!(
        "{SERVICE}[[window]]\nservice = 'apj'\nschedule = 'sunday 03:00'\nlength = '4d'\n\
         [[freeze]]\nservice = 'api'\nschedule = 'daily 25:00'\ntimezone = 'Europe/Pariss'\n\
         [[task]]\nname = 'Log Rotation'\nrunbook = 'no-such'\nask = 'nobody'\nschedule = 'monthly 32 09:00'\n"
    ))
    .into_iter()
    .map(|problem| problem.message)
    .collect();
    let told = told.join("\n");
    for part in [
        "there is no service `apj`",
        "write `daily 02:00`",
        "`window.length` must be at most 3d",
        "a time of day is written as `09:00`",
        "there is no time zone `Europe/Pariss`",
        "a freeze without `length`",
        "a task has `runbook` or `ask`, not both",
        "there is no runbook `no-such`",
        "there is no rotation `nobody`",
        "a day of the month is from 1 to 31",
    ] {
        assert!(told.contains(part), "{part}:\n{told}");
    }
}
