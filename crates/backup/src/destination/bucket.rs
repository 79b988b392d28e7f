//! Backups in an S3-compatible store.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, Checksum};
use object_store::client::{HttpRequest, HttpRequestBody, HttpService};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, MultipartUpload, ObjectStore, ObjectStoreExt, RetryConfig,
};
use secrecy::ExposeSecret;
use tokio::io::AsyncRead;
use tokio::task::JoinSet;
use tokio_util::io::StreamReader;

use super::fault::{between, fault};
use super::upload::Parts;
use super::wire::Wire;
use super::{Bucket, Stored, Upload, check};
use crate::Fault;

/// The least that a part holds, but for the last; stores want 5 MiB.
const PART: u64 = 8 * 1024 * 1024;
/// S3 takes so many parts.
const MOST: usize = 10_000;
/// So many parts are on their way at once, while the next is filled.
const AT_ONCE: usize = 2;

/// One prefix of one bucket.
pub(super) struct Store {
    s3: AmazonS3,
    wire: Wire,
    bucket: String,
    prefix: String,
    region: String,
    /// Of the bucket, without `/` at its end.
    url: String,
}

impl Store {
    pub(super) fn new(settings: &Bucket) -> Result<Self, Fault> {
        let Bucket { bucket, prefix, .. } = settings;
        check(bucket)?;
        if !prefix.is_empty() {
            check(prefix)?;
        }
        let keys = &settings.keys;
        let secret = keys.secret.expose_secret();
        let session = keys.session.as_ref().map(ExposeSecret::expose_secret);
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if ![&keys.access, secret]
            .into_iter()
            .chain(session)
            .all(visible)
        {
            let what = "an access key, secret key or session token is empty or has a space in it";
            return Err(Fault::Refused(format!("s3://{bucket}: {what}")));
        }
        let region = settings.region.clone();
        let endpoint = match &settings.endpoint {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("https://s3.{region}.amazonaws.com"),
        };
        let wire = Wire::new();
        let mut s3 = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&region)
            .with_endpoint(&endpoint)
            .with_access_key_id(&keys.access)
            .with_secret_access_key(secret)
            .with_checksum_algorithm(Checksum::SHA256)
            // Not every store that speaks S3 removes several at once.
            .with_disable_bulk_delete(true)
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: 5,
                retry_timeout: Duration::from_secs(120),
            })
            .with_http_connector(wire.clone());
        if let Some(session) = session {
            s3 = s3.with_token(session);
        }
        let place = format!("s3://{bucket}");
        Ok(Self {
            s3: s3.build().map_err(|error| fault(&place, bucket, &error))?,
            wire,
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            region,
            url: format!("{endpoint}/{bucket}"),
        })
    }

    pub(super) async fn put(&self, name: &str, expected: u64) -> Result<Upload, Fault> {
        // So what is wrong is said before a long dump is taken, and nothing is written over.
        let key = self.key(name);
        let options = PaginatedListOptions {
            max_keys: Some(1),
            ..PaginatedListOptions::default()
        };
        let there = self.s3.list_paginated(Some(key.as_ref()), options).await;
        let there = there.map_err(|error| self.fault(&error))?.result.objects;
        if there.iter().any(|object| object.location == key) {
            let what = format!("there is a {self}/{name} already, which is not written over");
            return Err(Fault::Refused(what));
        }
        let part = (expected / (MOST as u64 / 2)).max(PART);
        Ok(Upload::begin(Parted {
            place: format!("{self}/{name}"),
            bucket: self.bucket.clone(),
            s3: self.s3.clone(),
            key,
            part: usize::try_from(part).unwrap_or(usize::MAX),
            count: 0,
            upload: None,
            running: JoinSet::new(),
        }))
    }

    pub(super) async fn get(&self, name: &str) -> Result<Box<dyn AsyncRead + Unpin + Send>, Fault> {
        let got = self.s3.get(&self.key(name)).await;
        let place = format!("{self}/{name}");
        let bucket = self.bucket.clone();
        let got = got.map_err(|error| fault(&place, &bucket, &error))?;
        let bytes = got
            .into_stream()
            .map_err(move |error| std::io::Error::other(fault(&place, &bucket, &error)));
        Ok(Box::new(StreamReader::new(bytes)))
    }

    pub(super) async fn list(&self) -> Result<Vec<Stored>, Fault> {
        let prefix = (!self.prefix.is_empty()).then(|| Path::from(self.prefix.as_str()));
        let mut objects = self.s3.list(prefix.as_ref());
        let mut all = Vec::new();
        while let Some(object) = objects.next().await {
            let object = object.map_err(|error| self.fault(&error))?;
            let key = object.location.as_ref();
            let name = match self.prefix.as_str() {
                "" => Some(key),
                prefix => key
                    .strip_prefix(prefix)
                    .and_then(|key| key.strip_prefix('/')),
            };
            let modified = Timestamp::from_second(object.last_modified.timestamp());
            // What others put there is no backup.
            if let (Some(name), Ok(modified)) = (name, modified)
                && check(name).is_ok()
            {
                all.push(Stored {
                    name: name.to_owned(),
                    bytes: object.size,
                    modified,
                });
            }
        }
        Ok(all)
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), Fault> {
        match self.s3.delete(&self.key(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.fault(&error)),
        }
    }

    /// Aborts uploads that were begun before this. The library can't list them, but sign the question:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>
    pub(super) async fn tidy(&self, before: Timestamp) -> Result<u64, Fault> {
        let mut aborted = 0;
        let mut from = String::new();
        loop {
            let page = self.unfinished(&from).await?;
            for upload in page.split("<Upload>").skip(1) {
                let field =
                    |name: &str| between(upload, &format!("<{name}>"), &format!("</{name}>"));
                let (Some(key), Some(id), Some(begun)) =
                    (field("Key"), field("UploadId"), field("Initiated"))
                else {
                    continue;
                };
                let name = key.strip_prefix(self.prefix.as_str());
                let ours = name.is_some_and(|name| check(name.trim_start_matches('/')).is_ok());
                if ours && begun.parse().is_ok_and(|begun: Timestamp| begun < before) {
                    let gone = self
                        .s3
                        .abort_multipart(&Path::from(key), &id.to_owned())
                        .await;
                    match gone {
                        Ok(()) => aborted += 1,
                        Err(object_store::Error::NotFound { .. }) => {}
                        Err(error) => return Err(self.fault(&error)),
                    }
                }
            }
            let marker = |name: &str| between(&page, &format!("<{name}>"), &format!("</{name}>"));
            let next = marker("NextKeyMarker").zip(marker("NextUploadIdMarker"));
            let (Some("true"), Some((key, id))) = (marker("IsTruncated"), next) else {
                return Ok(aborted);
            };
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query
                .append_pair("key-marker", key)
                .append_pair("upload-id-marker", id);
            let next = format!("&{}", query.finish());
            if next == from {
                return Ok(aborted);
            }
            from = next;
        }
    }

    /// A page of the list of uploads that nobody completed.
    async fn unfinished(&self, from: &str) -> Result<String, Fault> {
        let prefix: String = url::form_urlencoded::byte_serialize(self.prefix.as_bytes()).collect();
        let url = format!("{}?uploads=&prefix={prefix}{from}", self.url);
        let refused = |why: String| Fault::Refused(format!("{self}: {why}"));
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url
            .parse()
            .map_err(|_| refused(format!("{url} is no address")))?;
        let keys = self.s3.credentials().get_credential().await;
        let keys = keys.map_err(|error| self.fault(&error))?;
        AwsAuthorizer::new(&keys, "s3", &self.region)
            .try_authorize(&mut request, None)
            .map_err(|error| self.fault(&error))?;
        let answer = self.wire.call(request).await;
        let answer = answer.map_err(|error| self.fault(&error))?;
        let status = answer.status();
        let body = answer.into_body().bytes().await;
        let body = body.map_err(|error| self.fault(&error))?;
        let body = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() {
            return Ok(body);
        }
        Err(self.fault(&std::io::Error::other(body)))
    }

    fn key(&self, name: &str) -> Path {
        match self.prefix.as_str() {
            "" => Path::from(name),
            prefix => Path::from(format!("{prefix}/{name}")),
        }
    }

    fn fault(&self, error: &(dyn std::error::Error + 'static)) -> Fault {
        fault(&self.to_string(), &self.bucket, error)
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        match self.prefix.as_str() {
            "" => Ok(()),
            prefix => write!(f, "/{prefix}"),
        }
    }
}

/// An upload by parts; one that has only one part is put at once.
struct Parted {
    place: String,
    bucket: String,
    s3: AmazonS3,
    key: Path,
    part: usize,
    count: usize,
    upload: Option<Box<dyn MultipartUpload>>,
    running: JoinSet<object_store::Result<()>>,
}

impl Parted {
    fn fault(&self, error: &object_store::Error) -> Fault {
        fault(&self.place, &self.bucket, error)
    }

    /// Waits until at most so many parts are on their way.
    async fn wait(&mut self, most: usize) -> Result<(), Fault> {
        while self.running.len() > most
            && let Some(done) = self.running.join_next().await
        {
            let done = done.map_err(std::io::Error::other)?;
            done.map_err(|error| self.fault(&error))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Parts for Parted {
    fn bytes(&self) -> usize {
        self.part
    }

    async fn part(&mut self, part: Vec<u8>) -> Result<(), Fault> {
        self.count += 1;
        if self.count > MOST {
            let most = MOST * self.part / 1_000_000_000;
            let what = format!(
                "{}: it is longer than {most} GB, far more than expected",
                self.place
            );
            return Err(Fault::Refused(what));
        }
        if self.upload.is_none() {
            if part.len() < self.part {
                let put = self.s3.put(&self.key, part.into()).await;
                return put.map(drop).map_err(|error| self.fault(&error));
            }
            let begun = self.s3.put_multipart(&self.key).await;
            self.upload = Some(begun.map_err(|error| self.fault(&error))?);
        }
        if let Some(upload) = self.upload.as_mut().filter(|_| !part.is_empty()) {
            self.running.spawn(upload.put_part(part.into()));
        }
        self.wait(AT_ONCE - 1).await
    }

    async fn complete(&mut self) -> Result<(), Fault> {
        self.wait(0).await?;
        if let Some(upload) = &mut self.upload {
            let done = upload.complete().await;
            done.map_err(|error| self.fault(&error))?;
        }
        Ok(())
    }

    async fn abort(&mut self) -> Result<(), Fault> {
        // A part that arrives after it would stay.
        self.running.shutdown().await;
        if let Some(mut upload) = self.upload.take() {
            match upload.abort().await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.fault(&error)),
            }
        }
        Ok(())
    }
}
