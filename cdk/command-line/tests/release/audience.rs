//! Readers of a release: audiences, Block Public Access, and versions.

use std::error::Error;

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use cavatica_connect::publish::audience::Audience;
use cavatica_connect::publish::versions::{self};

use crate::faulty_aws::{Fault, FaultyAws};
use crate::publisher::{Outcome, Publisher, bucket, said};

/// Answer of S3 Control about Block Public Access of an account.
pub const ACCOUNT_BLOCK: &str = "GET /v20180820/configuration/publicAccessBlock";

#[tokio::test]
async fn a_block_of_account_or_organization_is_named_before_anything_is_created() -> Outcome {
    let publisher = Publisher::start().await?;
    let block = |policy: bool, buckets: bool| {
        format!(
            "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>\
             <BlockPublicPolicy>{policy}</BlockPublicPolicy><RestrictPublicBuckets>{buckets}</RestrictPublicBuckets>\
             </PublicAccessBlockConfiguration>"
        )
    };
    for (policy, buckets) in [(true, true), (true, false), (false, true)] {
        let aws = FaultyAws::start(publisher.engine.url()).await?;
        aws.spoil(ACCOUNT_BLOCK, 0, 9, Fault::Answer(block(policy, buckets)));
        let command = &mut publisher.command(&["--create-buckets", "--audience=public"]);
        let output = command.env("AWS_ENDPOINT_URL", &aws.url).output().await?;
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("Block Public Access of account 123456789012"), "{}", said(&output));
        assert!(publisher.s3("us-east-1").list_buckets().send().await?.buckets().is_empty(), "{}", said(&output));
    }
    let aws = FaultyAws::start(publisher.engine.url()).await?;
    aws.spoil(ACCOUNT_BLOCK, 0, 9, Fault::Refused("AccessDenied", "not for you"));
    let command = &mut publisher.command(&["--create-buckets", "--audience=public"]);
    let output = command.env("AWS_ENDPOINT_URL", &aws.url).output().await?;
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("could not be read") && said(&output).contains("s3:GetAccountPublicAccessBlock"),
        "{}",
        said(&output)
    );
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_release_is_published_once_it_is_read_without_credentials() -> Outcome {
    let publisher = Publisher::start().await?;
    let private = publisher.publish(&["--create-buckets", "--audience=org:o-a1b2c3d4e5"]).await?;
    assert!(private.status.success() && !said(&private).contains("published:"), "{}", said(&private));

    let publisher = Publisher::start().await?;
    let aws = FaultyAws::start(publisher.engine.url()).await?;
    // With credentials it is read when the bucket is looked at and before it is written.
    let list = format!("GET /{}/{}", bucket("us-east-1"), versions::KEY);
    aws.spoil(&list, 1, 99, Fault::Refused("AccessDenied", "Access Denied"));
    let command = &mut publisher.command(&["--create-buckets", "--audience=public"]);
    let output = command.env("AWS_ENDPOINT_URL", &aws.url).output().await?;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for part in ["could not be read without credentials", "2 of 3 regions are done", "published: "] {
        assert!(said(&output).contains(part), "{part}: {}", said(&output));
    }
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_narrower_audience_gets_the_block_of_the_bucket_back() -> Outcome {
    let publisher = Publisher::start().await?;
    let is_blocked = async || -> Result<bool, Box<dyn Error>> {
        let answer = publisher.s3("us-east-1").get_public_access_block().bucket(bucket("us-east-1")).send().await?;
        let block = answer.public_access_block_configuration.ok_or("no block")?;
        Ok(block.block_public_policy() == Some(true) && block.restrict_public_buckets() == Some(true))
    };
    let public = publisher.publish(&["--create-buckets", "--audience=public"]).await?;
    assert!(public.status.success() && !is_blocked().await?, "{}", said(&public));
    let narrower = publisher.publish(&["--audience=accounts:111122223333"]).await?;
    assert!(narrower.status.success() && is_blocked().await?, "{}", said(&narrower));
    assert!(said(&narrower).contains("public access to bucket"), "{}", said(&narrower));
    let again = publisher.publish(&["--audience=public"]).await?;
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("Block Public Access of bucket"), "{}", said(&again));
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_bucket_without_versions_is_refused_until_it_keeps_them() -> Outcome {
    let publisher = Publisher::start().await?;
    publisher.make_bucket("plain-releases", "us-east-1").await?;
    let arguments = ["--bucket=plain-releases", "--regions=us-east-1"];
    let output = publisher.publish(&arguments).await?;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("put-bucket-versioning --bucket plain-releases --region us-east-1"),
        "{}",
        said(&output)
    );
    assert!(said(&output).contains("nothing was written"), "{}", said(&output));
    let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let call = publisher.s3("us-east-1").put_bucket_versioning().bucket("plain-releases");
    call.versioning_configuration(versioning).send().await?;
    let again = publisher.publish(&arguments).await?;
    assert!(again.status.success(), "{}", said(&again));
    publisher.engine.stop().await?;
    Ok(())
}

/// Their buckets let readers at objects and not at versions, and the templates of this release name versions.
#[tokio::test]
async fn readers_of_earlier_releases_can_read_this_one_without_being_asked_for() -> Outcome {
    let publisher = Publisher::start().await?;
    let name = bucket("us-east-1");
    publisher.make_versioned_bucket(&name, "us-east-1").await?;
    let mut former = "org:o-a1b2c3d4e5".parse::<Audience>()?.policy(&name);
    former["Statement"][0]["Action"] = "s3:GetObject".into();
    former["Statement"].as_array_mut().and_then(Vec::pop).ok_or("no statements")?;
    let s3 = publisher.s3("us-east-1");
    s3.put_bucket_policy().bucket(&name).policy(former.to_string()).send().await?;
    let output = publisher.publish(&["--create-buckets"]).await?;
    assert!(output.status.success() && said(&output).contains("renew"), "{}", said(&output));
    for (region, audience) in [("us-east-1", "org:o-a1b2c3d4e5"), ("eu-west-1", "private")] {
        let held = publisher.s3(region).get_bucket_policy().bucket(bucket(region)).send().await?;
        let held = serde_json::from_str(held.policy().ok_or("no policy")?)?;
        let known = Audience::of_policy(&held, &bucket(region)).ok_or("a policy of somebody else")?;
        assert!(known.is_current && known.audience == audience.parse::<Audience>()?, "{region}: {known:?}");
    }
    publisher.engine.stop().await?;
    Ok(())
}
