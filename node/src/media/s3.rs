//! Blobs in a bucket of anything that speaks the S3 protocol: for clusters.
//!
//! Requests are signed in their URL (`rusty-s3` makes the signature, our own client carries the bytes).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, StatusCode};
use rusty_s3::{Bucket, BucketError, Credentials, S3Action, UrlStyle};
use tokio::fs::File;

use super::blobs::{BlobError, BlobKey, BlobStore, Pieces};
use super::http::{Body, HttpClient, nothing, piece, streamed, text};
use super::spool::pieces;

/// For how long a signature is good.
const SIGNED: Duration = Duration::from_secs(900);
/// Tries of a request that failed in a way that may pass.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// A bucket.
#[derive(Clone)]
pub struct S3Options {
    /// `https://host[:port]`, or `http://…` within a trusted network.
    pub endpoint: String,
    /// Name of the bucket.
    pub bucket: String,
    /// Its region; many servers take any.
    pub region: String,
    /// Access key.
    pub access_key: String,
    /// Secret key. Never print it.
    pub secret_key: String,
}

impl std::fmt::Debug for S3Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let S3Options { endpoint, bucket, region, .. } = self;
        write!(f, "S3Options({bucket} at {endpoint} in {region})")
    }
}

/// Why there can be no such store.
#[derive(Debug, thiserror::Error)]
pub enum S3OptionsError {
    /// Not a URL.
    #[error("{0:?} is not the URL of an S3 endpoint")]
    Endpoint(String),
    /// A URL that no bucket can be at.
    #[error("there can be no bucket there")]
    Bucket(#[from] BucketError),
}

/// The bucket as a store.
pub struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    http: Arc<HttpClient>,
}

/// The server's answer does not say that it was done.
#[derive(Debug, thiserror::Error)]
#[error("S3 answered {status}: {said}")]
struct Unwilling {
    status: StatusCode,
    said: String,
}

impl S3 {
    /// A store in this bucket, which must exist. Buckets are named in the path, which all servers understand.
    pub fn new(options: S3Options, http: Arc<HttpClient>) -> Result<S3, S3OptionsError> {
        let endpoint = options.endpoint.parse().map_err(|_| S3OptionsError::Endpoint(options.endpoint))?;
        let bucket = Bucket::new(endpoint, UrlStyle::Path, options.bucket, options.region)?;
        Ok(S3 { bucket, credentials: Credentials::new(options.access_key, options.secret_key), http })
    }

    /// Sends a request until it was answered with something that does not pass by itself.
    async fn send(
        &self,
        method: Method,
        url: &str,
        file: Option<&Path>,
    ) -> Result<http::Response<hyper::body::Incoming>, BlobError> {
        let mut attempt = 1;
        loop {
            let request = request(method.clone(), url, file).await.map_err(BlobError::unavailable)?;
            let failed: Box<dyn std::error::Error + Send + Sync> = match self.http.send(request).await {
                Ok(answer) if !answer.status().is_server_error() => return Ok(answer),
                Ok(answer) => Box::new(unwilling(answer).await),
                Err(error) => Box::new(error),
            };
            if attempt == TRIES {
                return Err(BlobError::Unavailable(failed));
            }
            tokio::time::sleep(PAUSE * attempt).await;
            attempt += 1;
        }
    }
}

async fn request(method: Method, url: &str, file: Option<&Path>) -> std::io::Result<Request<Body>> {
    let request = Request::builder().method(method).uri(url);
    let request = match file {
        None => request.body(nothing()),
        Some(path) => {
            let file = File::open(path).await?;
            let length = file.metadata().await?.len();
            request.header(CONTENT_LENGTH, length).body(streamed(pieces(file)))
        }
    };
    request.map_err(std::io::Error::other)
}

async fn unwilling(answer: http::Response<hyper::body::Incoming>) -> Unwilling {
    let status = answer.status();
    let said = text(answer.into_body()).await.unwrap_or_default();
    Unwilling { status, said: String::from_utf8_lossy(&said).chars().take(300).collect() }
}

#[async_trait]
impl BlobStore for S3 {
    async fn put(&self, key: &BlobKey, path: &Path) -> Result<(), BlobError> {
        let url = self.bucket.put_object(Some(&self.credentials), &key.to_string()).sign(SIGNED);
        let answer = self.send(Method::PUT, url.as_str(), Some(path)).await?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(BlobError::unavailable(unwilling(answer).await))
    }

    async fn get(&self, key: &BlobKey) -> Result<Pieces, BlobError> {
        let url = self.bucket.get_object(Some(&self.credentials), &key.to_string()).sign(SIGNED);
        let answer = self.send(Method::GET, url.as_str(), None).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(BlobError::Missing(key.clone())),
            _ => return Err(BlobError::unavailable(unwilling(answer).await)),
        }
        let pieces = futures_util::stream::try_unfold(answer.into_body(), |mut body| async move {
            let next = piece(&mut body).await.map_err(std::io::Error::other)?;
            Ok(next.map(|piece| (piece, body)))
        });
        Ok(Box::pin(pieces))
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        let url = self.bucket.delete_object(Some(&self.credentials), &key.to_string()).sign(SIGNED);
        let answer = self.send(Method::DELETE, url.as_str(), None).await?;
        match answer.status() {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            _ => Err(BlobError::unavailable(unwilling(answer).await)),
        }
    }
}
