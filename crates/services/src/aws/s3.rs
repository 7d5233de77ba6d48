//! S3: one object is put into a bucket, without the SDK of S3: it is one signed request.
//!
//! ```text
//! AWS_REGION, profile ─ region ─┐                              AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, profile
//! credentials of the session ───┴─ sign (SigV4) ─▶ PUT ─▶ https://BUCKET.s3.REGION.amazonaws.com/KEY?x-id=PutObject
//! ```
//! A bucket whose name can be a label of a host is one there; others, and all of a server without a name, are the first part of the path,
//! as the SDK for Go has it, which sops uses. The body's CRC-32 goes with it, unless `AWS_REQUEST_CHECKSUM_CALCULATION` says `when_required`:
//! there are servers that speak S3 and do not know it. By then the SDK has found credentials, region and endpoint; what it has no part in
//! is the request, which goes by the transport that the other clouds share.
//!
//! Source: `service/s3` 1.105 of the SDK for Go (`endpoints.go`, whose answers the test has), S3's API reference.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_types::service_config::ServiceConfigKey;
use bulla_crypto::encoding;
use bulla_wipe::Wiping;
use http::Method;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};

use super::answer::{Fault, Said, ours};
use super::{Access, Asked, Aws, Session, Settings};
use crate::address::{Address, Base};
use crate::checksum::crc32;
use crate::kept::Kept;
use crate::rest::{Question, Reply, Rest, escape_path, shown};
use crate::{Outside, Proxies, ServiceError, Surroundings};

const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-checksum-crc32");
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// S3, for one command.
pub struct S3 {
    aws: Aws,
    rest: Rest,
    credentials: Kept<Credentials>,
    outside: Arc<dyn Outside>,
}

impl S3 {
    /// Nothing is read or sent before the first object.
    ///
    /// # Errors
    /// [`ServiceError::Settings`] for certificates or a proxy that are none.
    pub fn new(
        settings: Settings,
        proxies: &Proxies,
        outside: Arc<dyn Outside>,
        surroundings: Surroundings,
    ) -> Result<Self, ServiceError> {
        let rest = Rest::new(settings.authorities.as_ref(), proxies, settings.limits, surroundings.clone())?;
        Ok(Self { aws: Aws::new(settings, surroundings)?, rest, credentials: Kept::default(), outside })
    }

    /// Puts `content` into `bucket` under `key`, in place of what is there.
    ///
    /// # Errors
    /// What the last answer means.
    pub async fn put(&self, bucket: &str, key: &str, content: &[u8]) -> Result<(), ServiceError> {
        let session = self.session().await?;
        let region = session.config.region().map(ToString::to_string).unwrap_or_default();
        let given = endpoint(&session);
        let base = base(bucket, &region, given.as_deref(), Kind::of(&session)).map_err(ServiceError::Settings)?;
        let service = match &given {
            Some(url) => format!("AWS S3 in {region} ({url})"),
            None => format!("AWS S3 in {region}"),
        };
        let uri = base.join(&format!("/{}?x-id=PutObject", escape_path(key)));
        let uri =
            uri.map_err(|error| ServiceError::Settings(format!("no request to {service} can be made: {error}")))?;
        let mut question = Question::send(&service, Method::PUT, uri, Wiping::new(content.to_vec()))
            .with(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        question.takes_redirects = true;
        let only_if_required = session.config.request_checksum_calculation() == "when_required".parse().ok();
        if !only_if_required {
            let checksum = encoding::encode(&crc32(content).to_be_bytes());
            question.headers.extend(HeaderValue::try_from(checksum).ok().map(|checksum| (CHECKSUM, checksum)));
        }
        let arn = format!("arn:{}:s3:::{bucket}/{key}", partition(&region).0);
        let asked = Asked { action: "s3:PutObject", resource: &arn };
        let credentials = self.credentials.get(|| self.credentials(&session)).await?;
        self.sign(&mut question, base.address(), &credentials, &region)?;
        let reply = self.rest.ask(&question).await?;
        if (200..300).contains(&reply.status) {
            return Ok(());
        }
        if let Some(other) = region_of(&reply).filter(|other| *other != region) {
            let reason = format!("the bucket `{bucket}` is in {other}: set `AWS_REGION`");
            return Err(ServiceError::Unexpected { address: service, status: reply.status, reason });
        }
        let attempts = reply.attempts;
        Err(session.meaning(Fault::Said(said(&reply)), &asked, service, attempts).await)
    }

    /// The session of the region that the environment names, else the profile.
    async fn session(&self) -> Result<Arc<Session>, ServiceError> {
        let mut profile = ProfileFileRegionProvider::builder();
        if let Some(usual) = &self.aws.settings.usual_profile {
            profile = profile.profile_name(usual);
        }
        let named = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new()).or_else(profile.build());
        let region = named.region().await.map(|region| region.to_string()).filter(|region| !region.is_empty());
        let region = region.ok_or_else(|| {
            ServiceError::Settings("no region of S3 is named: set `AWS_REGION`, or `region` in the profile".to_owned())
        })?;
        // Not what KMS has for a region: servers that speak S3 have names of their own, and nobody but the user names one here.
        if !is_label(&region) {
            return Err(ServiceError::Settings(format!("`{region}` is not a region of S3")));
        }
        Ok(self.aws.kept_session(&Access { region, profile: None, role: None }).await)
    }

    /// The credentials of the session, and how long they are good for.
    async fn credentials(&self, session: &Session) -> Result<(Credentials, Option<Duration>), ServiceError> {
        let none = || ServiceError::NoCredentials { address: "AWS".to_owned(), tried: Vec::new() };
        let provider = session.config.credentials_provider().ok_or_else(none)?;
        let found = provider.provide_credentials().await;
        let found = found.map_err(|error| ours(&error).cloned().unwrap_or_else(none))?;
        let life = found.expiry().map(|until| until.duration_since(self.outside.now()).unwrap_or_default());
        Ok((found, life))
    }

    fn sign(
        &self,
        question: &mut Question<'_>,
        address: &Address,
        credentials: &Credentials,
        region: &str,
    ) -> Result<(), ServiceError> {
        let broken = |reason: String| ServiceError::Settings(format!("no request to AWS can be signed: {reason}"));
        let shown = address.to_string();
        let host = shown.split_once("://").map_or(&*shown, |(_, host)| host);
        question.headers.insert(HOST, HeaderValue::try_from(host).map_err(|error| broken(error.to_string()))?);
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = credentials.clone().into();
        let how = SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("s3")
            .time(self.outside.now())
            .settings(settings)
            .build();
        let how = how.map_err(|error| broken(error.to_string()))?.into();
        let headers: Vec<(String, String)> = question
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect();
        let headers = headers.iter().map(|(name, value)| (&**name, &**value));
        let uri = question.uri.to_string();
        let request = SignableRequest::new("PUT", uri, headers, SignableBody::Bytes(&question.body));
        let signed = request.and_then(|request| sign(request, &how));
        let (instructions, _) = signed.map_err(|error| broken(error.to_string()))?.into_parts();
        for header in instructions.into_parts().0 {
            let mut value = HeaderValue::try_from(header.value()).map_err(|error| broken(error.to_string()))?;
            value.set_sensitive(header.sensitive());
            question.headers.insert(HeaderName::from_static(header.name()), value);
        }
        Ok(())
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("aws", &self.aws).finish_non_exhaustive()
    }
}

/// The endpoint that is named for S3, else for all services.
fn endpoint(session: &Session) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let of_service = session.config.service_config().zip(key.ok()).and_then(|(config, key)| config.load_config(key));
    // What a caller of this library sets counts before what the environment says.
    let set = session.settings.endpoint.clone();
    set.or(of_service).or_else(|| session.config.endpoint_url().map(str::to_owned)).filter(|url| !url.is_empty())
}

/// Which of the endpoints of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    fips: bool,
    dual_stack: bool,
}

impl Kind {
    fn of(session: &Session) -> Self {
        let is = |flag: Option<bool>| flag.unwrap_or_default();
        Self { fips: is(session.config.use_fips()), dual_stack: is(session.config.use_dual_stack()) }
    }
}

/// Where the objects of a bucket are.
fn base(bucket: &str, region: &str, endpoint: Option<&str>, kind: Kind) -> Result<Base, String> {
    if bucket.starts_with("arn:") {
        return Err(format!("`{bucket}` is an access point; a bucket is named by its name"));
    }
    // It becomes a part of an address. S3 has no name with anything else in it.
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if bucket.is_empty() || !bucket.bytes().all(is_good) || bucket == "." || bucket == ".." {
        return Err(format!("`{bucket}` is not the name of a bucket"));
    }
    let Some(endpoint) = endpoint else {
        if bucket.ends_with("--x-s3") {
            return Err(format!("`{bucket}` is a directory bucket, which needs sessions of its own"));
        }
        let (_, domain) = partition(region);
        let (fips, dual_stack) =
            (if kind.fips { "-fips" } else { "" }, if kind.dual_stack { ".dualstack" } else { "" });
        let host = format!("s3{fips}{dual_stack}.{region}.{domain}");
        let url =
            if is_host_label(bucket) { format!("https://{bucket}.{host}") } else { format!("https://{host}/{bucket}") };
        return url.parse().map_err(|error| format!("{error}"));
    };
    if kind.fips || kind.dual_stack {
        let variable = if kind.fips { "AWS_USE_FIPS_ENDPOINT" } else { "AWS_USE_DUALSTACK_ENDPOINT" };
        return Err(format!("`{variable}` means nothing where an endpoint is named ({endpoint})"));
    }
    let given: Base = endpoint.parse().map_err(|error| format!("the endpoint of S3: {error}"))?;
    let host = given.address().host();
    let has_a_name = !host.starts_with('[') && host.parse::<std::net::Ipv4Addr>().is_err();
    let joined = if has_a_name && is_host_label(bucket) {
        given.to_string().replacen("://", &format!("://{bucket}."), 1)
    } else {
        format!("{given}/{bucket}")
    };
    joined.parse().map_err(|error| format!("{error}"))
}

/// The part of AWS that a region is in: as ARNs call it, and where its hosts are.
fn partition(region: &str) -> (&'static str, &'static str) {
    const PARTITIONS: [(&str, &str, &str); 7] = [
        ("cn-", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-", "aws-us-gov", "amazonaws.com"),
        ("us-iso-", "aws-iso", "c2s.ic.gov"),
        ("us-isob-", "aws-iso-b", "sc2s.sgov.gov"),
        ("us-isof-", "aws-iso-f", "csp.hci.ic.gov"),
        ("eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"),
        ("eusc-", "aws-eusc", "amazonaws.eu"),
    ];
    let found = PARTITIONS.into_iter().find(|(prefix, ..)| region.starts_with(prefix));
    found.map_or(("aws", "amazonaws.com"), |(_, name, domain)| (name, domain))
}

/// Can it be one label of a host's name?
fn is_label(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_good) && !text.starts_with('-') && !text.ends_with('-')
}

/// Is it the name of a bucket that can be a label of a host?
fn is_host_label(bucket: &str) -> bool {
    bucket.len() >= 3 && is_label(bucket) && !bucket.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Where the bucket is, if it is not where it was looked for.
fn region_of(reply: &Reply) -> Option<String> {
    if !matches!(reply.status, 301 | 307 | 400) {
        return None;
    }
    let header = reply.headers.get(BUCKET_REGION).and_then(|region| region.to_str().ok()).map(str::to_owned);
    header.or_else(|| element(&text(reply), "Region")).filter(|region| is_label(region))
}

/// What an answer that is no success says.
fn said(reply: &Reply) -> Said {
    let text = text(reply);
    let of = |name: &str| element(&text, name).unwrap_or_default();
    Said { status: reply.status, code: of("Code"), message: shown(&of("Message")) }
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

/// The text of the first element of this name. An error of S3 is a flat list of elements.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(plain.iter().fold(text.to_owned(), |text, (escaped, character)| text.replace(escaped, character)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Kind = Kind { fips: false, dual_stack: false };

    /// As `NewDefaultEndpointResolverV2` of the SDK for Go answered.
    #[test]
    fn a_bucket_is_where_the_sdk_for_go_has_it() {
        for (region, bucket, endpoint, expected) in [
            ("eu-west-1", "bkt", None, "https://bkt.s3.eu-west-1.amazonaws.com"),
            ("eu-west-1", "my.bucket", None, "https://s3.eu-west-1.amazonaws.com/my.bucket"),
            ("eu-west-1", "Bkt_x", None, "https://s3.eu-west-1.amazonaws.com/Bkt_x"),
            ("eu-west-1", "ab", None, "https://s3.eu-west-1.amazonaws.com/ab"),
            ("eu-west-1", "1.2.3.4", None, "https://s3.eu-west-1.amazonaws.com/1.2.3.4"),
            ("us-east-1", "bkt", None, "https://bkt.s3.us-east-1.amazonaws.com"),
            ("cn-north-1", "bkt", None, "https://bkt.s3.cn-north-1.amazonaws.com.cn"),
            ("us-gov-west-1", "bkt", None, "https://bkt.s3.us-gov-west-1.amazonaws.com"),
            ("us-iso-east-1", "bkt", None, "https://bkt.s3.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "bkt", None, "https://bkt.s3.us-isob-east-1.sc2s.sgov.gov"),
            ("us-isof-south-1", "bkt", None, "https://bkt.s3.us-isof-south-1.csp.hci.ic.gov"),
            ("eu-isoe-west-1", "bkt", None, "https://bkt.s3.eu-isoe-west-1.cloud.adc-e.uk"),
            ("eusc-de-east-1", "bkt", None, "https://bkt.s3.eusc-de-east-1.amazonaws.eu"),
            ("mars-1", "bkt", None, "https://bkt.s3.mars-1.amazonaws.com"),
            ("eu-west-1", "bkt", Some("http://localhost:9000"), "http://bkt.localhost:9000"),
            ("auto", "bkt", Some("https://minio.example.com/pre"), "https://bkt.minio.example.com/pre"),
            ("eu-west-1", "bkt", Some("http://127.0.0.1:1"), "http://127.0.0.1:1/bkt"),
            ("eu-west-1", "bkt", Some("https://10.0.0.1/x/"), "https://10.0.0.1/x/bkt"),
            ("eu-west-1", "bkt", Some("http://[::1]:81"), "http://[::1]:81/bkt"),
            ("eu-west-1", "my.bucket", Some("http://localhost:9000"), "http://localhost:9000/my.bucket"),
            (
                "eu-west-1",
                "my.bucket",
                Some("https://minio.example.com/pre"),
                "https://minio.example.com/pre/my.bucket",
            ),
            ("eu-west-1", "ab", Some("http://127.0.0.1:1"), "http://127.0.0.1:1/ab"),
        ] {
            assert_eq!(base(bucket, region, endpoint, USUAL).unwrap().to_string(), expected, "{region} {bucket}");
        }
        for (fips, dual_stack, expected) in [
            (true, false, "https://bkt.s3-fips.eu-west-1.amazonaws.com"),
            (false, true, "https://bkt.s3.dualstack.eu-west-1.amazonaws.com"),
            (true, true, "https://bkt.s3-fips.dualstack.eu-west-1.amazonaws.com"),
        ] {
            let kind = Kind { fips, dual_stack };
            assert_eq!(base("bkt", "eu-west-1", None, kind).unwrap().to_string(), expected);
            assert!(base("bkt", "eu-west-1", Some("http://localhost:9000"), kind).unwrap_err().contains("AWS_USE_"));
        }
    }

    #[test]
    fn what_is_no_bucket_becomes_no_part_of_an_address() {
        for bucket in
            ["", "..", "a/b", "a?b", "a@b", "a b", "a%2fb", "é", "arn:aws:s3:eu-west-1:1:accesspoint/x", "my--x-s3"]
        {
            assert!(base(bucket, "eu-west-1", None, USUAL).is_err(), "{bucket}");
        }
        for region in ["auto", "eu-west-1", "garage", "US"] {
            assert!(is_label(region), "{region}");
        }
        for region in ["", "a.b", "-a", "a/b", "evil.example#"] {
            assert!(!is_label(region), "{region}");
        }
    }

    #[test]
    fn an_error_of_s3_is_read() {
        let reply = |status, body: &str| Reply {
            status,
            headers: http::HeaderMap::new(),
            body: Wiping::new(body.as_bytes().to_vec()),
            attempts: 1,
            retry_after: None,
        };
        let denied = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/u is not authorized to \
                      perform: s3:PutObject on resource: &quot;arn:aws:s3:::b/k&quot; because no</Message></Error>";
        let said = said(&reply(403, denied));
        assert_eq!((said.status, &*said.code), (403, "AccessDenied"));
        assert!(said.message.contains("\"arn:aws:s3:::b/k\""), "{}", said.message);
        let wrong = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        assert_eq!(region_of(&reply(400, wrong)).as_deref(), Some("eu-west-1"));
        assert_eq!(region_of(&reply(403, wrong)), None);
        for nothing in ["", "<html>", "<Code>x"] {
            let said = super::said(&reply(502, nothing));
            assert_eq!((&*said.code, &*said.message), ("", ""));
        }
    }
}
