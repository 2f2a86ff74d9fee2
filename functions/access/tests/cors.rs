//! CORS rules in a bucket that others configure too: theirs stay, ours comes and goes alone.

mod support;

use std::time::Duration;

use cavatica_access::checks::told;
use cavatica_access::port::{Action, CorsRule, FailureKind};
use cavatica_memory::{HeldBucket, foreign_cors_rule};
use serde_json::{Value, json};
use support::*;

fn cors(role: &str) -> Value {
    with(properties(role), "ConfigureCors", json!("true"))
}

/// Returns an account whose bucket has these rules of others.
fn bench(others: &[CorsRule]) -> Result<Bench, Box<dyn std::error::Error>> {
    let bench = Bench::new()?;
    let (owner, region) = ("123456789012".parse()?, "us-east-1".parse()?);
    bench.account.hold("my-bucket".parse()?, Some(HeldBucket { owner, region, key: None, cors: others.to_vec() }));
    Ok(bench)
}

/// Returns the IDs of the bucket's rules; ours as its role's name.
fn ids(bench: &Bench) -> Vec<String> {
    let ids = |held: &HeldBucket| held.cors.iter().filter_map(|rule| rule.id.clone()).collect::<Vec<_>>();
    let ids: Vec<_> = bench.account.read(|state| state.buckets().flat_map(|(_, held)| ids(held)).collect());
    let own =
        |id: &String| id.strip_prefix("cavatica-connect:5e1b8ce0-1111-11f0-8000-0a1b2c3d4e5f:").map(str::to_owned);
    ids.into_iter().map(|id| own(&id).unwrap_or(id)).collect()
}

#[tokio::test]
async fn a_rule_goes_in_other_role_others_and_out_alone() -> Outcome {
    for others in [&[][..], &[foreign_cors_rule("web"), foreign_cors_rule("viewer")]] {
        let bench = bench(others)?;
        let before = bench.account.snapshot();
        bench.ensure(&create(&cors("vol"))?).await?;
        assert_eq!(ids(&bench).first().map(String::as_str), Some("vol"));
        bench.delete(&delete("vol")?).await?;
        assert_eq!(bench.account.snapshot(), before);
    }
    Ok(())
}

#[tokio::test]
async fn rules_that_somebody_writes_at_the_same_time_are_merged_again() -> Outcome {
    let bench = bench(&[foreign_cors_rule("web")])?;
    bench.account.overwrite_next_cors(2);
    bench.ensure(&create(&cors("vol"))?).await?;
    let ids = ids(&bench);
    assert!(ids.len() == 4 && ids[0] == "vol" && ids.contains(&"web".to_owned()), "{ids:?}");
    bench.account.overwrite_next_cors(1);
    bench.delete(&delete("vol")?).await?;
    assert!(!self::ids(&bench).contains(&"vol".to_owned()));
    Ok(())
}

#[tokio::test]
async fn names_lasting_conflicts_and_full_cors_configurations() -> Outcome {
    let contested = bench(&[])?;
    contested.account.overwrite_next_cors(u32::MAX);
    let full = bench(&vec![foreign_cors_rule("theirs"); 100])?;
    for (bench, said) in [(contested, "Somebody else keeps changing"), (full, "already has 100 CORS rules")] {
        let refused = bench.ensure(&create(&cors("vol"))?).await.err().map(|refusal| refusal.to_string());
        assert!(refused.as_ref().is_some_and(|refused| refused.contains(said)), "{refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_by_s3_fails_only_an_enforced_create() -> Outcome {
    let full = || vec![foreign_cors_rule("theirs"); 100];
    let report = with(cors("vol"), "Checks", json!("Report"));
    let done = bench(&full())?.ensure(&create(&report)?).await?;
    assert!(told(&done.findings).contains("already has 100 CORS rules"), "{:?}", done.findings);

    let bench = bench(&full())?;
    let without = properties("vol");
    bench.ensure(&create(&without)?).await?;
    let done = bench.ensure(&update(&role_arn("vol"), &without, &cors("vol"))?).await?;
    let said = told(&done.findings);
    assert!(said.contains("already has 100 CORS rules") && said.contains("vol of bucket my-bucket by hand"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_rule_that_the_provider_role_reaches_no_more_stays_and_is_said_with_the_command() -> Outcome {
    // Without ConfigureCors the role may change the CORS configuration of the stack's bucket only, which is another one
    // now.
    let bench = bench(&[])?;
    let old = cors("vol");
    bench.ensure(&create(&old)?).await?;
    let (owner, region) = ("123456789012".parse()?, "us-east-1".parse()?);
    bench.account.hold("other-bucket".parse()?, Some(HeldBucket { owner, region, key: None, cors: Vec::new() }));
    (0..200).for_each(|_| bench.account.fail_next(Action::GetBucketCORS, FailureKind::Denied));
    let begun = bench.account.clock().now();
    let new = with(properties("vol"), "Volumes", json!([{"BucketName": "other-bucket"}]));
    let said = told(&bench.ensure(&update(&role_arn("vol"), &old, &new)?).await?.findings);
    assert!(
        said.contains("it should be gone") && said.contains("aws s3api get-bucket-cors --bucket my-bucket"),
        "{said}"
    );
    assert!(bench.account.clock().now() - begun <= Duration::from_secs(20), "it may never be allowed again");
    Ok(())
}

#[tokio::test]
async fn known_buckets_get_fifteen_seconds_in_all() -> Outcome {
    let bench = bench(&[])?;
    let old = cors("vol");
    bench.ensure(&create(&old)?).await?;
    for action in [Action::GetBucketLocation, Action::GetBucketCORS, Action::PutBucketCORS] {
        (0..200).for_each(|_| bench.account.fail_next(action, FailureKind::Server));
    }
    let begun = bench.account.clock().now();
    let new = with(old.clone(), "RoleName", json!("new"));
    let done = bench.ensure(&update(&role_arn("vol"), &old, &new)?).await?;
    assert!(told(&done.findings).contains("by hand: it should be there"), "{:?}", done.findings);
    let spent = bench.account.clock().now() - begun;
    // The second look at a rename, and the simulator.
    let other_roles = Duration::from_secs(10);
    assert!(spent <= Duration::from_secs(30) + other_roles, "{spent:?}");
    Ok(())
}

#[tokio::test]
async fn a_rolled_back_rename_removes_its_cors_rule() -> Outcome {
    let bench = bench(&[])?;
    let (old, new) = (properties("vol"), cors("new"));
    bench.ensure(&create(&old)?).await?;
    bench.ensure(&update(&role_arn("vol"), &old, &new)?).await?;
    assert_eq!(ids(&bench), ["new"]);
    bench.ensure(&update(&role_arn("vol"), &new, &old)?).await?;
    assert_eq!(ids(&bench), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn an_unreadable_bucket_stops_no_update_and_no_delete() -> Outcome {
    for action in [Action::GetBucketLocation, Action::GetBucketCORS] {
        let deny = |bench: &Bench| (0..200).for_each(|_| bench.account.fail_next(action, FailureKind::Denied));
        let bench = bench(&[])?;
        let old = with(cors("vol"), "Checks", json!("Off"));
        bench.ensure(&create(&old)?).await?;
        deny(&bench);
        let new = with(old.clone(), "ExternalId", json!("lab-5678"));
        let done = bench.ensure(&update(&role_arn("vol"), &old, &new)?).await?;
        let said = told(&done.findings);
        assert!(said.contains("by hand: it should be there"), "{action:?}: {said}");
        let done = bench.delete(&delete("vol")?).await?;
        assert!(told(&done.findings).contains("by hand: it should be gone"), "{action:?}");
    }
    Ok(())
}
