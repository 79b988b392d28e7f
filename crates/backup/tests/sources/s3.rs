//! A real emulator of S3 (moto) as a process of its own, and a line to it that can be cut.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use treasury_backup::destination::{Bucket, Destination, Keys};

/// A store with the bucket `backups`; ends when dropped.
pub struct S3 {
    server: Child,
    pub port: u16,
    pub access: String,
    pub secret: String,
}

impl S3 {
    pub fn start() -> Self {
        let mut roots = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let root = roots.find(|one| one.join("tests/s3.py").exists()).unwrap();
        let mut server = Command::new(root.join("target/tools/python/bin/python"))
            .arg(root.join("tests/s3.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("tests/run installs moto");
        let mut line = String::new();
        let out = server.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).expect("moto starts");
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        Self {
            server,
            port: told["port"].as_u64().unwrap().try_into().unwrap(),
            access: text("access"),
            secret: text("secret"),
        }
    }

    /// How it is reached under the prefix `team/a`.
    pub fn settings(&self) -> Bucket {
        Bucket {
            bucket: "backups".to_owned(),
            prefix: "team/a".to_owned(),
            endpoint: Some(format!("http://127.0.0.1:{}", self.port).parse().unwrap()),
            region: "eu-central-1".to_owned(),
            keys: Keys {
                access: self.access.clone(),
                secret: self.secret.clone().into(),
                session: None,
            },
        }
    }

    pub fn destination(&self) -> Destination {
        Destination::bucket(&self.settings()).unwrap()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A line to a port: after so many bytes it is cut, and stays so.
pub struct Line {
    pub port: u16,
}

impl Line {
    pub async fn to(port: u16, bytes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let left = Arc::new(AtomicU64::new(bytes));
        tokio::spawn(async move {
            loop {
                let (from, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(from, port, Arc::clone(&left)));
            }
        });
        Self { port: own }
    }
}

async fn carry(mut from: TcpStream, port: u16, left: Arc<AtomicU64>) {
    let mut to = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut to_read, mut to_write) = to.split();
    let (mut from_read, mut from_write) = from.split();
    let there = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from_read.read(&mut buffer).await.unwrap_or(0);
            let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(read as u64)
            });
            if taken.is_err() {
                left.store(0, Ordering::SeqCst);
            }
            if read == 0 || taken.is_err() {
                break;
            }
            if to_write.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = tokio::io::copy(&mut to_read, &mut from_write) => {}
    }
}
