//! The whole system: the published template through the local engine's CloudFormation, our Lambda behind it.

use aws_sdk_s3::types::{
    CreateBucketConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
    ServerSideEncryptionRule,
};
use cavatica_access::document::same_meaning;
use cavatica_tests::Outcome;
use cavatica_tests::system::{Definition, System};

const BUCKET: (&str, &str) = ("BucketName", "genomics-lab-data");

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_comes_up_changes_in_place_and_goes_without_a_trace() -> Outcome {
    let system = System::start().await?;
    system.add_foreign(Some("bystander"), Some("bystander")).await?;
    let before = system.account().await?;
    let created = system.create(&[BUCKET]).await?;
    assert_eq!(created.status, "CREATE_COMPLETE", "{}", created.cause);
    let outputs = system.stacks.outputs(&created.id).await?;
    let uuid = created.id.rsplit('/').next().unwrap_or_default();
    assert_eq!(outputs["RoleName"], format!("cavatica-volume-{}", &uuid[..8]));
    assert_eq!(outputs["Release"], system.code_key());
    let first = system.account().await?;
    let provider = first.iter().find(|(arn, _)| arn.contains("-ProviderRole-")).ok_or("no provider role")?;
    let external_id = &outputs["ExternalId"];
    assert_eq!(provider.1["id"], external_id.as_str(), "by default the external ID is the provider role's unique ID");
    let role = &first[&outputs["RoleArn"]];
    assert!(role["trust"].to_string().contains(external_id), "{role}");
    assert!(!first.keys().any(|arn| arn.contains(external_id)) && !role["tags"].to_string().contains(external_id));
    assert_eq!(role["attached"], serde_json::json!([outputs["PolicyArn"]]));

    let changes = [
        BUCKET,
        ("AccessMode", "ReadWrite"),
        ("Prefix", "raw/2026"),
        ("ExternalId", "none"),
        ("Tags", "team=lab,cost=1"),
    ];
    let updated = system.update(&created.id, &changes).await?;
    assert_eq!(updated.status, "UPDATE_COMPLETE", "{}", updated.cause);
    let second = system.account().await?;
    let (role, policy) = (&second[&outputs["RoleArn"]], &second[&outputs["PolicyArn"]]);
    assert_eq!(role["id"], first[&outputs["RoleArn"]]["id"], "the same role, not a new one of the same name");
    assert!(role["trust"].get("Condition").is_none() && !role["trust"].to_string().contains("ExternalId"), "{role}");
    assert!(policy["document"].to_string().contains("genomics-lab-data/raw/2026/*"), "{policy}");
    assert_eq!(role["tags"]["team"], "lab");
    let outputs = system.stacks.outputs(&created.id).await?;
    assert!(!outputs.contains_key("ExternalId"), "no external ID, no output");
    let next = &outputs["NextSteps"];
    assert!(
        next.contains("bucket genomics-lab-data, prefix raw/2026, then paste RoleArn (there is no external ID)"),
        "{next}"
    );

    let deleted = system.delete(&created.id).await?;
    assert_eq!(deleted.status, "DELETE_COMPLETE", "{}", deleted.cause);
    assert_eq!(system.account().await?, before);
    system.engine.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_automatic_external_id_stays_over_updates_renames_and_rollbacks() -> Outcome {
    let system = System::start().await?;
    system.add_foreign(Some("taken"), None).await?;
    let created = system.create(&[BUCKET]).await?;
    let first = system.stacks.outputs(&created.id).await?["ExternalId"].clone();
    for (changed, status) in [
        (vec![BUCKET, ("AccessMode", "ReadWrite")], "UPDATE_COMPLETE"),
        (vec![BUCKET, ("RoleName", "renamed")], "UPDATE_COMPLETE"),
        (vec![BUCKET, ("RoleName", "taken")], "UPDATE_ROLLBACK_COMPLETE"),
    ] {
        assert_eq!(system.update(&created.id, &changed).await?.status, status, "{changed:?}");
        assert_eq!(system.stacks.outputs(&created.id).await?["ExternalId"], first, "{changed:?}");
    }
    let account = system.account().await?;
    let trust = account["arn:aws:iam::123456789012:role/renamed"]["trust"].to_string();
    assert!(trust.contains(&first), "{trust}");
    system.delete(&created.id).await?;
    system.engine.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_replaces_the_role_and_the_old_one_goes() -> Outcome {
    let system = System::start().await?;
    let before = system.account().await?;
    let created = system.create(&[BUCKET, ("RoleName", "first")]).await?;
    let renamed = system.update(&created.id, &[BUCKET, ("RoleName", "second")]).await?;
    assert_eq!(renamed.status, "UPDATE_COMPLETE", "{}", renamed.cause);
    let account = system.account().await?;
    let names: Vec<_> = account.keys().filter_map(|arn| arn.rsplit('/').next()).collect();
    assert!(names.contains(&"second") && !names.contains(&"first"), "{names:?}");
    system.delete(&created.id).await?;
    assert_eq!(system.account().await?, before);
    system.engine.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_changes_roll_back_and_change_nothing() -> Outcome {
    let system = System::start().await?;
    let created = system.create(&[BUCKET, ("RoleName", "first")]).await?;
    let held = |account: &std::collections::BTreeMap<String, serde_json::Value>| {
        let ours = ["arn:aws:iam::123456789012:role/first", "arn:aws:iam::123456789012:policy/first"];
        ours.map(|arn| account.get(arn).cloned())
    };
    let before = held(&system.account().await?);
    for (changed, said) in [
        ([BUCKET, ("RoleName", "first"), ("PolicyName", "other")], "may change only together with RoleName"),
        ([BUCKET, ("RoleName", "FIRST"), ("PolicyName", "first")], "IAM ignores letter case"),
        ([BUCKET, ("RoleName", "first"), ("IamPath", "/labs/")], "names are unique across paths"),
    ] {
        let refused = system.update(&created.id, &changed).await?;
        assert_eq!(refused.status, "UPDATE_ROLLBACK_COMPLETE", "{said}");
        assert!(refused.cause.contains(said), "{}", refused.cause);
        assert_eq!(held(&system.account().await?), before, "{said}");
    }
    system.delete(&created.id).await?;
    system.engine.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_update_rolls_back_to_what_was_and_what_is_foreign_survives() -> Outcome {
    let system = System::start().await?;
    system.add_foreign(Some("taken"), Some("taken-too")).await?;
    let before = system.account().await?;
    let created = system.create(&[BUCKET, ("RoleName", "first")]).await?;
    let working = system.account().await?;
    for (name, said) in [("taken", "Role taken already exists"), ("taken-too", "Policy taken-too already exists")] {
        let failed = system.update(&created.id, &[BUCKET, ("RoleName", name)]).await?;
        assert_eq!(failed.status, "UPDATE_ROLLBACK_COMPLETE", "{}", failed.cause);
        assert!(failed.cause.contains(said), "{}", failed.cause);
        let now = system.account().await?;
        for (arn, held) in working.iter().filter(|(arn, _)| !arn.contains("my-volume-")) {
            assert_eq!(now.get(arn), Some(held), "{arn} after {name}");
        }
    }
    system.delete(&created.id).await?;
    assert_eq!(system.account().await?, before);
    system.engine.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_role_or_policy_survives_create_failure_rollback_and_delete() -> Outcome {
    let system = System::start().await?;
    system.add_foreign(Some("taken"), Some("taken")).await?;
    let before = system.account().await?;
    let failed = system.create(&[BUCKET, ("RoleName", "taken")]).await?;
    assert_eq!(failed.status, "ROLLBACK_COMPLETE", "{}", failed.cause);
    assert!(failed.cause.contains("Role taken already exists and is not this stack's"), "{}", failed.cause);
    assert!(failed.cause.contains("Choose another RoleName"), "{}", failed.cause);
    assert!(failed.cause.contains("delete the stack, and create it again"), "{}", failed.cause);
    assert_eq!(system.account().await?, before);
    let deleted = system.delete(&failed.id).await?;
    assert_eq!(deleted.status, "DELETE_COMPLETE");
    assert_eq!(system.account().await?, before);
    system.engine.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_refuses_what_its_patterns_can_see() -> Outcome {
    let system = System::start().await?;
    let before = system.account().await?;
    let too_long = "r".repeat(65);
    let long_boundary = format!("arn:aws:iam::123456789012:policy/{}/b", "p".repeat(216));
    for (name, value) in [
        ("BucketName", "Genomics-Lab"),
        ("Prefix", "raw/*"),
        ("Prefix", "s3://genomics-lab-data/raw"),
        ("PermissionsBoundaryArn", long_boundary.as_str()),
        ("AccessMode", "read-only"),
        ("ExternalId", "12345"),
        ("RoleName", too_long.as_str()),
        ("KmsKeyArn", "alias/lab"),
    ] {
        let parameters: Vec<_> =
            [BUCKET].into_iter().filter(|(known, _)| *known != name).chain([(name, value)]).collect();
        let refused = system.start_create("my-volume", Definition { is_native: false, parameters: &parameters }).await;
        let said = refused.map_err(|error| error.to_string()).err().unwrap_or_default();
        assert!(said.contains(name), "{name}={value}: {said}");
    }
    assert_eq!(system.account().await?, before);
    system.engine.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_native_template_makes_the_same_role_and_goes_without_a_trace() -> Outcome {
    let system = System::start().await?;
    let before = system.account().await?;
    let asked = [BUCKET, ("Prefix", "raw/2026"), ("AccessMode", "ReadWrite"), ("ExternalId", "lab-1234-5678-90ab")];
    let named = |role: &'static str| [&asked[..], &[("RoleName", role)]].concat();
    let by_function = system.create(&named("by-function")).await?;
    let native = system.create_native(&named("native")).await?;
    assert_eq!((&*by_function.status, &*native.status), ("CREATE_COMPLETE", "CREATE_COMPLETE"), "{}", native.cause);
    let account = system.account().await?;
    let of = |kind: &str, name: &str| account.get(&format!("arn:aws:iam::123456789012:{kind}/{name}")).cloned();
    let (policy, role) = (of("policy", "native").unwrap_or_default(), of("role", "native").unwrap_or_default());
    assert!(
        same_meaning(&policy["document"], &of("policy", "by-function").unwrap_or_default()["document"]),
        "{policy}"
    );
    assert!(same_meaning(&role["trust"], &of("role", "by-function").unwrap_or_default()["trust"]), "{role}");
    assert_eq!(role["attached"], serde_json::json!(["arn:aws:iam::123456789012:policy/native"]));
    let outputs = system.stacks.outputs(&native.id).await?;
    assert_eq!(outputs["RoleArn"], "arn:aws:iam::123456789012:role/native");
    assert!(outputs["NextSteps"].contains("Nobody has checked whether the bucket exists"), "{}", outputs["NextSteps"]);
    let request: serde_json::Value = serde_json::from_str(&outputs["CreateVolumeRequest"])?;
    assert_eq!(request["service"]["credentials"]["external_id"], "lab-1234-5678-90ab");
    for id in [by_function.id, native.id] {
        assert_eq!(system.delete(&id).await?.status, "DELETE_COMPLETE");
    }
    assert_eq!(system.account().await?, before);
    system.engine.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_volume_fails_with_the_remedy_in_the_stack_events() -> Outcome {
    const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let system = System::start().await?;
    let place = CreateBucketConfiguration::builder().location_constraint("me-south-1".into()).build();
    system.s3.create_bucket().bucket("far-away").create_bucket_configuration(place).send().await?;
    system.s3.create_bucket().bucket("encrypted").send().await?;
    let default = ServerSideEncryptionByDefault::builder()
        .sse_algorithm(ServerSideEncryption::AwsKms)
        .kms_master_key_id(KEY)
        .build()?;
    let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(default).build();
    let configuration = ServerSideEncryptionConfiguration::builder().rules(rule).build()?;
    let call = system.s3.put_bucket_encryption().bucket("encrypted");
    call.server_side_encryption_configuration(configuration).send().await?;
    for (asked, said) in [
        (vec![("BucketName", "genomics-lab-dta")], "Bucket genomics-lab-dta does not exist. Check BucketName"),
        (
            vec![("BucketName", "far-away")],
            "Bucket far-away is in me-south-1, a region that accounts have to opt in to",
        ),
        (vec![BUCKET, ("Prefix", "genomics-lab-data/raw")], "but must be the prefix alone: give raw"),
        (vec![("BucketName", "encrypted")], "set KmsKeyArn to arn:aws:kms:us-east-1:123456789012:key/1234abcd"),
    ] {
        let failed = system.create(&asked).await?;
        assert!(failed.cause.contains(said), "{said}: {} {}", failed.status, failed.cause);
        system.delete(&failed.id).await?;
    }
    // Nothing of it fails a stack whose checks are off, and a key of another account fails none at all.
    let off = system.create(&[("BucketName", "genomics-lab-dta"), ("Checks", "Off")]).await?;
    assert_eq!(off.status, "CREATE_COMPLETE", "{}", off.cause);
    assert_eq!(system.stacks.outputs(&off.id).await?["Findings"], "not checked, because Checks is Off");
    system.delete(&off.id).await?;
    let central = KEY.replace("123456789012", "210987654321");
    let foreign = system.create(&[BUCKET, ("KmsKeyArn", &central)]).await?;
    assert_eq!(foreign.status, "CREATE_COMPLETE", "{}", foreign.cause);
    let findings = &system.stacks.outputs(&foreign.id).await?["Findings"];
    assert!(findings.contains(&format!("KMS key {central} is account 210987654321's")), "{findings}");
    system.delete(&foreign.id).await?;
    // What a parameter's pattern sees is refused before there is a stack.
    let alias = ("KmsKeyArn", "arn:aws:kms:us-east-1:123456789012:alias/lab");
    let refused = system.create(&[BUCKET, alias]).await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("KmsKeyArn") && refused.contains("an alias is not enough"), "{refused}");
    system.engine.stop().await?;
    Ok(())
}
