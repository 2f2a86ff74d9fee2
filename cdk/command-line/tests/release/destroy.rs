//! `destroy` says of each part what a read showed after the deletion, and nothing else.

use serde_json::Value;

use crate::faulty_aws::{Fault, FaultyAws};
use crate::operator::{BUCKET, Operator, STACK, expect, in_one_line};
use crate::publisher::Outcome;

#[tokio::test]
async fn a_bucket_that_is_gone_took_its_cors_rule_along() -> Outcome {
    let operator = Operator::start().await?;
    operator.deployed(&["--bucket", BUCKET, "--param", "ConfigureCors=true"]).await?;
    operator.publisher.s3("us-east-1").delete_bucket().bucket(BUCKET).send().await?;
    let output = operator.run(&["destroy", "--yes"]).await?;
    expect(&output, 0, &[&format!("the CORS rule of bucket {BUCKET} is gone")])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_read_that_fails_hides_no_other_part() -> Outcome {
    let operator = Operator::start().await?;
    for (action, unseen) in [("GetRole", "role "), ("GetPolicy", "policy "), ("POST /", "log group ")] {
        operator.deployed(&["--bucket", BUCKET]).await?;
        let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
        aws.spoil(action, 0, 99, Fault::Refused("AccessDenied", "no"));
        let output = operator.run_through(&aws, &["destroy", "--yes", "--output", "json"]).await?;
        expect(&output, 1, &["could not be looked for"]).map_err(|error| format!("{action}: {error}"))?;
        let result: Value = serde_json::from_slice(&output.stdout)?;
        let parts = result["Parts"].as_array().ok_or("no parts")?;
        for part in parts {
            let name = part["Part"].as_str().unwrap_or_default();
            let expected = if name.starts_with(unseen) { "unseen" } else { "gone" };
            assert_eq!(part["State"], expected, "{action}: {name}: {result}");
        }
        assert!(parts.iter().any(|part| part["State"] == "unseen"), "{action}: {result}");
        assert_eq!(result["Status"], "DELETE_COMPLETE");
    }
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_part_that_is_left_is_named_with_the_commands_that_remove_it() -> Outcome {
    let operator = Operator::start().await?;
    operator.deployed(&["--bucket", BUCKET]).await?;
    let outputs = operator.outputs(STACK).await?;
    let (role, iam) = (&outputs["RoleName"], operator.iam());
    // Somebody makes the role again, with a policy of their own, while the stack goes.
    let trust = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole"}]}"#;
    let more = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}"#;
    let comes_back = async {
        loop {
            if iam.get_role().role_name(role).send().await.is_err() {
                iam.create_role().role_name(role).assume_role_policy_document(trust).send().await?;
                iam.put_role_policy().role_name(role).policy_name("more").policy_document(more).send().await?;
                return Ok::<_, Box<dyn std::error::Error>>(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let (output, came_back) = tokio::join!(operator.run(&["destroy", "--yes"]), comes_back);
    came_back?;
    let output = output?;
    let inline = format!("aws iam delete-role-policy --role-name {role} --policy-name more");
    expect(&output, 1, &["1 part of it still exist", &inline, &format!("aws iam delete-role --role-name {role}")])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_failed_deletion_says_that_the_role_is_open_and_how_to_close_it() -> Outcome {
    let operator = Operator::start().await?;
    operator.deployed(&["--bucket", BUCKET]).await?;
    let role = operator.outputs(STACK).await?["RoleName"].clone();
    let lambda = aws_sdk_lambda::Client::new(&operator.publisher.engine.sdk_config());
    let functions = lambda.list_functions().send().await?.functions.unwrap_or_default();
    let function = functions.iter().find_map(|function| function.function_name()).ok_or("no function")?;
    lambda.delete_function().function_name(function).send().await?;
    let output = operator.run(&["destroy", "--yes"]).await?;
    let text = in_one_line(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in [
        "DELETE_FAILED",
        "The role still exists, so Cavatica can still use the bucket",
        "The function is gone",
        &format!("aws iam delete-role --role-name {role}"),
        "--retain-resources VolumeAccess",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_protected_stack_is_refused_before_the_question_with_the_command() -> Outcome {
    let operator = Operator::start().await?;
    operator.deployed(&["--bucket", BUCKET]).await?;
    let protect = operator.cloudformation().update_termination_protection().stack_name(STACK);
    protect.enable_termination_protection(true).send().await?;
    let output = operator.run(&["destroy", "--yes"]).await?;
    let command = "aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name \
                   cavatica-volume --region us-east-1";
    expect(&output, 1, &[&command.split_whitespace().collect::<Vec<_>>().join(" ")])?;
    assert_eq!(operator.status(STACK).await?.as_deref(), Some("CREATE_COMPLETE"));
    operator.publisher.engine.stop().await?;
    Ok(())
}
