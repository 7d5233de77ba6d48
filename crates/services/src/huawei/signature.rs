//! The signature of a request, `SDK-HMAC-SHA256`.
//!
//! ```text
//! canonical   METHOD \n path, with a slash at its end \n query \n header:value \n … \n names of headers \n hex(SHA-256(body))
//! to sign     SDK-HMAC-SHA256 \n date \n hex(SHA-256(canonical))
//! header      SDK-HMAC-SHA256 Access=ID, SignedHeaders=host;x-sdk-date, Signature=hex(HMAC-SHA-256(secret, to sign))
//! ```
//! The key is the secret itself: none is derived for a day or a region, as AWS does. Source: Huawei Cloud's API signing guide; vectors
//! below made with the SDK for Go 0.1.207 (`signer.Sign`).

use std::fmt::Write as _;
use std::time::SystemTime;

use aws_lc_rs::{digest, hmac};
use bulla_wipe::Wiping;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};

use super::PROJECT;
use super::credentials::Credentials;
use crate::ServiceError;
use crate::address::Address;
use crate::outside::Outside;
use crate::rest::Question;

const ALGORITHM: &str = "SDK-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-sdk-date");
const TOKEN: HeaderName = HeaderName::from_static("x-security-token");

/// Signs `question`, which goes to `address`, anew: with the date of now.
pub(super) fn sign(
    question: &mut Question<'_>,
    address: &Address,
    credentials: &Credentials,
    outside: &dyn Outside,
) -> Result<(), ServiceError> {
    let refuse =
        |_| ServiceError::Settings(format!("{}: it has characters that no access key has", credentials.principal));
    let date = date(outside.now());
    question.headers.insert(DATE, HeaderValue::try_from(&date).map_err(refuse)?);
    question.headers.remove(AUTHORIZATION);
    if let Some(token) = &credentials.security_token {
        let mut value = HeaderValue::from_bytes(token.expose_secret()).map_err(refuse)?;
        value.set_sensitive(true);
        question.headers.insert(TOKEN, value);
    }
    let host = address.to_string();
    let host = host.split_once("://").map_or(&*host, |(_, host)| host);
    let mut headers = vec![(HOST.as_str(), host)];
    let signed = [(PROJECT, "x-project-id"), (DATE, "x-sdk-date"), (TOKEN, "x-security-token")];
    for (name, text) in signed {
        if let Some(value) = question.headers.get(&name).and_then(|value| value.to_str().ok()) {
            headers.push((text, value));
        }
    }
    let target = Target { method: question.method.as_str(), path: question.uri.path(), query: question.uri.query() };
    let text = header(&target, &headers, &question.body, &date, &credentials.id, credentials.secret.expose_secret());
    let mut value = HeaderValue::try_from(text).map_err(refuse)?;
    value.set_sensitive(true);
    question.headers.insert(AUTHORIZATION, value);
    Ok(())
}

struct Target<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
}

/// The header that carries the signature. `headers` are sorted; path and query hold nothing that is escaped otherwise here than in a URI.
fn header(target: &Target<'_>, headers: &[(&str, &str)], body: &[u8], date: &str, id: &str, secret: &[u8]) -> String {
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let slash = if target.path.ends_with('/') { "" } else { "/" };
    let query = target.query.unwrap_or_default();
    let mut canonical = Wiping::new(format!("{}\n{}{slash}\n{query}\n", target.method, target.path));
    for (name, value) in headers {
        canonical.append(name);
        canonical.append(":");
        canonical.append(value.trim());
        canonical.append("\n");
    }
    canonical.append(&format!("\n{names}\n{}", hex(digest::digest(&digest::SHA256, body).as_ref())));
    let digest = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&key, format!("{ALGORITHM}\n{date}\n{digest}").as_bytes());
    format!("{ALGORITHM} Access={id}, SignedHeaders={names}, Signature={}", hex(signature.as_ref()))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// `20261121T225446Z`
fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years from March on, in eras of 400: leap days are at their ends. Source: H. Hinnant, `civil_from_days`.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_of_the_calendar() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_251_199, "20240229T235959Z"),
            (1_767_225_600, "20260101T000000Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn signatures_are_those_of_the_sdk() {
        let project = ("x-project-id", "project-1");
        let date = |date| ("x-sdk-date", date);
        for (target, headers, body, signature) in [
            (
                Target { method: "POST", path: "/v1.0/project-1/kms/encrypt-data", query: None },
                vec![("host", "kms.eu-west-101.myhuaweicloud.eu"), project, date("20261121T225446Z")],
                "{\"key_id\":\"k\",\"plain_text\":\"aGk=\"}\n",
                "host;x-project-id;x-sdk-date, Signature=239f1bf5da2949044bce6f85ec7d05e197e4b2f5730985d52f91b71db180d57f",
            ),
            (
                Target { method: "POST", path: "/v1.0/project-1/kms/decrypt-data", query: None },
                vec![("host", "127.0.0.1:8080"), project, date("20240229T235959Z"), ("x-security-token", "token")],
                "{\"key_id\":\"k\",\"plain_text\":\"x\"}\n",
                "host;x-project-id;x-sdk-date;x-security-token, \
                 Signature=8c3bbaa50b5033c52676ddb3569104f2aca96e02233b393f390a74416e9e4394",
            ),
            (
                Target { method: "GET", path: "/v3/projects", query: Some("name=cn-north-4") },
                vec![("host", "iam.cn-north-4.myhuaweicloud.com"), date("20261121T225446Z")],
                "",
                "host;x-sdk-date, Signature=8238afa6773d1f9f6900633492b45f66dd70eec15b2c528ef1c31defe04ae436",
            ),
        ] {
            let date = headers.iter().find(|(name, _)| *name == "x-sdk-date").map_or("", |(_, date)| date);
            let expected = format!("SDK-HMAC-SHA256 Access=AK, SignedHeaders={signature}");
            assert_eq!(header(&target, &headers, body.as_bytes(), date, "AK", b"SK"), expected);
        }
    }
}
