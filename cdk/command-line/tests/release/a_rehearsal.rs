//! A rehearsal on an account that stands for a real one: it goes through, is interrupted, is killed, and meets what is
//! there.

use std::collections::BTreeSet;
use std::error::Error;
use std::process::{Output, Stdio};
use std::time::Duration;

use aws_sdk_s3::types::{Tag, Tagging};
use tokio::process::{Child, Command};

use crate::publisher::{Outcome, Publisher, said};

/// Account of an engine, and the Lambda's zip.
struct Troupe {
    publisher: Publisher,
    zip: String,
}

impl Troupe {
    async fn start() -> Result<Self, Box<dyn Error>> {
        let (publisher, zip) = Publisher::with_zip().await?;
        Ok(Self { publisher, zip })
    }

    fn command(&self, further: &[&str]) -> Command {
        self.publisher.connect(&[&["rehearse", "--zip", &self.zip, "--yes"], further].concat())
    }

    async fn rehearse(&self, further: &[&str]) -> Result<Output, Box<dyn Error>> {
        Ok(self.command(further).output().await?)
    }

    async fn clean_up(&self, name: &str) -> Result<Output, Box<dyn Error>> {
        Ok(self.publisher.connect(&["rehearse", "--clean-up", "--name", name]).output().await?)
    }

    fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.publisher.engine.sdk_config())
    }

    /// Returns the names of all that a rehearsal makes, as this test lists them.
    async fn account(&self) -> Result<BTreeSet<String>, Box<dyn Error>> {
        let config = self.publisher.engine.sdk_config();
        let (iam, s3) = (self.iam(), self.publisher.s3("us-east-1"));
        let roles = iam.list_roles().send().await?.roles.into_iter().map(|role| role.role_name);
        let policies = iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local).send().await?.policies;
        let policies = policies.unwrap_or_default().into_iter().filter_map(|policy| policy.policy_name);
        let buckets = s3.list_buckets().send().await?.buckets.unwrap_or_default();
        let buckets = buckets.into_iter().filter_map(|bucket| bucket.name);
        let logs = aws_sdk_cloudwatchlogs::Client::new(&config).describe_log_groups().send().await?.log_groups;
        let logs = logs.unwrap_or_default().into_iter().filter_map(|group| group.log_group_name);
        let functions = aws_sdk_lambda::Client::new(&config).list_functions().send().await?.functions;
        let functions = functions.unwrap_or_default().into_iter().filter_map(|function| function.function_name);
        Ok(roles.chain(policies).chain(buckets).chain(logs).chain(functions).collect())
    }

    /// Returns a rehearsal that has come as far as a role. On a busy machine the role may be gone before it is looked
    /// for; the rehearsal is then begun again.
    async fn begun(&self, name: &str, role: &str) -> Result<Child, Box<dyn Error>> {
        let iam = self.iam();
        for _ in 0..3 {
            let mut running = self.command(&["--name", name]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            while running.try_wait()?.is_none() {
                let roles = iam.list_roles().send().await?.roles;
                if roles.iter().any(|it| it.role_name.starts_with(role)) {
                    return Ok(running);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Err(format!("no rehearsal was seen at a role {role}").into())
    }
}

#[tokio::test]
async fn a_rehearsal_goes_through_and_leaves_the_account_as_it_was() -> Outcome {
    let troupe = Troupe::start().await?;
    troupe.publisher.make_bucket("somebody-elses", "us-east-1").await?;
    let before = troupe.account().await?;
    let output = troupe.rehearse(&["--name", "lab"]).await?;
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for part in [
        "123456789012",
        "Change 11 things by hand: shown, undone  5 by update, 6 by hand",
        "lab-renamed",
        "read raw/2026/sample-1.vcf (IAM's simulator)",
        "Bucket lab-not-there does not exist",
        "Role lab-of-somebody-else already exists",
        "all 13 steps passed",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('✗') && !text.contains("CREATE_COMPLETE"), "one line a step: {text}");
    assert_eq!(troupe.account().await?, before);
    troupe.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_local_rehearsal_shows_rights_on_one_screen() -> Outcome {
    let troupe = Troupe::start().await?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_cavatica-connect"));
    command.args(["rehearse", "--local", "--zip", &troupe.zip, "--name", "genomics-lab"]);
    let output = tokio::time::timeout(Duration::from_secs(60), command.kill_on_drop(true).output()).await??;
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    for part in [
        "granted    assume the role with its external ID (trust policy; done)",
        "denied     assume it without an external ID (trust policy)",
        "denied     assume it with another external ID (trust policy)",
        "granted    list raw/2026/ (policies; done: 2 objects)",
        "granted    read raw/2026/sample-1.vcf (policies; done: 32 bytes)",
        "denied     read notes/private.txt (policies)",
        "denied     write raw/2026/result.txt (policies)",
        "denied     delete raw/2026/sample-1.vcf (policies)",
        "refused    with the external ID of another stack (code 9001)",
        "attached   researcher/genomics_lab_data: it lists sample-1.vcf",
        "granted    write raw/2026/result.txt (policies; done: 8 bytes)",
        "repaired   now read-write: it lists result.txt",
        "Detach the volume  it does not exist any more",
        "denied     assume the role with its external ID (IAM has no such role)",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.lines().count() <= 60 && text.lines().all(|line| line.chars().count() <= 80), "one screen: {text}");
    let events = text.lines().find_map(|line| line.trim().strip_prefix("Events ")).ok_or("no file")?.trim();
    let detail = std::fs::read_to_string(events)?;
    assert!(detail.contains("CREATE_COMPLETE") && !detail.contains('\u{1b}'), "{detail}");
    std::fs::remove_file(events)?;
    troupe.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_local_rehearsal_takes_less_than_a_minute() -> Outcome {
    let troupe = Troupe::start().await?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_cavatica-connect"));
    command.args(["rehearse", "--local", "--detail", "--zip", &troupe.zip, "--name", "lab"]);
    let output = tokio::time::timeout(Duration::from_secs(60), command.kill_on_drop(true).output()).await??;
    assert!(output.status.success(), "{}", said(&output));
    for part in ["CREATE_COMPLETE", "CreateVolumeRequest", "GrantReadOnObjects", "the function's log: ERROR FAILED"] {
        assert!(said(&output).contains(part), "{part}: {}", said(&output));
    }
    troupe.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn an_interrupted_rehearsal_removes_its_resources() -> Outcome {
    let troupe = Troupe::start().await?;
    let before = troupe.account().await?;
    let until = [
        ("lab-1", "lab-1-of-somebody-else"),
        ("lab-2", "cavatica-volume-"),
        ("lab-3", "lab-3-renamed"),
        ("lab-4", "lab-4-wrong-bucket-"),
    ];
    for (name, role) in until {
        let running = troupe.begun(name, role).await?;
        let id = running.id().ok_or("it has ended")?.to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().await?.success());
        let output = running.wait_with_output().await?;
        assert_eq!(output.status.code(), Some(130), "{role}: {}", said(&output));
        assert!(said(&output).contains("Nothing of the rehearsal is left."), "{role}: {}", said(&output));
        assert_eq!(troupe.account().await?, before, "{role}");
    }
    troupe.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn clean_up_removes_the_remains_of_a_killed_rehearsal() -> Outcome {
    let troupe = Troupe::start().await?;
    let before = troupe.account().await?;
    let mut running = troupe.begun("lab", "cavatica-volume-").await?;
    running.kill().await?;
    assert_ne!(troupe.account().await?, before);
    let again = troupe.rehearse(&["--name", "lab"]).await?;
    assert_eq!(again.status.code(), Some(2), "{}", said(&again));
    assert!(said(&again).contains("--clean-up"), "{}", said(&again));
    for _ in 0..2 {
        let cleaned = troupe.clean_up("lab").await?;
        assert!(cleaned.status.success(), "{}", said(&cleaned));
        assert_eq!(troupe.account().await?, before);
    }
    troupe.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn names_resources_that_others_created_meanwhile() -> Outcome {
    let troupe = Troupe::start().await?;
    let running = troupe.begun("lab", "cavatica-volume-").await?;
    troupe.iam().create_role().role_name("new-here").assume_role_policy_document("{}").send().await?;
    let output = running.wait_with_output().await?;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let text = said(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("new: role arn:aws:iam::123456789012:role/new-here."), "{text}");
    assert!(text.contains("1 of 13 steps failed"), "{text}");
    troupe.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_rehearsal_ignores_foreign_resources_with_its_names() -> Outcome {
    let troupe = Troupe::start().await?;
    let s3 = troupe.publisher.s3("us-east-1");
    troupe.publisher.make_bucket("lab-data", "us-east-1").await?;
    troupe.iam().create_role().role_name("hut-of-somebody-else").assume_role_policy_document("{}").send().await?;
    let cloudformation = aws_sdk_cloudformation::Client::new(&troupe.publisher.engine.sdk_config());
    let other = r#"{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}"#;
    cloudformation.create_stack().stack_name("den").template_body(other).send().await?;
    let proposed = cloudformation.create_change_set().stack_name("pen").change_set_name("theirs").template_body(other);
    proposed.change_set_type(aws_sdk_cloudformation::types::ChangeSetType::Create).send().await?;
    let before = troupe.account().await?;
    let there =
        [("lab", "bucket lab-data"), ("hut", "role hut-of-somebody-else"), ("den", "stack den"), ("pen", "stack pen")];
    for (name, thing) in there {
        let refused = troupe.rehearse(&["--name", name]).await?;
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains(&format!("{thing} already exists")), "{}", said(&refused));
        let kept = troupe.clean_up(name).await?;
        assert_eq!(kept.status.code(), Some(1), "{}", said(&kept));
        let text = said(&kept).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&format!("{thing} has the rehearsal's name and is not the rehearsal's")), "{text}");
        assert_eq!(troupe.account().await?, before, "{name}");
    }
    let theirs = cloudformation.list_change_sets().stack_name("pen").send().await?;
    assert_eq!(theirs.summaries().len(), 1, "the proposal is still there");
    // Another rehearsal's sign is not this one's.
    let sign = Tag::builder().key("rehearsal-of-cavatica-connect").value("another").build()?;
    let signs = Tagging::builder().tag_set(sign).build()?;
    s3.put_bucket_tagging().bucket("lab-data").tagging(signs).send().await?;
    assert_eq!(troupe.clean_up("lab").await?.status.code(), Some(1));
    troupe.publisher.engine.stop().await?;
    Ok(())
}
