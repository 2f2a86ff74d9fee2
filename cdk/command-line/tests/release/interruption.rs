//! Answers to the question of `deploy` and `destroy`, and signals at each of their phases.

use std::error::Error;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::faulty_aws::{Fault, FaultyAws};
use crate::operator::{BUCKET, Operator, STACK, expect};
use crate::publisher::{Outcome, said};

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

pub async fn in_a_terminal(command: &Command, typed: &str) -> std::io::Result<Output> {
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
