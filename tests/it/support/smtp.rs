//! A real SMTP server (Python's aiosmtpd) that does to each recipient what its name says.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use secrecy::SecretString;
use serde::Deserialize;
use treasury_bot::domain::Mailbox;
use treasury_bot::notify::{Security, SmtpConfig};

/// How long a mail may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// User and password of the servers with TLS.
const LOGIN: (&str, &str) = ("treasury-bot", "smtp-hunter2-secret");

/// Recipients by the first word of their address: `later` is refused once and taken the next time,
/// `never` is refused for good, `hangs` gets no answer, `stalls` none the first time, and of the first mail to `lost` the connection
/// is cut after it was taken. All that is taken is written into the folder.
const SERVER: &str = r"
import asyncio, email, email.policy, json, os, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

mode, folder, port, user, password = sys.argv[1:6]

class Handler:
    seen = {}
    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        what = address.split('@')[0].split('.')[0]
        self.seen[address] = self.seen.get(address, 0) + 1
        if what == 'later' and self.seen[address] == 1:
            return '451 4.7.1 Greylisted, please try again'
        if what == 'never':
            return '550 5.1.1 No such mailbox here'
        if what == 'hangs' or what == 'stalls' and self.seen[address] == 1:
            await asyncio.sleep(3600)
        envelope.rcpt_tos.append(address)
        return '250 OK'

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = lambda kind: mail.get_body((kind,)).get_content().replace('\r\n', '\n')
        told = {
            'from': envelope.mail_from, 'to': envelope.rcpt_tos,
            'tls': mode == 'tls' or bool(session.ssl), 'user': session.auth_data,
            'headers': [[name, str(value)] for name, value in mail.items()],
            'defects': [str(defect) for defect in mail.defects],
            'text': body('plain'), 'html': body('html'),
            'raw': envelope.content.decode('ascii'),
        }
        Handler.count += 1
        path = os.path.join(folder, '%05d.json' % Handler.count)
        with open(path + '.part', 'w') as file:
            json.dump(told, file)
        os.rename(path + '.part', path)
        address = envelope.rcpt_tos[0]
        if address.startswith('lost') and self.seen[address] == 1:
            server.transport.abort()
        return '250 OK'

def authenticate(server, session, envelope, mechanism, data):
    good = data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=good, auth_data=user if good else None, handled=False)

def protocol(tls):
    if mode == 'plain':
        return SMTP(Handler(), hostname='localhost')
    if mode == 'tls':
        return SMTP(Handler(), hostname='localhost', auth_required=True, auth_require_tls=False,
                    authenticator=authenticate)
    return SMTP(Handler(), hostname='localhost', tls_context=tls, require_starttls=True,
                auth_required=True, authenticator=authenticate)

async def serve():
    tls = None
    if mode != 'plain':
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(os.path.join(folder, 'cert.pem'), os.path.join(folder, 'key.pem'))
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(tls), '127.0.0.1', int(port), ssl=tls if mode == 'tls' else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(serve())
";

/// A mail as it arrived.
#[derive(Debug, Clone, Deserialize)]
pub struct Letter {
    pub from: String,
    pub to: Vec<String>,
    pub tls: bool,
    pub user: Option<String>,
    headers: Vec<(String, String)>,
    pub defects: Vec<String>,
    pub text: String,
    pub html: String,
    pub raw: String,
}

impl Letter {
    /// A header that is there once.
    pub fn header(&self, name: &str) -> &str {
        let found: Vec<&str> = self
            .headers
            .iter()
            .filter(|(one, _)| one.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        let [only] = found[..] else {
            panic!("{name}: {found:?} in {:#?}", self.headers);
        };
        only
    }
}

/// A running server; ends when dropped.
pub struct Smtp {
    server: Child,
    pub port: u16,
    security: Security,
    folder: tempfile::TempDir,
    authority: Option<String>,
}

impl Smtp {
    /// One without TLS.
    pub fn plain() -> Self {
        Self::start(Security::Plain)
    }

    /// One that has to be logged in to.
    pub fn start(security: Security) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = (security != Security::Plain).then(|| {
            let (authority, certificate, key) = certificate();
            std::fs::write(folder.path().join("cert.pem"), certificate).unwrap();
            std::fs::write(folder.path().join("key.pem"), key).unwrap();
            std::fs::write(folder.path().join("ca.pem"), &authority).unwrap();
            authority
        });
        let mode = match security {
            Security::Plain => "plain",
            Security::Tls => "tls",
            Security::StartTls => "starttls",
        };
        // Not whichever Python is first: Debian's has the package.
        let mut server = Command::new("/usr/bin/python3")
            .args(["-c", SERVER, mode])
            .arg(folder.path())
            .args(["0", LOGIN.0, LOGIN.1])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("/usr/bin/python3 with aiosmtpd: apt-get install python3-aiosmtpd");
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line
            .trim()
            .parse()
            .expect("aiosmtpd starts: apt-get install python3-aiosmtpd");
        Self {
            server,
            port,
            security,
            folder,
            authority,
        }
    }

    /// How the bot reaches it.
    pub fn config(&self) -> SmtpConfig {
        SmtpConfig {
            host: "localhost".into(),
            port: self.port,
            security: self.security,
            login: (self.security != Security::Plain)
                .then(|| (LOGIN.0.to_owned(), SecretString::from(LOGIN.1))),
            from: Mailbox::parse("Treasury Bot <bot@ops.example.com>").unwrap(),
            reply_to: None,
            extra_roots_pem: self.authority.clone().map(String::into_bytes),
            timeout: Duration::from_secs(2),
        }
    }

    /// The file with its certificate authority.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// All mails so far, in the order of their arrival.
    pub fn letters(&self) -> Vec<Letter> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .collect();
        files.sort();
        files
            .into_iter()
            .map(|file| serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap())
            .collect()
    }

    /// Waits for a mail to somebody that says these words.
    pub async fn letter(&self, to: &str, words: &str) -> Letter {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all = self.letters();
            let fits = |one: &&Letter| one.to.iter().any(|a| a == to) && one.text.contains(words);
            if let Some(found) = all.iter().find(fits) {
                return found.clone();
            }
            assert!(
                Instant::now() < deadline,
                "no mail to {to} with “{words}”, only: {:#?}",
                all.iter()
                    .map(|one| (&one.to, &one.text))
                    .collect::<Vec<_>>()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// An authority of our own, and a certificate for `localhost` by it with its key; PEM.
fn certificate() -> (String, String, String) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.distinguished_name
        .push(DnType::CommonName, "Post Office Root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let authority = root.self_signed(&root_key).unwrap().pem();
    let issuer = Issuer::new(root, root_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = leaf.signed_by(&key, &issuer).unwrap().pem();
    (authority, certificate, key.serialize_pem())
}
