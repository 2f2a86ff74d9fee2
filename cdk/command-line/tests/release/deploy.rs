//! A stack without the console: deployed, changed, refused, interrupted.

use std::error::Error;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::faulty_aws::{Fault, FaultyAws};
use crate::interruption::in_a_terminal;
use crate::operator::{BUCKET, Operator, STACK, expect, in_one_line, output_of as output};
use crate::publisher::{Outcome, said};

#[tokio::test]
async fn a_stack_is_created_left_alone_and_changed() -> Outcome {
    let operator = Operator::start().await?;
    let created = operator.deploy(&["--bucket", BUCKET, "--yes"]).await?;
    let text = said(&created);
    assert!(created.status.success(), "{text}");
    for part in [
        "Create stack cavatica-volume",
        "VolumeAccess",
        "s3:GetObject",
        "arn:aws:iam::151136852077:role/volume-connection, with",
        "CREATE_COMPLETE",
        "RoleArn",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let again = operator.deploy(&["--yes", "--output", "json"]).await?;
    assert!(again.status.success() && said(&again).contains("nothing to change"), "{}", said(&again));
    let result: Value = serde_json::from_slice(&again.stdout)?;
    let external_id = result["Outputs"]["ExternalId"].as_str().ok_or("no external ID")?;
    assert!(!text.contains(external_id), "a pipe may be a log: {text}");

    let changed = operator.deploy(&["--access", "read-write", "--prefix", "raw/2026", "--yes"]).await?;
    let text = said(&changed);
    assert!(changed.status.success(), "{text}");
    for part in
        ["Update stack cavatica-volume", "ReadWrite (until now \"ReadOnly\")", "+ ", "s3:PutObject", "UPDATE_COMPLETE"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn the_status_tells_each_change_by_hand_and_no_other() -> Outcome {
    let operator = Operator::start().await?;
    let created = operator.deploy(&["--bucket", BUCKET, "--yes", "--output", "json"]).await?;
    let result: Value = serde_json::from_slice(&created.stdout).map_err(|_| said(&created))?;
    let (role, policy) = (output(&result, "RoleName")?, output(&result, "PolicyArn")?);
    let external_id = output(&result, "ExternalId")?;
    let iam = operator.iam();
    let status = async |further: &[&str]| -> Result<Output, Box<dyn Error>> {
        Ok(operator.publisher.connect(&[&["status"], further].concat()).output().await?)
    };
    let as_asked = status(&[]).await?;
    assert_eq!(as_asked.status.code(), Some(0), "{}", said(&as_asked));
    for part in ["CREATE_COMPLETE", "s3:GetObject", "the volume role: trust, boundary, description, session, tags"] {
        assert!(said(&as_asked).contains(part), "{part}: {}", said(&as_asked));
    }
    assert!(!said(&as_asked).contains(external_id), "a pipe may be a log");

    let open = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}"#;
    let drift = async || -> Result<Vec<String>, Box<dyn Error>> {
        let output = status(&["--output", "json"]).await?;
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let told: Value = serde_json::from_slice(&output.stdout)?;
        Ok(serde_json::from_value(told["Drift"].clone())?)
    };
    let name = policy.rsplit('/').next().unwrap_or_default();

    iam.create_policy_version().policy_arn(policy).policy_document(open).set_as_default(true).send().await?;
    assert_eq!(drift().await?, [format!("making a new version of policy {name}")]);
    let text = status(&[]).await?;
    assert!(said(&text).contains("+ ") && said(&text).contains("\"s3:*\""), "{}", said(&text));
    let version = iam.get_policy_version().policy_arn(policy).version_id("v1").send().await?.policy_version;
    let first = percent_encoding::percent_decode_str(version.as_ref().and_then(|it| it.document()).unwrap_or_default())
        .decode_utf8()?;
    iam.create_policy_version().policy_arn(policy).policy_document(first).set_as_default(true).send().await?;

    let held = iam.get_role().role_name(role).send().await?.role.ok_or("no role")?;
    let trust =
        percent_encoding::percent_decode_str(held.assume_role_policy_document().unwrap_or_default()).decode_utf8()?;
    let anyone = trust.replace(external_id, "known-to-others");
    iam.update_assume_role_policy().role_name(role).policy_document(anyone).send().await?;
    assert_eq!(drift().await?, [format!("setting the trust policy of role {role}")]);
    iam.update_assume_role_policy().role_name(role).policy_document(trust).send().await?;

    iam.detach_role_policy().role_name(role).policy_arn(policy).send().await?;
    assert_eq!(drift().await?, [format!("attaching policy {name} to role {role}")]);
    iam.attach_role_policy().role_name(role).policy_arn(policy).send().await?;

    let boundary = held.permissions_boundary().and_then(|it| it.permissions_boundary_arn()).ok_or("no boundary")?;
    iam.delete_role_permissions_boundary().role_name(role).send().await?;
    let cap = boundary.rsplit('/').next().unwrap_or_default();
    assert_eq!(drift().await?, [format!("setting {cap} as boundary of role {role}")]);
    iam.put_role_permissions_boundary().role_name(role).permissions_boundary(boundary).send().await?;

    iam.untag_policy().policy_arn(policy).tag_keys("cavatica-connect:stack").send().await?;
    assert!(drift().await?.concat().contains("lost the tags that say it is this stack's"));
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn deploy_refuses_a_stack_with_a_foreign_change_set() -> Outcome {
    let operator = Operator::start().await?;
    let client = operator.cloudformation();
    let theirs = client.create_change_set().stack_name("cavatica-volume").change_set_name("theirs");
    let theirs = theirs.change_set_type(aws_sdk_cloudformation::types::ChangeSetType::Create);
    theirs.template_body(r#"{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}"#).send().await?;
    let output = operator.deploy(&["--bucket", BUCKET, "--yes"]).await?;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for part in ["has change set theirs", "another --stack-name", "delete-change-set --change-set-name theirs"] {
        assert!(said(&output).contains(part), "{part}: {}", said(&output));
    }
    let listed = client.list_change_sets().stack_name("cavatica-volume").send().await?;
    let names: Vec<_> = listed.summaries().iter().filter_map(|it| it.change_set_name()).collect();
    assert_eq!(names, ["theirs"]);
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn impossible_requests_are_refused_before_any_change_in_aws() -> Outcome {
    let operator = Operator::start().await?;
    let client = operator.cloudformation();
    let other = r#"{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}"#;
    client.create_stack().stack_name("somebody-elses").template_body(other).send().await?;
    for (arguments, code, expected) in [
        (&["--bucket", BUCKET][..], 2, "pass --yes"),
        (&["--yes"], 2, "give it with --bucket"),
        (&["--bucket", "My_Bucket", "--yes"], 2, "must be a bucket's name"),
        (&["--bucket", BUCKET, "--param", "Checks=Sometimes", "--yes"], 2, "choose Enforce, Report or Off"),
        (&["--bucket", BUCKET, "--stack-name", "1st", "--yes"], 2, "must be a stack's name"),
        (&["--bucket", BUCKET, "--stack-name", "somebody-elses", "--yes"], 1, "not one of cavatica-connect's"),
        (&["--bucket", BUCKET, "--zip", "nowhere.zip", "--yes"], 2, "cannot be used multiple times"),
    ] {
        let output = operator.deploy(arguments).await?;
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
        assert_eq!(operator.status(STACK).await?, None, "no stack");
    }
    let buckets = operator.publisher.s3("us-east-1").list_buckets().send().await?;
    assert_eq!(buckets.buckets().len(), 1, "the lab's alone: nothing was uploaded");
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_stack_that_failed_says_the_functions_own_reason_and_is_made_anew() -> Outcome {
    let operator = Operator::start().await?;
    operator.make_foreign_role("taken").await?;
    let failed = operator.deploy(&["--bucket", BUCKET, "--param", "RoleName=taken", "--yes"]).await?;
    assert_eq!(failed.status.code(), Some(1));
    assert!(in_one_line(&failed).contains("First cause: VolumeAccess: Role taken already exists"), "{}", said(&failed));
    assert_eq!(in_one_line(&failed).matches("Role taken already exists").count(), 1, "{}", said(&failed));
    for refused in [&["--yes"][..], &["--bucket", "My_Bucket", "--yes"]] {
        assert_eq!(operator.deploy(refused).await?.status.code(), Some(2));
    }
    assert_eq!(operator.status(STACK).await?.as_deref(), Some("ROLLBACK_COMPLETE"), "nothing was deleted for nothing");
    let again = operator.deploy(&["--bucket", BUCKET, "--yes"]).await?;
    assert!(again.status.success(), "{}", said(&again));
    for part in ["because its creation failed.", "VolumeAccess: Role taken already exists", "DELETE_COMPLETE"] {
        assert!(in_one_line(&again).contains(part), "{}", said(&again));
    }
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn the_native_template_needs_no_bucket_for_code_and_gets_a_random_external_id() -> Outcome {
    let operator = Operator::start().await?;
    let arguments = ["deploy", "--native", "--bucket", BUCKET, "--yes", "--output", "json"];
    let output = operator.publisher.connect(&arguments).output().await?;
    assert!(output.status.success(), "{}", said(&output));
    let result: Value = serde_json::from_slice(&output.stdout)?;
    // The engine's CloudFormation leaves out the boundary of a role.
    let unchanged = operator.run(&["deploy", "--native", "--yes"]).await?;
    expect(
        &unchanged,
        3,
        &["nothing to change", "the permissions boundary of role", "the volume policy: the document"],
    )?;
    assert!(result["Outputs"]["ExternalId"].as_str().is_some_and(|id| id.len() == 32), "{result}");
    let other = operator.deploy(&["--yes"]).await?;
    assert_eq!(other.status.code(), Some(1));
    assert!(said(&other).contains("without a function") && said(&other).contains("add --native"), "{}", said(&other));
    let s3 = operator.publisher.s3("us-east-1");
    assert_eq!(s3.list_buckets().send().await?.buckets().len(), 1, "the lab's alone");
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_destroyed_stack_is_shown_to_be_gone_and_what_is_left_is_named() -> Outcome {
    let operator = Operator::start().await?;
    let destroy = async |further: &[&str]| -> Result<Output, Box<dyn Error>> {
        Ok(operator.publisher.connect(&[&["destroy"], further].concat()).output().await?)
    };
    assert_eq!(destroy(&[]).await?.status.code(), Some(2), "nobody to ask");
    let cors = ["--bucket", BUCKET, "--param", "ConfigureCors=true", "--yes"];
    assert!(operator.deploy(&cors).await?.status.success());
    let gone = destroy(&["--yes"]).await?;
    let text = said(&gone);
    assert!(gone.status.success(), "{text}");
    assert!(text.contains("In Cavatica, deactivate the volume first"), "{text}");
    for part in
        ["role cavatica-volume-", "policy cavatica-volume-", "-Boundary-", "function ", "log group ", "CORS rule"]
    {
        assert!(text.lines().any(|line| line.contains(part) && line.ends_with("is gone")), "{part}: {text}");
    }
    let again = destroy(&["--yes"]).await?;
    assert!(again.status.success() && said(&again).contains("nothing to delete"), "{}", said(&again));

    assert!(operator.deploy(&["--bucket", BUCKET, "--yes"]).await?.status.success());
    let client = operator.cloudformation();
    let resources = client.describe_stack_resources().stack_name("cavatica-volume").send().await?;
    let group = resources.stack_resources().iter().find(|it| it.logical_resource_id() == Some("ProviderLogGroup"));
    let group = group.and_then(|it| it.physical_resource_id()).ok_or("no log group")?.to_owned();
    // As a function's last words may do: the group comes back while the rest goes.
    let logs = aws_sdk_cloudwatchlogs::Client::new(&operator.publisher.engine.sdk_config());
    let comes_back = async {
        loop {
            let found = logs.describe_log_groups().log_group_name_prefix(&group).send().await?;
            if found.log_groups().is_empty() {
                logs.create_log_group().log_group_name(&group).send().await?;
                return Ok::<_, Box<dyn Error>>(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (left, came_back) = tokio::join!(destroy(&["--yes"]), comes_back);
    came_back?;
    let left = left?;
    assert_eq!(left.status.code(), Some(1), "{}", said(&left));
    assert!(said(&left).contains("aws logs delete-log-group --log-group-name"), "{}", said(&left));
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_failed_update_is_rolled_back_and_says_the_functions_own_reason_and_log() -> Outcome {
    let operator = Operator::start().await?;
    assert!(operator.deploy(&["--bucket", BUCKET, "--yes"]).await?.status.success());
    operator.make_foreign_role("taken").await?;
    let failed = operator.deploy(&["--param", "RoleName=taken", "--yes"]).await?;
    assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
    let text = said(&failed).split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "Cavatica loses the role, until its new ARN is entered in Cavatica",
        "The function's log INFO event request=Update resource=VolumeAccess",
        "the stack ended in UPDATE_ROLLBACK_COMPLETE. First cause: VolumeAccess: Role taken already exists",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let status = operator.publisher.connect(&["status"]).output().await?;
    assert!(status.status.success(), "all is as before: {}", said(&status));
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn nothing_to_change_is_said_only_after_a_look_at_iam_and_drift_is_repaired() -> Outcome {
    let operator = Operator::start().await?;
    operator.deployed(&["--bucket", BUCKET]).await?;
    let outputs = operator.outputs(STACK).await?;
    let (role, policy, iam) = (&outputs["RoleName"], &outputs["PolicyArn"], operator.iam());
    let fine = "the volume role: trust, boundary, description, session, tags, attached and inline policies";
    expect(&operator.deploy(&["--yes"]).await?, 0, &[fine])?;
    // Two kinds of drift that the function repairs.
    iam.detach_role_policy().role_name(role).policy_arn(policy).send().await?;
    let declined = in_a_terminal(&operator.command(&[]), "n\\n").await?;
    assert_eq!(declined.status.code(), Some(1), "{}", said(&declined));
    assert!(in_one_line(&declined).contains("is not attached to role"), "{}", said(&declined));
    expect(&operator.deploy(&["--dry-run"]).await?, 3, &["attaching policy", "(--dry-run)"])?;
    expect(&operator.deploy(&["--yes"]).await?, 0, &["attaching policy", "repaired"])?;
    let attached = iam.list_attached_role_policies().role_name(role).send().await?;
    assert_eq!(attached.attached_policies().len(), 1);
    iam.detach_role_policy().role_name(role).policy_arn(policy).send().await?;
    iam.delete_role_permissions_boundary().role_name(role).send().await?;
    iam.delete_role().role_name(role).send().await?;
    expect(&operator.deploy(&["--yes"]).await?, 0, &["repaired"])?;
    expect(&operator.deploy(&["--yes"]).await?, 0, &[fine])?;
    // What the function does not touch is named with the command, and is no success.
    let open = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;
    iam.put_role_policy().role_name(role).policy_name("more").policy_document(open).send().await?;
    let added = operator.deploy(&["--yes"]).await?;
    expect(&added, 3, &["has inline policy more and should not", "aws iam delete-role-policy --role-name"])?;
    assert!(!in_one_line(&added).contains(fine));
    expect(&operator.run(&["status"]).await?, 3, &["has inline policy more"])?;
    iam.delete_role_policy().role_name(role).policy_name("more").send().await?;
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil("ListRolePolicies", 0, 99, Fault::Refused("AccessDenied", "no"));
    let unseen = operator.run_through(&aws, &["deploy", "--zip", &operator.zip, "--yes"]).await?;
    expect(&unseen, 1, &["not seen", "the inline policies of role"])?;
    assert!(!in_one_line(&unseen).contains(fine));
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_repair_that_does_not_show_is_no_success() -> Outcome {
    let operator = Operator::start().await?;
    operator.deployed(&["--bucket", BUCKET]).await?;
    let outputs = operator.outputs(STACK).await?;
    let detach = operator.iam().detach_role_policy().role_name(&outputs["RoleName"]);
    detach.policy_arn(&outputs["PolicyArn"]).send().await?;
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil("ListAttachedRolePolicies", 0, 1, Fault::Stale(Duration::from_secs(60)));
    let output = operator.run_through(&aws, &["deploy", "--zip", &operator.zip, "--yes"]).await?;
    let late = Fault::Stale(Duration::from_secs(10));
    let detach = operator.iam().detach_role_policy().role_name(&outputs["RoleName"]);
    expect(&output, 1, &["UPDATE_COMPLETE", "AWS still differs from what the stack asks for: attaching policy"])?;
    assert!(!in_one_line(&output).contains("repaired"), "{}", said(&output));
    // A read that is only some seconds behind is waited for.
    detach.policy_arn(&outputs["PolicyArn"]).send().await?;
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil("ListAttachedRolePolicies", 0, 1, late);
    let output = operator.run_through(&aws, &["deploy", "--zip", &operator.zip, "--yes"]).await?;
    expect(&output, 0, &["repaired"])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_change_set_that_stays_is_named_with_the_command_that_deletes_it() -> Outcome {
    let operator = Operator::start().await?;
    let refusal = || Fault::Refused("AccessDenied", "no");
    let dry_run = ["deploy", "--zip", &operator.zip, "--bucket", BUCKET, "--dry-run"];
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil("DeleteChangeSet", 0, 99, refusal());
    let output = operator.run_through(&aws, &dry_run).await?;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(!in_one_line(&output).contains("Nothing was changed"), "{}", said(&output));
    // While it is being computed, too.
    aws.spoil("DescribeChangeSet", 0, 99, Fault::Refused("AccessDenied", "no"));
    let output = operator.run_through(&aws, &dry_run).await?;
    let delete = "delete-change-set --stack-name cavatica-volume --change-set-name cavatica-connect-";
    expect(&output, 1, &["is still there", delete])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn outputs_of_before_are_not_printed_as_those_of_now() -> Outcome {
    let operator = Operator::start().await?;
    operator.deployed(&["--bucket", BUCKET]).await?;
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil("DescribeStacks", 0, 1, Fault::Stale(Duration::from_secs(90)));
    let update = ["deploy", "--zip", &operator.zip, "--prefix", "raw", "--yes"];
    let output = operator.run_through(&aws, &update).await?;
    expect(&output, 1, &["reports UPDATE_COMPLETE and still shows the outputs of before", "status --stack-name"])?;
    assert!(!in_one_line(&output).contains("copies into Cavatica"), "{}", said(&output));
    operator.publisher.engine.stop().await?;
    Ok(())
}
