//! Buckets of S3 and of Google Cloud Storage, for what is published. The clients are made for the first object of their kind.

use std::cell::OnceCell;
use std::sync::Arc;

use bulla_services::aws::S3;
use bulla_services::gcp::Gcp;
use bulla_services::{ServiceError, Surroundings};
use bulla_wipe::Wiping;

use super::{aws, gcp, random, runtime};
use crate::context::Context;
use crate::wait::block_on;

/// A bucket, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bucket {
    S3(String),
    Gcs(String),
}

/// The buckets of this command.
pub(crate) struct Buckets<'a> {
    cx: &'a Context,
    surroundings: Surroundings,
    s3: OnceCell<Result<Arc<S3>, ServiceError>>,
    gcs: OnceCell<Result<Arc<Gcp>, ServiceError>>,
}

impl<'a> Buckets<'a> {
    pub(crate) fn new(cx: &'a Context) -> Self {
        let surroundings = Surroundings::new(runtime, random(cx));
        Self { cx, surroundings, s3: OnceCell::new(), gcs: OnceCell::new() }
    }

    /// Puts `content` into `bucket` under `key`, in place of what is there.
    ///
    /// # Errors
    /// What the service says.
    pub(crate) fn put(&self, bucket: &Bucket, key: &str, content: Wiping<Vec<u8>>) -> Result<(), ServiceError> {
        let key = key.to_owned();
        match bucket {
            Bucket::S3(bucket) => {
                let s3 = self.s3.get_or_init(|| aws::s3(self.cx, self.surroundings.clone()).map(Arc::new)).clone()?;
                let bucket = bucket.clone();
                block_on(self.surroundings.carry_out(async move { s3.put(&bucket, &key, &content).await }))
            }
            Bucket::Gcs(bucket) => {
                let gcs = self.gcs.get_or_init(|| gcp::storage(self.cx, self.surroundings.clone()).map(Arc::new));
                let (gcs, bucket) = (gcs.clone()?, bucket.clone());
                block_on(self.surroundings.carry_out(async move { gcs.put(&bucket, &key, &content).await }))
            }
        }
    }
}
