//! What the tests stand on.

pub mod alertmanager;
pub mod browser;
pub mod disk;
pub mod dockerd;
pub mod engine;
pub mod images;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod receiver;
pub mod redis;
pub mod slack;
pub mod smtp;
pub mod stage;
pub mod two_nodes;

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Serves these pages on a free port, for as long as the test's runtime lives.
pub async fn served(router: axum::Router) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
