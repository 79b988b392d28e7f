//! Spans as a collector gets them: OTLP over HTTP, protobuf
//! (<https://opentelemetry.io/docs/specs/otlp/>). A collector at the wire, and a process of its own that
//! sends, since where to is said by the environment.
#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

/// The process that sends: this test, in a process that has an address.
#[test]
fn sends() {
    if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        treasury_telemetry::log::start("error", true);
        let request = tracing::error_span!(target: "treasury_bot", "request", person = "U0ANA00001", incident = "INC-1");
        request.in_scope(|| {
            tracing::error!("words stay in the log");
            tracing::error_span!(target: "treasury_bot", "action", action = 7, service = "web").in_scope(|| {});
        });
        // Not ours.
        tracing::error_span!(target: "hyper::client", "connection").in_scope(|| {});
    });
    treasury_telemetry::log::end();
}

#[test]
fn a_collector_gets_the_spans_with_their_ids_and_nothing_else() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", collector.local_addr().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sends", "--nocapture"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &address)
        .env(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20hunter2",
        )
        .env_remove("OTEL_SERVICE_NAME")
        .spawn()
        .unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(taken(&collector)));
    assert!(child.wait().unwrap().success());
    let (head, body) = receiver.recv_timeout(Duration::from_secs(5)).unwrap();
    let head = head.to_lowercase();
    for line in [
        "post /v1/traces http/1.1\r\n",
        "content-type: application/x-protobuf\r\n",
        "authorization: bearer hunter2\r\n",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }

    let resource = inside(&body, &[1, 1]);
    assert_eq!(attribute(resource[0], 1, "service.name"), "treasury-bot");
    let spans = inside(&body, &[1, 2, 2]);
    let named = |name: &str| {
        let is_it = |span: &&&[u8]| inside(span, &[5]) == [name.as_bytes()];
        *spans.iter().find(is_it).unwrap()
    };
    assert_eq!(spans.len(), 2);
    let (request, action) = (named("request"), named("action"));
    assert_eq!(attribute(request, 9, "person"), "U0ANA00001");
    assert_eq!(attribute(request, 9, "incident"), "INC-1");
    assert_eq!(attribute(action, 9, "service"), "web");
    assert_eq!(inside(action, &[1]), inside(request, &[1]), "one trace");
    assert_eq!(inside(action, &[4]), inside(request, &[2]), "its parent");
    assert_eq!(inside(request, &[11]), Vec::<&[u8]>::new(), "no events");
    assert!(!String::from_utf8_lossy(&body).contains("words stay"));
}

/// The head and the body of the one request that comes.
fn taken(collector: &TcpListener) -> (String, Vec<u8>) {
    let (stream, _) = collector.accept().unwrap();
    let mut reader = BufReader::new(&stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let lower = head.to_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    (&stream)
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .unwrap();
    (head, body)
}

/// The values of a field within fields, by their numbers
/// (<https://protobuf.dev/programming-guides/encoding/>).
fn inside<'a>(message: &'a [u8], path: &[u64]) -> Vec<&'a [u8]> {
    let Some((first, rest)) = path.split_first() else {
        return vec![message];
    };
    let mut found = Vec::new();
    let mut left = message;
    while !left.is_empty() {
        let tag = varint(&mut left);
        let length = match tag & 7 {
            0 => {
                varint(&mut left);
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut left)).unwrap(),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, after) = left.split_at(length);
        left = after;
        if tag >> 3 == *first && tag & 7 == 2 {
            found.extend(inside(value, rest));
        }
    }
    found
}

fn varint(left: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, after) = left.split_first().unwrap();
        *left = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// The text of an attribute; field 1 of each is its name, field 2 its value.
fn attribute(message: &[u8], field: u64, name: &str) -> String {
    let attributes = inside(message, &[field]);
    let is_it = |one: &&&[u8]| inside(one, &[1]) == [name.as_bytes()];
    let found = attributes.iter().find(is_it);
    let found = found.unwrap_or_else(|| panic!("no {name}"));
    String::from_utf8_lossy(inside(found, &[2, 1])[0]).into_owned()
}
