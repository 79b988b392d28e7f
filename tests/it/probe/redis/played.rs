//! What no real server does at will, played: it says what it is told to, and notes what it hears.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use treasury_bot::probe::ProbeErrorKind as Kind;
use treasury_bot::probe::cache::Cache;

use super::{PATIENCE, probe, probe_of};

type Part = fn(&str) -> &'static str;

/// Plays a server until the test ends. Returns its address and what it hears, a command a line.
async fn play(part: Part) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let notes = heard.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, part, notes.clone()));
        }
    });
    (address, heard)
}

/// Answers until the client hangs up.
async fn serve(stream: TcpStream, part: Part, notes: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let words = number(&mut stream).await?;
        let mut command = Vec::new();
        for _ in 0..words {
            let length = number(&mut stream).await?;
            let mut word = vec![0; length + 2];
            stream.read_exact(&mut word).await.ok()?;
            command.push(String::from_utf8(word[..length].to_vec()).ok()?);
        }
        let command = command.join(" ");
        let answer = part(&command);
        notes.lock().unwrap().push(command);
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// `*3` or `$7`.
async fn number(stream: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.get(1..)?.trim_end().parse().ok()
}

#[tokio::test]
async fn a_key_that_scan_tells_twice_counts_once() {
    let (address, _) = play(|command| match command.split(' ').next() {
        Some("INFO") => "$16\r\nuptime:1\r\nrole:x\r\n",
        Some("DBSIZE") => ":2\r\n",
        Some("SCAN") if command.starts_with("SCAN 0") => {
            "*2\r\n$1\r\n7\r\n*2\r\n$4\r\nfx:a\r\n$4\r\nfx:b\r\n"
        }
        Some("SCAN") => "*2\r\n$1\r\n0\r\n*1\r\n$4\r\nfx:a\r\n",
        Some("MEMORY") => ":100\r\n",
        Some("TYPE") => "+string\r\n",
        Some("PTTL") => ":-1\r\n",
        Some("CLIENT") if command == "CLIENT ID" => ":1\r\n",
        _ => "+OK\r\n",
    })
    .await;
    let bot = probe(format!("redis://{address}"), None);
    let sample = bot.memory().await.unwrap();
    assert_eq!((sample.sampled, sample.biggest.len()), (2, 2));
    let group = &sample.by_prefix[0];
    assert_eq!((group.keys, group.bytes), (2, 200));
    let found = bot.keys("fx:").await.unwrap();
    assert_eq!((found.matched, found.keys.len()), (2, 2));
}

#[tokio::test]
async fn a_sentinel_that_asks_for_no_password_hears_none() {
    let (address, heard) = play(|command| match command {
        "SENTINEL GET-MASTER-ADDR-BY-NAME main" => "*-1\r\n",
        "SENTINEL MASTERS" => "*0\r\n",
        "CLIENT ID" => ":1\r\n",
        _ => "+OK\r\n",
    })
    .await;
    let url = format!("redis://{address}/1");
    let bot = probe_of(url, Some("hunter2"), Some("main"), PATIENCE);
    bot.summary().await.unwrap_err();
    let heard = heard.lock().unwrap().join("\n");
    assert!(heard.contains("SENTINEL MASTERS"), "{heard}");
    assert!(
        !heard.contains("hunter2") && !heard.contains("SELECT"),
        "{heard}"
    );
}

#[tokio::test]
async fn a_server_from_before_users_is_logged_in_to_by_password() {
    let (address, heard) = play(|command| match command.split(' ').collect::<Vec<_>>()[..] {
        ["AUTH", _, _] => "-ERR wrong number of arguments for 'auth' command\r\n",
        ["CLIENT", "ID"] => ":1\r\n",
        ["INFO"] => "$6\r\nrole:x\r\n",
        ["CONFIG", ..] => "-ERR unknown command `CONFIG`\r\n",
        _ => "+OK\r\n",
    })
    .await;
    let bot = probe(format!("redis://bot@{address}"), Some("right"));
    bot.summary().await.unwrap();
    let heard = heard.lock().unwrap();
    assert_eq!(heard[..2], ["AUTH bot right", "AUTH right"]);
}

/// A server that hangs up at once: on the first connection without a word, as it looks when its
/// words got lost, then with these.
async fn hang_up(last_words: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        drop(listener.accept().await);
        while let Ok((mut stream, _)) = listener.accept().await {
            // The client may be gone already.
            let _ = stream.write_all(last_words.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn words_that_come_before_hanging_up_are_not_lost() {
    for (words, kind) in [
        ("-ERR max number of clients reached\r\n", Kind::Full),
        (
            "-DENIED Redis is running in protected mode because …\r\n",
            Kind::Authenticate,
        ),
        ("", Kind::Connect),
    ] {
        let address = hang_up(words).await;
        let bot = probe(format!("redis://{address}"), None);
        let error = bot.summary().await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
}
