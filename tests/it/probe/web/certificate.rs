//! Certificates, good and bad, and what only https has.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ServerConfig, version};
use treasury_bot::probe::ProbeErrorKind;
use treasury_bot::probe::web::{Certificate, Config, Web, WebCheck};

use super::server::{Script, Server, answer};

const DAY: u64 = 86_400;

/// A certificate authority of our own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A server's certificate for `names`, good from `from` to `until` days from now.
    fn signs(&self, names: &[&str], from: i64, until: i64) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = leaf(names, from, until);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        serve(&certificate, &key)
    }

    /// A probe that trusts this authority.
    fn trusted(&self) -> Web {
        Web::new(Config {
            timeout: Duration::from_secs(5),
            extra_roots_pem: Some(self.pem.clone().into_bytes()),
            hosts: vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
        })
        .unwrap()
    }
}

/// Half an hour more than so many days from now, so that a slow test does not lose a day.
pub(super) fn leaf(names: &[&str], from: i64, until: i64) -> CertificateParams {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "treasury");
    let now = jiff::Timestamp::now().as_second();
    let at = |days: i64| {
        let seconds = now + days * DAY.cast_signed() + 1_800;
        date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.cast_unsigned())
    };
    params.not_before = at(from);
    params.not_after = at(until);
    params
}

fn serve(certificate: &rcgen::Certificate, key: &KeyPair) -> ServerConfig {
    serve_chain(&[certificate], key)
}

pub(super) fn serve_chain(chain: &[&rcgen::Certificate], key: &KeyPair) -> ServerConfig {
    let chain = chain.iter().map(|one| one.der().clone()).collect();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

pub(super) fn hello() -> Script {
    Script::Once(answer("200 OK", &[], "hello"))
}

/// Checks a server that shows a bad certificate: it is down, and all the rest is told.
async fn bad(web: &Web, config: ServerConfig) -> (Certificate, String) {
    let server = Server::tls(hello(), config).await;
    let check: WebCheck = web.check(&server.url("/")).await.unwrap();
    println!("{check:#?}");
    assert_eq!(check.up, Some(false));
    assert_eq!(check.status, Some(200), "the rest is told");
    assert_eq!(check.problem_kind, Some(ProbeErrorKind::Tls));
    let problem = check.problem.unwrap();
    assert_eq!(check.warnings[0], problem, "the worst comes first");
    let certificate = check.certificate.unwrap();
    assert!(!certificate.valid);
    assert!(problem.contains(certificate.problem.as_deref().unwrap()));
    (certificate, problem)
}

#[tokio::test]
async fn a_good_certificate_with_ten_days_left() {
    let authority = Authority::new("Treasury Root");
    let server = Server::tls(
        hello(),
        authority.signs(&["127.0.0.1", "localhost"], -30, 10),
    )
    .await;
    let check = authority.trusted().check(&server.url("/")).await.unwrap();
    println!("{check:#?}");
    assert_eq!(check.up, Some(true));
    let certificate = check.certificate.unwrap();
    assert!(certificate.valid);
    assert_eq!(certificate.days_left, 10);
    assert_eq!(certificate.names, ["127.0.0.1", "localhost"]);
    assert_eq!(certificate.subject, "CN=treasury");
    assert_eq!(certificate.issuer, "CN=Treasury Root");
    assert_eq!(certificate.chain, ["CN=treasury"]);
    assert_eq!(certificate.tls_version, "TLSv1.3");
    assert!(certificate.cipher.starts_with("TLS13_"));
    assert!(check.tls_ms.unwrap() > 0.0);
    assert_eq!(check.warnings[0], "the certificate expires in 10 days");
    assert_eq!(check.https_enforced, None, "only asked of the default port");
    assert_eq!(check.security.len(), 6);

    let by_name = server.url("/").replace("127.0.0.1", "localhost");
    assert_eq!(
        authority.trusted().check(&by_name).await.unwrap().up,
        Some(true)
    );
}

#[tokio::test]
async fn a_certificate_that_expired() {
    let authority = Authority::new("Treasury Root");
    let config = authority.signs(&["127.0.0.1"], -90, -3);
    let (certificate, problem) = bad(&authority.trusted(), config).await;
    // Three days less half an hour ago.
    assert_eq!(problem, "the certificate of 127.0.0.1 expired 2 days ago");
    assert_eq!(certificate.days_left, -3);
}

#[tokio::test]
async fn a_certificate_of_tomorrow() {
    let authority = Authority::new("Treasury Root");
    let config = authority.signs(&["127.0.0.1"], 2, 90);
    let (_, problem) = bad(&authority.trusted(), config).await;
    assert!(
        problem.ends_with("is not valid for another 2 days"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_certificate_for_other_names() {
    let authority = Authority::new("Treasury Root");
    let names = ["a.example", "b.example", "c.example", "d.example"];
    let (_, problem) = bad(&authority.trusted(), authority.signs(&names, -1, 90)).await;
    assert_eq!(
        problem,
        "the certificate of 127.0.0.1 is for other names (a.example, b.example, c.example, …)"
    );
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority() {
    let ours = Authority::new("Treasury Root");
    let theirs = Authority::new("Mallory Root");
    let (_, problem) = bad(&ours.trusted(), theirs.signs(&["127.0.0.1"], -1, 90)).await;
    assert!(
        problem.contains("does not send the certificate of CN=Mallory Root"),
        "{problem}"
    );
    // An impostor under the same name does not have the key.
    let impostor = Authority::new("Treasury Root");
    let (_, problem) = bad(&ours.trusted(), impostor.signs(&["127.0.0.1"], -1, 90)).await;
    assert!(problem.contains("authority"), "{problem}");
}

#[tokio::test]
async fn a_self_signed_certificate() {
    let key = KeyPair::generate().unwrap();
    let certificate = leaf(&["127.0.0.1"], -1, 90).self_signed(&key).unwrap();
    let web = Authority::new("Treasury Root").trusted();
    let (told, problem) = bad(&web, serve(&certificate, &key)).await;
    assert_eq!(problem, "the certificate of 127.0.0.1 is self-signed");
    assert_eq!(told.subject, told.issuer);
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let key = KeyPair::generate().unwrap();
    let certificate = leaf(&["old.example"], -90, -1).self_signed(&key).unwrap();
    let web = Authority::new("Treasury Root").trusted();
    let (_, problem) = bad(&web, serve(&certificate, &key)).await;
    assert_eq!(
        problem,
        "the certificate of 127.0.0.1 expired 23 hours ago; is for other names (old.example); \
         is self-signed"
    );
}

#[tokio::test]
async fn whoever_shows_a_certificate_has_to_own_its_key() {
    let authority = Authority::new("Treasury Root");
    for (version, name) in [(&version::TLS12, "TLSv1.2"), (&version::TLS13, "TLSv1.3")] {
        let own = KeyPair::generate().unwrap();
        let stolen = leaf(&["127.0.0.1"], -1, 90)
            .signed_by(&own, &authority.issuer)
            .unwrap();
        let with = |key: &KeyPair| {
            let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let key = any_supported_type(&der).unwrap();
            let shown = CertifiedKey::new(vec![stolen.der().clone()], key);
            ServerConfig::builder_with_provider(default_provider().into())
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
        };
        let honest = Server::tls(hello(), with(&own)).await;
        let check = authority.trusted().check(&honest.url("/")).await.unwrap();
        assert_eq!(check.up, Some(true), "{check:#?}");
        let told = check.certificate.unwrap().tls_version;
        assert_eq!(told, name);

        let thief = Server::tls(hello(), with(&KeyPair::generate().unwrap())).await;
        let check = authority.trusted().check(&thief.url("/")).await.unwrap();
        assert_eq!(check.up, Some(false));
        assert_eq!(check.problem_kind, Some(ProbeErrorKind::Tls));
        assert_eq!(check.status, None);
        assert!(thief.asked().is_empty(), "nothing was said to it");
    }
}

#[tokio::test]
async fn a_way_back_from_https_to_http_is_told() {
    let authority = Authority::new("Treasury Root");
    let plain = Server::plain(hello()).await;
    let steps = vec![("/", "302 Found", plain.url("/in"))];
    let config = authority.signs(&["127.0.0.1"], -1, 90);
    let server = Server::tls(Script::Redirects(steps), config).await;
    let check = authority.trusted().check(&server.url("/")).await.unwrap();
    println!("{check:#?}");
    assert_eq!(check.up, Some(true));
    assert!(check.certificate.is_none(), "of the final hop");
    assert_eq!(
        check.warnings[..2],
        [
            "a redirect of 127.0.0.1 leads from https back to http",
            "the answer comes unencrypted (http)",
        ]
    );
}

#[tokio::test]
async fn a_bad_certificate_on_the_way_counts() {
    let authority = Authority::new("Treasury Root");
    let good = Server::tls(hello(), authority.signs(&["127.0.0.1"], -1, 90)).await;
    let steps = vec![("/", "302 Found", good.url("/in"))];
    let expired = authority.signs(&["127.0.0.1"], -90, -5);
    let first = Server::tls(Script::Redirects(steps), expired).await;
    let check = authority.trusted().check(&first.url("/")).await.unwrap();
    assert_eq!(check.up, Some(false));
    assert!(check.problem.unwrap().contains("expired"));
    assert!(check.certificate.unwrap().valid, "that of the final hop");
}

#[tokio::test]
async fn good_headers_over_https_leave_nothing_to_say() {
    let authority = Authority::new("Treasury Root");
    let headers = [
        "Strict-Transport-Security: max-age=31536000; includeSubDomains",
        "Content-Security-Policy: default-src 'self'; frame-ancestors 'none'",
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
        "Permissions-Policy: camera=()",
        "Content-Encoding: br",
    ];
    let script = Script::Once(answer("200 OK", &headers, "hello"));
    let server = Server::tls(script, authority.signs(&["127.0.0.1"], -1, 90)).await;
    let check = authority.trusted().check(&server.url("/")).await.unwrap();
    assert!(
        check.security.iter().all(|header| header.good),
        "{check:#?}"
    );
    assert_eq!(check.security_missing, 0);
    assert_eq!(check.compression.as_deref(), Some("br"));
    assert!(check.warnings.is_empty(), "{:?}", check.warnings);
}
