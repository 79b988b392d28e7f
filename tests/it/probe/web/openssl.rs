//! OpenSSL's own server: what the bot can't speak, and certificates that an operator made with it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use treasury_bot::probe::web::{Config, Web, WebCheck};
use treasury_bot::probe::{Http, ProbeErrorKind};

const CURVES: &str = "ec_paramgen_curve:";
/// A second more than a day: of 8 days 7 of these are left, also within the first second.
const DAY: i64 = 86_401;

/// `openssl s_server` with one certificate; ended when dropped.
struct OpenSsl {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl")
        .current_dir(folder)
        .args(arguments.split(' '))
        .output()
        .expect("openssl can be started");
    let errors = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "openssl {arguments}: {errors}");
}

impl OpenSsl {
    /// With a certificate of its own making (`openssl req -x509`, which is CA:TRUE) and further
    /// arguments; `key` as for `-newkey`.
    fn serves(key: &str, arguments: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        openssl(
            folder.path(),
            &format!(
                "req -x509 -nodes -newkey {key} -keyout key.pem -out cert.pem -days 8 -subj /CN=till \
                 -addext subjectAltName=IP:127.0.0.1"
            ),
        );
        let mut child = Command::new("openssl")
            .current_dir(folder.path())
            .args("s_server -accept 127.0.0.1:0 -key key.pem -cert cert.pem -www".split(' '))
            .args(arguments.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            let address = line.strip_prefix("ACCEPT ")?;
            address.rsplit_once(':')?.1.parse().ok()
        });
        // Whoever does not read it stops it.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            port: port.expect("it says where it listens"),
            folder,
        }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}/", self.port)
    }

    /// As seen by a bot that trusts its certificate by `ca_file`, or does not.
    async fn checked(&self, trusted: bool) -> WebCheck {
        let pem = std::fs::read(self.folder.path().join("cert.pem")).unwrap();
        let web = Web::new(Config {
            timeout: Duration::from_secs(5),
            extra_roots_pem: trusted.then_some(pem),
            hosts: vec!["127.0.0.1".to_owned()],
        });
        let check = web.unwrap().check(&self.url()).await.unwrap();
        println!("{check:#?}");
        check
    }

    /// What another program of this machine makes of it.
    fn curl(&self, arguments: &[&str]) -> bool {
        let curl = Command::new("curl")
            .current_dir(self.folder.path())
            .args([
                "-sS",
                "-o",
                "/dev/null",
                "--cacert",
                "cert.pem",
                &self.url(),
            ])
            .args(arguments)
            .status();
        curl.unwrap().success()
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        // Already gone is as good; the test itself tells what is wrong.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
#[ignore = "needs openssl"]
async fn a_self_signed_certificate_of_the_operators_own_is_trusted_by_ca_file() {
    for key in ["rsa:2048".to_owned(), format!("ec -pkeyopt {CURVES}P-256")] {
        let server = OpenSsl::serves(&key, "");
        assert!(server.curl(&[]), "curl takes it");
        let check = server.checked(true).await;
        assert_eq!(check.up, Some(true));
        let certificate = check.certificate.unwrap();
        assert!(certificate.valid && certificate.judged);
        assert_eq!(
            (certificate.left_s / DAY, certificate.ends_first),
            (7, None)
        );

        let stranger = server.checked(false).await;
        assert_eq!(stranger.up, Some(false));
        let problem = stranger.problem.unwrap();
        assert_eq!(problem, "the certificate of 127.0.0.1 is self-signed");

        // Its name still counts.
        let web = Web::new(Config {
            timeout: Duration::from_secs(5),
            extra_roots_pem: Some(std::fs::read(server.folder.path().join("cert.pem")).unwrap()),
            hosts: vec!["localhost".to_owned()],
        });
        let url = server.url().replace("127.0.0.1", "localhost");
        let other = web.unwrap().check(&url).await.unwrap();
        let problem = other.problem.unwrap();
        assert!(
            problem.contains("is for other names (127.0.0.1)"),
            "{problem}"
        );
    }
}

#[tokio::test]
#[ignore = "needs openssl and curl"]
async fn what_the_bot_cant_speak_is_not_down() {
    let p521 = format!("ec -pkeyopt {CURVES}P-521");
    for (key, arguments, told) in [
        (
            "rsa:2048",
            "-tls1_2 -cipher AES256-GCM-SHA384",
            "TLS 1.2 with RSA key exchange",
        ),
        (
            "rsa:2048",
            "-tls1_2 -cipher DHE-RSA-AES256-GCM-SHA384",
            "TLS 1.2 with DHE key exchange",
        ),
        (
            "rsa:2048",
            "-tls1_2 -cipher ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES256-SHA",
            "TLS 1.2 with CBC",
        ),
        (&p521, "-tls1_2", "TLS 1.2 with a P-521 key"),
        (&p521, "", "TLS 1.2 with a P-521 key"),
        (
            &p521,
            "-tls1_3",
            "TLS 1.3 with a key or a curve that the bot doesn't know",
        ),
        (
            "rsa:2048",
            "-tls1_2 -groups P-521",
            "TLS 1.2 with a key or a curve that the bot doesn't know",
        ),
    ] {
        let server = OpenSsl::serves(key, arguments);
        assert!(server.curl(&[]), "curl takes {arguments}");
        let check = server.checked(true).await;
        assert_eq!(check.up, None, "{arguments}");
        assert_eq!(check.problem_kind, Some(ProbeErrorKind::Unsupported));
        let problem = check.problem.unwrap();
        assert_eq!(
            problem,
            format!(
                "the bot can't speak what this server offers ({told}); visitors' programs may. Whether it \
                 is up is not known"
            )
        );
        // Its certificate comes in the clear, up to TLS 1.2.
        let seen = check.certificate.map(|one| (one.valid, one.left_s / DAY));
        let clear = (!told.contains("TLS 1.3")).then_some((true, 7));
        assert_eq!(seen, clear, "{arguments}");
    }
}

#[tokio::test]
#[ignore = "needs openssl"]
async fn a_health_address_that_the_bot_cant_speak_to_is_not_called_unwell() {
    let server = OpenSsl::serves("rsa:2048", "-tls1_2 -cipher AES256-GCM-SHA384");
    let why = Http::new().well(&server.url()).await.unwrap_err();
    assert!(
        why.ends_with(
            "and the bot can't agree on TLS (received fatal alert: HandshakeFailure); whether it is well \
             is not known"
        ),
        "{why}"
    );
}

#[tokio::test]
#[ignore = "needs openssl"]
async fn old_tls_is_told_as_that_and_its_bad_certificate_still_counts() {
    for (arguments, told) in [("-tls1", "TLS 1.0 with "), ("-tls1_1", "TLS 1.1 with ")] {
        let server = OpenSsl::serves("rsa:2048", &format!("{arguments} -cipher ALL:@SECLEVEL=0"));
        let check = server.checked(true).await;
        assert_eq!(check.up, None);
        let problem = check.problem.unwrap();
        assert!(problem.contains(told), "{problem}");
        assert!(problem.contains("today's browsers refuse it"), "{problem}");

        // Who refuses the certificate does so whatever is spoken.
        let stranger = server.checked(false).await;
        assert_eq!(stranger.up, Some(false));
        assert_eq!(stranger.problem_kind, Some(ProbeErrorKind::Tls));
    }
}

#[tokio::test]
#[ignore = "needs openssl"]
async fn who_asks_for_a_certificate_of_the_visitor_is_not_taken_for_what_cant_be_spoken() {
    for arguments in ["-tls1_2 -Verify 1", "-tls1_3 -Verify 1"] {
        let check = OpenSsl::serves("rsa:2048", arguments).checked(true).await;
        assert_eq!(check.up, Some(false), "{arguments}");
        let problem = check.problem.unwrap();
        assert!(!problem.contains("can't speak"), "{problem}");
    }
}
