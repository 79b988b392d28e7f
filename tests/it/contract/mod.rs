//! What every platform does the same: each case is written once and run on all of them.
//!
//! `cases` are written against the `Platform` trait and a [`World`]; `worlds` are the platforms with
//! what can be done to them from outside. A case that a platform can't have stands in [`EXEMPT`]
//! with the reason, and in the README; a test holds all three to each other.

mod cases;
mod worlds;

use std::time::Duration;

use serde_json::Value;
use treasury_bot::domain::service::{
    Intent, Patience, ReplicaMark, Service, ServiceStatus, Version,
};
use treasury_bot::platform::{Platform, PlatformError, ProgressSink};

use crate::support::process::root;

pub use worlds::{driver as kubernetes_driver, named as kubernetes_service};

/// A platform with a service of two replicas that are well, and what an outsider can do to them.
///
/// What a world does not have panics: its case is exempt there.
pub trait World: Sized {
    /// Its name in the table of exempt cases.
    const NAME: &'static str;
    /// The platform keeps the mark of an intent: the same one does not restart again.
    const MARKS: bool = false;
    /// It is the driver that chooses which replicas go when there are to be fewer.
    const CHOOSES: bool = true;

    async fn new() -> Self;
    fn driver(&self) -> &dyn Platform;
    fn service(&self) -> Service;
    /// A service that is not there.
    fn absent(&self) -> Service;
    /// How often processes of the service have started, seen from outside.
    async fn starts(&self) -> usize;
    /// Processes that start from now on end at once.
    async fn crash_new(&self);
    /// Processes that start from now on run, but never get well.
    async fn ail_new(&self) {
        panic!("{} has no such fault", Self::NAME);
    }
    /// One process ends by itself, and the platform starts it again: waits until it is back.
    async fn end_one(&self);
    /// One replica disappears. Returns its identifier.
    async fn remove_one(&self) -> String;
    /// The whole service disappears.
    async fn remove_all(&self) {
        panic!("{} can't lose a service", Self::NAME);
    }
    /// Changes are denied.
    async fn forbid(&self);
    /// Changes get no answer.
    async fn hang(&self);
    /// The platform is out of reach, or back.
    async fn reach(&self, open: bool);
    /// Somebody else writes to the service just before the driver's next change, which therefore
    /// conflicts; whether what they wrote is still there is told by [`World::kept`].
    async fn interfere(&self) {
        panic!("{} has no conflicts", Self::NAME);
    }
    /// What [`World::interfere`] wrote is still there.
    async fn kept(&self) -> bool {
        panic!("{} has no conflicts", Self::NAME);
    }
    /// A replica writes these lines.
    async fn say(&self, _replica: &str, _lines: &[&str]) {
        panic!("{} writes what it wants", Self::NAME);
    }
    /// Usage is not measured any more.
    async fn blind(&self) {
        panic!("{} always measures", Self::NAME);
    }
    /// An image that gets well, and one that does not.
    async fn images(&self) -> [String; 2];
    /// A service and a number that it can't be scaled to.
    async fn unscalable(&self) -> (Service, u32);
    /// Others reach the service over the network.
    async fn reached(&self) -> bool;
    /// All by which the service is joined to others, as an outsider sees it.
    async fn bonds(&self) -> Value;

    fn patience(&self) -> Patience {
        Patience {
            stop: Duration::from_secs(2),
            healthy: Duration::from_secs(20),
        }
    }
}

/// An intent of its own.
pub fn intent() -> Intent {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    Intent::new(format!("contract-{count}"), jiff::Timestamp::now())
}

pub fn quiet() -> ProgressSink {
    ProgressSink::none()
}

pub async fn status<W: World>(world: &W) -> ServiceStatus {
    world.driver().status(&world.service()).await.unwrap()
}

pub async fn marks<W: World>(world: &W) -> Vec<ReplicaMark> {
    let status = status(world).await;
    status.replicas.iter().map(ReplicaMark::from).collect()
}

/// Restarts all replicas with an intent of its own.
pub async fn restart<W: World>(world: &W) -> Result<ServiceStatus, PlatformError> {
    let (service, patience) = (world.service(), world.patience());
    let driver = world.driver();
    driver
        .restart(&service, None, &intent(), patience, &quiet())
        .await
}

pub async fn scale<W: World>(world: &W, to: u32) -> Result<ServiceStatus, PlatformError> {
    let (service, patience) = (world.service(), world.patience());
    world.driver().scale(&service, to, patience, &quiet()).await
}

pub async fn version<W: World>(world: &W, image: &str) -> Version {
    let service = world.service();
    world.driver().deployable(&service, image).await.unwrap()
}

pub async fn deploy<W: World>(world: &W, to: &Version) -> Result<ServiceStatus, PlatformError> {
    let (service, patience) = (world.service(), world.patience());
    world
        .driver()
        .deploy(&service, to, patience, &quiet())
        .await
}

/// Fails unless it ends within this time.
pub async fn within<T>(seconds: u64, what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(seconds);
    let done = tokio::time::timeout(limit, what).await;
    done.unwrap_or_else(|_| panic!("it did not end within {seconds} s"))
}

/// Makes the tests of one world: a module with one test for each case.
macro_rules! world {
    ($module:ident: $world:ty, [$($area:ident :: $case:ident,)*]) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $case() {
                    crate::contract::cases::$area::$case::<$world>().await;
                }
            )*
        }
        world!($world, [$($case,)*]);
    };
    ($module:ident: $world:ty, $needs:literal, [$($area:ident :: $case:ident,)*]) => {
        mod $module {
            $(
                #[tokio::test]
                #[ignore = $needs]
                async fn $case() {
                    crate::contract::cases::$area::$case::<$world>().await;
                }
            )*
        }
        world!($world, [$($case,)*]);
    };
    ($world:ty, [$($case:ident,)*]) => {
        impl Cases for $world {
            const ALL: &'static [&'static str] = &[$(stringify!($case)),*];
        }
    };
}

/// The cases that a world runs.
trait Cases: World {
    const ALL: &'static [&'static str];
}

/// The world, the case, and why it is not possible there.
const EXEMPT: &[(&str, &str, &str)] = &[
    (
        "Simulated stack",
        "a_replica_that_ends_again_stops_the_restart",
        "a simulated crash loop takes the running replicas along",
    ),
    (
        "Simulated stack",
        "new_replicas_that_fail_leave_the_others_well",
        "a simulated crash loop takes the running replicas along",
    ),
    (
        "Simulated stack",
        "a_restart_that_never_gets_well_is_told_in_time",
        "a simulated process that runs gets well",
    ),
    (
        "Simulated stack",
        "a_service_that_disappears_in_the_middle_ends_the_restart",
        "a simulated service can't be removed",
    ),
    (
        "Simulated stack",
        "a_conflict_is_retried_and_overwrites_nobody",
        "the simulated engine has no versions of objects that could conflict",
    ),
    (
        "Docker",
        "a_conflict_is_retried_and_overwrites_nobody",
        "the Engine has no versions of objects that could conflict",
    ),
    (
        "Simulated stack",
        "long_lines_are_cut_and_control_characters_left_out",
        "the simulated processes write their own lines",
    ),
    (
        "Simulated stack",
        "lines_put_in_are_found_by_text_and_never_by_pattern",
        "the simulated processes write their own lines",
    ),
    (
        "Simulated stack",
        "use_that_nobody_measures_is_told_so",
        "the simulated engine always measures",
    ),
    (
        "Docker",
        "use_that_nobody_measures_is_told_so",
        "the Engine always measures",
    ),
    (
        "Kubernetes",
        "an_image_that_is_not_there_is_refused",
        "a cluster asks the registry only when a pod starts; the rollout then fails and is put back",
    ),
];

#[test]
fn every_world_runs_every_case_or_says_why_not_and_the_readme_tells_it() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let ran = [
        (worlds::Simulated::NAME, worlds::Simulated::ALL),
        (worlds::Engine::NAME, worlds::Engine::ALL),
        (worlds::Emulated::NAME, worlds::Emulated::ALL),
    ];
    let every: std::collections::BTreeSet<&str> = ran
        .iter()
        .flat_map(|(_, cases)| cases.iter().copied())
        .collect();
    for (name, cases) in ran {
        for case in &every {
            let exempt = EXEMPT
                .iter()
                .any(|(world, exempt, _)| *world == name && exempt == case);
            assert_ne!(cases.contains(case), exempt, "{name}: {case}");
        }
    }
    let rows = EXEMPT.iter().map(|(world, case, why)| {
        assert!(every.contains(case), "{case} is nowhere");
        format!("| {} | {world} | {why} |", case.replace('_', " "))
    });
    let table = rows.collect::<Vec<_>>().join("\n");
    assert!(
        readme.contains(&table),
        "README.md lacks this table:\n\n{table}"
    );
}

world!(simulated: crate::contract::worlds::Simulated, [
    look::the_platform_answers,
    look::a_service_shows_its_replicas_by_name,
    look::a_service_that_is_not_there_is_told_with_a_mend,
    look::a_process_that_ended_is_shown_with_how_it_ended,
    look::a_platform_out_of_reach_is_told_and_found_again,
    look::use_is_told_of_each_running_replica,
    look::events_come_oldest_first_and_bounded,
    logs::lines_of_all_replicas_are_merged_in_time_order,
    logs::the_newest_lines_are_kept_and_more_is_told,
    logs::lines_since_a_time_are_those_after_it,
    logs::lines_are_found_by_text_in_any_case,
    logs::the_run_before_is_read_apart,
    restart::each_replica_starts_anew_once,
    restart::one_replica_after_another_so_that_the_service_goes_on,
    restart::a_restart_of_none_touches_nothing,
    restart::only_the_replica_asked_for_is_restarted,
    restart::an_unknown_replica_is_refused_before_any_is_touched,
    restart::a_replica_that_ends_again_is_told_with_how_it_ended,
    restart::a_restart_without_an_answer_ends_in_a_timeout,
    restart::a_denied_restart_touches_nothing,
    restart::five_equal_requests_are_one_restart,
    outcome::nothing_was_done,
    outcome::all_were_restarted,
    outcome::one_is_gone,
    scale::more_replicas_are_made_and_get_well,
    scale::fewer_replicas_are_the_former_ones,
    scale::the_same_number_changes_nothing,
    scale::a_number_that_can_not_be_is_refused,
    scale::a_denied_scale_changes_nothing,
    deploy::the_present_version_comes_first,
    deploy::another_image_comes_to_all_and_is_remembered,
    deploy::the_same_deployment_again_changes_nothing,
    deploy::a_bad_deployment_is_put_back,
    deploy::a_deployment_that_was_interrupted_can_be_called_again,
    deploy::an_image_that_is_not_there_is_refused,
    deploy::a_denied_deployment_touches_nothing,
    deploy::the_way_back_is_a_deployment_too,
    isolate::evidence_is_of_each_replica_and_without_secrets,
    isolate::nobody_reaches_what_is_cut_off_and_its_processes_go_on,
    isolate::isolating_again_changes_nothing,
    isolate::what_was_cut_is_joined_again_exactly,
    isolate::a_replica_that_is_gone_is_left_out_of_the_release,
    isolate::a_denied_isolation_cuts_nothing,
]);

world!(docker: crate::contract::worlds::Engine, "needs Docker", [
    look::the_platform_answers,
    look::a_service_shows_its_replicas_by_name,
    look::a_service_that_is_not_there_is_told_with_a_mend,
    look::a_process_that_ended_is_shown_with_how_it_ended,
    look::a_platform_out_of_reach_is_told_and_found_again,
    look::use_is_told_of_each_running_replica,
    look::events_come_oldest_first_and_bounded,
    logs::lines_of_all_replicas_are_merged_in_time_order,
    logs::the_newest_lines_are_kept_and_more_is_told,
    logs::lines_since_a_time_are_those_after_it,
    logs::lines_are_found_by_text_in_any_case,
    logs::lines_put_in_are_found_by_text_and_never_by_pattern,
    logs::long_lines_are_cut_and_control_characters_left_out,
    logs::the_run_before_is_read_apart,
    restart::each_replica_starts_anew_once,
    restart::one_replica_after_another_so_that_the_service_goes_on,
    restart::a_restart_of_none_touches_nothing,
    restart::only_the_replica_asked_for_is_restarted,
    restart::an_unknown_replica_is_refused_before_any_is_touched,
    restart::a_replica_that_ends_again_is_told_with_how_it_ended,
    restart::a_replica_that_ends_again_stops_the_restart,
    restart::a_restart_that_never_gets_well_is_told_in_time,
    restart::a_restart_without_an_answer_ends_in_a_timeout,
    restart::a_denied_restart_touches_nothing,
    restart::a_service_that_disappears_in_the_middle_ends_the_restart,
    restart::five_equal_requests_are_one_restart,
    outcome::nothing_was_done,
    outcome::all_were_restarted,
    outcome::one_is_gone,
    scale::more_replicas_are_made_and_get_well,
    scale::fewer_replicas_are_the_former_ones,
    scale::the_same_number_changes_nothing,
    scale::a_number_that_can_not_be_is_refused,
    scale::new_replicas_that_fail_leave_the_others_well,
    scale::a_denied_scale_changes_nothing,
    deploy::the_present_version_comes_first,
    deploy::another_image_comes_to_all_and_is_remembered,
    deploy::the_same_deployment_again_changes_nothing,
    deploy::a_bad_deployment_is_put_back,
    deploy::a_deployment_that_was_interrupted_can_be_called_again,
    deploy::an_image_that_is_not_there_is_refused,
    deploy::a_denied_deployment_touches_nothing,
    deploy::the_way_back_is_a_deployment_too,
    isolate::evidence_is_of_each_replica_and_without_secrets,
    isolate::nobody_reaches_what_is_cut_off_and_its_processes_go_on,
    isolate::isolating_again_changes_nothing,
    isolate::what_was_cut_is_joined_again_exactly,
    isolate::a_replica_that_is_gone_is_left_out_of_the_release,
    isolate::a_denied_isolation_cuts_nothing,
]);

/// The cases of Kubernetes.
macro_rules! kubernetes {
    ($module:ident: $world:ty) => {
        world!($module: $world, [
            look::the_platform_answers,
            look::a_service_shows_its_replicas_by_name,
            look::a_service_that_is_not_there_is_told_with_a_mend,
            look::a_process_that_ended_is_shown_with_how_it_ended,
            look::a_platform_out_of_reach_is_told_and_found_again,
            look::use_is_told_of_each_running_replica,
            look::use_that_nobody_measures_is_told_so,
            look::events_come_oldest_first_and_bounded,
            logs::lines_of_all_replicas_are_merged_in_time_order,
            logs::the_newest_lines_are_kept_and_more_is_told,
            logs::lines_since_a_time_are_those_after_it,
            logs::lines_are_found_by_text_in_any_case,
            logs::lines_put_in_are_found_by_text_and_never_by_pattern,
            logs::long_lines_are_cut_and_control_characters_left_out,
            logs::the_run_before_is_read_apart,
            restart::each_replica_starts_anew_once,
            restart::one_replica_after_another_so_that_the_service_goes_on,
            restart::a_restart_of_none_touches_nothing,
            restart::only_the_replica_asked_for_is_restarted,
            restart::an_unknown_replica_is_refused_before_any_is_touched,
            restart::a_replica_that_ends_again_is_told_with_how_it_ended,
            restart::a_replica_that_ends_again_stops_the_restart,
            restart::a_restart_that_never_gets_well_is_told_in_time,
            restart::a_restart_without_an_answer_ends_in_a_timeout,
            restart::a_denied_restart_touches_nothing,
            restart::a_service_that_disappears_in_the_middle_ends_the_restart,
            restart::a_conflict_is_retried_and_overwrites_nobody,
            restart::five_equal_requests_are_one_restart,
            outcome::nothing_was_done,
            outcome::all_were_restarted,
            outcome::one_is_gone,
            scale::more_replicas_are_made_and_get_well,
            scale::fewer_replicas_are_the_former_ones,
            scale::the_same_number_changes_nothing,
            scale::a_number_that_can_not_be_is_refused,
            scale::new_replicas_that_fail_leave_the_others_well,
            scale::a_denied_scale_changes_nothing,
            deploy::the_present_version_comes_first,
            deploy::another_image_comes_to_all_and_is_remembered,
            deploy::the_same_deployment_again_changes_nothing,
            deploy::a_bad_deployment_is_put_back,
            deploy::a_deployment_that_was_interrupted_can_be_called_again,
            deploy::a_denied_deployment_touches_nothing,
            deploy::the_way_back_is_a_deployment_too,
            isolate::evidence_is_of_each_replica_and_without_secrets,
            isolate::nobody_reaches_what_is_cut_off_and_its_processes_go_on,
            isolate::isolating_again_changes_nothing,
            isolate::what_was_cut_is_joined_again_exactly,
            isolate::a_replica_that_is_gone_is_left_out_of_the_release,
            isolate::a_denied_isolation_cuts_nothing,
        ]);
    };
}

kubernetes!(kubernetes: crate::contract::worlds::Emulated);
#[cfg(feature = "real-cluster")]
kubernetes!(real_cluster: crate::contract::worlds::Real);
