use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::Request;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message as WsFrame;

use super::*;
use crate::bot::Acceptance;
use crate::sandbox::slack::Fault;
use crate::sandbox::slack::websocket::upgrade;
use crate::slack::directory::People;
use crate::slack::tests::{Bench, PATIENCE};

#[tokio::test]
async fn a_command_is_acknowledged_after_it_is_recorded_and_names_who_asks() {
    let bench = Bench::start().await;
    let receipt = bench
        .ana()
        .types("treasury-incidents", "/treasury restart frontend")
        .await
        .unwrap();
    assert_eq!(receipt.error, None);
    let request = bench.library.lock().unwrap()[0].clone();
    assert_eq!(
        (request.text.as_str(), request.person.name.as_str()),
        ("restart frontend", "ana")
    );
    assert!(request.reply.response_url.is_some());
    bench.stop().await;
}

#[tokio::test]
async fn an_envelope_delivered_twice_is_accepted_once() {
    let bench = Bench::start().await;
    bench.sandbox.faults().redeliver(1);
    bench
        .ana()
        .types("treasury-incidents", "/treasury status")
        .await
        .unwrap();
    let twice = async {
        while *bench.duplicates.lock().unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, twice).await.unwrap();
    assert_eq!(bench.asked(), ["status"]);
    bench.stop().await;
}

#[tokio::test]
async fn sockets_cut_in_the_middle_are_opened_again_and_nothing_is_lost() {
    let bench = Bench::start().await;
    for round in 0..3 {
        let line = format!("/treasury note {round}");
        let ana = bench.ana();
        let typing = ana.types("treasury-incidents", &line);
        bench.sandbox.faults().drop_sockets();
        typing.await.unwrap();
        bench.sandbox.wait_for_sockets(2, PATIENCE).await.unwrap();
        bench
            .ana()
            .types("treasury-incidents", &format!("/treasury after {round}"))
            .await
            .unwrap();
    }
    let mut asked = bench.asked();
    asked.retain(|text| text.starts_with("after"));
    assert_eq!(asked, ["after 0", "after 1", "after 2"]);
    // The sandbox counts a socket when it opens, the bot when Slack has said hello.
    let both = async {
        while bench.slack.health().sockets != Some(2) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, both).await.unwrap();
    bench.stop().await;
}

#[tokio::test]
async fn a_renewal_opens_the_next_connection_before_the_old_one_goes() {
    let bench = Bench::start().await;
    let opened = bench.calls("apps.connections.open");
    bench.sandbox.faults().disconnect("warning");
    bench.sandbox.wait_for_sockets(4, PATIENCE).await.unwrap();
    assert_eq!(bench.calls("apps.connections.open"), opened + 2);
    bench.sandbox.faults().disconnect("refresh_requested");
    bench.sandbox.wait_for_sockets(2, PATIENCE).await.unwrap();
    bench
        .ana()
        .types("treasury-incidents", "/treasury status")
        .await
        .unwrap();
    assert_eq!(bench.asked(), ["status"]);
    bench.stop().await;
}

#[tokio::test]
async fn a_wrong_token_is_told_and_not_hammered() {
    let bench = Bench::start().await;
    let faults = bench.sandbox.faults();
    faults.next(
        "apps.connections.open",
        1_000,
        Fault::ApiError("invalid_auth".into()),
    );
    faults.drop_sockets();
    let told = async {
        while bench.slack.health().last_error.as_deref() != Some("invalid_auth") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert!(bench.calls("apps.connections.open") <= 4);
    bench.stop().await;
}

/// A Slack that does what it is told to, frame by frame.
struct Puppet {
    client: Client,
    opened: Arc<AtomicUsize>,
    frames: Arc<StdMutex<Vec<String>>>,
    changed: Arc<Notify>,
}

#[derive(Clone, Copy, PartialEq)]
enum Manner {
    HangsAtOpen,
    NoHello,
    Silent,
    Pings,
    Floods,
}

impl Puppet {
    async fn start(manner: Manner) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let opened = Arc::new(AtomicUsize::new(0));
        let frames = Arc::new(StdMutex::new(Vec::new()));
        let changed = Arc::new(Notify::new());
        let (count, seen, told) = (opened.clone(), frames.clone(), changed.clone());
        let router = Router::new()
            .route(
                "/api/apps.connections.open",
                post(async move || {
                    // The first attempt is the unlucky one.
                    let first = count.fetch_add(1, Ordering::SeqCst) == 0;
                    if first && manner == Manner::HangsAtOpen {
                        std::future::pending::<()>().await;
                    }
                    let query = if first { "first" } else { "later" };
                    Json(json!({"ok": true, "url": format!("ws://{address}/link?{query}")}))
                }),
            )
            .route(
                "/link",
                get(async move |request: Request| {
                    let first = request.uri().query() == Some("first");
                    upgrade(request, async move |mut socket| {
                        if first && manner == Manner::NoHello {
                            std::future::pending::<()>().await;
                        }
                        socket.send(WsFrame::Text(json!({"type": "hello"}).to_string().into())).await.ok();
                        if first && manner == Manner::Silent {
                            std::future::pending::<()>().await;
                        }
                        if manner == Manner::Pings {
                            socket.send(WsFrame::Ping("are you there".into())).await.ok();
                        }
                        if manner == Manner::Floods {
                            for n in 0..20 {
                                let mut envelope = json!({"type": "slash_commands", "envelope_id": format!("e{n}"), "payload": {
                                    "command": "/treasury", "text": format!("{n}"), "user_id": "U0ANA", "channel_id": "C1",
                                    "trigger_id": format!("t{n}")}});
                                if n == 7 {
                                    envelope["type"] = json!("events_api");
                                    envelope["payload"] = json!({"event": {"type": "message", "channel_type": "im",
                                        "user": "U0ANA", "channel": "D1", "ts": "1.7", "text": "7"}});
                                }
                                socket.send(WsFrame::Text(envelope.to_string().into())).await.ok();
                            }
                        }
                        while let Some(Ok(frame)) = socket.next().await {
                            seen.lock().unwrap().push(match frame {
                                WsFrame::Text(text) => text.to_string(),
                                WsFrame::Ping(_) => "ping".into(),
                                WsFrame::Pong(data) => format!("pong {}", String::from_utf8_lossy(&data)),
                                WsFrame::Close(_) => "close".into(),
                                other => format!("{other:?}"),
                            });
                            told.notify_one();
                        }
                    })
                }),
            );
        tokio::spawn(async move { axum::serve(listener, router).await });
        let url = url::Url::parse(&format!("http://{address}/api")).unwrap();
        let client = Client::new(Some(&url), &"xoxb-1".into(), Some(&"xapp-1".into()))
            .unwrap()
            .timeout(Duration::from_millis(200));
        Self {
            client,
            opened,
            frames,
            changed,
        }
    }

    async fn until(&self, enough: impl Fn(&[String]) -> bool) {
        let wait = async {
            while !enough(&self.frames.lock().unwrap()) {
                self.changed.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| {
                panic!("{:?}", self.frames.lock().unwrap());
            });
    }
}

fn times() -> SocketTimes {
    SocketTimes {
        connections: 1,
        open: Duration::from_millis(200),
        ping: Duration::from_millis(50),
        silence: Duration::from_millis(400),
        backoff: Duration::from_millis(5),
        ..SocketTimes::default()
    }
}

fn accepting(accept: crate::slack::dispatch::Accept) -> Dispatch {
    Dispatch::new(accept, People::default(), None)
}

fn anything() -> Dispatch {
    accepting(Arc::new(|_| Box::pin(async { Ok(Acceptance::New) })))
}

#[tokio::test]
async fn no_step_of_opening_can_hang_for_ever_and_silence_is_noticed() {
    for manner in [Manner::HangsAtOpen, Manner::NoHello, Manner::Silent] {
        let puppet = Puppet::start(manner).await;
        let (health, shutdown) = (SocketHealth::default(), CancellationToken::new());
        let running = tokio::spawn(run(
            puppet.client.clone(),
            anything(),
            times(),
            health.clone(),
            shutdown.clone(),
        ));
        // The second connection is a good one: it hears our pings.
        puppet
            .until(|frames| frames.iter().any(|f| f == "ping"))
            .await;
        assert!(puppet.opened.load(Ordering::SeqCst) >= 2);
        assert!(health.last_hello().is_some());
        shutdown.cancel();
        tokio::time::timeout(PATIENCE, running)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(health.connected(), 0);
    }
}

#[tokio::test]
async fn pings_are_answered() {
    let puppet = Puppet::start(Manner::Pings).await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(
        puppet.client.clone(),
        anything(),
        times(),
        SocketHealth::default(),
        shutdown.clone(),
    ));
    puppet
        .until(|frames| frames.iter().any(|f| f == "pong are you there"))
        .await;
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn slow_records_hold_nothing_up_and_their_acknowledgements_go_out_before_the_end() {
    let puppet = Puppet::start(Manner::Floods).await;
    let gate = Arc::new(Semaphore::new(0));
    let arrived = Arc::new(Semaphore::new(0));
    let (open, came) = (gate.clone(), arrived.clone());
    let dispatch = accepting(Arc::new(move |request| {
        let (open, came) = (open.clone(), came.clone());
        Box::pin(async move {
            came.add_permits(1);
            if request.text == "7" {
                return Err("the disk is full".to_owned());
            }
            open.acquire().await.unwrap().forget();
            if request.text == "8" {
                return Err("the disk is full".to_owned());
            }
            Ok(Acceptance::New)
        })
    }));
    let shutdown = CancellationToken::new();
    let times = SocketTimes {
        silence: PATIENCE,
        ping: PATIENCE,
        ..times()
    };
    let running = tokio::spawn(run(
        puppet.client.clone(),
        dispatch,
        times,
        SocketHealth::default(),
        shutdown.clone(),
    ));
    // All twenty are taken up although none is done: the reader waits for nobody.
    let all = arrived.acquire_many(20);
    tokio::time::timeout(PATIENCE, all)
        .await
        .unwrap()
        .unwrap()
        .forget();
    let acks = |frames: &[String]| frames.iter().filter(|f| f.contains("envelope_id")).count();
    assert_eq!(
        acks(&puppet.frames.lock().unwrap()),
        0,
        "nothing is acknowledged before it is recorded"
    );
    shutdown.cancel();
    gate.add_permits(20);
    tokio::time::timeout(PATIENCE, running)
        .await
        .unwrap()
        .unwrap();
    puppet
        .until(|frames| frames.iter().any(|f| f == "close"))
        .await;
    let frames = puppet.frames.lock().unwrap().clone();
    assert_eq!(acks(&frames), 19);
    assert!(
        !frames.iter().any(|f| f.contains("\"e7\"")),
        "an event that was not recorded is not acknowledged: it comes again"
    );
    let told = frames.iter().find(|f| f.contains("\"e8\"")).unwrap();
    let words =
        "This was not recorded, and nothing was done: the disk is full. Then type it again.";
    assert!(told.contains(words) && told.contains("ephemeral"), "{told}");
}
