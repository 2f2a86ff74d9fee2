//! A stack's volume in the platform: attached, checked, repaired and detached, with the platform's API on this machine.

use std::error::Error;
use std::process::Output;

use cavatica_access::platform::CAVATICA;
use cavatica_connect::local_platform::PlatformCaller;
use cavatica_connect::local_platform::server::{ImportedFile, LocalPlatform};
use serde_json::Value;

use crate::operator::{BUCKET, Operator, STACK, expect};
use crate::publisher::{Outcome, said};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const OTHER_TOKEN: &str = "fedcba9876543210fedcba9876543210";

/// A researcher: a deployed stack, the platform's API, and a credentials file with a token for it.
struct Researcher {
    operator: Operator,
    platform: LocalPlatform,
}

impl Researcher {
    async fn start(deploy: &[&str]) -> Result<Self, Box<dyn Error>> {
        let operator = Operator::start().await?;
        operator.deployed(&[&["--bucket", BUCKET], deploy].concat()).await?;
        let engine = &operator.publisher.engine;
        let caller = PlatformCaller::on(engine, &CAVATICA).await?;
        let users = [(TOKEN, "ann"), (OTHER_TOKEN, "ben")];
        let platform = LocalPlatform::start(engine, &CAVATICA.principal, caller, &users).await?;
        let researcher = Self { operator, platform };
        researcher.write_credentials(&format!(
            "[cavatica]\napi_endpoint = {0}\nauth_token = {TOKEN}\n[ben]\napi_endpoint = {0}/\nauth_token = {OTHER_TOKEN}\n\
             [wrong]\napi_endpoint = {0}\nauth_token = 00000000\n[other]\napi_endpoint = https://api.sbgenomics.com/v2\nauth_token = x\n",
            researcher.platform.address()
        ))?;
        Ok(researcher)
    }

    fn write_credentials(&self, text: &str) -> std::io::Result<()> {
        let folder = self.operator.publisher.folder.path().join(".sevenbridges");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("credentials"), text)
    }

    async fn run(&self, arguments: &[&str]) -> Result<Output, Box<dyn Error>> {
        let output = self.operator.run(arguments).await?;
        let id = self.external_id().await?;
        for secret in [TOKEN, OTHER_TOKEN, &id] {
            assert!(!said(&output).contains(secret), "{arguments:?} prints a secret: {}", said(&output));
        }
        Ok(output)
    }

    async fn external_id(&self) -> Result<String, Box<dyn Error>> {
        let described = self.operator.cloudformation().describe_stacks().stack_name(STACK).send().await;
        let Ok(stacks) = described else { return Ok("there is no stack any more".to_owned()) };
        let outputs = stacks.stacks().first().ok_or("no stack")?.outputs();
        let id = outputs.iter().find(|output| output.output_key() == Some("ExternalId"));
        Ok(id.and_then(|output| output.output_value()).unwrap_or("no external ID").to_owned())
    }

    async fn put(&self, key: &str) -> Outcome {
        let s3 = self.operator.publisher.s3("us-east-1");
        s3.put_object().bucket(BUCKET).key(key).body(b"content".to_vec().into()).send().await?;
        Ok(())
    }

    async fn volumes(&self) -> Result<Value, Box<dyn Error>> {
        Ok(serde_json::from_slice(&self.run(&["volumes", "--output", "json"]).await?.stdout)?)
    }

    async fn stop(self) -> Outcome {
        drop(self.platform);
        self.operator.publisher.engine.stop().await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_volume_is_attached_once_checked_and_detached() -> Outcome {
    let researcher = Researcher::start(&["--prefix", "raw"]).await?;
    let empty = researcher.run(&["attach", "--share", "ben:read,copy"]).await?;
    expect(
        &empty,
        0,
        &["User", "ann at 127.0.0.1", "volume ann/genomics_lab_data is attached", "ben may read, copy", "it is empty"],
    )?;

    researcher.put("raw/a+b & ü.txt").await?;
    let again = researcher.run(&["attach"]).await?;
    expect(&again, 0, &["ann/genomics_lab_data is attached already", "and sees a+b & ü.txt"])?;
    assert_eq!(researcher.volumes().await?.as_array().map(Vec::len), Some(1));
    let of_ben = researcher.run(&["volumes", "--cavatica-profile", "ben"]).await?;
    expect(&of_ben, 0, &["Volumes that ben sees", "ann/genomics_lab_data", "read-only"])?;

    let files = (0..3).map(|number| ImportedFile {
        project: format!("ann/project-{}", number % 2),
        id: format!("file-{number}"),
        volume: "ann/genomics_lab_data".to_owned(),
    });
    researcher.platform.import(files);
    let unasked = researcher.run(&["detach"]).await?;
    expect(&unasked, 2, &["pass --yes"])?;
    let detached = researcher.run(&["detach", "--yes"]).await?;
    expect(&detached, 0, &["3 in 2 projects", "volume ann/genomics_lab_data does not exist any more"])?;
    assert_eq!(researcher.volumes().await?.as_array().map(Vec::len), Some(0));
    let objects = researcher.operator.publisher.s3("us-east-1").list_objects_v2().bucket(BUCKET).send().await?;
    assert_eq!(objects.contents().len(), 1, "no object of the bucket is changed");
    expect(&researcher.run(&["check"]).await?, 1, &["no volume of ann is attached to s3://genomics-lab-data/raw/"])?;
    researcher.stop().await
}

#[tokio::test]
async fn a_role_that_changed_since_is_explained_and_repaired() -> Outcome {
    let researcher = Researcher::start(&[]).await?;
    expect(&researcher.run(&["attach", "--volume-name", "lab_data"]).await?, 0, &["ann/lab_data"])?;
    // Another person closes the trust policy.
    let iam = researcher.operator.iam();
    let stacks = researcher.operator.cloudformation().describe_stacks().stack_name(STACK).send().await?;
    let outputs = stacks.stacks().first().ok_or("no stack")?.outputs().to_vec();
    let role = outputs.iter().find(|output| output.output_key() == Some("RoleName")).and_then(|it| it.output_value());
    let role = role.ok_or("no role")?;
    let trust = iam.get_role().role_name(role).send().await?.role.and_then(|role| role.assume_role_policy_document);
    let closed =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;
    iam.update_assume_role_policy().role_name(role).policy_document(closed).send().await?;
    let refused = researcher.run(&["check"]).await?;
    expect(&refused, 1, &["code 9001", "AWS shows", "the trust policy"])?;

    let open = percent_encoding::percent_decode_str(&trust.ok_or("no trust policy")?).decode_utf8()?.into_owned();
    iam.update_assume_role_policy().role_name(role).policy_document(open).send().await?;
    expect(&researcher.run(&["check"]).await?, 0, &["lists the volume with the stack's role"])?;

    // A read-write stack makes the volume differ, and the repair sets its mode.
    researcher.operator.deployed(&["--access", "read-write"]).await?;
    expect(&researcher.run(&["check"]).await?, 3, &["differs", "it is read-only"])?;
    expect(
        &researcher.run(&["attach"]).await?,
        1,
        &["ann/lab_data is attached to s3://genomics-lab-data already", "`repair`"],
    )?;
    expect(&researcher.run(&["repair"]).await?, 0, &["lists the volume with the stack's role", "earlier session"])?;
    expect(
        &researcher.run(&["check", "--volume", "ann/lab_data", "--output", "json"]).await?,
        0,
        &["\"Differences\": []"],
    )?;

    // A volume of another place than the stack's is neither repaired nor detached under the stack's name.
    researcher.operator.deployed(&["--access", "read-write", "--prefix", "raw"]).await?;
    for command in [&["repair"][..], &["detach", "--yes"], &["disconnect", "--yes"]] {
        let refused = researcher.run(&[command, &["--volume", "ann/lab_data"]].concat()).await?;
        expect(
            &refused,
            1,
            &["ann/lab_data is attached to s3://genomics-lab-data, and the stack grants s3://genomics-lab-data/raw/"],
        )?;
    }
    assert_eq!(researcher.volumes().await?.as_array().map(Vec::len), Some(1));
    researcher.stop().await
}

#[tokio::test]
async fn unusable_tokens_and_names_are_named_before_anything_is_attached() -> Outcome {
    let researcher = Researcher::start(&[]).await?;
    for (arguments, exit, parts) in [
        (&["attach", "--cavatica-profile", "wrong"][..], 1, &["Unauthorized (code 90001", "get a new token"][..]),
        (
            &["attach", "--cavatica-profile", "other"],
            2,
            &["https://api.sbgenomics.com/v2", "https://cavatica-api.sbgenomics.com/v2"],
        ),
        (&["attach", "--cavatica-profile", "lap"], 2, &["no section [lap]", "[cavatica]"]),
        (&["attach", "--volume-name", "a-b"], 2, &["3 to 32 letters"]),
        (&["attach", "--share", "ben:execute"], 2, &["\"execute\" is no permission", "read, copy, write, admin"]),
        (&["attach", "--stack-name", "absent"], 1, &["there is no stack absent"]),
        (&["check", "--volume", "nobody/nothing"], 1, &["ann sees no volume nobody/nothing"]),
        (&["detach", "--volume", "lab", "--yes"], 2, &["OWNER/NAME"]),
    ] {
        expect(&researcher.run(arguments).await?, exit, parts)?;
    }
    researcher.write_credentials("")?;
    expect(&researcher.run(&["volumes"]).await?, 2, &["there is no token for Cavatica", "[cavatica]"])?;
    let traced = researcher.operator.publisher.connect(&["attach", "--trace"]);
    let mut traced = traced;
    let traced =
        traced.env("SB_API_ENDPOINT", researcher.platform.address()).env("SB_AUTH_TOKEN", TOKEN).output().await?;
    expect(&traced, 0, &["POST http://127.0.0.1", "\"external_id\":\"[redacted]\"", "request ID local-request"])?;
    assert!(!said(&traced).contains(TOKEN) && !said(&traced).contains(&researcher.external_id().await?));
    // The name of the bucket belongs to another prefix's volume by now.
    researcher.operator.deployed(&["--stack-name", "second", "--bucket", BUCKET, "--prefix", "raw"]).await?;
    let mut second = researcher.operator.publisher.connect(&["attach", "--stack-name", "second"]);
    let second =
        second.env("SB_API_ENDPOINT", researcher.platform.address()).env("SB_AUTH_TOKEN", TOKEN).output().await?;
    expect(&second, 0, &["volume ann/genomics_lab_data_"])?;
    researcher.stop().await
}

#[tokio::test]
async fn one_command_leads_from_a_bucket_to_a_listing_and_one_back() -> Outcome {
    let researcher = Researcher::start(&["--stack-name", "other", "--prefix", "other"]).await?;
    researcher.put("raw/sample.vcf").await?;
    let zip = researcher.operator.zip.clone();
    let connect = ["connect", "--bucket", BUCKET, "--prefix", "raw", "--zip", &zip, "--yes"];
    let wrong = researcher.operator.run(&[&connect[..], &["--cavatica-profile", "wrong"]].concat()).await?;
    expect(&wrong, 1, &["Unauthorized"])?;
    let stacks = researcher.operator.cloudformation().describe_stacks().send().await?;
    assert_eq!(stacks.stacks().len(), 1, "nothing is created for a token that cannot attach");

    let connected = researcher.operator.run(&connect).await?;
    expect(&connected, 0, &["CREATE_COMPLETE", "is attached", "and sees sample.vcf"])?;
    let again = researcher.operator.run(&[&connect[..], &["--output", "json"]].concat()).await?;
    expect(&again, 0, &["nothing to change", "is attached already"])?;
    let result: Value = serde_json::from_slice(&again.stdout)?;
    assert_eq!(result["FirstObject"], "sample.vcf", "{result}");

    let disconnected = researcher.operator.run(&["disconnect", "--yes"]).await?;
    expect(&disconnected, 0, &["does not exist any more", "DELETE_COMPLETE"])?;
    assert_eq!(researcher.volumes().await?.as_array().map(Vec::len), Some(0));
    let again = researcher.operator.run(&["disconnect", "--yes"]).await?;
    expect(&again, 0, &["No volume is detached: there is no stack cavatica-volume", "nothing to delete"])?;
    // A stack whose volume was never attached goes all the same.
    let other = researcher.operator.run(&["disconnect", "--stack-name", "other", "--yes"]).await?;
    expect(&other, 0, &["No volume is detached: no volume of ann", "DELETE_COMPLETE"])?;
    drop(researcher.platform);
    researcher.operator.publisher.engine.stop().await?;
    Ok(())
}
