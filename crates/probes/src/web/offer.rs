//! What a server offers that the bot can't speak: rustls and ring leave out what visitors' programs
//! may still know. A greeting that offers all of it is answered in the clear with what the server
//! chooses; the bot reads that and hangs up.

use std::io;
use std::net::SocketAddr;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CipherSuite, Error, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::answer::Certificate;
use super::attempt::Problem;
use super::certificate::{curve_bits, parsed};
use super::trust::Roots;

/// So much of an answer is read, bytes: a chain of certificates is smaller.
const MAX_ANSWER: usize = 128 * 1024;
/// The size of its coordinates in whole bytes.
const P521_BITS: usize = 528;

/// What it would speak with others.
pub(super) struct Offer {
    version: ProtocolVersion,
    suite: CipherSuite,
    /// The bot knows both of these.
    known: bool,
    /// Its key is on P-521.
    p521: bool,
    /// What it shows, judged; it was not proved that it owns the key.
    pub(super) certificate: Option<Certificate>,
}

impl Offer {
    /// Whether this is why the bot's own greeting came to nothing.
    pub(super) fn explains(&self, error: &io::Error) -> bool {
        let error = error.get_ref().and_then(|inner| inner.downcast_ref());
        !self.known
            || matches!(
                error,
                Some(
                    Error::AlertReceived(
                        AlertDescription::HandshakeFailure
                            | AlertDescription::InsufficientSecurity
                            | AlertDescription::IllegalParameter
                    ) | Error::PeerIncompatible(_)
                )
            )
    }

    /// In words for people.
    pub(super) fn problem(&self) -> Problem {
        let what = match (self.known, self.p521) {
            (true, true) => "a P-521 key".to_owned(),
            (true, false) => "a key or a curve that the bot doesn't know".to_owned(),
            (false, _) => manner(self.suite),
        };
        let version = version(self.version).replace("TLSv", "TLS ");
        let whom = match self.version {
            ProtocolVersion::TLSv1_0 | ProtocolVersion::TLSv1_1 => {
                "visitors' old programs may, today's browsers refuse it"
            }
            _ => "visitors' programs may",
        };
        Problem::ours(format!(
            "the bot can't speak what this server offers ({version} with {what}); {whom}. Whether it is up \
             is not known"
        ))
    }
}

/// What is peculiar of a cipher suite that rustls leaves out.
fn manner(suite: CipherSuite) -> String {
    match u16::from(suite) {
        0x000a | 0xc012 => "3DES".to_owned(),
        0x0033 | 0x0039 | 0x0067 | 0x006b | 0x009e | 0x009f | 0xccaa => {
            "DHE key exchange".to_owned()
        }
        0x002f | 0x0035 | 0x003c | 0x003d | 0x009c | 0x009d | 0xc09c | 0xc09d => {
            "RSA key exchange".to_owned()
        }
        0xc009 | 0xc00a | 0xc013 | 0xc014 | 0xc023 | 0xc024 | 0xc027 | 0xc028 => "CBC".to_owned(),
        0x1304 | 0x1305 | 0xc0ac | 0xc0ad => "CCM".to_owned(),
        other => format!("cipher suite {other:#06x}"),
    }
}

/// `TLSv1.2`.
pub(super) fn version(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_0 => "TLSv1.0".to_owned(),
        ProtocolVersion::TLSv1_1 => "TLSv1.1".to_owned(),
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Asks the server; `None` when it has no answer to this greeting either.
pub(super) async fn of(peer: SocketAddr, name: &ServerName<'_>, roots: &Roots) -> Option<Offer> {
    // Up to TLS 1.2 the certificate comes in the clear.
    for newest in [0x0303, 0x0304] {
        if let Some(answer) = ask(peer, &greeting(name, newest)).await {
            let suites = &roots.provider.cipher_suites;
            let known = suites.iter().any(|one| one.suite() == answer.suite)
                && matches!(
                    answer.version,
                    ProtocolVersion::TLSv1_2 | ProtocolVersion::TLSv1_3
                );
            let mut certificate = roots.read(&answer.chain, name, Timestamp::now());
            if let Some(certificate) = &mut certificate {
                certificate.tls_version = version(answer.version);
                certificate.cipher = if known {
                    format!("{:?}", answer.suite)
                } else {
                    manner(answer.suite)
                };
            }
            let leaf = answer.chain.first().and_then(|der| parsed(der));
            return Some(Offer {
                version: answer.version,
                suite: answer.suite,
                known,
                p521: leaf.and_then(|leaf| curve_bits(&leaf)) == Some(P521_BITS),
                certificate,
            });
        }
    }
    None
}

/// What the server chose.
struct Answer {
    version: ProtocolVersion,
    suite: CipherSuite,
    chain: Vec<CertificateDer<'static>>,
}

/// What is offered, by number: forward secret first, then what is older (IANA's TLS Cipher Suites).
const SUITES: [u16; 39] = [
    0x1301, 0x1302, 0x1303, 0x1304, 0x1305, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9, 0xc023,
    0xc024, 0xc027, 0xc028, 0xc009, 0xc00a, 0xc013, 0xc014, 0xc0ac, 0xc0ad, 0xccaa, 0x009e, 0x009f,
    0x0067, 0x006b, 0x0033, 0x0039, 0x009c, 0x009d, 0x003c, 0x003d, 0x002f, 0x0035, 0xc09c, 0xc09d,
    0xc012, 0x000a, 0x00ff,
];
/// Curves and groups: X25519, P-256, P-384, P-521, X448, Brainpool, finite fields.
const GROUPS: [u16; 10] = [29, 23, 24, 25, 30, 26, 27, 28, 256, 257];
/// Kinds of signatures: ECDSA, EdDSA, RSA-PSS, RSA, with SHA-1 as well.
const SIGNATURES: [u16; 17] = [
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0401,
    0x0501, 0x0601, 0x0303, 0x0203, 0x0201,
];

/// A ClientHello (RFC 5246, 7.4.1.2; RFC 8446, 4.1.2) that offers all up to this version. For TLS 1.3
/// it brings no key, so that the server has to ask for one by name.
fn greeting(name: &ServerName<'_>, newest: u16) -> Vec<u8> {
    let numbers =
        |numbers: &[u16]| -> Vec<u8> { numbers.iter().flat_map(|one| one.to_be_bytes()).collect() };
    let mut extensions = Vec::new();
    let mut extension = |kind: u16, body: Vec<u8>| {
        extensions.extend(kind.to_be_bytes());
        extensions.extend(sized::<2>(body));
    };
    if let ServerName::DnsName(name) = name {
        let entry = [vec![0], sized::<2>(name.as_ref().as_bytes().to_vec())].concat();
        extension(0, sized::<2>(entry));
    }
    extension(10, sized::<2>(numbers(&GROUPS)));
    extension(11, sized::<1>(vec![0]));
    extension(13, sized::<2>(numbers(&SIGNATURES)));
    if newest == 0x0304 {
        extension(43, sized::<1>(numbers(&[newest])));
        extension(51, sized::<2>(Vec::new()));
    }
    // Nothing is ever encrypted with it: these 32 bytes need not be random.
    let hello = [
        vec![3, 3],
        b"treasury-bot asks what is spoken".to_vec(),
        vec![0],
        sized::<2>(numbers(&SUITES)),
        sized::<1>(vec![0]),
        sized::<2>(extensions),
    ];
    let message = [vec![1], sized::<3>(hello.concat())].concat();
    [vec![22, 3, 1], sized::<2>(message)].concat()
}

/// A length of so many bytes before a body.
fn sized<const N: usize>(body: Vec<u8>) -> Vec<u8> {
    let length = body.len().to_be_bytes();
    [length[length.len() - N..].to_vec(), body].concat()
}

/// Greets, and reads records until the certificates have come, or as far as it goes.
async fn ask(peer: SocketAddr, greeting: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(peer).await.ok()?;
    stream.write_all(greeting).await.ok()?;
    let mut said = Vec::new();
    let mut answer = None;
    while said.len() < MAX_ANSWER {
        let mut header = [0; 5];
        if stream.read_exact(&mut header).await.is_err() {
            break;
        }
        let mut record = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        // Only messages of the handshake are in the clear; an alert ends it.
        if header[0] != 22 || stream.read_exact(&mut record).await.is_err() {
            break;
        }
        said.extend(record);
        answer = read(&said);
        let over = |answer: &Answer| {
            !answer.chain.is_empty() || answer.version == ProtocolVersion::TLSv1_3
        };
        if answer.as_ref().is_some_and(over) {
            break;
        }
    }
    answer
}

/// Reads ServerHello and Certificate out of the messages so far; `None` before the first is whole.
fn read(said: &[u8]) -> Option<Answer> {
    let mut rest = Bytes(said);
    if rest.number(1)? != 2 {
        return None;
    }
    let mut hello = rest.sized(3)?;
    let mut version = hello.number(2)?;
    hello.bytes(32)?;
    hello.sized(1)?;
    let suite = hello.number(2)?;
    hello.number(1)?;
    let mut extensions = hello.sized(2).unwrap_or(Bytes(&[]));
    while let Some(kind) = extensions.number(2) {
        let mut body = extensions.sized(2)?;
        if kind == 43 {
            version = body.number(2)?;
        }
    }
    let mut chain = Vec::new();
    while let Some(kind) = rest.number(1) {
        let Some(mut message) = rest.sized(3) else {
            break;
        };
        if kind == 11 {
            let mut list = message.sized(3)?;
            while let Some(der) = list.sized(3) {
                chain.push(CertificateDer::from(der.0.to_vec()));
            }
        }
    }
    Some(Answer {
        version: ProtocolVersion::from(u16::try_from(version).ok()?),
        suite: CipherSuite::from(u16::try_from(suite).ok()?),
        chain,
    })
}

/// Bytes that are taken from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes.
    fn number(&mut self, bytes: usize) -> Option<usize> {
        let taken = self.bytes(bytes)?.iter();
        Some(taken.fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// What stands behind a length of so many bytes.
    fn sized(&mut self, bytes: usize) -> Option<Self> {
        let length = self.number(bytes)?;
        self.bytes(length).map(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_anywhere_is_no_answer_and_no_panic() {
        let hello = [
            vec![3, 3],
            vec![7; 32],
            sized::<1>(vec![]),
            vec![0, 0x9d, 0],
            sized::<2>(vec![]),
        ];
        let certificates = sized::<3>(sized::<3>(vec![1, 2, 3]));
        let said = [
            vec![2],
            sized::<3>(hello.concat()),
            vec![11],
            sized::<3>(certificates),
        ]
        .concat();
        let whole = read(&said).unwrap();
        assert_eq!(whole.version, ProtocolVersion::TLSv1_2);
        assert_eq!(manner(whole.suite), "RSA key exchange");
        assert_eq!(whole.chain[0].as_ref(), [1, 2, 3]);
        for end in 0..said.len() {
            let part = read(&said[..end]);
            assert!(part.is_none_or(|part| part.chain.is_empty()), "{end}");
        }
    }
}
