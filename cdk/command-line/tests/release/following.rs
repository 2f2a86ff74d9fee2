//! Operations under faults: stale reads, throttling, lost connections, expired credentials, and other people's hands.

use std::time::Duration;

use serde_json::Value;

use crate::faulty_aws::{Fault, FaultyAws};
use crate::operator::{BUCKET, Operator, STACK, expect, in_one_line, output_of};
use crate::publisher::Outcome;

/// Reads of both commands that may be behind.
const READS: [&str; 10] = [
    "DescribeStacks",
    "DescribeStackEvents",
    "DescribeStackResources",
    "DescribeChangeSet",
    "ListChangeSets",
    "ListStacks",
    "GetTemplateSummary",
    "GetRole",
    "GetPolicy",
    "ListAttachedRolePolicies",
];

const STALE: Fault = Fault::Stale(Duration::from_secs(10));

#[tokio::test]
async fn reads_that_are_ten_seconds_behind_change_no_sentence() -> Outcome {
    let operator = Operator::start().await?;
    operator.deployed(&["--bucket", BUCKET]).await?;
    // An update whose reads show the time before: the end and the outputs are those of the update.
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    READS.iter().for_each(|read| aws.spoil(read, 0, 1, STALE));
    let update = ["deploy", "--zip", &operator.zip, "--prefix", "raw/2026", "--yes", "--output", "json"];
    let output = operator.run_through(&aws, &update).await?;
    expect(&output, 0, &["UPDATE_COMPLETE"])?;
    let result: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(output_of(&result, "Grants")?, format!("ReadOnly on s3://{BUCKET}/raw/2026/"));
    // The same for a deletion: nothing is reported before its own final event.
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    READS.iter().for_each(|read| aws.spoil(read, 0, 1, STALE));
    let output = operator.run_through(&aws, &["destroy", "--yes"]).await?;
    expect(&output, 0, &["DELETE_COMPLETE", "is gone"])?;
    assert!(!in_one_line(&output).contains(" left "), "{}", in_one_line(&output));
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn throttling_and_lost_connections_are_waited_out() -> Outcome {
    let operator = Operator::start().await?;
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil("DescribeStackEvents", 2, 10, Fault::Lost);
    let create = ["deploy", "--zip", &operator.zip, "--bucket", BUCKET, "--yes"];
    expect(&operator.run_through(&aws, &create).await?, 0, &["CREATE_COMPLETE", "RoleArn"])?;
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil("DescribeStackEvents", 2, 10, Fault::Refused("Throttling", "Rate exceeded"));
    expect(&operator.run_through(&aws, &["destroy", "--yes"]).await?, 0, &["DELETE_COMPLETE"])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_starts_no_second_operation() -> Outcome {
    let operator = Operator::start().await?;
    for (action, times) in [("CreateChangeSet", 1), ("ExecuteChangeSet", 1), ("ExecuteChangeSet", 4)] {
        let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
        aws.spoil(action, 0, times, Fault::AnswerLost);
        let create = ["deploy", "--zip", &operator.zip, "--bucket", BUCKET, "--yes"];
        let output = operator.run_through(&aws, &create).await?;
        expect(&output, 0, &["CREATE_COMPLETE"]).map_err(|error| format!("{action} {times}: {error}"))?;
        assert_eq!(operator.operations(STACK).await?, 1, "{action} {times}");
        let left = operator.cloudformation().list_change_sets().stack_name(STACK).send().await?;
        assert!(left.summaries().len() <= 1, "{action} {times}: {left:?}");
        let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
        aws.spoil("DeleteStack", 0, 1, Fault::AnswerLost);
        let output = operator.run_through(&aws, &["destroy", "--yes"]).await?;
        expect(&output, 0, &["DELETE_COMPLETE"]).map_err(|error| format!("DeleteStack: {error}"))?;
    }
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn expired_credentials_end_the_following_with_what_goes_on() -> Outcome {
    let operator = Operator::start().await?;
    let expired = Fault::Refused("ExpiredToken", "The security token included in the request is expired");
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil("DescribeStackEvents", 2, 99, expired.clone());
    let create = ["deploy", "--zip", &operator.zip, "--bucket", BUCKET, "--yes"];
    let output = operator.run_through(&aws, &create).await?;
    let parts = [
        "have expired: sign in again",
        "AWS finishes the operation without this command",
        "describe-stack-events",
        "delete-stack",
    ];
    expect(&output, 1, &parts)?;
    assert!(in_one_line(&output).contains("--region us-east-1"), "{}", in_one_line(&output));
    operator.run(&["status", "--watch"]).await?;
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil("DescribeStackEvents", 2, 99, expired);
    let update = ["deploy", "--zip", &operator.zip, "--access", "read-write", "--yes"];
    expect(&operator.run_through(&aws, &update).await?, 1, &["sign in again", "cancel-update-stack"])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}

/// Returns every call of `deploy` and `destroy`, refused in turn: a sentence, exit 1, and no operation that is not told
/// of.
#[tokio::test]
async fn an_expired_token_at_each_call_is_a_sentence_with_the_remedy() -> Outcome {
    let operator = Operator::start().await?;
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    let create = ["deploy", "--zip", &operator.zip, "--bucket", BUCKET, "--yes"];
    expect(&operator.run_through(&aws, &create).await?, 0, &[])?;
    let update = ["deploy", "--zip", &operator.zip, "--prefix", "raw", "--yes"];
    let mut called: Vec<_> = aws.calls().into_iter().filter(|call| !call.contains(' ')).collect();
    called.sort();
    called.dedup();
    let expired = || Fault::Refused("ExpiredToken", "The security token included in the request is expired");
    for action in ["GetCallerIdentity", "DescribeStacks", "CreateChangeSet", "DescribeChangeSet", "ExecuteChangeSet"] {
        assert!(called.iter().any(|call| call == action), "{action} is not called: {called:?}");
        let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
        aws.spoil(action, 0, 99, expired());
        let output = operator.run_through(&aws, &update).await?;
        expect(&output, 1, &["sign in again"]).map_err(|error| format!("{action}: {error}"))?;
    }
    for action in ["GetCallerIdentity", "DescribeStacks", "DescribeStackResources", "DeleteStack"] {
        let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
        aws.spoil(action, 0, 99, expired());
        let output = operator.run_through(&aws, &["destroy", "--yes"]).await?;
        expect(&output, 1, &["sign in again"]).map_err(|error| format!("{action}: {error}"))?;
    }
    assert!(operator.status(STACK).await?.is_some());
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_refused_execution_withdraws_the_change_set_and_the_empty_stack() -> Outcome {
    let operator = Operator::start().await?;
    for refusal in [
        Fault::Refused("InvalidChangeSetStatus", "ChangeSet is in OBSOLETE status"),
        Fault::Refused(
            "AccessDenied",
            "User is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/r",
        ),
    ] {
        let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
        aws.spoil("ExecuteChangeSet", 0, 99, refusal);
        let create = ["deploy", "--zip", &operator.zip, "--bucket", BUCKET, "--yes"];
        let output = operator.run_through(&aws, &create).await?;
        expect(&output, 1, &["the changes were not carried out", "The change set was withdrawn"])?;
        assert_eq!(operator.status(STACK).await?, None, "{}", in_one_line(&output));
    }
    // Where that fails too, what is left is named with the command that removes it.
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil("ExecuteChangeSet", 0, 99, Fault::Refused("InvalidChangeSetStatus", "no"));
    aws.spoil("DeleteChangeSet", 0, 99, Fault::Refused("AccessDenied", "no"));
    let create = ["deploy", "--zip", &operator.zip, "--bucket", BUCKET, "--yes"];
    let output = operator.run_through(&aws, &create).await?;
    expect(&output, 1, &["The change set is still there", "delete-change-set --stack-name cavatica-volume"])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_failed_validation_is_told_before_the_change_set_goes() -> Outcome {
    let operator = Operator::start().await?;
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    let described = "<DescribeChangeSetResponse><DescribeChangeSetResult><ChangeSetId>arn:id</ChangeSetId>\
                     <StackId>arn:aws:cloudformation:us-east-1:123456789012:stack/cavatica-volume/1</StackId>\
                     <Status>FAILED</Status><StatusReason>AWS::EarlyValidation failed</StatusReason>\
                     </DescribeChangeSetResult></DescribeChangeSetResponse>";
    let events = "<DescribeEventsResponse><DescribeEventsResult><OperationEvents><member>\
                  <LogicalResourceId>Boundary</LogicalResourceId><ResourceType>AWS::IAM::ManagedPolicy</ResourceType>\
                  <ValidationPath>/Resources/Boundary/Properties/Path</ValidationPath>\
                  <ValidationStatusReason>the name is taken</ValidationStatusReason></member></OperationEvents>\
                  </DescribeEventsResult></DescribeEventsResponse>";
    aws.spoil("DescribeChangeSet", 0, 99, Fault::Answer(described.to_owned()));
    aws.spoil("DescribeEvents", 0, 99, Fault::Answer(events.to_owned()));
    let create = ["deploy", "--zip", &operator.zip, "--bucket", BUCKET, "--yes"];
    let output = operator.run_through(&aws, &create).await?;
    let detail = "Boundary AWS::IAM::ManagedPolicy, /Resources/Boundary/Properties/Path: the name is taken";
    expect(&output, 1, &["CloudFormation cannot carry this out: AWS::EarlyValidation failed", detail])?;
    let calls = aws.calls();
    let at = |action: &str| calls.iter().position(|call| call == action);
    assert!(at("DescribeEvents") < at("DeleteChangeSet") && at("DescribeEvents").is_some(), "{calls:?}");
    assert_eq!(operator.status(STACK).await?, None);
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    aws.spoil("DescribeChangeSet", 0, 99, Fault::Answer(described.to_owned()));
    aws.spoil("DescribeEvents", 0, 99, Fault::Refused("AccessDenied", "no"));
    let output = operator.run_through(&aws, &create).await?;
    expect(&output, 1, &["the details were not read", "cloudformation:DescribeEvents"])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn of_two_first_deploys_one_wins_and_the_other_says_so() -> Outcome {
    let operator = Operator::start().await?;
    let mut first = operator.command(&["--bucket", BUCKET, "--yes"]);
    first.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let first = first.spawn()?;
    // Two change sets that are created at once would be two stacks on the engine, and one on AWS.
    while operator.status(STACK).await?.as_deref() != Some("CREATE_IN_PROGRESS") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let second = operator.command(&["--bucket", BUCKET, "--yes"]).output().await?;
    // Where the first one was faster, there is nothing left to change.
    let (code, sentence) = match second.status.code() {
        Some(0) => (0, "CloudFormation finds nothing to change"),
        _ => (1, "is in CREATE_IN_PROGRESS: wait"),
    };
    expect(&second, code, &[sentence])?;
    expect(&first.wait_with_output().await?, 0, &["CREATE_COMPLETE"])?;
    assert_eq!(operator.status(STACK).await?.as_deref(), Some("CREATE_COMPLETE"));
    assert_eq!(operator.operations(STACK).await?, 1);
    operator.publisher.engine.stop().await?;
    Ok(())
}

/// Returns the loser may still see the stack as empty, since reads are behind: what another deployment has proposed or
/// begun stays.
#[tokio::test]
async fn a_deploy_that_loses_does_not_delete_the_winners_stack() -> Outcome {
    let operator = Operator::start().await?;
    let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
    let both = "<ListChangeSetsResponse><ListChangeSetsResult><Summaries>\
                <member><ChangeSetName>cavatica-connect-winner</ChangeSetName><Status>CREATE_COMPLETE</Status>\
                <ExecutionStatus>EXECUTE_IN_PROGRESS</ExecutionStatus></member></Summaries>\
                </ListChangeSetsResult></ListChangeSetsResponse>";
    aws.spoil("ExecuteChangeSet", 0, 99, Fault::Refused("InvalidChangeSetStatus", "it is OBSOLETE"));
    aws.spoil("ListChangeSets", 0, 99, Fault::Answer(both.to_owned()));
    let arguments = ["deploy", "--zip", &operator.zip, "--bucket", BUCKET, "--yes"];
    let output = operator.run_through(&aws, &arguments).await?;
    expect(&output, 1, &["the changes were not carried out", "it is OBSOLETE", "The change set was withdrawn"])?;
    assert!(!aws.calls().iter().any(|call| call == "DeleteStack"), "{:?}", aws.calls());
    assert_eq!(operator.status(STACK).await?.as_deref(), Some("REVIEW_IN_PROGRESS"));
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_stack_that_somebody_deletes_meanwhile_is_reported_as_that() -> Outcome {
    let operator = Operator::start().await?;
    let mut running = operator.command(&["--bucket", BUCKET, "--yes"]);
    running.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let running = running.spawn()?;
    while operator.status(STACK).await?.as_deref() != Some("CREATE_IN_PROGRESS") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    operator.cloudformation().delete_stack().stack_name(STACK).client_request_token("by-hand").send().await?;
    let output = running.wait_with_output().await?;
    let text = in_one_line(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("somebody else's operation took over") || text.contains("ended in DELETE_COMPLETE"),
        "{text}"
    );
    operator.publisher.engine.stop().await?;
    Ok(())
}
