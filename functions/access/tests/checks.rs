//! Effects of checks on events: before anything is created, afterwards, and in a rollback.

mod support;

use std::time::Duration;

use cavatica_access::checks::told;
use cavatica_access::desired::Desired;
use cavatica_access::names::Rule;
use cavatica_access::port::{Action, Change, FailureKind};
use cavatica_access::volume::BucketName;
use cavatica_memory::{HeldBucket, foreign_policy};
use serde_json::{Value, json};
use support::*;

/// Returns an account with a second bucket.
fn bench() -> Result<Bench, Box<dyn std::error::Error>> {
    let bench = Bench::new()?;
    bench.account.hold("other-bucket".parse()?, Some(bucket(None)?));
    Ok(bench)
}

fn bucket(key: Option<&str>) -> Result<HeldBucket, Box<dyn std::error::Error>> {
    let (owner, region) = ("123456789012".parse()?, "us-east-1".parse()?);
    Ok(HeldBucket { owner, region, key: key.map(str::to_owned), cors: Vec::new() })
}

fn on(name: &str) -> Value {
    with(properties("vol"), "Volumes", json!([{"BucketName": name}]))
}

#[tokio::test]
async fn a_bucket_that_is_not_there_fails_a_create_before_anything_is_made() -> Outcome {
    let bench = bench()?;
    let before = bench.account.snapshot();
    let refused = bench.ensure(&create(&on("my-bukcet"))?).await.err().map(|refusal| refusal.to_string());
    assert!(refused.as_ref().is_some_and(|said| said.contains("Bucket my-bukcet does not exist")), "{refused:?}");
    assert!(refused.is_some_and(|said| said.contains("Checks is Enforce")));
    assert_eq!(bench.account.snapshot(), before);
    Ok(())
}

#[tokio::test]
async fn reported_findings_fail_nothing_and_without_checks_nothing_is_looked_at() -> Outcome {
    for (checks, finds) in [("Report", true), ("Off", false)] {
        let bench = bench()?;
        let done = bench.ensure(&create(&with(on("my-bukcet"), "Checks", json!(checks)))?).await?;
        assert_eq!(told(&done.findings).contains("does not exist"), finds, "{checks}");
        let looked = [Action::GetBucketLocation, Action::GetEncryptionConfiguration, Action::SimulatePrincipalPolicy];
        let has_looked = bench.account.calls().iter().any(|call| looked.contains(call));
        assert_eq!(has_looked, finds, "{checks}");
    }
    Ok(())
}

#[tokio::test]
async fn an_update_to_a_bucket_that_is_not_there_is_refused_and_taken_back() -> Outcome {
    let bench = bench()?;
    let (old, new) = (on("my-bucket"), on("my-bukcet"));
    bench.ensure(&create(&old)?).await?;
    let working = bench.account.snapshot();
    assert!(bench.ensure(&update(&role_arn("vol"), &old, &new)?).await.is_err());
    bench.ensure(&update(&role_arn("vol"), &new, &old)?).await?;
    assert_eq!(bench.account.snapshot(), working);
    Ok(())
}

#[tokio::test]
async fn an_update_is_taken_back_although_the_bucket_that_was_in_use_is_gone() -> Outcome {
    for new in [on("other-bucket"), with(on("other-bucket"), "RoleName", json!("new"))] {
        let bench = bench()?;
        let old = on("my-bucket");
        let name = new["RoleName"].as_str().unwrap_or_default();
        bench.ensure(&create(&old)?).await?;
        bench.ensure(&update(&role_arn("vol"), &old, &new)?).await?;
        bench.account.hold("my-bucket".parse::<BucketName>()?, None);
        let done = bench.ensure(&update(&role_arn(name), &new, &old)?).await?;
        assert!(told(&done.findings).contains("Bucket my-bucket does not exist"), "{:?}", done.findings);
    }
    Ok(())
}

#[tokio::test]
async fn an_update_without_effect_on_access_ignores_old_findings() -> Outcome {
    let bench = bench()?;
    let old = on("my-bucket");
    bench.ensure(&create(&old)?).await?;
    bench.account.hold("my-bucket".parse::<BucketName>()?, None);
    let described = with(old.clone(), "Description", json!("For the lab"));
    let done = bench.ensure(&update(&role_arn("vol"), &old, &described)?).await?;
    assert!(told(&done.findings).contains("does not exist"));
    Ok(())
}

#[tokio::test]
async fn a_key_that_nobody_named_fails_with_the_value_to_set() -> Outcome {
    let bench = bench()?;
    let key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd";
    bench.account.hold("my-bucket".parse()?, Some(bucket(Some(key))?));
    let refused = bench.ensure(&create(&on("my-bucket"))?).await.err().map(|refusal| refusal.to_string());
    assert!(refused.is_some_and(|said| said.contains(&format!("set KmsKeyArn to {key}"))));
    let named = with(properties("vol"), "Volumes", json!([{"BucketName": "my-bucket", "KmsKeyArn": key}]));
    assert_eq!(told(&bench.ensure(&create(&named)?).await?.findings), "none");
    Ok(())
}

#[tokio::test]
async fn a_key_of_another_account_fails_nothing_and_its_key_policy_is_said() -> Outcome {
    let bench = bench()?;
    let key = "arn:aws:kms:us-east-1:210987654321:key/1234abcd";
    bench.account.hold("my-bucket".parse()?, Some(bucket(Some(key))?));
    let central = json!([{"BucketName": "my-bucket", "KmsKeyArn": key, "AccessMode": "ReadWrite"}, {"BucketName": "other-bucket"}]);
    let said = told(&bench.ensure(&create(&with(properties("vol"), "Volumes", central))?).await?.findings);
    assert!(said.starts_with(&format!("KMS key {key} is account 210987654321's")), "{said}");
    assert!(said.contains(r#""kms:GenerateDataKey""#) && said.contains("s3.us-east-1.amazonaws.com"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_foreign_bucket_is_waited_for_briefly_and_never_twice() -> Outcome {
    let bench = bench()?;
    let theirs = HeldBucket { owner: "210987654321".parse()?, ..bucket(None)? };
    bench.account.hold("their-bucket".parse()?, Some(theirs));
    (0..1_000).for_each(|_| bench.account.fail_next(Action::GetBucketLocation, FailureKind::Denied));
    let took = async |desired: &Desired| {
        let begun = bench.account.clock().now();
        let done = bench.ensure(desired).await;
        (bench.account.clock().now() - begun, done.map(|done| told(&done.findings)))
    };
    let shared = json!([{"BucketName": "their-bucket", "BucketOwnerAccountId": "210987654321"}]);
    let old = with(properties("vol"), "Volumes", shared);
    let (first, said) = took(&create(&old)?).await;
    assert!((Duration::from_secs(10)..=Duration::from_secs(15)).contains(&first), "{first:?}");
    assert!(said?.contains("could not be looked at from here"));

    let described = with(old.clone(), "Description", json!("For the lab"));
    let (again, _) = took(&update(&role_arn("vol"), &old, &described)?).await;
    assert_eq!(again, Duration::ZERO);

    // One's own may have to wait for the provider role to be in force.
    let (own, said) = took(&create(&with(on("other-bucket"), "RoleName", json!("own")))?).await;
    assert!(own >= Duration::from_secs(60), "{own:?}");
    assert!(said.err().is_some_and(|refused| refused.to_string().contains("not one that this account may use")));
    Ok(())
}

#[tokio::test]
async fn a_boundary_that_forbids_s3_fails_a_create_and_its_delete_leaves_nothing() -> Outcome {
    let bench = bench()?;
    let cap = policy_arn("cap")?;
    bench.account.by_hand(&foreign_policy(cap.clone()))?;
    let before = bench.account.snapshot();
    let capped = with(on("my-bucket"), "PermissionsBoundaryArn", json!(cap.as_str()));
    let refused = bench.ensure(&create(&capped)?).await.err().map(|refusal| refusal.to_string());
    let says = |part: &str| refused.as_ref().is_some_and(|said| said.contains(part));
    assert!(says("The boundary arn:aws:iam::123456789012:policy/cap does not allow role vol"), "{refused:?}");
    assert!(says("s3:GetObject on arn:aws:s3:::my-bucket/*") && !says("s3:ListBucket on"), "{refused:?}");
    bench.delete(&delete("vol")?).await?;
    assert_eq!(bench.account.snapshot(), before);
    Ok(())
}

#[tokio::test]
async fn a_boundary_that_is_not_there_is_named() -> Outcome {
    let bench = bench()?;
    let deletion = with(on("my-bucket"), "PermissionsBoundaryArn", json!("arn:aws:iam::123456789012:policy/absent"));
    let refused = bench.ensure(&create(&deletion)?).await.err().map(|refusal| refusal.to_string()).unwrap_or_default();
    assert!(refused.contains("policy/absent") && refused.contains("check PermissionsBoundaryArn"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_bucket_of_another_account_is_said_to_be_that() -> Outcome {
    let bench = bench()?;
    let theirs = HeldBucket { owner: "210987654321".parse()?, ..bucket(None)? };
    bench.account.hold("their-bucket".parse()?, Some(theirs));
    let refused = bench.ensure(&create(&on("their-bucket"))?).await.err().map(|refusal| refusal.to_string());
    assert!(refused.is_some_and(|said| said.contains("most likely it belongs to another account")));
    let shared = json!([{"BucketName": "their-bucket", "BucketOwnerAccountId": "210987654321"}]);
    let done = bench.ensure(&create(&with(properties("vol"), "Volumes", shared))?).await?;
    assert!(told(&done.findings).contains("whose bucket policy has to allow arn:aws:iam::123456789012:role/vol"));
    Ok(())
}

#[tokio::test]
async fn a_boundary_that_came_to_forbid_s3_since_fails_no_rollback() -> Outcome {
    let bench = bench()?;
    let cap = policy_arn("wide")?;
    bench.account.by_hand(&cavatica_memory::wide_boundary(cap.clone()))?;
    let old = with(on("my-bucket"), "PermissionsBoundaryArn", json!(cap.as_str()));
    let new = with(old.clone(), "Volumes", json!([{"BucketName": "my-bucket", "AccessMode": "ReadWrite"}]));
    bench.ensure(&create(&old)?).await?;
    let forbids = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:*","Resource":"*"}]}"#;
    bench.account.by_hand(&Change::CreatePolicyVersion { arn: cap, document: forbids.to_owned() })?;
    let refused = bench.ensure(&update(&role_arn("vol"), &old, &new)?).await.err().map(|refusal| refusal.to_string());
    assert!(refused.is_some_and(|said| said.contains("does not allow role vol")));
    let done = bench.ensure(&update(&role_arn("vol"), &new, &old)?).await?;
    assert!(told(&done.findings).contains("does not allow role vol"), "{:?}", done.findings);
    Ok(())
}

/// Returns the boundary of a release that demands the bucket's owner.
fn demands_owner(account: &str) -> Result<Change, Rule> {
    let document = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceAccount": account}},
    }]});
    Ok(Change::CreatePolicyVersion { arn: BOUNDARY.parse()?, document: document.to_string() })
}

#[tokio::test]
async fn the_simulator_is_told_who_owns_the_bucket() -> Outcome {
    for (owner, volumes, passes) in [
        ("123456789012", json!([{"BucketName": "my-bucket"}]), true),
        ("999999999999", json!([{"BucketName": "my-bucket"}]), false),
        ("210987654321", json!([{"BucketName": "my-bucket", "BucketOwnerAccountId": "210987654321"}]), true),
    ] {
        let bench = Bench::new()?;
        bench.account.by_hand(&demands_owner(owner)?)?;
        let refused = bench.ensure(&create(&with(properties("vol"), "Volumes", volumes))?).await.err();
        let refused = refused.map(|refusal| refusal.to_string());
        assert_eq!(refused.is_none(), passes, "{owner}: {refused:?}");
        assert!(passes || refused.is_some_and(|it| it.contains("does not allow role vol s3:ListBucket")), "{owner}");
    }
    Ok(())
}

/// Returns an update to a release whose boundary demands the owner fails later on, and the function of the release
/// before, which does not tell the simulator, takes it back while the boundary is still the new one.
#[tokio::test]
async fn a_rollback_passes_under_a_boundary_that_the_simulator_finds_too_narrow() -> Outcome {
    let bench = Bench::new()?;
    let (old, new) = (properties("vol"), with(properties("vol"), "Description", json!("for the lab")));
    bench.ensure(&create(&old)?).await?;
    bench.account.by_hand(&demands_owner("999999999999")?)?;
    for (from, to) in [(&old, &new), (&new, &old)] {
        let done = bench.ensure(&update(&role_arn("vol"), from, to)?).await?;
        assert!(told(&done.findings).contains("does not allow role vol"), "{:?}", done.findings);
    }
    Ok(())
}
