//! Cloud Storage: one object is put into a bucket.
//!
//! ```text
//! POST https://storage.googleapis.com/upload/storage/v1/b/BUCKET/o?uploadType=multipart&name=NAME     needs `storage.objects.create`
//!   application/json           {"bucket", "name", "crc32c"}
//!   text/plain; charset=utf-8  the file
//! ```
//! As the client for Go has it, which sops uses: the same two parts, the same type. One that is there is replaced, for which the service
//! asks for `storage.objects.delete`, too.

use std::fmt::Write as _;

use bulla_crypto::encoding;
use bulla_wipe::Wiping;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::json;

use super::{Asked, Gcp};
use crate::ServiceError;
use crate::checksum::crc32c;
use crate::rest::{Question, escape};

impl Gcp {
    /// Puts `content` into `bucket` as `name`, in place of what is there.
    ///
    /// # Errors
    /// What the last answer means.
    pub async fn put(&self, bucket: &str, name: &str, content: &[u8]) -> Result<(), ServiceError> {
        let path = format!(
            "/upload/storage/v1/b/{}/o?alt=json&name={}&prettyPrint=false&projection=full&uploadType=multipart",
            escape(bucket),
            escape(name)
        );
        let (boundary, body) = parts(bucket, name, content, || self.rest.random());
        let header = HeaderValue::try_from(format!("multipart/related; boundary={boundary}"));
        let header = header.map_err(|error| ServiceError::Settings(error.to_string()))?;
        let question = Question::send(&self.service, Method::POST, self.uri(&path)?, body).with(CONTENT_TYPE, header);
        let resource = format!("gs://{bucket}/{name}");
        let asked =
            Asked { permission: "storage.objects.create", role: "roles/storage.objectCreator", resource: &resource };
        self.ask(&asked, question).await.map(drop)
    }
}

/// Both parts, and what stands between them and nowhere else.
fn parts(bucket: &str, name: &str, content: &[u8], random: impl Fn() -> u32) -> (String, Wiping<Vec<u8>>) {
    let checksum = encoding::encode(&crc32c(content).to_be_bytes());
    let about = json!({"bucket": bucket, "crc32c": checksum, "name": name}).to_string();
    let mut boundary = "bulla".to_owned();
    while boundary.len() < 16 || is_in(content, &boundary) || about.contains(&boundary) {
        let _ = write!(boundary, "-{:08x}", random());
    }
    let mut body = Wiping::<Vec<u8>>::default();
    for (kind, part) in [("application/json", about.as_bytes()), (kind_of(content), content)] {
        body.append(format!("--{boundary}\r\nContent-Type: {kind}\r\n\r\n").as_bytes());
        body.append(part);
        body.append(b"\r\n");
    }
    body.append(format!("--{boundary}--\r\n").as_bytes());
    (boundary, body)
}

fn is_in(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

/// What Go takes a file for that begins so: those of SOPS are text, whatever their format is.
fn kind_of(content: &[u8]) -> &'static str {
    const LOOKED_AT: usize = 512;
    let is_binary = |byte: &u8| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    if content.iter().take(LOOKED_AT).any(is_binary) { "application/octet-stream" } else { "text/plain; charset=utf-8" }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn an_upload_has_two_parts_and_a_boundary_that_is_in_none() {
        let number = Cell::new(0);
        let random = || {
            number.set(number.get() + 1);
            number.get()
        };
        let (boundary, body) = parts("b", "pre fix/\"é", b"a: 1\n# bulla-00000001-00000002", random);
        assert_eq!(boundary, "bulla-00000001-00000002-00000003");
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(
            text,
            "--B\r\nContent-Type: application/json\r\n\r\n{\"bucket\":\"b\",\"crc32c\":\"CRC\",\"name\":\"pre fix/\\\"é\"}\r\n\
             --B\r\nContent-Type: text/plain; charset=utf-8\r\n\r\na: 1\n# bulla-00000001-00000002\r\n--B--\r\n"
                .replace("B\r", &format!("{boundary}\r"))
                .replace("--B--", &format!("--{boundary}--"))
                .replace("CRC", &encoding::encode(&crc32c(b"a: 1\n# bulla-00000001-00000002").to_be_bytes()))
        );
        assert_eq!(kind_of(b"\x00"), "application/octet-stream");
    }
}
