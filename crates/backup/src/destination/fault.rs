//! What an S3 store's refusal means, and what would help.

use std::error::Error;

use object_store::Error as StoreError;

use crate::Fault;

/// Puts it into words. Nothing of the answer is repeated but its code and sentence: others of its lines hold
/// the access key and what was signed.
pub(super) fn fault(place: &str, bucket: &str, error: &(dyn Error + 'static)) -> Fault {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    let body = causes.find_map(|cause| {
        let text = cause.to_string();
        let code = between(&text, "<Code>", "</Code>")?.to_owned();
        let said = between(&text, "<Message>", "</Message>").unwrap_or_default();
        Some((code, said.to_owned()))
    });
    let why = match &body {
        Some((code, said)) => meaning(code, said, bucket),
        None => bodiless(error),
    };
    Fault::Refused(format!("{place}: {why}"))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList>
fn meaning(code: &str, said: &str, bucket: &str) -> String {
    let what = match code {
        "NoSuchBucket" => {
            return format!("there is no bucket `{bucket}` there; make it, or correct its name");
        }
        "NoSuchKey" => "it is not there (any more)",
        "SignatureDoesNotMatch" => {
            "the signature is refused: the secret key does not fit the access key, or the region is wrong"
        }
        "InvalidAccessKeyId" => "the access key is not known there; correct it, or make a new one",
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
            "the session's token is over or wrong; get new keys"
        }
        "RequestTimeTooSkewed" | "RequestExpired" => {
            "the clocks differ by more than 15 minutes; set this machine's"
        }
        "AccessDenied" | "AllAccessDisabled" => {
            "the keys may not do that; they need s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, \
             s3:PutObject, s3:AbortMultipartUpload and s3:DeleteObject there"
        }
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "IllegalLocationConstraintException" => {
            "the bucket is in another region; correct `region`"
        }
        "BadDigest" | "XAmzContentChecksumMismatch" | "XAmzContentSHA256Mismatch" => {
            "what arrived is not what was sent (the checksum differs)"
        }
        "EntityTooLarge" => "it is too large there",
        "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" => {
            "there is no room left; free some, or keep fewer backups"
        }
        "SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout" => {
            "it is overloaded or ill; try again later"
        }
        _ => {
            let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
            return format!("it answered {code}: {said}");
        }
    };
    format!("{what} ({code})")
}

/// An answer to HEAD has no body, and no answer has none.
fn bodiless(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref() {
        Some(StoreError::NotFound { .. }) => "it is not there (any more)".to_owned(),
        Some(StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }) => {
            "the keys may not do that, or are wrong".to_owned()
        }
        _ => {
            let last = std::iter::successors(Some(error), |&error| error.source()).last();
            let last = last.unwrap_or(error).to_string();
            let said: String = last.chars().filter(|c| !c.is_control()).take(200).collect();
            format!("it can't be reached, or broke off ({said})")
        }
    }
}

pub(super) fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(open)?;
    Some(rest.split_once(close)?.0)
}
