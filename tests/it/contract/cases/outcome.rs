//! What became of a restart.

use treasury_bot::domain::service::ReplicaOutcome;

use crate::contract::{World, intent, marks, quiet};

pub async fn nothing_was_done<W: World>() {
    let world = W::new().await;
    let marks = marks(&world).await;
    let outcomes = world
        .driver()
        .restart_outcome(&world.service(), &marks, &intent())
        .await;
    assert_eq!(outcomes.unwrap(), [ReplicaOutcome::Untouched; 2]);
    let none = world
        .driver()
        .restart_outcome(&world.service(), &[], &intent())
        .await;
    assert_eq!(none.unwrap(), []);
}

pub async fn all_were_restarted<W: World>() {
    let world = W::new().await;
    let marks = marks(&world).await;
    let (service, patience, intent) = (world.service(), world.patience(), intent());
    let driver = world.driver();
    driver
        .restart(&service, None, &intent, patience, &quiet())
        .await
        .unwrap();
    let outcomes = driver.restart_outcome(&service, &marks, &intent).await;
    assert_eq!(outcomes.unwrap(), [ReplicaOutcome::Restarted; 2]);
}

pub async fn one_is_gone<W: World>() {
    let world = W::new().await;
    let marks = marks(&world).await;
    let gone = world.remove_one().await;
    let outcomes = world
        .driver()
        .restart_outcome(&world.service(), &marks, &intent())
        .await;
    for (mark, outcome) in marks.iter().zip(outcomes.unwrap()) {
        let expected = if mark.id == gone {
            ReplicaOutcome::Gone
        } else {
            ReplicaOutcome::Untouched
        };
        assert_eq!(outcome, expected, "{mark:?}");
    }
}
