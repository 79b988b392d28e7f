//! Which messages have their turn, beside a window function over all that wait, through thousands of
//! random steps.

use sqlx::{AnyConnection, Connection};
use treasury_domain::{
    Audience, Content, Destination, IncidentId, Message, Outgoing, Place, Reply, Severity, Tone,
};
use treasury_store::{Sent, Store, StoreError, Use};

/// The first of each lane, new messages and edits apart, and the order of all lanes: the worst that
/// waits in it, then the oldest.
const PLAIN: &str = "SELECT id FROM (SELECT id, due_at, lease_until, \
    ROW_NUMBER() OVER (PARTITION BY lane, sent_version = 0 ORDER BY opens DESC, urgency, id) AS turn, \
    CASE WHEN sent_version = 0 THEN MIN(urgency) OVER (PARTITION BY lane, sent_version = 0) \
    ELSE urgency END AS worst \
    FROM outbox WHERE state = 'waiting') turns \
    WHERE turn = 1 AND due_at <= $1 AND lease_until <= $1 ORDER BY worst, id";

#[tokio::test]
async fn turns_are_those_of_a_window_over_all_that_wait() {
    let folder = tempfile::tempdir().unwrap();
    // `STORE_URL=postgres://…`: an empty database of PostgreSQL.
    let url = std::env::var("STORE_URL")
        .unwrap_or_else(|_| format!("sqlite://{}", folder.path().join("a.db").display()));
    let store = Store::open(&url, Use::Serve).await.unwrap();
    store.instance_start("one", true).await.unwrap();
    let mut database = AnyConnection::connect(&url).await.unwrap();
    let mut dice = Dice(42);
    let (mut puts, mut claimed, mut steps) = (0, Vec::new(), 0);
    for step in 0..1_000 {
        let wanted: Vec<i64> = sqlx::query_scalar(PLAIN)
            .bind(store.now().as_microsecond())
            .fetch_all(&mut database)
            .await
            .unwrap();
        match dice.throw(8) {
            0..3 => {
                puts += i64::from(dice.throw(4) > 0);
                let key = if dice.throw(4) > 0 {
                    puts
                } else {
                    dice.throw(puts + 1)
                };
                store.outbox_put(message(key, &mut dice)).await.unwrap();
            }
            3 => {
                let key = format!("m{}", dice.throw(puts + 1));
                let gone = store.write::<_, StoreError, _>(move |tx| {
                    Box::pin(async move { tx.outbox_withdraw(&key).await })
                });
                gone.await.unwrap();
            }
            4..6 => {
                let most = 1 + dice.throw(3);
                let parcels = store.outbox_claim("one", most).await.unwrap();
                let mut ids: Vec<i64> = parcels.iter().map(|parcel| parcel.id).collect();
                let mut wanted: Vec<i64> = wanted.into_iter().take(most as usize).collect();
                ids.sort_unstable();
                wanted.sort_unstable();
                assert_eq!(ids, wanted, "step {step}");
                steps += ids.len();
                claimed.extend(parcels);
            }
            _ if claimed.is_empty() => {}
            what => {
                let parcel = claimed.swap_remove(dice.throw(claimed.len() as i64) as usize);
                let now = store.now();
                match (what, dice.throw(6)) {
                    (_, 0) => store.outbox_dead(&parcel, "gone").await,
                    (_, 1) => store.outbox_aside(&parcel, now, "odd").await,
                    (_, 2) => store.outbox_retry(&parcel, now, "slow").await,
                    _ => store.outbox_sent(&parcel, Sent::default()).await,
                }
                .unwrap();
            }
        }
    }
    assert!(steps > 100, "only {steps} were claimed");
}

struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((self.0 >> 33) % sides as u64) as i64
    }
}

fn message(key: i64, dice: &mut Dice) -> Outgoing {
    let severities = [
        None,
        Some(Severity::Sev1),
        Some(Severity::Sev3),
        Some(Severity::Sev4),
    ];
    let incident = IncidentId(1);
    let content = match key % 7 {
        0 => Content::Room {
            incident,
            name: None,
            topic: String::new(),
        },
        _ => Content::Message(Message::new(Tone::Plain, "a")),
    };
    Outgoing {
        key: format!("m{key}"),
        to: match key % 3 {
            0 => Destination::Incident(incident),
            1 => Destination::Home,
            _ => Destination::Place(Place::channel("C1")),
        },
        audience: Audience::Everyone,
        requester: None,
        reply: Reply::default(),
        severity: severities[dice.throw(4) as usize],
        content,
    }
}
