//! `[[backup]]`.

use super::*;

const DATABASE: &str = "[[database]]\nname = 'main'\nurl = 'postgres://bot@127.0.0.1/treasury'\n";
const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

#[test]
fn a_backup_is_read_with_its_heartbeat() {
    let config = good(&format!(
        "{DATABASE}[[backup]]\nname = 'main'\ndatabase = 'main'\nschedule = 'weekly sunday 03:00'\n\
         to = '/backups'\nrecipient = '{RECIPIENT}'\nkeep_days = 7\nseverity = 'SEV2'\n\
         ask = [{{ query = 'SELECT 1' }}]\n\
         [[backup]]\nname = 'by-hand'\nurl = 'postgres://backup@db/other'\nto = '/backups'\n"
    ));
    let [main, by_hand] = config.settings.routine.backups.as_slice() else {
        panic!("{:?}", config.settings.routine.backups);
    };
    assert_eq!(main.keep, Duration::from_secs(7 * 86_400));
    assert_eq!((main.keep_at_least, by_hand.keep_at_least), (3, 3));
    assert_eq!(main.recipient.as_ref().unwrap().to_string(), RECIPIENT);
    assert_eq!(main.asks[0].name, "SELECT 1");
    assert_eq!(main.to.to_string(), "/backups");
    assert_eq!(main.server().unwrap().label(), "127.0.0.1:5432/treasury");
    assert_eq!(by_hand.server().unwrap().label(), "db:5432/other");
    // One that nobody expects at a time is missed by nobody.
    let heartbeats = config.settings.alerts.heartbeats;
    let [heartbeat] = heartbeats.as_slice() else {
        panic!("{heartbeats:?}");
    };
    assert_eq!(heartbeat.name, "backup-main");
    assert_eq!(heartbeat.every, Duration::from_secs(7 * 86_400 + 3_600));
}

#[test]
fn what_is_wrong_with_backups_is_told_at_once() {
    let problems = bad(&format!(
        "{DATABASE}[[backup]]\nname = 'Main'\ndatabase = 'mian'\nto = 's3://b/p'\nrecipient = 'age1x'\n\
         [[backup]]\nname = 'two'\nschedule = 'sunday'\ndrill_schedule = 'daily 04:00'\n"
    ));
    let told: Vec<&str> = problems.iter().map(|one| one.message.as_str()).collect();
    for part in [
        "Main",
        "there is no database `mian`",
        "a backup to S3 without `access_key`",
        "not a public key of age",
        "a backup of nothing",
        "a backup without `to`",
        "`backup.drill_schedule` without `drill_url`",
    ] {
        assert!(
            told.iter().any(|one| one.contains(part)),
            "{part}: {told:#?}"
        );
    }
}
