//! A stack of another platform, made, looked at and removed by the commands that were told of it.

use crate::operator::{BUCKET, Operator, expect, in_one_line};
use crate::publisher::Outcome;

const STACK: &str = "other-volume";

const PLATFORM: &str = "
name: Other Platform
slug: other
principal: arn:aws:iam::999999999999:role/other-connection
locations:
  - {region: us-east-1, copy-bucket: other-main}
web: https://other.example.org
api: https://api.other.example.org/v2
";

#[tokio::test]
async fn a_stack_of_another_platform_grants_that_platform_alone() -> Outcome {
    let operator = Operator::start().await?;
    let file = operator.publisher.folder.path().join("other.yaml").display().to_string();
    std::fs::write(&file, PLATFORM)?;
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
