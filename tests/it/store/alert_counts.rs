//! What is counted of alerts with each change is what their rows say.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use treasury_bot::domain::alert::{
    Alert, AlertRecord, Auto, Flapping, Muted, Name, Routed, Summary, Tracked,
};
use treasury_bot::domain::{ServiceName, Severity};
use treasury_bot::store::{Clock, Store, StoreError, Use};

const CONVERSATIONS: [&str; 4] = ["", "incident:1", "incident:2", "group:service:api:7"];
const SERVICES: [&str; 3] = ["api", "frontend", "redis"];

/// The same numbers at each run (xorshift64).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).unwrap()
}

/// One of sixty alerts in any state.
fn any_state(random: &mut Seeded, fingerprint: u64, now: Timestamp) -> AlertRecord {
    let named = random.below(4) as usize;
    let service = SERVICES.get(named).copied().map(service);
    let starts_at = now - SignedDuration::from_secs(random.below(600) as i64);
    // Twelve names: more than a summary lists.
    let name = format!("Kind{}", random.below(12));
    let alert = Alert {
        fingerprint: format!("{fingerprint:016x}"),
        firing: !random.one_in(3),
        starts_at,
        ends_at: None,
        labels: [("alertname".to_owned(), name)].into(),
        annotations: BTreeMap::new(),
        source: "alertmanager".to_owned(),
        other: serde_json::Map::new(),
    };
    let (mut tracked, _) = Tracked::first(alert, now);
    if random.one_in(6) {
        tracked.flapping = Some(Flapping {
            since: now,
            changes: 7,
        });
    }
    tracked.muted = match random.below(8) {
        0 => Some(Muted::Silenced(vec!["s".into()])),
        1 => Some(Muted::Inhibited(vec!["i".into()])),
        2 => Some(Muted::Unheard),
        _ => None,
    };
    if random.one_in(3) {
        // Silences end by themselves, each a little later.
        tracked.silenced_until = Some(now + SignedDuration::from_secs(20 * random.below(4) as i64));
    }
    AlertRecord {
        tracked,
        routed: Routed {
            service,
            severity: Severity::ALL[random.below(4) as usize],
            runbook: None,
            team: None,
            channel: None,
            auto: Auto::Off,
        },
        group: "g".into(),
        sender: None,
    }
}

/// How these alerts stand, counted one by one.
fn counted(records: &[&AlertRecord], now: Timestamp) -> Summary {
    let firing: Vec<&AlertRecord> = records
        .iter()
        .copied()
        .filter(|one| one.tracked.is_active())
        .collect();
    let so = |so: &dyn Fn(&Tracked) -> bool| firing.iter().filter(|one| so(&one.tracked)).count();
    let mut names: BTreeMap<&str, (u8, usize, usize)> = BTreeMap::new();
    for one in records {
        let active = one.tracked.is_active();
        let severity = if active {
            one.routed.severity.number()
        } else {
            9
        };
        let name = names.entry(one.tracked.alert.name()).or_insert((9, 0, 0));
        *name = (
            name.0.min(severity),
            name.1 + usize::from(active),
            name.2 + 1,
        );
    }
    names.retain(|_, (_, active, _)| firing.is_empty() || *active > 0);
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by_key(|(name, (worst, active, all))| {
        (*worst, std::cmp::Reverse((*active, *all)), *name)
    });
    let top = names.iter().take(Summary::TOP);
    let top =
        top.map(|(name, (_, active, all))| Name::of((*name).to_owned(), (*active, *all), &[]));
    let audible = firing.iter().filter(|one| one.tracked.is_audible(now));
    Summary {
        firing: firing.len(),
        silenced: so(&|one| !one.is_audible(now)),
        muted: so(&|one| matches!(one.muted, Some(Muted::Silenced(_) | Muted::Inhibited(_)))),
        unheard: so(&|one| one.muted == Some(Muted::Unheard)),
        worst: firing.iter().map(|one| one.routed.severity).min(),
        worst_audible: audible.map(|one| one.routed.severity).min(),
        resolved: records.len() - firing.len(),
        top: top.collect(),
        more: names.len().saturating_sub(Summary::TOP),
        shown: None,
        since: firing.iter().map(|one| one.tracked.since()).min(),
    }
}

/// Compares all that is counted with all rows.
async fn agree(store: &Store, step: u64) {
    let rows = store.alerts_list(true, 10_000).await.unwrap();
    for key in CONVERSATIONS {
        let here: Vec<&AlertRecord> = rows
            .iter()
            .filter(|(of, _)| of == key)
            .map(|(_, record)| record)
            .collect();
        let mut told = store.alert_summary(key).await.unwrap();
        told.shown = None;
        for name in &mut told.top {
            *name = Name::of(name.name.clone(), (name.firing, name.all), &[]);
        }
        assert_eq!(told, counted(&here, store.now()), "step {step}, `{key}`");
        assert_eq!(store.count_firing(key).await.unwrap(), told.firing as u64);
        let fires = |name: &ServiceName| {
            let so = |one: &AlertRecord| one.routed.service.as_ref() == Some(name);
            here.iter().any(|one| one.tracked.is_active() && so(one))
        };
        let expected: Vec<bool> = SERVICES.map(service).iter().map(fires).collect();
        let told = store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                let mut told = Vec::new();
                for name in SERVICES.map(service) {
                    told.push(tx.service_fires(key, &name).await?);
                }
                Ok(told)
            })
        });
        assert_eq!(told.await.unwrap(), expected, "step {step}, `{key}`");
    }
    let firing: Vec<&AlertRecord> = rows
        .iter()
        .map(|(_, record)| record)
        .filter(|one| one.tracked.is_active())
        .collect();
    let (all, fire) = store.alerts_count().await.unwrap();
    assert_eq!((all, fire), (rows.len() as u64, firing.len() as u64));
    let services = firing_services(store).await;
    let expected = firing.iter().filter_map(|one| one.routed.service.clone());
    assert_eq!(services, expected.collect());
    let figures = store.figures().await.unwrap().alerts;
    let worst = firing
        .iter()
        .filter(|one| one.routed.severity == Severity::Sev1);
    assert_eq!(figures[0], worst.count() as u64);
}

/// Given alerts that fire, end, flap, get worse, are silenced and muted, move from one conversation to
/// another and are removed, many at once and by several writers, then what is counted is what is there.
pub async fn are_what_the_rows_say(url: &str) {
    let noon: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
    let (clock, hand) = Clock::by_hand(noon);
    let store = Store::open_with(url, Use::Visit, clock).await.unwrap();
    let outsider = sqlx::AnyPool::connect(url).await.unwrap();
    let mut random = Seeded(0x5eed_5eed_5eed_5eed);
    for step in 0..40 {
        let writes: Vec<_> = (0..4)
            .map(|_| {
                let key = CONVERSATIONS[random.below(4) as usize];
                let at = store.now();
                let some: BTreeSet<u64> = (0..random.below(80)).map(|_| random.below(60)).collect();
                let records: Vec<_> = some
                    .into_iter()
                    .map(|n| any_state(&mut random, n, at))
                    .collect();
                store.write::<_, StoreError, _>(move |tx| {
                    Box::pin(async move {
                        tx.alerts_put(key, &records).await?;
                        let heard = records.iter().take(3);
                        let heard = heard.map(|one| one.tracked.alert.fingerprint.clone());
                        tx.alerts_heard(&heard.collect::<Vec<_>>()).await
                    })
                })
            })
            .collect();
        for written in futures_util::future::join_all(writes).await {
            written.unwrap();
        }
        if random.one_in(3) {
            let gone = format!("%{:x}", random.below(16));
            sqlx::query("DELETE FROM alert WHERE fingerprint LIKE $1")
                .bind(gone)
                .execute(&outsider)
                .await
                .unwrap();
        }
        agree(&store, step).await;
        // Nothing is written, and silences end.
        hand.set(noon + SignedDuration::from_secs(10 * (step as i64 + 1)));
        agree(&store, step).await;
    }
    sqlx::query("DELETE FROM alert")
        .execute(&outsider)
        .await
        .unwrap();
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM alert_count")
        .fetch_one(&outsider)
        .await
        .unwrap();
    assert_eq!(left, 0, "what is not there is not counted");
    outsider.close().await;
    store.close().await;
}

async fn firing_services(store: &Store) -> BTreeSet<ServiceName> {
    let found = store.write(|tx| Box::pin(async move { tx.services_firing().await }));
    let found: Result<_, StoreError> = found.await;
    found.unwrap().into_iter().collect()
}
