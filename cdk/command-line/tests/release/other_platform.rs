//! A stack of another platform, made, looked at and removed by the commands that were told of it.

use crate::operator::{BUCKET, Operator, expect, in_one_line};
use crate::publisher::Outcome;

const STACK: &str = "other-volume";

/// Writes the platform that the document describes into the operator's folder.
fn written(operator: &Operator) -> Result<String, Box<dyn std::error::Error>> {
    let document = include_str!("../../../../docs/platforms.md");
    let example = document.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).ok_or("no example")?;
    let file = operator.publisher.folder.path().join("other.yaml");
    std::fs::write(&file, example)?;
    Ok(file.display().to_string())
}

/// Returns both platforms' functions have their code in one bucket.
#[tokio::test]
async fn the_bucket_for_the_code_stays_for_a_stack_of_another_platform() -> Outcome {
    let operator = Operator::start().await?;
    let file = written(&operator)?;
    operator.deployed(&["--bucket", BUCKET]).await?;
    operator.deployed(&["--bucket", BUCKET, "--platform", &file]).await?;
    let listed = operator.run(&["list"]).await?;
    expect(&listed, 0, &["cavatica-volume", STACK])?;
    let destroyed = operator.run(&["destroy", "--yes", "--assets"]).await?;
    expect(&destroyed, 0, &["stays, for stack other-volume."])?;
    let destroyed = operator.run(&["destroy", "--yes", "--assets", "--platform", &file]).await?;
    expect(&destroyed, 0, &["bucket cavatica-connect-assets-123456789012-us-east-1-an is gone"])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_stack_of_another_platform_grants_that_platform_alone() -> Outcome {
    let operator = Operator::start().await?;
    let file = written(&operator)?;
    let platform = ["--platform", file.as_str()];

    let arguments = ["--bucket", BUCKET, "--access", "read-write", "--param", "ConfigureCors=true", "--yes"];
    let deployed = operator.deploy(&[&arguments[..], &platform].concat()).await?;
    let parts = ["What Other Platform may do", "copy from Other Platform's own storage", "role/other-connection"];
    expect(&deployed, 0, &parts)?;
    assert!(!in_one_line(&deployed).contains("Cavatica "), "{}", in_one_line(&deployed));
    let outputs = operator.outputs(STACK).await?;
    assert!(outputs["RoleName"].starts_with("other-volume-"), "{outputs:?}");

    let cors = operator.publisher.s3("us-east-1").get_bucket_cors().bucket(BUCKET).send().await?;
    assert_eq!(cors.cors_rules()[0].allowed_origins(), ["https://other.example.org"]);
    let role = operator.iam().get_role().role_name(&outputs["RoleName"]).send().await?.role.ok_or("no role")?;
    assert!(role.assume_role_policy_document.is_some_and(|trust| trust.contains("999999999999")));
    let policy =
        operator.iam().get_policy().policy_arn(&outputs["PolicyArn"]).send().await?.policy.ok_or("no policy")?;
    assert!(policy.description.is_some_and(|text| text.starts_with("Lets Other Platform use an S3 bucket.")));

    let as_asked = operator.run(&[&["status"][..], &platform].concat()).await?;
    expect(&as_asked, 0, &["the volume role", "the volume policy"])?;
    // Whoever does not say which platform it is does not work on its stacks.
    let without = operator.run(&["status", "--stack-name", STACK]).await?;
    expect(&without, 1, &["is there and not one of cavatica-connect's"])?;
    let destroyed = operator.run(&["destroy", "--yes", "--stack-name", STACK]).await?;
    expect(&destroyed, 1, &["is there and not one of cavatica-connect's"])?;

    let destroyed = operator.run(&[&["destroy", "--yes"][..], &platform].concat()).await?;
    expect(&destroyed, 0, &["In Other Platform, deactivate the volume first", "the CORS rule"])?;
    assert_eq!(operator.status(STACK).await?, None);
    operator.publisher.engine.stop().await?;
    Ok(())
}
