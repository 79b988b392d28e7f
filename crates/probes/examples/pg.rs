use treasury_probes::Database;
use treasury_probes::postgres::*;
#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    let p = Postgres::new(&Config {
        name: "x".into(),
        url: url.into(),
        timeout: std::time::Duration::from_secs(5),
    })
    .unwrap();
    println!("{:#?}", p.summary().await);
    println!("{:#?}", p.connections().await);
    println!("{:#?}", p.locks().await);
    println!("{:#?}", p.slow().await);
    println!("{:#?}", p.replication().await);
    println!("{:#?}", p.size().await);
    println!("{:#?}", p.session(1).await);
}
