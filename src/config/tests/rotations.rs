//! `[[rotation]]` and what damps alerts.

use jiff::Timestamp;

use super::*;
use crate::domain::oncall::{Backup, OnCall};

const SERVICE: &str = "[[service]]\nname = 'api'\nplatform = 'docker'\ncontainer = 'api'\n";

#[test]
fn rotations_are_read() {
    let config = good(&format!(
        "{SERVICE}[[rotation]]\nname = 'primary'\nmembers = ['U1', 'U2']\ntimezone = 'Europe/Paris'\n\
         handover = 'monday 09:00'\nstarts = '2026-11-02'\nservices = ['api']\nthen = ['second', 'U9']\n\
         holidays = ['2026-12-25']\nholiday_members = ['U3']\n\
         [[rotation]]\nname = 'second'\nmembers = ['U4']\nhandover = 'daily 18:00'\n\
         [alerts]\nflapping = {{ changes = 4, calm = '2m' }}\n"
    ));
    let [primary, second] = config.settings.alerts.rotations.as_slice() else {
        panic!("{:?}", config.settings.alerts.rotations)
    };
    assert!(
        !primary.default && second.default,
        "the first without services"
    );
    assert_eq!(second.backups, None);
    let then = primary.backups.as_ref().unwrap();
    assert_eq!(then[0], Backup::Rotation("second".into()));
    assert!(matches!(&then[1], Backup::Person(person) if person.id == "U9"));
    let on_call = OnCall::new(config.settings.alerts.rotations.clone(), &[]);
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let who = |now| {
        let ladder = on_call.escalation_order(primary, &[], now);
        ladder.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(who(at("2026-11-09T07:59:59Z")), ["U1", "U4", "U9"]);
    assert_eq!(who(at("2026-11-09T08:00:00Z")), ["U2", "U4", "U9"]);
    assert_eq!(who(at("2026-12-25T12:00:00Z")), ["U3", "U4", "U9"]);
    let damping = config.settings.alerts.damping;
    assert_eq!(
        (
            damping.changes,
            damping.within.as_mins(),
            damping.calm.as_secs()
        ),
        (4, 30, 120)
    );
}

#[test]
fn a_fixed_list_is_the_default_unless_there_is_none() {
    let rotation = "[[rotation]]\nname = 'a'\nmembers = ['U1']\nhandover = 'daily 09:00'\n";
    assert!(good(rotation).settings.alerts.rotations[0].default);
    let both = good(&format!("[alerts]\non_call = ['U2']\n{rotation}"));
    assert!(!both.settings.alerts.rotations[0].default);
}

#[test]
fn what_is_wrong_with_rotations_is_told_at_once() {
    let told: Vec<String> = bad(&format!(
        "{SERVICE}[alerts]\non_call = ['U1']\nflapping = {{ changes = 1, clam = '1m' }}\n\
         [[rotation]]\nname = 'a'\nmembers = ['@ana']\nhandover = 'monday 09:00'\n\
         [[rotation]]\nname = 'b'\nmembers = ['U1']\nhandover = 'monday 25:00'\ntimezone = 'Europe/Pariss'\n\
         [[rotation]]\nname = 'c'\nmembers = ['U1']\nhandover = 'monday 25:00'\n\
         [[rotation]]\nname = 'd'\nmembers = ['U1']\nhandover = 'monday 09:00'\nstarts = '2026-11-03'\n\
         [[rotation]]\nname = 'e'\nmembers = ['U1']\nhandover = 'every 2 weeks 09:00'\nstarts = 'soon'\n\
         [[rotation]]\nname = 'f'\nmembers = ['U1']\nhandover = 'daily 09:00'\nservices = ['apj', 'api']\n\
         teams = ['web']\nthen = ['f', 'g', 'H', 'U2']\nholidays = ['2026-12-25']\n\
         [[rotation]]\nname = 'g'\nmembers = ['U1']\nhandover = 'daily 09:00'\nservices = ['api']\n\
         teams = ['web']\ndefault = true\n\
         [[rotation]]\nname = 'g'\nmembers = ['U1']\nhandover = 'daily 09:00'\n\
         [[rotation]]\nnmae = 'h'\n\
         [[rotation]]\nname = 'on-call'\nmembers = ['U1']\nhandover = 'daily 09:00'\n",
    ))
    .into_iter()
    .map(|problem| problem.message)
    .collect();
    for expected in [
        "`flapping.changes` must be from 2 to 100",
        "unknown key `clam` in `flapping`",
        "`@ana` in `rotation.members` is no user id",
        "`rotation.timezone`: there is no time zone `Europe/Pariss`",
        "`rotation.handover`: monday 25:00: a time of day is written as `09:00`",
        "`rotation.handover`: monday 09:00: `starts` is no monday: 2026-11-03 is a tuesday",
        "`rotation.starts`: `soon` is no date",
        "`rotation.handover`: every 2 weeks 09:00: needs `starts`",
        "`rotation.service`: there is no service `apj`",
        "`rotation.then`: `f` can't come after itself",
        "`rotation.then`: `H` is neither a rotation nor a user id",
        "nobody takes the holidays",
        "`api` is in `rotation.services` twice",
        "`web` is in `rotation.teams` twice",
        "both `alerts.on_call` and `g` are the default",
        "`g` is in `rotation.name` twice",
        "unknown key `nmae` in `rotation`",
        "a rotation needs `handover`",
        "a rotation needs `members`",
        "a rotation needs a `name`",
        "`rotation.name` can't be `on-call`",
    ] {
        assert!(
            told.iter().any(|one| one.starts_with(expected)),
            "{expected}: {told:#?}"
        );
    }
    assert_eq!(told.len(), 22, "{told:#?}");
}
