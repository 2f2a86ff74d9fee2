//! The two buckets of `deploy`: the volume's bucket, which it only reads, and the bucket of the function's code.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::process::Output;

use aws_sdk_s3::types::{
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};
use serde_json::Value;

use crate::faulty_aws::{Fault, FaultyAws};
use crate::interruption::in_a_terminal;
use crate::operator::{BUCKET, Operator, STACK, expect, in_one_line};
use crate::publisher::{Outcome, said};

#[tokio::test]
async fn destroy_assets_deletes_the_code_bucket_with_the_last_stack_only() -> Outcome {
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
async fn sentences_about_a_bucket_name_the_current_bucket() -> Outcome {
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
    expect(&unseen, 3, &["Not seen: the encryption of bucket", "Not seen: the objects under"])?;
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
