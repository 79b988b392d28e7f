//! Backups go to a real S3 emulator and come back.

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use treasury_backup::destination::Destination;

use super::s3::{Line, S3};

/// Bytes that differ from place to place.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

async fn put(to: &Destination, name: &str, bytes: &[u8]) -> Result<u64, String> {
    let upload = to.put(name, bytes.len() as u64).await;
    let mut upload = upload.map_err(|fault| fault.to_string())?;
    let written = upload.write_all(bytes).await;
    written.map_err(|error| error.to_string())?;
    upload.finish().await.map_err(|fault| fault.to_string())
}

async fn names(of: &Destination) -> Vec<String> {
    let all = of.list().await.unwrap();
    all.into_iter().map(|one| one.name).collect()
}

/// Everything that was begun is older.
fn later() -> Timestamp {
    Timestamp::now() + jiff::SignedDuration::from_secs(60)
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_backup_of_several_parts_goes_there_and_back_and_is_seen_only_when_it_is_whole() {
    let s3 = S3::start();
    let there = s3.destination();
    assert_eq!(names(&there).await, [""; 0]);

    let long = bytes(20_000_000);
    let mut upload = there.put("20261130_020000/dump.age", 0).await.unwrap();
    upload.write_all(&long).await.unwrap();
    assert_eq!(names(&there).await, [""; 0], "it isn't finished");
    assert_eq!(upload.finish().await.unwrap(), 20_000_000);
    // One of exactly a part, one that is shorter, and an empty one.
    for (name, length) in [("exact", 8 * 1024 * 1024), ("short", 5), ("empty", 0)] {
        assert_eq!(put(&there, name, &bytes(length)).await, Ok(length as u64));
    }

    let all = there.list().await.unwrap();
    let all: Vec<_> = all
        .iter()
        .map(|one| (one.name.as_str(), one.bytes))
        .collect();
    assert_eq!(
        all,
        [
            ("20261130_020000/dump.age", 20_000_000),
            ("empty", 0),
            ("exact", 8 * 1024 * 1024),
            ("short", 5),
        ]
    );
    let mut back = Vec::new();
    let mut reader = there.get("20261130_020000/dump.age").await.unwrap();
    reader.read_to_end(&mut back).await.unwrap();
    assert!(back == long, "what comes back is what went there");

    let again = put(&there, "short", b"other").await.unwrap_err();
    assert_eq!(
        again,
        "there is a s3://backups/team/a/short already, which is not written over"
    );
    there.delete("short").await.unwrap();
    there.delete("short").await.unwrap();
    assert_eq!(
        names(&there).await,
        ["20261130_020000/dump.age", "empty", "exact"]
    );
    let gone = there.get("short").await.err().unwrap().to_string();
    assert_eq!(
        gone,
        "s3://backups/team/a/short: it is not there (any more) (NoSuchKey)"
    );

    // Who looks under another prefix sees none of it.
    let mut other = s3.settings();
    other.prefix = "team/b".to_owned();
    assert_eq!(names(&Destination::bucket(&other).unwrap()).await, [""; 0]);
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_refusal_says_what_would_help_and_tells_no_key() {
    let s3 = S3::start();
    let with = |change: &dyn Fn(&mut treasury_backup::destination::Bucket)| {
        let mut settings = s3.settings();
        change(&mut settings);
        let there = Destination::bucket(&settings).unwrap();
        let shown = format!("{there} {there:?} {settings:?}");
        assert!(!shown.contains(&s3.secret), "{shown}");
        there
    };
    let said = async |there: Destination| {
        let said = there.put("a", 0).await.unwrap_err().to_string();
        let listed = there.list().await.unwrap_err().to_string();
        assert_eq!(said, listed);
        let tidied = there.tidy(later()).await.unwrap_err().to_string();
        assert!(
            !format!("{said} {tidied}").contains(&s3.access),
            "{said} {tidied}"
        );
        (said, tidied)
    };

    let wrong = with(&|settings| settings.keys.secret = "x".repeat(40).into());
    let words = "s3://backups/team/a: the signature is refused: the secret key does not fit the access \
                 key, or the region is wrong (SignatureDoesNotMatch)";
    assert_eq!(said(wrong).await, (words.to_owned(), words.to_owned()));

    let unknown = with(&|settings| settings.keys.access = "AKIANOBODY".to_owned());
    let words = "s3://backups/team/a: the access key is not known there; correct it, or make a new one \
                 (InvalidAccessKeyId)";
    assert_eq!(said(unknown).await.0, words);

    let nowhere = with(&|settings| settings.bucket = "nowhere".to_owned());
    let words =
        "s3://nowhere/team/a: there is no bucket `nowhere` there; make it, or correct its name";
    assert_eq!(said(nowhere).await.0, words);

    let others = with(&|settings| settings.bucket = "others".to_owned());
    let words = "s3://others/team/a: the keys may not do that; they need s3:ListBucket, \
                 s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, s3:AbortMultipartUpload and \
                 s3:DeleteObject there (AccessDenied)";
    assert_eq!(said(others).await.0, words);
}

#[tokio::test]
#[ignore = "needs moto"]
async fn a_line_that_is_cut_in_the_middle_leaves_nothing_that_is_listed_and_its_parts_are_tidied() {
    let s3 = S3::start();
    // Through the questions, the first part, and half of the second.
    let line = Line::to(s3.port, 12_000_000).await;
    let mut settings = s3.settings();
    settings.endpoint = Some(format!("http://127.0.0.1:{}", line.port).parse().unwrap());
    let cut = Destination::bucket(&settings).unwrap();
    let said = put(&cut, "long", &bytes(40_000_000)).await.unwrap_err();
    assert!(
        said.starts_with("s3://backups/team/a/long: it can't be reached, or broke off ("),
        "{said}"
    );

    let there = s3.destination();
    assert_eq!(names(&there).await, [""; 0]);
    // Nothing could be taken back over that line. What is younger may still be on its way; moto says of
    // every upload that it was begun on 10 November 2010.
    let before = "2010-11-10T20:00:00Z".parse().unwrap();
    assert_eq!(there.tidy(before).await.unwrap(), 0);
    assert_eq!(there.tidy(later()).await.unwrap(), 1);
    assert_eq!(there.tidy(later()).await.unwrap(), 0);
}

#[tokio::test]
#[ignore = "needs moto"]
async fn an_upload_that_is_given_up_takes_its_parts_back() {
    let s3 = S3::start();
    let there = s3.destination();
    let mut upload = there.put("long", 0).await.unwrap();
    upload.write_all(&bytes(20_000_000)).await.unwrap();
    upload.abort().await.unwrap();
    assert_eq!(there.tidy(later()).await.unwrap(), 0, "nothing was left");

    // Dropped, as when what writes into it fails.
    let mut upload = there.put("long", 0).await.unwrap();
    upload.write_all(&bytes(20_000_000)).await.unwrap();
    drop(upload);
    assert_eq!(names(&there).await, [""; 0]);
}
