//! Faults, sockets that come and go, and waiting.

use super::*;
use crate::slack::Fault;

#[tokio::test]
async fn each_fault_shows_as_it_would_at_slack() {
    let sandbox = start().await;
    let channel = room(&sandbox);
    let client = reqwest::Client::new();
    let send = || {
        let request = client.post(format!("{}/chat.postMessage", sandbox.api_url()));
        let request = request
            .bearer_auth(sandbox.bot_token())
            .timeout(Duration::from_millis(300));
        request
            .json(&json!({"channel": channel, "text": "hi"}))
            .send()
    };
    let faults = sandbox.faults();
    faults.next(
        "chat.postMessage",
        1,
        Fault::RateLimited { retry_after_s: 7 },
    );
    let limited = send().await.unwrap();
    assert_eq!(
        (limited.status().as_u16(), &limited.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    faults.next("*", 1, Fault::ServerError(503));
    assert_eq!(send().await.unwrap().status(), 503);
    faults.next("chat.postMessage", 1, Fault::Hang);
    assert!(send().await.unwrap_err().is_timeout());
    faults.next(
        "chat.postMessage",
        1,
        Fault::ApiError("channel_not_found".into()),
    );
    assert_eq!(
        send().await.unwrap().json::<Value>().await.unwrap()["error"],
        "channel_not_found"
    );
    assert!(sandbox.messages(ROOM).is_empty());

    faults.next("chat.postMessage", 1, Fault::DropAfterAccept);
    assert!(send().await.is_err());
    assert_eq!(sandbox.messages(ROOM).len(), 1, "the post took effect");
    faults.rate("chat.postMessage", 1);
    assert_eq!(send().await.unwrap().status(), 200);
    assert_eq!(send().await.unwrap().status(), 429);
    let statuses: Vec<_> = sandbox.calls().iter().map(|c| c.status).collect();
    assert_eq!(statuses, [429, 503, 0, 200, 200, 200, 429]);
}

#[tokio::test]
async fn a_cut_socket_sends_its_envelope_to_the_next_one() {
    let sandbox = start().await;
    let mut first = connect(&sandbox).await;
    next(&mut first).await.unwrap();
    let mut heard = bot(&sandbox, |_| None).await;
    let ana = sandbox.person("ana");
    let typing = tokio::spawn(async move { ana.types(ROOM, "/treasury status").await.unwrap() });
    let envelope = next(&mut first).await.unwrap();
    drop(first);
    let receipt = typing.await.unwrap();
    assert_eq!((receipt.acked, receipt.attempts), (true, 2));
    assert_eq!(heard.recv().await.unwrap(), envelope);
}

#[tokio::test]
async fn sockets_are_taken_in_turn_up_to_ten() {
    let sandbox = start().await;
    let mut all = Vec::new();
    for n in 1..=10 {
        let mut stream = connect(&sandbox).await;
        assert_eq!(next(&mut stream).await.unwrap()["num_connections"], n);
        all.push(stream);
    }
    let mut eleventh = connect(&sandbox).await;
    assert_eq!(
        next(&mut eleventh).await.unwrap()["reason"],
        "too_many_websockets"
    );
    assert_eq!(next(&mut eleventh).await, None);
    let ana = sandbox.person("ana");
    let typing = tokio::spawn(async move { ana.types_times(ROOM, "/treasury status", 10).await });
    for stream in &mut all {
        let envelope = next(stream).await.unwrap();
        let ack = json!({"envelope_id": envelope["envelope_id"]});
        stream
            .send(Frame::Text(ack.to_string().into()))
            .await
            .unwrap();
    }
    assert!(typing.await.unwrap().unwrap().iter().all(|r| r.acked));
}

#[tokio::test]
async fn a_ticket_is_good_for_one_socket() {
    let sandbox = start().await;
    let url = call(&sandbox, "apps.connections.open", json!({})).await["url"].clone();
    let stream = connect_async(url.as_str().unwrap()).await.unwrap().0;
    assert!(connect_async(url.as_str().unwrap()).await.is_err());
    drop(stream);
    sandbox.faults().refuse_connections(true);
    let url = call(&sandbox, "apps.connections.open", json!({})).await["url"].clone();
    assert!(connect_async(url.as_str().unwrap()).await.is_err());
}

#[tokio::test]
async fn sockets_are_told_to_reconnect_or_cut() {
    let sandbox = start().await;
    let mut stream = connect(&sandbox).await;
    next(&mut stream).await.unwrap();
    sandbox.faults().disconnect("warning");
    assert_eq!(next(&mut stream).await.unwrap()["reason"], "warning");
    assert_eq!(sandbox.sockets(), 1);
    sandbox.faults().disconnect("refresh_requested");
    assert_eq!(next(&mut stream).await.unwrap()["type"], "disconnect");
    assert_eq!(next(&mut stream).await, None);

    let mut stream = connect(&sandbox).await;
    next(&mut stream).await.unwrap();
    assert_eq!(sandbox.faults().drop_sockets(), 1);
    assert_eq!(next(&mut stream).await, None);

    sandbox.faults().no_hello(true);
    let mut stream = connect(&sandbox).await;
    sandbox.wait_for_sockets(1, PATIENCE).await.unwrap();
    sandbox.faults().disconnect("link_disabled");
    assert_eq!(
        next(&mut stream).await.unwrap()["type"],
        "disconnect",
        "no hello before it"
    );
    let asked = call(&sandbox, "apps.connections.open", json!({})).await;
    assert_eq!(
        asked["error"], "link_disabled",
        "it is off until somebody switches it on"
    );
    sandbox.faults().clear();
    connect(&sandbox).await;
}

#[tokio::test]
async fn an_app_writes_to_public_channels_that_it_is_not_in_by_a_scope() {
    let sandbox = start().await;
    let hello = json!({"channel": "general", "text": "hello"});
    let answer = call(&sandbox, "chat.postMessage", hello.clone()).await;
    assert_eq!(answer["ok"], true, "{answer}");
    sandbox.faults().lacks("chat:write.public", true);
    let answer = call(&sandbox, "chat.postMessage", hello.clone()).await;
    assert_eq!(answer["error"], "not_in_channel");
    sandbox.faults().lacks("chat:write", true);
    let answer = call(&sandbox, "chat.postMessage", hello.clone()).await;
    assert_eq!(
        (&answer["error"], &answer["needed"]),
        (&json!("missing_scope"), &json!("chat:write"))
    );
    let provided = answer["provided"].as_str().unwrap();
    assert!(
        provided.contains("commands") && !provided.contains("chat:write"),
        "{provided}"
    );
    sandbox.faults().clear();
    assert_eq!(call(&sandbox, "chat.postMessage", hello).await["ok"], true);
}

#[tokio::test]
async fn one_channel_can_fail_alone() {
    let sandbox = start().await;
    let fault = Fault::ApiError("is_archived".into());
    sandbox.faults().next_in("general", "*", 1, fault);
    post(&sandbox, json!({"text": "here all is well"})).await;
    let there = json!({"channel": "#general", "text": "there it is not"});
    let answer = call(&sandbox, "chat.postMessage", there.clone()).await;
    assert_eq!(answer["error"], "is_archived");
    assert_eq!(call(&sandbox, "chat.postMessage", there).await["ok"], true);
}

#[tokio::test]
async fn an_envelope_can_be_delivered_twice() {
    let sandbox = start().await;
    let mut heard = bot(&sandbox, |_| None).await;
    sandbox.faults().redeliver(1);
    let receipt = sandbox
        .person("ana")
        .types(ROOM, "/treasury status")
        .await
        .unwrap();
    assert_eq!((receipt.acked, receipt.attempts), (true, 2));
    assert_eq!(heard.recv().await.unwrap(), heard.recv().await.unwrap());
}

#[tokio::test]
async fn waiting_ends_with_the_change_or_with_the_last_messages() {
    let sandbox = start().await;
    let waiting = sandbox.clone();
    let found = tokio::spawn(async move {
        waiting
            .wait_for(PATIENCE, |w| w.messages().find(|m| m.text == "b").cloned())
            .await
    });
    post(&sandbox, json!({"text": "a"})).await;
    let ts = post(&sandbox, json!({"text": "b"})).await;
    assert_eq!(found.await.unwrap().unwrap().ts, ts);
    let missed = sandbox
        .wait_for(Duration::from_millis(1), |_| None::<()>)
        .await
        .unwrap_err();
    assert!(missed.to_string().contains("UTREASURYBOT: b"), "{missed}");
    sandbox.stop();
}
