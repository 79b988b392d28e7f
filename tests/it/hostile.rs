//! Requests that Slack did not send, or sent broken: refused, counted, nothing stored, no 5xx.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::support::stage::{HOME, Scenery, Stage};

struct Door {
    stage: Stage,
    client: reqwest::Client,
}

impl Door {
    async fn open() -> Self {
        let stage = Stage::set(Scenery {
            http: true,
            ..Scenery::default()
        })
        .await;
        Self {
            stage,
            client: reqwest::Client::new(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.stage.app.address)
    }

    fn sign(&self, timestamp: &str, body: &[u8]) -> String {
        let secret = self.stage.sandbox.signing_secret();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("v0:{timestamp}:").as_bytes());
        mac.update(body);
        let bytes = mac.finalize().into_bytes();
        format!("v0={}", treasury_bot::domain::timeline::hex(&bytes))
    }

    /// Posts a well-signed body, whatever it holds.
    async fn signed(&self, path: &str, kind: &str, body: &[u8]) -> u16 {
        let now = now().to_string();
        self.post(
            path,
            kind,
            body,
            &[
                ("x-slack-request-timestamp", &now),
                ("x-slack-signature", &self.sign(&now, body)),
            ],
        )
        .await
    }

    async fn post(&self, path: &str, kind: &str, body: &[u8], headers: &[(&str, &str)]) -> u16 {
        let mut request = self
            .client
            .post(self.url(path))
            .header("content-type", kind)
            .body(body.to_vec());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status().as_u16()
    }

    /// Nothing came of it: not in the store, not in Slack.
    async fn nothing_happened(self) {
        let store = &self.stage.app.store;
        assert_eq!(store.inbox_depth().await.unwrap(), 0);
        assert!(self.stage.audit().await.is_empty());
        assert!(self.stage.sandbox.messages(HOME).is_empty());
        self.stage.finish().await;
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
const COMMAND: &str = "command=%2Ftreasury&text=status&user_id=U0ANA00001&user_name=ana\
                       &channel_id=C0000000001&trigger_id=1.2.3";

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[tokio::test]
async fn what_is_not_signed_rightly_and_freshly_is_refused_and_counted() {
    let door = Door::open().await;
    let body = COMMAND.as_bytes();
    let fresh = now().to_string();
    let stale = (now() - 400).to_string();
    let early = (now() + 400).to_string();
    let good = door.sign(&fresh, body);
    let cases: [&[(&str, &str)]; 8] = [
        &[],
        &[("x-slack-signature", &good)],
        &[("x-slack-request-timestamp", &fresh)],
        &[
            ("x-slack-request-timestamp", &fresh),
            ("x-slack-signature", "v0=00"),
        ],
        &[
            ("x-slack-request-timestamp", &fresh),
            ("x-slack-signature", "nonsense"),
        ],
        &[
            ("x-slack-request-timestamp", "soon"),
            ("x-slack-signature", &good),
        ],
        &[
            ("x-slack-request-timestamp", &stale),
            ("x-slack-signature", &door.sign(&stale, body)),
        ],
        &[
            ("x-slack-request-timestamp", &early),
            ("x-slack-signature", &door.sign(&early, body)),
        ],
    ];
    for path in ["/slack/commands", "/slack/interactions", "/slack/events"] {
        // Slack looks at the certificate, perhaps without signing: it is told nothing.
        assert_eq!(
            door.post(path, FORM, b"ssl_check=1&token=abc", &[]).await,
            200
        );
        assert_eq!(door.signed(path, FORM, b"ssl_check=1&token=abc").await, 200);
        for headers in cases {
            assert_eq!(
                door.post(path, FORM, body, headers).await,
                401,
                "{path} {headers:?}"
            );
        }
    }
    let metrics = reqwest::get(door.url("/metrics"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("rejected"), "{metrics}");
    door.nothing_happened().await;
}

#[tokio::test]
async fn malformed_bodies_are_no_failure_of_ours() {
    let door = Door::open().await;
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"payload=".to_vec(),
        b"payload=%7B".to_vec(),
        b"payload=%7B%7D&payload=1".to_vec(),
        b"payload=%ff%fe".to_vec(),
        br#"payload={"type":"block_actions"}"#.to_vec(),
        br#"payload={"type":"block_actions","actions":[{"value":7}]}"#.to_vec(),
        br#"{"type":"event_callback"}"#.to_vec(),
        br#"{"type":"event_callback","event":{"type":"app_mention","text":7}}"#.to_vec(),
        br#"{"type":7}"#.to_vec(),
        b"command=%2Ftreasury".to_vec(),
        b"command=%2Ftreasury&text=%00%ff".to_vec(),
        b"text=status".to_vec(),
        deep.into_bytes(),
        vec![b'a'; 200_000],
    ];
    for path in ["/slack/commands", "/slack/interactions", "/slack/events"] {
        for kind in [
            FORM,
            "application/json",
            "text/plain",
            "multipart/form-data",
        ] {
            for body in &bodies {
                let status = door.signed(path, kind, body).await;
                let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
                assert!(status < 500, "{path} {kind} {start}: {status}");
            }
        }
    }
    let big = vec![b'a'; 10 * 1024 * 1024];
    assert_eq!(door.signed("/slack/commands", FORM, &big).await, 413);
    door.nothing_happened().await;
}

#[tokio::test]
async fn the_url_verification_is_answered_only_when_signed() {
    let door = Door::open().await;
    let body = br#"{"type":"url_verification","challenge":"abc"}"#;
    assert_eq!(
        door.post("/slack/events", "application/json", body, &[])
            .await,
        401
    );
    let now = now().to_string();
    let answer = door
        .client
        .post(door.url("/slack/events"))
        .header("x-slack-request-timestamp", &now)
        .header("x-slack-signature", door.sign(&now, body))
        .body(body.to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("abc"));
    door.nothing_happened().await;
}

#[tokio::test]
async fn a_signed_command_is_recorded_before_it_is_acknowledged_and_its_retry_is_nothing() {
    let door = Door::open().await;
    for _ in 0..3 {
        assert_eq!(
            door.signed("/slack/commands", FORM, COMMAND.as_bytes())
                .await,
            200
        );
    }
    door.stage.said(HOME, "services are well").await;
    door.stage.quiet().await;
    assert_eq!(door.stage.count("services are well"), 1);
    let asked = door.stage.audit().await;
    assert_eq!(asked.len(), 1);
    door.stage.finish().await;
}
