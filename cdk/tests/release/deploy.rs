//! A stack without the console: deployed, changed, refused, interrupted.

use std::error::Error;
use std::process::{Output, Stdio};
use std::time::Duration;

use aws_sdk_cloudformation::Client;
use serde_json::Value;
use tokio::process::Command;

use crate::publisher::{Outcome, Publisher, said};

const BUCKET: &str = "genomics-lab-data";

/// Whoever deploys: the account of an engine with a bucket in it, and the Lambda's zip.
struct Operator {
    publisher: Publisher,
    zip: String,
}

impl Operator {
    async fn start() -> Result<Self, Box<dyn Error>> {
        let (publisher, zip) = Publisher::with_zip().await?;
        publisher.make_bucket(BUCKET, "us-east-1").await?;
        Ok(Self { publisher, zip })
    }

    fn command(&self, further: &[&str]) -> Command {
        self.publisher.connect(&[&["deploy", "--zip", &self.zip], further].concat())
    }

    async fn deploy(&self, further: &[&str]) -> Result<Output, Box<dyn Error>> {
        Ok(self.command(further).output().await?)
    }

    async fn status(&self, stack: &str) -> Result<String, Box<dyn Error>> {
        let client = Client::new(&self.publisher.engine.sdk_config());
        let answer = client.describe_stacks().stack_name(stack).send().await?;
        let status = answer.stacks().first().and_then(|stack| stack.stack_status()).ok_or("no status")?;
        Ok(status.as_str().to_owned())
    }
}

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
    let iam = aws_sdk_iam::Client::new(&operator.publisher.engine.sdk_config());
    let status = async |further: &[&str]| -> Result<Output, Box<dyn Error>> {
        Ok(operator.publisher.connect(&[&["status"], further].concat()).output().await?)
    };
    let as_asked = status(&[]).await?;
    assert_eq!(as_asked.status.code(), Some(0), "{}", said(&as_asked));
    for part in ["CREATE_COMPLETE", "s3:GetObject", "IAM holds exactly what the stack asks for"] {
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

fn output<'r>(result: &'r Value, name: &str) -> Result<&'r str, String> {
    result["Outputs"][name].as_str().ok_or_else(|| format!("no {name} in {result}"))
}

#[tokio::test]
async fn a_proposal_that_somebody_else_left_survives_a_no() -> Outcome {
    let operator = Operator::start().await?;
    let client = Client::new(&operator.publisher.engine.sdk_config());
    let theirs = client.create_change_set().stack_name("cavatica-volume").change_set_name("theirs");
    let theirs = theirs.change_set_type(aws_sdk_cloudformation::types::ChangeSetType::Create);
    theirs.template_body(r#"{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}"#).send().await?;
    let output = in_a_terminal(&operator.command(&["--bucket", BUCKET]), "n\\n").await?;
    assert!(said(&output).contains("Nothing was changed."), "{}", said(&output));
    let listed = client.list_change_sets().stack_name("cavatica-volume").send().await?;
    let names: Vec<_> = listed.summaries().iter().filter_map(|it| it.change_set_name()).collect();
    assert_eq!(names, ["theirs"]);
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_is_said_before_anything_is_in_aws() -> Outcome {
    let operator = Operator::start().await?;
    let client = Client::new(&operator.publisher.engine.sdk_config());
    let other = r#"{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}"#;
    client.create_stack().stack_name("somebody-elses").template_body(other).send().await?;
    for (arguments, code, expected) in [
        (&["--bucket", BUCKET][..], 2, "add --yes"),
        (&["--yes"], 2, "give it with --bucket"),
        (&["--bucket", "My_Bucket", "--yes"], 2, "parameter BucketName cannot be \"My_Bucket\""),
        (&["--bucket", BUCKET, "--param", "Checks=Sometimes", "--yes"], 2, "choose Enforce, Report or Off"),
        (&["--bucket", BUCKET, "--stack-name", "1st", "--yes"], 2, "cannot be a stack's name"),
        (&["--bucket", BUCKET, "--stack-name", "somebody-elses", "--yes"], 1, "not one of cavatica-connect's"),
        (&["--bucket", BUCKET, "--zip", "nowhere.zip", "--yes"], 2, "cannot be used multiple times"),
    ] {
        let output = operator.deploy(arguments).await?;
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
        assert!(operator.status("cavatica-volume").await.is_err(), "no stack");
    }
    let buckets = operator.publisher.s3("us-east-1").list_buckets().send().await?;
    assert_eq!(buckets.buckets().len(), 1, "the lab's alone: nothing was uploaded");
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_stack_that_failed_says_the_functions_own_reason_and_is_made_anew() -> Outcome {
    let operator = Operator::start().await?;
    let failed = operator.deploy(&["--bucket", "not-there-at-all", "--yes"]).await?;
    assert_eq!(failed.status.code(), Some(1));
    assert!(said(&failed).contains("First cause: VolumeAccess: ") && said(&failed).contains("not-there-at-all"));
    for refused in [&["--yes"][..], &["--bucket", "My_Bucket", "--yes"]] {
        assert_eq!(operator.deploy(refused).await?.status.code(), Some(2));
    }
    assert_eq!(operator.status("cavatica-volume").await?, "ROLLBACK_COMPLETE", "nothing was deleted for nothing");
    let again = operator.deploy(&["--bucket", BUCKET, "--yes"]).await?;
    assert!(again.status.success(), "{}", said(&again));
    for part in ["because its creation failed.", "VolumeAccess: Bucket not-there-at-all", "DELETE_COMPLETE"] {
        assert!(said(&again).contains(part), "{}", said(&again));
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
    while !operator.status("cavatica-volume").await.is_ok_and(|status| status == "CREATE_IN_PROGRESS") {
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
    let client = Client::new(&operator.publisher.engine.sdk_config());
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
    assert!(said(&left).contains("aws logs delete-log-group --region us-east-1"), "{}", said(&left));
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn the_bucket_for_the_code_goes_with_the_last_stack_if_that_is_wanted_and_only_then() -> Outcome {
    const ASSETS: &str = "cavatica-connect-assets-123456789012-us-east-1";
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
    assert!(kept.contains("`cavatica-connect destroy --assets` removes it.") && is_there().await, "{kept}");

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
    let failed = operator.deploy(&["--bucket", "not-there-at-all", "--yes"]).await?;
    assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
    let text = said(&failed).split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "until now \"genomics-lab-data\"",
        "The function's log INFO event request=Update resource=VolumeAccess",
        "ERROR FAILED",
        "the stack ended in UPDATE_ROLLBACK_COMPLETE. First cause: VolumeAccess: Bucket not-there-at-all does not exist",
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
        ("n\\n", 0, "Nothing was changed."),
        ("\\x03", 130, "The proposal was taken back; nothing was changed."),
        ("y\\n", 0, "CREATE_COMPLETE"),
    ] {
        let output = in_a_terminal(&operator.command(&["--bucket", BUCKET]), typed).await?;
        assert_eq!(output.status.code(), Some(code), "{typed}: {}", said(&output));
        assert!(said(&output).contains(expected), "{typed}: {}", said(&output));
        let is_there = operator.status("cavatica-volume").await.is_ok_and(|status| status != "DELETE_COMPLETE");
        assert_eq!(is_there, typed.starts_with('y'), "{typed}");
    }
    operator.publisher.engine.stop().await?;
    Ok(())
}
