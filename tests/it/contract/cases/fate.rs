//! What became of a restart.

use treasury_bot::domain::service::ReplicaFate;

use crate::contract::{World, intent, marks, quiet};

pub async fn nothing_was_done<W: World>() {
    let world = W::new().await;
    let marks = marks(&world).await;
    let fates = world
        .driver()
        .restart_fate(&world.service(), &marks, &intent())
        .await;
    assert_eq!(fates.unwrap(), [ReplicaFate::Untouched; 2]);
    let none = world
        .driver()
        .restart_fate(&world.service(), &[], &intent())
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
    let fates = driver.restart_fate(&service, &marks, &intent).await;
    assert_eq!(fates.unwrap(), [ReplicaFate::Restarted; 2]);
}

pub async fn one_is_gone<W: World>() {
    let world = W::new().await;
    let marks = marks(&world).await;
    let gone = world.remove_one().await;
    let fates = world
        .driver()
        .restart_fate(&world.service(), &marks, &intent())
        .await;
    for (mark, fate) in marks.iter().zip(fates.unwrap()) {
        let expected = if mark.id == gone {
            ReplicaFate::Gone
        } else {
            ReplicaFate::Untouched
        };
        assert_eq!(fate, expected, "{mark:?}");
    }
}
