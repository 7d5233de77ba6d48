//! Errors about what is put into a bucket.

use bulla_services::ServiceError;

use super::CommandError;
use crate::exit::Exit;
use crate::services::Bucket;

impl CommandError {
    /// Why an object is not in `bucket`.
    pub(crate) fn of_bucket(error: ServiceError, bucket: &Bucket) -> Self {
        let hint = hint(&error, bucket);
        let tried = match &error {
            ServiceError::NoCredentials { tried, .. } => tried.clone(),
            _ => Vec::new(),
        };
        let failed = tried.iter().fold(Self::new(Exit::Failed, error), |error, tried| error.detail(tried.to_string()));
        hint.into_iter().fold(failed, Self::hint)
    }
}

fn hint(error: &ServiceError, bucket: &Bucket) -> Option<String> {
    let is_s3 = matches!(bucket, Bucket::S3(_));
    let by_kind = |s3: &str, gcs: &str| Some(if is_s3 { s3 } else { gcs }.to_owned());
    match error {
        ServiceError::Denied { grant, .. } => {
            Some(format!("{}{grant}", if is_s3 { "this policy allows it: " } else { "this allows it: " }))
        }
        ServiceError::NoCredentials { .. } => by_kind(
            "`aws sso login` or `aws configure` leaves some; AWS_PROFILE names a profile that has them",
            "`gcloud auth application-default login` leaves some; GOOGLE_APPLICATION_CREDENTIALS names a file with others",
        ),
        ServiceError::Rejected { .. } => by_kind(
            "they may have expired: `aws sso login` again; `aws sts get-caller-identity` says whether they are good",
            "they may have expired: `gcloud auth application-default login` again; a token is good for an hour",
        ),
        ServiceError::NoBucket { .. } => by_kind(
            "`aws s3 ls` lists the buckets of the account; `s3_bucket` in the configuration names this one",
            "`gcloud storage ls` lists the buckets of the project; `gcs_bucket` in the configuration names this one",
        ),
        ServiceError::Unreachable { .. } => by_kind(
            "see whether AWS_REGION and AWS_ENDPOINT_URL_S3 are right; behind a proxy, HTTPS_PROXY counts",
            "behind a proxy, HTTPS_PROXY counts; STORAGE_EMULATOR_HOST leads away from Google",
        ),
        _ => None,
    }
}
