//! Previews, and failures that need a decision: how each is explained, how long it is waited for, and that what is
//! another's stays. That faults, repeats, halves and lag change nothing in the end is tried at every call by the
//! simulator (`cargo simulate`) and on the real binary by the sweep (`cargo sweep`).

mod support;

use std::time::Duration;

use cavatica_access::desired::Desired;
use cavatica_access::names::RoleArn;
use cavatica_access::port::{Action, Bucket, Change, Clock, FailureKind, PolicyEntity, ReadAccount};
use cavatica_access::reconcile::{self, Context, Preview};
use cavatica_access::refusal::Refusal;
use cavatica_memory::{MemoryAccount, foreign_policy, foreign_role};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::*;

#[tokio::test]
async fn a_preview_tells_every_difference_and_changes_nothing() -> Outcome {
    let bench = Bench::new()?;
    let desired = create(&properties("vol"))?;
    let untouched = bench.account.snapshot();
    let before = preview(&bench, &desired).await?;
    assert_eq!(before.plan.to_string(), "creating role vol | creating policy vol\nattaching policy vol to role vol\n");
    assert_eq!(bench.account.snapshot(), untouched);

    bench.ensure(&desired).await?;
    let as_asked = preview(&bench, &desired).await?;
    assert!(as_asked.plan.is_empty() && as_asked.findings.is_empty(), "{as_asked:?}");

    bench.account.by_hand(&Change::Detach {
        from: PolicyEntity::Role("vol".to_owned()),
        arn: desired.blueprint.policy.clone(),
    })?;
    let (drifted, state) = (preview(&bench, &desired).await?, bench.account.snapshot());
    assert_eq!(drifted.plan.to_string(), "attaching policy vol to role vol\n");
    assert_eq!(bench.account.snapshot(), state);
    Ok(())
}

#[tokio::test]
async fn a_preview_tells_a_lost_cors_rule_and_asks_the_simulator_where_all_is_as_asked() -> Outcome {
    let bench = Bench::new()?;
    let desired = create(&with(properties("vol"), "ConfigureCors", json!("true")))?;
    bench.ensure(&desired).await?;
    let as_asked = preview(&bench, &desired).await?;
    assert_eq!((as_asked.drift().count(), as_asked.findings.len()), (0, 0), "{as_asked:?}");

    bench.account.fail_next(Action::SimulatePrincipalPolicy, FailureKind::Other);
    let unasked = preview(&bench, &desired).await?;
    let sentences: Vec<_> = unasked.findings.iter().map(|finding| finding.sentence.as_str()).collect();
    assert!(matches!(*sentences, [one] if one.contains("could not be asked of IAM's simulator")), "{sentences:?}");

    let owner = bench.owner.stack.account.clone();
    let bucket = Bucket { name: "my-bucket".parse()?, owner, region: "us-east-1".parse()? };
    bench.account.by_hand(&Change::PutCors { bucket: Box::new(bucket), rules: Vec::new() })?;
    let (lost, state) = (preview(&bench, &desired).await?, bench.account.snapshot());
    let drift: Vec<_> = lost.drift().map(ToString::to_string).collect();
    assert_eq!(drift, ["setting the CORS rules of bucket my-bucket"]);
    assert_eq!(bench.account.snapshot(), state);
    Ok(())
}

#[tokio::test]
async fn after_a_rename_the_note_of_the_former_role_is_no_drift() -> Outcome {
    let bench = Bench::new()?;
    let (old, new) = (properties("vol"), properties("renamed"));
    bench.ensure(&create(&old)?).await?;
    bench.ensure(&update(&role_arn("vol"), &old, &new)?).await?;
    bench.delete(&delete("vol")?).await?;
    let as_asked = preview(&bench, &update(&role_arn("renamed"), &new, &new)?).await?;
    assert_eq!(as_asked.plan.to_string(), "tagging role renamed\n", "the next update clears it");
    assert_eq!(as_asked.drift().count(), 0);
    Ok(())
}

/// By an account of which only reading is known.
async fn preview(bench: &Bench, desired: &Desired) -> Result<Preview, Refusal> {
    async fn read_only<I: ReadAccount, C: Clock>(
        context: &Context<'_, I, C>,
        desired: &Desired,
    ) -> Result<Preview, Refusal> {
        reconcile::preview(context, desired).await
    }
    read_only(&bench.context(), desired).await
}

#[tokio::test]
async fn observes_again_if_a_resource_vanishes_between_two_reads() -> Outcome {
    for kind in [FailureKind::NotFound, FailureKind::Denied] {
        let bench = Bench::new()?;
        let before = bench.account.snapshot();
        bench.ensure(&create(&properties("vol"))?).await?;
        // More often than one look is patient for.
        for _ in 0..if kind == FailureKind::Denied { 22 } else { 11 } {
            bench.account.fail_next(Action::ListRolePolicies, kind);
        }
        bench.delete(&delete("vol")?).await?;
        assert_eq!(bench.account.snapshot(), before, "{kind:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_delete_right_after_a_failed_create_finds_what_does_not_show_yet() -> Outcome {
    let bench = Bench::with(MemoryAccount::new("123456789012".parse()?).lagging(Duration::from_secs(2)))?;
    bench.account.clock().sleep(Duration::from_secs(10)).await;
    let before = bench.account.snapshot();
    bench.account.fail_next(Action::AttachRolePolicy, FailureKind::Other);
    assert!(bench.ensure(&create(&properties("vol"))?).await.is_err());
    bench.delete(&delete("vol")?).await?;
    assert_eq!(bench.account.snapshot(), before);
    Ok(())
}

#[tokio::test]
async fn a_rolled_back_rename_shows_before_its_answer() -> Outcome {
    for policy in [None, Some("shared")] {
        let named = |role: &str| match policy {
            Some(policy) => with(properties(role), "PolicyName", json!(policy)),
            None => properties(role),
        };
        let bench = Bench::with(MemoryAccount::new("123456789012".parse()?).lagging(Duration::from_secs(4)))?;
        bench.account.clock().sleep(Duration::from_secs(10)).await;
        bench.ensure(&create(&named("vol"))?).await?;
        bench.account.clock().sleep(Duration::from_secs(10)).await;
        bench.ensure(&update(&role_arn("vol"), &named("vol"), &named("new"))?).await?;
        bench.account.clock().sleep(Duration::from_secs(10)).await;
        bench.ensure(&update(&role_arn("new"), &named("new"), &named("vol"))?).await?;
        // CloudFormation's Delete comes at once.
        bench.delete(&delete("new")?).await?;
        bench.account.clock().sleep(Duration::from_secs(10)).await;
        let again = update(&role_arn("vol"), &named("vol"), &named("vol"))?;
        let rest = bench.plan(&again).await?;
        assert!(rest.is_empty() || rest == "tagging role vol\n", "role and policy are as they were: {rest}");
    }
    Ok(())
}

#[tokio::test]
async fn a_boundary_that_does_not_exist_is_named() -> Outcome {
    let bench = Bench::new()?;
    let asked = with(properties("vol"), "PermissionsBoundaryArn", json!("arn:aws:iam::123456789012:policy/typo"));
    let said = bench.ensure(&create(&asked)?).await.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(said.contains("check PermissionsBoundaryArn"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_name_taken_under_another_path_says_so() -> Outcome {
    let bench = Bench::new()?;
    bench.account.by_hand(&foreign_policy("arn:aws:iam::123456789012:policy/team/vol".parse()?))?;
    let said = bench.ensure(&create(&properties("vol"))?).await.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(said.contains("EntityAlreadyExists") && said.contains("under another path"), "{said}");
    bench.delete(&delete("vol")?).await?;
    Ok(())
}

#[tokio::test]
async fn a_foreign_role_under_another_path_is_refused_and_survives() -> Outcome {
    let bench = Bench::new()?;
    let arn: RoleArn = "arn:aws:iam::123456789012:role/team/vol".parse()?;
    bench.account.by_hand(&foreign_role(arn))?;
    let before = bench.account.snapshot();
    let said = bench.ensure(&create(&properties("vol"))?).await.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(said.contains("Role vol already exists and is not this stack's"), "{said}");
    bench.delete(&delete("vol")?).await?;
    assert_eq!(bench.account.snapshot(), before);
    Ok(())
}

#[tokio::test]
async fn a_lasting_delete_conflict_leads_to_a_new_observation() -> Outcome {
    let bench = Bench::new()?;
    bench.ensure(&create(&properties("vol"))?).await?;
    (0..12).for_each(|_| bench.account.fail_next(Action::DeletePolicy, FailureKind::DeleteConflict));
    bench.delete(&delete("vol")?).await?;
    let calls = bench.account.calls();
    let knocks = calls.split(|call| *call != Action::DeletePolicy).map(<[_]>::len).max();
    assert!(knocks.is_some_and(|knocks| (2..=6).contains(&knocks)), "{knocks:?} in a row: {calls:?}");
    Ok(())
}

#[tokio::test]
async fn a_denial_that_stays_is_explained_with_the_usual_cause() -> Outcome {
    let bench = Bench::new()?;
    for _ in 0..100 {
        bench.account.fail_next(Action::CreateRole, FailureKind::Denied);
    }
    let said = bench.ensure(&create(&properties("vol"))?).await.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(
        said.contains("creating role vol") && said.contains("iam:CreateRole") && said.contains("organisation's"),
        "{said}"
    );
    assert!(
        bench.account.clock().now() >= Duration::from_secs(95),
        "a provider role may need 100 seconds to be in force"
    );
    assert!(bench.account.clock().now() <= Duration::from_secs(115), "and not much longer");
    Ok(())
}

#[tokio::test]
async fn a_denied_deletion_of_a_deleted_resource_succeeds() -> Outcome {
    let bench = Bench::with(MemoryAccount::new("123456789012".parse()?).lagging(Duration::from_secs(5)))?;
    bench.account.clock().sleep(Duration::from_secs(10)).await;
    let before = bench.account.snapshot();
    bench.ensure(&create(&properties("vol"))?).await?;
    bench.account.clock().sleep(Duration::from_secs(10)).await;
    // Somebody else removes the policy. It still shows, and under a tag condition what is gone is denied.
    let from = PolicyEntity::Role("vol".to_owned());
    bench.account.by_hand(&Change::Detach { from, arn: policy_arn("vol")? })?;
    bench.account.clock().sleep(Duration::from_secs(10)).await;
    bench.account.by_hand(&Change::DeletePolicy { arn: policy_arn("vol")? })?;
    for _ in 0..100 {
        bench.account.fail_next(Action::DeletePolicy, FailureKind::Denied);
    }
    let done = bench.delete(&delete("vol")?).await?;
    // After the retries it looks again. The role went meanwhile and may show still: then it is told to go once more.
    assert!(done.applied.iter().all(|change| change == "deleting role vol"), "{:?}", done.applied);
    assert!(bench.account.calls().contains(&Action::DeletePolicy));
    assert_eq!(bench.account.snapshot(), before);
    Ok(())
}

#[tokio::test]
async fn a_removal_that_stays_denied_is_explained() -> Outcome {
    let bench = Bench::new()?;
    bench.ensure(&create(&properties("vol"))?).await?;
    for _ in 0..100 {
        bench.account.fail_next(Action::DeletePolicy, FailureKind::Denied);
    }
    let said = bench.delete(&delete("vol")?).await.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(said.contains("deleting policy vol") && said.contains("organisation's"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_principal_that_iam_does_not_know_is_permanent_and_explained() -> Outcome {
    let bench = Bench::new()?;
    bench.account.forget_principal(&cavatica_access::platform::CAVATICA.principal);
    let said = bench.ensure(&create(&properties("vol"))?).await.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(said.contains("TrustedPrincipalArn") && said.contains("MalformedPolicyDocument"), "{said}");
    assert_eq!(bench.account.clock().now(), Duration::ZERO, "no retry");
    Ok(())
}

#[tokio::test]
async fn a_stack_of_another_account_is_refused_before_any_change() -> Outcome {
    let bench = Bench::with(MemoryAccount::new("210987654321".parse()?))?;
    let before = bench.account.snapshot();
    let said = bench.ensure(&create(&properties("vol"))?).await.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(
        said.contains("210987654321") && said.contains("123456789012") && said.contains("Nothing was changed"),
        "{said}"
    );
    assert_eq!(bench.account.snapshot(), before);
    Ok(())
}

/// Any valid request for the role `vol`.
fn any_properties() -> impl Strategy<Value = Value> {
    let volume = ("[a-z]{3,8}", proptest::option::of("[a-z/]{1,8}"), prop_oneof![Just("ReadOnly"), Just("ReadWrite")])
        .prop_map(|(bucket, prefix, access)| {
            let mut volume = json!({"BucketName": bucket, "AccessMode": access});
            if let Some(prefix) = prefix {
                volume["Prefix"] = json!(prefix);
            }
            volume
        });
    (
        prop::collection::vec(volume, 1..4),
        proptest::option::of("[a-z]{6,10}"),
        prop::collection::btree_map("[a-c]", "[a-z]{0,3}", 0..3),
        prop_oneof![Just(3600), Just(7200)],
        proptest::option::of("[a-z ]{1,10}"),
    )
        .prop_map(|(volumes, external_id, tags, duration, description)| {
            let tags: Vec<_> = tags.into_iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
            let mut properties = json!({
                "RoleName": "vol", "PermissionsBoundaryArn": BOUNDARY, "Volumes": volumes, "Tags": tags,
                "MaxSessionDuration": duration, "Checks": "Report",
            });
            for (name, value) in [("ExternalId", external_id), ("Description", description)] {
                if let Some(value) = value {
                    properties[name] = json!(value);
                }
            }
            properties
        })
}

proptest! {
    #[test]
    fn after_applying_a_plan_the_next_is_empty_and_deleting_twice_equals_once(
        requests in prop::collection::vec(any_properties(), 1..6),
        names in prop::collection::vec(prop_oneof![Just("vol"), Just("new")], 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|e| TestCaseError::fail(e.to_string()))?;
        runtime.block_on(async move {
            let bench = Bench::new()?;
            let before = bench.account.snapshot();
            let mut old: Option<Value> = None;
            for (request, name) in requests.into_iter().zip(names) {
                let new = with(request, "RoleName", json!(name));
                let desired = match &old {
                    None => create(&new)?,
                    Some(old) => update(&role_arn(old["RoleName"].as_str().unwrap_or_default()), old, &new)?,
                };
                bench.ensure(&desired).await?;
                let rest = bench.plan(&desired).await?;
                assert_eq!(rest, "", "{new}");
                if let Some(from) = &desired.replaced_role {
                    bench.delete(&delete(from.name.as_str())?).await?;
                }
                old = Some(new);
            }
            let last = old.as_ref().and_then(|p| p["RoleName"].as_str()).unwrap_or_default().to_owned();
            bench.delete(&delete(&last)?).await?;
            let once = bench.account.snapshot();
            assert_eq!(once, before);
            bench.delete(&delete(&last)?).await?;
            assert_eq!(bench.account.snapshot(), once);
            Ok::<_, Box<dyn std::error::Error>>(())
        }).map_err(|e| TestCaseError::fail(e.to_string()))?;
    }
}
