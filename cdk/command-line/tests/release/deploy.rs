//! A stack without the console: deployed, changed, refused, interrupted.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::process::{Output, Stdio};
use std::time::Duration;

use aws_sdk_s3::types::{
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};
use serde_json::Value;
use tokio::process::Command;

use crate::faulty_aws::{Fault, FaultyAws};
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
async fn what_cannot_be_is_said_before_anything_is_in_aws() -> Outcome {
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
async fn a_signal_while_aws_is_at_work_names_the_commands_that_go_on_from_there() -> Outcome {
    let operator = Operator::start().await?;
    let mut running = operator.command(&["--bucket", BUCKET, "--yes"]);
    let running = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let id = running.id().ok_or("no process")?.to_string();
    // Until CloudFormation is at work.
    while operator.status(STACK).await?.as_deref() != Some("CREATE_IN_PROGRESS") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(Command::new("kill").args(["-TERM", &id]).status().await?.success());
    let output = running.wait_with_output().await?;
    assert_eq!(output.status.code(), Some(143), "{}", said(&output));
    for part in ["describe-stack-events", "delete-stack", "--region us-east-1"] {
        assert!(said(&output).contains(part), "{}", said(&output));
    }
    assert!(!said(&output).contains("cancel-update-stack"), "there is no update: {}", said(&output));
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
async fn the_bucket_for_the_code_goes_with_the_last_stack_if_that_is_wanted_and_only_then() -> Outcome {
    const ASSETS: &str = "cavatica-connect-assets-123456789012-us-east-1-an";
    let operator = Operator::start().await?;
    let s3 = operator.publisher.s3("us-east-1");
    let is_there = async || s3.head_bucket().bucket(ASSETS).send().await.is_ok();
    let destroy = async |further: &[&str]| -> Result<String, Box<dyn Error>> {
        let output = operator.publisher.connect(&[&["destroy", "--yes"], further].concat()).output().await?;
        assert!(output.status.success(), "{}", said(&output));
        Ok(said(&output).split_whitespace().collect::<Vec<_>>().join(" "))
    };
    for stack in ["cavatica-volume", "another"] {
        let output = operator.deploy(&["--bucket", BUCKET, "--stack-name", stack, "--yes"]).await?;
        assert!(output.status.success(), "{}", said(&output));
    }
    let kept = destroy(&["--assets"]).await?;
    assert!(kept.contains("stays, for stack another.") && is_there().await, "{kept}");
    let kept = destroy(&["--stack-name", "another"]).await?;
    assert!(kept.contains("destroy --assets --region us-east-1` removes it.") && is_there().await, "{kept}");

    s3.put_object().bucket(ASSETS).key("notes.txt").body(b"mine".to_vec().into()).send().await?;
    let kept = destroy(&["--assets"]).await?;
    assert!(kept.contains("which is none of cavatica-connect's") && is_there().await, "{kept}");
    // In a bucket with versions, a deleted object is still there, and whoever deleted it may want it back.
    s3.delete_object().bucket(ASSETS).key("notes.txt").send().await?;
    let kept = destroy(&["--assets"]).await?;
    assert!(kept.contains("it has notes.txt, or an earlier version of it") && is_there().await, "{kept}");
    let versions = s3.list_object_versions().bucket(ASSETS).prefix("notes.txt").send().await?;
    let markers = versions.delete_markers().iter().filter_map(|marker| marker.version_id());
    for version in versions.versions().iter().filter_map(|version| version.version_id()).chain(markers) {
        s3.delete_object().bucket(ASSETS).key("notes.txt").version_id(version).send().await?;
    }
    let gone = destroy(&["--assets"]).await?;
    assert!(gone.contains(&format!("bucket {ASSETS} is gone")) && !is_there().await, "{gone}");
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

/// Runs a command in a terminal, waits for its question, and types something.
const TERMINAL: &str = r#"
import os, pty, sys
typed, command = sys.argv[1].encode().decode("unicode_escape").encode(), sys.argv[2:]
process, terminal = pty.fork()
if process == 0:
    os.execv(command[0], command)
said, answered = b"", False
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    said += part
    if not answered and b"[y/N]" in said:
        os.write(terminal, typed)
        answered = True
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
"#;

async fn in_a_terminal(command: &Command, typed: &str) -> std::io::Result<Output> {
    let command = command.as_std();
    let mut terminal = Command::new("python3");
    terminal.args(["-I", "-c", TERMINAL, typed]).arg(command.get_program()).args(command.get_args()).env_clear();
    terminal.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    terminal.output().await
}

#[tokio::test]
async fn no_and_an_interruption_at_the_question_leave_nothing() -> Outcome {
    let operator = Operator::start().await?;
    for (typed, code, expected) in [
        ("n\\n", 1, "Nothing was changed."),
        ("\\x03", 130, "The change set was withdrawn; nothing was changed."),
        ("y\\n", 0, "CREATE_COMPLETE"),
    ] {
        let output = in_a_terminal(&operator.command(&["--bucket", BUCKET]), typed).await?;
        assert_eq!(output.status.code(), Some(code), "{typed}: {}", said(&output));
        assert!(said(&output).contains(expected), "{typed}: {}", said(&output));
        let is_there = operator.status(STACK).await?.is_some();
        assert_eq!(is_there, typed.starts_with('y'), "{typed}");
    }
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn nothing_is_written_before_yes_and_a_dry_run_writes_nothing() -> Outcome {
    let operator = Operator::start().await?;
    let nothing = async || -> Outcome {
        let buckets = operator.publisher.s3("us-east-1").list_buckets().send().await?;
        assert_eq!(buckets.buckets().len(), 1, "the lab's alone");
        assert_eq!(operator.status(STACK).await?, None);
        Ok(())
    };
    let declined = in_a_terminal(&operator.command(&["--bucket", BUCKET]), "n\\n").await?;
    assert_eq!(declined.status.code(), Some(1), "{}", said(&declined));
    nothing().await?;
    let preview = operator.deploy(&["--bucket", BUCKET, "--dry-run"]).await?;
    let grants = format!("ReadOnly on s3://{BUCKET}/");
    let caller = ["Account 123456789012", "Region us-east-1", "Caller arn:aws:iam::123456789012:"];
    expect(&preview, 3, &[&caller[..], &["Add", "VolumeAccess", &grants, "s3:GetObject", "(--dry-run)"]].concat())?;
    nothing().await?;
    operator.deployed(&["--bucket", BUCKET]).await?;
    expect(&operator.deploy(&["--dry-run"]).await?, 0, &["nothing to change"])?;
    expect(&operator.deploy(&["--dry-run", "--prefix", "raw"]).await?, 3, &["Cavatica loses the objects of s3://"])?;
    assert_eq!(operator.outputs(STACK).await?["Grants"], grants);
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_second_bucket_does_not_move_the_first_volume_away() -> Outcome {
    let operator = Operator::start().await?;
    operator.publisher.make_bucket("second-data", "us-east-1").await?;
    operator.deployed(&["--bucket", BUCKET]).await?;
    let refused = operator.deploy(&["--bucket", "second-data", "--yes"]).await?;
    expect(&refused, 1, &[&format!("gives Cavatica bucket {BUCKET}"), "--stack-name cavatica-volume-second-data"])?;
    let replaced = ["--bucket", "second-data", "--replace-bucket"];
    let asked = in_a_terminal(&operator.command(&replaced), "n\\n").await?;
    assert!(in_one_line(&asked).contains(&format!("Cavatica loses bucket {BUCKET}")), "{}", said(&asked));
    assert_eq!(operator.outputs(STACK).await?["Grants"], format!("ReadOnly on s3://{BUCKET}/"));
    operator.deployed(&["--bucket", "second-data", "--stack-name", "cavatica-volume-second-data"]).await?;
    let listed = operator.run(&["list"]).await?;
    expect(
        &listed,
        0,
        &[STACK, "CREATE_COMPLETE", &format!("ReadOnly on s3://{BUCKET}/"), "ReadOnly on s3://second-data/"],
    )?;
    let listed = operator.run(&["list", "--all-regions", "--output", "json"]).await?;
    let stacks: Value = serde_json::from_slice(&listed.stdout)?;
    let names: Vec<_> = stacks.as_array().into_iter().flatten().filter_map(|it| it["StackName"].as_str()).collect();
    assert_eq!(names.iter().filter(|name| **name == STACK).count(), 1, "{stacks}");
    operator.deployed(&replaced).await?;
    assert_eq!(operator.outputs(STACK).await?["Grants"], "ReadOnly on s3://second-data/");
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_mistyped_bucket_costs_reads_and_no_rollback() -> Outcome {
    let operator = Operator::start().await?;
    for native in [&["--native"][..], &["--zip", &operator.zip]] {
        let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
        let arguments = [&["deploy", "--bucket", "genomics-lab-dta", "--yes"], native].concat();
        let output = operator.run_through(&aws, &arguments).await?;
        expect(&output, 1, &["nothing was changed", "bucket genomics-lab-dta does not exist: check --bucket"])?;
        assert!(!aws.calls().iter().any(|call| call == "CreateChangeSet"), "{:?}", aws.calls());
    }
    // What the caller may not see is said, and is no reason to stop.
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil(&format!("GET /{BUCKET}"), 0, 99, Fault::Refused("AccessDenied", "no"));
    aws.spoil("GET /", 0, 99, Fault::Refused("AccessDenied", "no"));
    let arguments = ["deploy", "--bucket", BUCKET, "--dry-run", "--zip", &operator.zip];
    let output = operator.run_through(&aws, &arguments).await?;
    expect(&output, 3, &[&format!("Not seen: bucket {BUCKET}")])?;
    assert!(!in_one_line(&output).contains("exists in"), "{}", in_one_line(&output));
    let empty = operator.deploy(&["--bucket", BUCKET, "--prefix", "raw/2062", "--dry-run"]).await?;
    expect(&empty, 3, &[&format!("no object is under s3://{BUCKET}/raw/2062/")])?;
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

/// Returns the same program in another zip: other bytes under the same version.
fn packed_differently(zip: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut binary = Vec::new();
    zip::ZipArchive::new(std::fs::File::open(zip)?)?.by_name("bootstrap")?.read_to_end(&mut binary)?;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755).compression_level(Some(3));
    writer.start_file("bootstrap", options)?;
    writer.write_all(&binary)?;
    Ok(writer.finish()?.into_inner())
}

#[tokio::test]
async fn other_code_of_the_same_version_lies_beside_the_first_and_what_is_no_code_is_refused() -> Outcome {
    let operator = Operator::start().await?;
    operator.deployed(&["--bucket", BUCKET]).await?;
    let other = operator.publisher.folder.path().join("other.zip");
    std::fs::write(&other, packed_differently(&operator.zip)?)?;
    let other = other.display().to_string();
    let updated = operator.run(&["deploy", "--zip", &other, "--yes"]).await?;
    expect(&updated, 0, &["UPDATE_COMPLETE"])?;
    expect(&operator.deploy(&["--yes"]).await?, 0, &["UPDATE_COMPLETE"])?;
    for (zip, expected) in
        [("/etc/hostname", "cannot be the function's code"), ("/nowhere.zip", "cannot read /nowhere.zip")]
    {
        let refused = operator.run(&["deploy", "--zip", zip, "--yes"]).await?;
        expect(&refused, 1, &[expected, zip])?;
    }
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn what_is_said_of_a_bucket_follows_the_bucket() -> Outcome {
    let operator = Operator::start().await?;
    let s3 = operator.publisher.s3("us-east-1");
    let preview = async |further: &[&str]| -> Result<Output, Box<dyn Error>> {
        operator.deploy(&[&["--bucket", BUCKET, "--prefix", "raw", "--dry-run"], further].concat()).await
    };
    let plain = preview(&[]).await?;
    expect(&plain, 3, &["encrypts without a KMS key of yours", "no object is under s3://genomics-lab-data/raw/"])?;
    // A common beginning is no folder.
    s3.put_object().bucket(BUCKET).key("raw2/a").body(b"x".to_vec().into()).send().await?;
    assert!(!in_one_line(&preview(&[]).await?).contains("there are objects under"));
    s3.put_object().bucket(BUCKET).key("raw/a").body(b"x".to_vec().into()).send().await?;
    expect(&preview(&[]).await?, 3, &["there are objects under s3://genomics-lab-data/raw/"])?;
    let key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let default = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::AwsKms);
    let rule = ServerSideEncryptionRule::builder()
        .apply_server_side_encryption_by_default(default.kms_master_key_id(key).build()?)
        .build();
    let encryption = ServerSideEncryptionConfiguration::builder().rules(rule).build()?;
    s3.put_bucket_encryption().bucket(BUCKET).server_side_encryption_configuration(encryption).send().await?;
    expect(&preview(&[]).await?, 1, &["encrypts new objects with KMS key", key, "--param KmsKeyArn=ARN"])?;
    let given = format!("KmsKeyArn={key}");
    expect(&preview(&["--param", &given]).await?, 3, &["encrypts with the KMS key that is given"])?;
    expect(&preview(&["--param", "Checks=Report"]).await?, 3, &["Note, since nothing checks that"])?;
    let native = ["deploy", "--native", "--bucket", BUCKET, "--dry-run"];
    expect(
        &operator.run(&native).await?,
        3,
        &["Note, since nothing checks that", "encrypts new objects with KMS key"],
    )?;
    let other = given.replace("1234567890ab", "ffffffffffff").replace("123456789012", "210987654321");
    let other = preview(&["--param", &other, "--param", "Checks=Report"]).await?;
    expect(&other, 3, &["belongs to account 210987654321"])?;
    assert!(!in_one_line(&other).contains("with the KMS key that is given"));
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil(&format!("GET /{BUCKET}"), 1, 99, Fault::Refused("AccessDenied", "no"));
    let arguments = ["deploy", "--bucket", BUCKET, "--prefix", "raw", "--dry-run", "--zip", &operator.zip];
    let unseen = operator.run_through(&aws, &arguments).await?;
    expect(&unseen, 3, &["Not seen: how bucket", "Not seen: the objects under"])?;
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

/// Starts a command through a faulty network, waits until it makes a call that is never answered, and interrupts it.
async fn interrupted_at(operator: &Operator, call: &str, arguments: &[&str]) -> Result<Output, Box<dyn Error>> {
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil(call, 0, 1, Fault::Silent);
    let mut command = operator.publisher.connect(arguments);
    command.env("AWS_ENDPOINT_URL", &aws.url).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = command.spawn()?;
    let id = running.id().ok_or("no process")?.to_string();
    while !aws.calls().iter().any(|made| made == call) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(Command::new("kill").args(["-INT", &id]).status().await?.success());
    Ok(running.wait_with_output().await?)
}

#[tokio::test]
async fn a_signal_at_each_phase_says_what_is_so() -> Outcome {
    let operator = Operator::start().await?;
    let create = ["deploy", "--zip", &operator.zip, "--bucket", BUCKET, "--yes"];
    let zip_key = {
        let digest = cavatica_connect::release::zip::Asset::from_zip(std::fs::read(&operator.zip)?);
        format!("PUT /cavatica-connect-assets-123456789012-us-east-1-an/{}", digest.key)
    };
    let withdrawn = "The change set was withdrawn; nothing was changed.";
    for (call, expected) in [
        ("GetCallerIdentity", "Interrupted."),
        ("DescribeChangeSet", withdrawn),
        (&zip_key, withdrawn),
        ("ExecuteChangeSet", "AWS finishes the operation without this command"),
    ] {
        let output = interrupted_at(&operator, call, &create).await?;
        expect(&output, 130, &[expected]).map_err(|error| format!("{call}: {error}"))?;
        if expected == withdrawn {
            assert_eq!(operator.status(STACK).await?, None, "{call}");
        }
    }
    // The change set is there, and was not executed: the next deploy goes on from it.
    operator.deployed(&["--bucket", BUCKET]).await?;
    for (call, expected) in [
        ("DescribeStackResources", "Nothing was changed."),
        ("DeleteStack", "Whether AWS has begun to delete the stack is not known"),
    ] {
        let output = interrupted_at(&operator, call, &["destroy", "--yes"]).await?;
        expect(&output, 130, &[expected]).map_err(|error| format!("{call}: {error}"))?;
        assert_eq!(operator.status(STACK).await?.as_deref(), Some("CREATE_COMPLETE"), "{call}");
    }
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn the_code_goes_into_the_bucket_that_is_chosen_or_that_an_earlier_release_created() -> Outcome {
    const OWN: &str = "cavatica-connect-assets-123456789012-us-east-1-an";
    const EARLIER: &str = "cavatica-connect-assets-123456789012-us-east-1";
    let operator = Operator::start().await?;
    let s3 = operator.publisher.s3("us-east-1");
    let is_there = async |bucket: &str| s3.head_bucket().bucket(bucket).send().await.is_ok();
    operator.deployed(&["--bucket", BUCKET, "--stack-name", "chosen", "--assets-bucket", "code-of-the-lab"]).await?;
    assert!(is_there("code-of-the-lab").await && !is_there(OWN).await);
    operator.publisher.make_bucket(EARLIER, "us-east-1").await?;
    operator.deployed(&["--bucket", BUCKET, "--stack-name", "earlier"]).await?;
    assert!(!is_there(OWN).await, "the bucket of before holds the code");

    for stack in ["chosen", "earlier"] {
        expect(&operator.run(&["destroy", "--yes", "--stack-name", stack]).await?, 0, &[])?;
    }
    expect(&operator.run(&["destroy", "--yes", "--assets"]).await?, 0, &[EARLIER, "is gone"])?;
    assert!(!is_there(EARLIER).await && is_there("code-of-the-lab").await);
    let chosen = ["destroy", "--yes", "--assets", "--assets-bucket", "code-of-the-lab"];
    expect(&operator.run(&chosen).await?, 0, &["bucket code-of-the-lab is gone"])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}
