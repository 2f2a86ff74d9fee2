//! The buckets of the domain's port on the AWS SDK. The only file that names `aws_sdk_s3`.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::types::{BucketLocationConstraint, CorsConfiguration, CorsRule as SdkRule, ServerSideEncryption};
use aws_types::SdkConfig;
use aws_types::region::Region as SdkRegion;
use cavatica_access::names::AccountId;
use cavatica_access::port::{Bucket, CorsRule, Failure, FailureKind};
use cavatica_access::volume::{BucketName, Region};

use super::failure;

/// The region of a location that S3 leaves out. Source: `GetBucketLocation`.
const UNSAID: &str = "us-east-1";
/// The name that the first European region had. Source: as above.
const OLD_EU: (&str, &str) = ("EU", "eu-west-1");
/// The key that AWS keeps for S3 in each account: who may use the bucket from within the account may use it.
const MANAGED_KEY: &str = "alias/aws/s3";

/// S3 as the function sees it from its own region.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    config: SdkConfig,
}

impl Buckets {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self { config: config.clone() }
    }

    /// Returns a client for a region; made when it is needed, since most events need none.
    fn client(&self, region: Option<&Region>) -> Client {
        let config = aws_sdk_s3::config::Builder::from(&self.config);
        Client::from_conf(match region {
            Some(region) => config.region(SdkRegion::new(region.to_string())).build(),
            None => config.build(),
        })
    }

    /// Asks in the function's own region, and once more where S3 refers to: only there a bucket's owner is checked.
    pub(super) async fn region(&self, name: &BucketName, owner: &AccountId) -> Result<Region, Failure> {
        match self.location(name, owner, None).await {
            Err((_, Some(elsewhere))) => match self.location(name, owner, Some(&elsewhere)).await {
                Ok(region) => Ok(region),
                Err((failure, _)) if matches!(failure.kind, FailureKind::Other) => Ok(elsewhere),
                Err((failure, _)) => Err(failure),
            },
            answer => answer.map_err(|(failure, _)| failure),
        }
    }

    async fn location(
        &self,
        name: &BucketName,
        owner: &AccountId,
        at: Option<&Region>,
    ) -> Result<Region, (Failure, Option<Region>)> {
        let call = self.client(at).get_bucket_location().bucket(name.as_str()).expected_bucket_owner(owner.as_str());
        match call.send().await {
            Ok(answer) => read_region(answer.location_constraint()).map_err(|failure| (failure, None)),
            Err(error) => {
                let header = match &error {
                    SdkError::ServiceError(answer) => {
                        answer.raw().headers().get("x-amz-bucket-region").map(str::to_owned)
                    }
                    _ => None,
                };
                let failure = failure::of(error);
                let elsewhere = referred(&failure, header.as_deref());
                Err((failure, elsewhere))
            }
        }
    }

    pub(super) async fn key(&self, bucket: &Bucket) -> Result<Option<String>, Failure> {
        let call = self.client(Some(&bucket.region)).get_bucket_encryption();
        let call = call.bucket(bucket.name.as_str()).expected_bucket_owner(bucket.owner.as_str());
        let answer = match call.send().await.map_err(failure::of) {
            Err(failure) if failure.code == "ServerSideEncryptionConfigurationNotFoundError" => return Ok(None),
            answer => answer?,
        };
        let rules = answer.server_side_encryption_configuration.map(|configuration| configuration.rules);
        let default = rules.into_iter().flatten().find_map(|rule| rule.apply_server_side_encryption_by_default);
        let is_kms = |algorithm: &ServerSideEncryption| {
            matches!(algorithm, ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)
        };
        let key =
            default.filter(|default| is_kms(&default.sse_algorithm)).and_then(|default| default.kms_master_key_id);
        Ok(key.filter(|key| !key.ends_with(MANAGED_KEY)))
    }

    pub(super) async fn cors(&self, bucket: &Bucket) -> Result<Vec<CorsRule>, Failure> {
        let call = self.client(Some(&bucket.region)).get_bucket_cors();
        let call = call.bucket(bucket.name.as_str()).expected_bucket_owner(bucket.owner.as_str());
        match call.send().await.map_err(failure::of) {
            Err(failure) if failure.code == "NoSuchCORSConfiguration" => Ok(Vec::new()),
            answer => Ok(answer?.cors_rules.unwrap_or_default().into_iter().map(read_rule).collect()),
        }
    }

    pub(super) async fn put_cors(&self, bucket: &Bucket, rules: &[CorsRule]) -> Result<(), Failure> {
        let client = self.client(Some(&bucket.region));
        let (name, owner) = (bucket.name.as_str(), bucket.owner.as_str());
        if rules.is_empty() {
            let call = client.delete_bucket_cors().bucket(name).expected_bucket_owner(owner);
            return call.send().await.map(|_| ()).map_err(failure::of);
        }
        let rules = rules.iter().map(sdk_rule).collect::<Result<_, _>>()?;
        let configuration = CorsConfiguration::builder().set_cors_rules(Some(rules)).build();
        let configuration = configuration.map_err(|_| failure::unexpected("a CORS configuration without rules"))?;
        let call = client.put_bucket_cors().bucket(name).expected_bucket_owner(owner).cors_configuration(configuration);
        call.send().await.map(|_| ()).map_err(failure::of)
    }
}

fn sdk_rule(rule: &CorsRule) -> Result<SdkRule, Failure> {
    let given = |texts: &[String]| (!texts.is_empty()).then(|| texts.to_vec());
    SdkRule::builder()
        .set_id(rule.id.clone())
        .set_allowed_headers(given(&rule.allowed_headers))
        .set_allowed_methods(Some(rule.allowed_methods.clone()))
        .set_allowed_origins(Some(rule.allowed_origins.clone()))
        .set_expose_headers(given(&rule.expose_headers))
        .set_max_age_seconds(rule.max_age_seconds)
        .build()
        .map_err(|_| failure::unexpected("a CORS rule without methods or origins"))
}

fn read_region(location: Option<&BucketLocationConstraint>) -> Result<Region, Failure> {
    let name = match location.map(BucketLocationConstraint::as_str) {
        None | Some("") => UNSAID,
        Some(old) if old == OLD_EU.0 => OLD_EU.1,
        Some(name) => name,
    };
    name.parse().map_err(|_| failure::unexpected("a bucket's location that is no region"))
}

/// Returns the region that S3 refers to instead of answering: in a header or, where that is missing, in words.
/// Source: S3, "Request redirection and the REST API"; "Error responses", `IllegalLocationConstraintException`.
fn referred(failure: &Failure, header: Option<&str>) -> Option<Region> {
    let in_words = match failure.code.as_str() {
        "PermanentRedirect" | "TemporaryRedirect" | "Redirect" => None,
        "IllegalLocationConstraintException" => {
            failure.message.strip_prefix("The ").and_then(|text| text.split(' ').next())
        }
        "AuthorizationHeaderMalformed" => failure.message.rsplit('\'').nth(1),
        _ => return None,
    };
    let said = |name: &str| match name {
        // What S3 calls a location that it leaves out elsewhere.
        "unspecified" => UNSAID.parse(),
        old if old == OLD_EU.0 => OLD_EU.1.parse(),
        name => name.parse(),
    };
    header.and_then(|header| header.parse().ok()).or_else(|| said(in_words?).ok())
}

fn read_rule(rule: SdkRule) -> CorsRule {
    CorsRule {
        id: rule.id,
        allowed_origins: rule.allowed_origins,
        allowed_methods: rule.allowed_methods,
        allowed_headers: rule.allowed_headers.unwrap_or_default(),
        expose_headers: rule.expose_headers.unwrap_or_default(),
        max_age_seconds: rule.max_age_seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_s3_refers_to_is_read_from_its_words_or_its_header() {
        let table = [
            (
                "IllegalLocationConstraintException",
                "The me-south-1 location constraint is incompatible for the region specific endpoint this request was sent to.",
                None,
                Some("me-south-1"),
            ),
            (
                "AuthorizationHeaderMalformed",
                "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
                None,
                Some("eu-west-1"),
            ),
            (
                "IllegalLocationConstraintException",
                "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.",
                None,
                Some("us-east-1"),
            ),
            (
                "IllegalLocationConstraintException",
                "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.",
                Some("us-west-2"),
                Some("us-west-2"),
            ),
            (
                "IllegalLocationConstraintException",
                "The EU location constraint is incompatible.",
                None,
                Some("eu-west-1"),
            ),
            (
                "AuthorizationHeaderMalformed",
                "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
                Some("eu-west-3"),
                Some("eu-west-3"),
            ),
            ("PermanentRedirect", "The bucket must be addressed elsewhere.", Some("eu-north-1"), Some("eu-north-1")),
            ("AccessDenied", "Access Denied", Some("eu-north-1"), None),
            ("NoSuchBucket", "The specified bucket does not exist", None, None),
        ];
        for (code, message, header, expected) in table {
            let failure = Failure {
                kind: FailureKind::Other,
                code: code.to_owned(),
                message: message.to_owned(),
                request_id: None,
            };
            assert_eq!(referred(&failure, header).map(|region| region.to_string()).as_deref(), expected, "{code}");
        }
    }

    #[test]
    fn a_location_that_is_left_out_or_old_is_known() {
        for (said, meant) in [(None, "us-east-1"), (Some("EU"), "eu-west-1"), (Some("ap-south-2"), "ap-south-2")] {
            let said = said.map(BucketLocationConstraint::from);
            assert_eq!(read_region(said.as_ref()).map(|region| region.to_string()).ok().as_deref(), Some(meant));
        }
    }
}
