//! The way from a server's certificate to an authority: what stands in between counts.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::ServerConfig;
use treasury_bot::probe::web::{Config, Web, WebCheck};

use super::certificate::{hello, leaf, serve_chain};
use super::server::{Script, Server};

/// An authority, or one between it and servers.
struct Signer {
    name: String,
    key: KeyPair,
    params: CertificateParams,
}

impl Signer {
    /// Its certificate is to be good for so many days.
    fn new(name: &str, days: i64) -> Self {
        let mut params = leaf(&[], -100, days);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            name: name.to_owned(),
            key: KeyPair::generate().unwrap(),
            params,
        }
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    fn itself(&self) -> rcgen::Certificate {
        self.params.self_signed(&self.key).unwrap()
    }

    /// The certificate of another signer, good for so many days.
    fn signs(&self, other: &Self, days: i64) -> rcgen::Certificate {
        let mut params = Self::new(&other.name, days).params;
        params.distinguished_name = other.params.distinguished_name.clone();
        params.signed_by(&other.key, &self.issuer()).unwrap()
    }

    /// A server of this machine whose certificate is good for 200 days, and what it sends besides.
    fn serves(&self, sent: &[&rcgen::Certificate]) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let own = leaf(&["127.0.0.1"], -1, 200)
            .signed_by(&key, &self.issuer())
            .unwrap();
        let chain: Vec<_> = std::iter::once(&own).chain(sent.iter().copied()).collect();
        serve_chain(&chain, &key)
    }
}

async fn checked(config: ServerConfig, trusted: &[&rcgen::Certificate]) -> WebCheck {
    let server = Server::tls(hello(), config).await;
    ask(&server, trusted).await
}

async fn ask(server: &Server, trusted: &[&rcgen::Certificate]) -> WebCheck {
    let pem: String = trusted.iter().map(|one| one.pem()).collect();
    let web = Web::new(Config {
        extra_roots_pem: Some(pem.into_bytes()),
        hosts: vec!["127.0.0.1".to_owned()],
        ..Config::default()
    });
    let check = web.unwrap().check(&server.url("/")).await.unwrap();
    println!("{check:#?}");
    check
}

#[tokio::test]
async fn an_intermediate_that_ends_first_is_told() {
    let root = Signer::new("Corvid Root", 900);
    let short = Signer::new("Corvid Issuing Short", 5);
    let between = root.signs(&short, 4);
    let check = checked(short.serves(&[&between]), &[&root.itself()]).await;
    assert_eq!(check.up, Some(true));
    assert_eq!(
        check.warnings[0],
        "the intermediate certificate CN=Corvid Issuing Short expires in 4 days"
    );
    let certificate = check.certificate.unwrap();
    assert_eq!(certificate.days_left, 4);
    assert!(certificate.not_after > certificate.good_until);

    let over = root.signs(&short, -2);
    let check = checked(short.serves(&[&over]), &[&root.itself()]).await;
    let problem = check.problem.unwrap();
    assert!(
        problem.ends_with("is signed by a certificate that is out of date"),
        "{problem}"
    );
}

#[tokio::test]
async fn hours_are_told_where_days_are_few() {
    let root = Signer::new("Corvid Root", 900);
    let key = KeyPair::generate().unwrap();
    let mut params = leaf(&["127.0.0.1"], -1, 0);
    params.not_after += std::time::Duration::from_secs(5 * 3_600);
    let own = params.signed_by(&key, &root.issuer()).unwrap();
    let check = checked(serve_chain(&[&own], &key), &[&root.itself()]).await;
    assert_eq!(check.warnings[0], "the certificate expires in 5 hours");
    assert_eq!(check.certificate.unwrap().days_left, 0);
}

#[tokio::test]
async fn an_authority_that_ends_first_or_is_over_is_told() {
    let root = Signer::new("Corvid Root", 10);
    let check = checked(root.serves(&[]), &[&root.itself()]).await;
    assert_eq!(
        check.warnings[0],
        "the authority's certificate CN=Corvid Root expires in 10 days"
    );
    let over = Signer::new("Corvid Old Root", -20);
    let check = checked(over.serves(&[]), &[&over.itself()]).await;
    assert_eq!(check.up, Some(false));
}

#[tokio::test]
async fn an_expired_certificate_that_another_way_does_without_costs_nothing() {
    let old = Signer::new("Corvid Old Root", -9);
    let root = Signer::new("Corvid Root", 900);
    let issuing = Signer::new("Corvid Issuing A", 300);
    let between = root.signs(&issuing, 299);
    let crossed = old.signs(&root, -9);
    let sent = issuing.serves(&[&between, &crossed]);
    let check = checked(sent, &[&root.itself(), &old.itself()]).await;
    assert_eq!(check.up, Some(true));
    let certificate = check.certificate.unwrap();
    assert_eq!((certificate.days_left, certificate.ends_first), (200, None));

    // Sent twice, as it was and renewed: the renewed one is what visitors go by.
    let ending = root.signs(&issuing, 3);
    let sent = issuing.serves(&[&ending, &between]);
    let check = checked(sent, &[&root.itself()]).await;
    assert_eq!(check.certificate.unwrap().days_left, 200);
}

#[tokio::test]
async fn a_server_that_forgets_its_intermediate_is_told_apart_from_a_stranger() {
    let root = Signer::new("Corvid Root", 900);
    let issuing = Signer::new("Corvid Issuing A", 300);
    let between = root.signs(&issuing, 299);
    let check = checked(issuing.serves(&[]), &[&root.itself()]).await;
    assert_eq!(
        check.problem.as_deref(),
        Some(
            "the certificate of 127.0.0.1 leads to no known authority: the server does not send the \
             certificate of CN=Corvid Issuing A that signed its own. Its chain is incomplete, or `ca_file` \
             lacks this authority"
        )
    );
    let stranger = Signer::new("Mallory Root", 900);
    for sent in [&[&between][..], &[&between, &root.itself()]] {
        let check = checked(issuing.serves(sent), &[&stranger.itself()]).await;
        assert_eq!(
            check.problem.as_deref(),
            Some("the certificate of 127.0.0.1 is signed by an unknown authority (CN=Corvid Root)")
        );
    }
}

#[tokio::test]
async fn a_certificate_before_a_redirect_counts_as_well() {
    let root = Signer::new("Corvid Root", 900);
    let last = Server::tls(hello(), root.serves(&[])).await;
    let short = Signer::new("Corvid Issuing Short", 5);
    let between = root.signs(&short, 4);
    let steps = Script::Redirects(vec![("/", "302 Found", last.url("/in"))]);
    let first = Server::tls(steps, short.serves(&[&between])).await;
    let check = ask(&first, &[&root.itself()]).await;
    assert_eq!(check.up, Some(true));
    assert_eq!(
        check.warnings[0],
        "the intermediate certificate CN=Corvid Issuing Short of 127.0.0.1 (a redirect) expires in 4 days"
    );
    let of_hop = check.redirects[0].certificate.as_ref().unwrap();
    assert_eq!(
        (of_hop.days_left, check.certificate.unwrap().days_left),
        (4, 200)
    );
}
